//! Determines the provider of a call: GitHub, or the provider of the user's own key.
//!
//! The log of a session states it for each call since mid 2026, in `session.usage_record`. The store and the sums of a
//! run do not; their calls are looked up there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;
use serde_json::Value;

use super::SESSIONS;
use super::metrics::{COUNTS, Counts};
use crate::import::engine::fields;
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::provider_names::{UNKNOWN, provider_id};
use crate::import::engine::query::Refusal;
use crate::import::engine::{jsonl, regular};
use crate::model::event::{EventId, TokenRecord};
use crate::model::time::Timestamp;

pub(super) const USAGE_RECORD: &str = "session.usage_record";
/// The log's name for an unknown maker.
const OTHER: &str = "other";

/// One call in the log of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoggedUse {
    pub model: Option<String>,
    pub counts: Counts,
    /// The provider, if it is not GitHub.
    pub provider: Option<String>,
    /// Ids of the response and of the request.
    pub ids: Vec<String>,
}

impl LoggedUse {
    /// Parses the data of a `session.usage_record`.
    pub fn parse(data: &Value) -> Result<Self, String> {
        let usage = data.get("usage").filter(|usage| usage.is_object());
        let usage = usage.ok_or("unknown shape: a usage record without its usage")?;
        let mut counts = Counts::default();
        for (count, name) in counts.iter_mut().zip(COUNTS) {
            *count = fields::count(usage, name)?.and_then(|count| u64::try_from(count).ok());
        }
        let ids = ["apiCallId", "providerCallId"].iter().filter_map(|name| fields::text(usage, name));
        Ok(Self {
            model: fields::text(usage, "model").map(str::to_owned),
            counts,
            provider: own_key(usage),
            ids: ids.map(str::to_owned).collect(),
        })
    }

    /// Sets the provider of a call and adds the ids of the response. Ids under GitHub are kept, so earlier imports find
    /// the call.
    pub fn file(&self, record: &mut TokenRecord) {
        let ids: Vec<EventId> = record.ids().collect();
        record.keys.extend(self.ids.iter().cloned());
        serve(record, self.provider.as_deref(), ids);
    }
}

/// Sets the provider of a call with the user's own key.
pub(super) fn serve(record: &mut TokenRecord, provider: Option<&str>, mut ids: Vec<EventId>) {
    let Some(provider) = provider else { return };
    record.provider = provider.to_owned().into();
    ids.sort_unstable();
    record.key_ids = ids;
}

/// Returns the provider of the user's own key, if the call was made with one.
fn own_key(usage: &Value) -> Option<String> {
    if usage.get("isByok").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let names = ["providerType", "modelProvider"].iter().filter_map(|name| fields::text(usage, name));
    Some(
        names
            .filter(|name| *name != OTHER)
            .find_map(|name| provider_id(name, None))
            .unwrap_or_else(|| UNKNOWN.to_owned()),
    )
}

/// Returns the provider in Copilot's telemetry, if it is not GitHub: then the user has an own key for it.
pub(super) fn of_telemetry(attributes: &Value) -> Option<String> {
    let name = fields::text(attributes, "gen_ai.provider.name")?;
    provider_id(name, None).filter(|id| !id.starts_with("github"))
}

/// The calls in one session's log, and the time up to which the log is written.
#[derive(Clone, Default)]
pub(super) struct SessionLog {
    calls: Vec<LoggedUse>,
    until: Option<Timestamp>,
}

impl SessionLog {
    pub fn add(&mut self, call: LoggedUse) {
        self.calls.push(call);
    }

    /// Finds the call with these counts. Several equal ones yield their common values.
    pub fn find(&self, model: Option<&str>, counts: Counts) -> Option<LoggedUse> {
        let stated = |count: Option<u64>| count.unwrap_or_default();
        let mut alike = self
            .calls
            .iter()
            .filter(|call| call.model.as_deref() == model && call.counts.map(stated) == counts.map(stated));
        let mut common = alike.next()?.clone();
        for other in alike {
            // The matching one is ambiguous, and an id belongs to one call only.
            common.ids.clear();
            if other.provider != common.provider {
                return None;
            }
        }
        Some(common)
    }

    /// Returns the call of a response.
    pub fn response(&self, id: &str) -> Option<&LoggedUse> {
        self.calls.iter().find(|call| call.ids.iter().any(|ids| ids == id))
    }

    /// Returns the provider of all calls of a model, if the log has any and they agree.
    pub fn server(&self, model: &str) -> Option<&str> {
        let mut servers =
            self.calls.iter().filter(|call| call.model.as_deref() == Some(model)).map(|call| &call.provider);
        let first = servers.next()?.as_deref()?;
        servers.all(|server| server.as_deref() == Some(first)).then_some(first)
    }

    /// Returns whether the log may still get a call of this time.
    pub fn awaits(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }
}

/// The session logs next to a store or telemetry, read on demand.
pub(super) struct SessionLogs {
    home: Option<PathBuf>,
    read: RefCell<HashMap<String, SessionLog>>,
}

impl SessionLogs {
    pub fn new(home: Option<&Path>) -> Self {
        Self { home: home.map(Path::to_owned), read: RefCell::default() }
    }

    /// Returns the log of a session, empty if there is none. If it cannot be read that is an error, because its calls
    /// could get the wrong provider.
    pub fn of(&self, session: &str) -> Result<SessionLog, Refusal> {
        if let Some(ids) = self.read.borrow().get(session) {
            return Ok(ids.clone());
        }
        let log = self.open(session)?;
        self.read.borrow_mut().insert(session.to_owned(), log.clone());
        Ok(log)
    }

    fn open(&self, session: &str) -> Result<SessionLog, Refusal> {
        let is_name = session.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        let Some(home) = self.home.as_ref().filter(|_| is_name) else { return Ok(SessionLog::default()) };
        for directory in SESSIONS {
            let path = home.join(directory).join(session).join("events.jsonl");
            match regular::read(&path, LONGEST_LINE as u64) {
                Ok(text) => return Ok(parse(&text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let why = format!("the log of session `{session}` may say who served its calls: {error}");
                    return Err(Refusal::Unreadable(why));
                }
            }
        }
        Ok(SessionLog::default())
    }
}

/// Parses the calls of a log. The import of the log itself reports malformed lines.
fn parse(text: &[u8]) -> SessionLog {
    let record = Finder::new(USAGE_RECORD);
    let mut log = SessionLog::default();
    let mut last: &[u8] = b"";
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        last = line;
        let read = || fields::parse(jsonl::whole(line).ok()??).ok();
        if record.find(line).is_some()
            && let Some(event) = read().filter(|event| fields::text(event, "type") == Some(USAGE_RECORD))
            && let Some(Ok(call)) = event.get("data").map(LoggedUse::parse)
        {
            log.add(call);
        }
    }
    log.until = fields::parse(last).ok().and_then(|event| fields::time(event.get("timestamp")));
    log
}
