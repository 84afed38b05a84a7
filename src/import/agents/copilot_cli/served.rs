//! Who served a call: GitHub, or the provider whose key a person gave to the client.
//!
//! The log of a session says it of each call since the middle of 2026, in `session.usage_record`. The store and the sums of a
//! run do not say it; their calls are looked up there.

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
/// What the log says of a maker that it does not know.
const OTHER: &str = "other";

/// One call as the log of its session states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoggedUse {
    pub model: Option<String>,
    pub counts: Counts,
    /// Who served it, if not GitHub.
    pub provider: Option<String>,
    /// The ids of the response and of the request.
    pub ids: Vec<String>,
}

impl LoggedUse {
    /// Reads the data of a `session.usage_record`.
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

    /// Files a call under who served it, with the ids of the response. It is still found where it was taken for GitHub's.
    pub fn file(&self, record: &mut TokenRecord) {
        let known: Vec<EventId> = record.ids().collect();
        record.keys.extend(self.ids.iter().cloned());
        serve(record, self.provider.as_deref(), known);
    }
}

/// Files a call under the provider of a person's own key.
pub(super) fn serve(record: &mut TokenRecord, provider: Option<&str>, mut known: Vec<EventId>) {
    let Some(provider) = provider else { return };
    record.provider = provider.to_owned().into();
    known.sort_unstable();
    record.key_ids = known;
}

/// The provider of a person's own key, if the call was made with one.
fn own_key(usage: &Value) -> Option<String> {
    if usage.get("isByok").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let told = ["providerType", "modelProvider"].iter().filter_map(|name| fields::text(usage, name));
    Some(
        told.filter(|name| *name != OTHER)
            .find_map(|name| provider_id(name, None))
            .unwrap_or_else(|| UNKNOWN.to_owned()),
    )
}

/// The provider that Copilot's telemetry names, if it is not GitHub: it names that of a person's own key.
pub(super) fn told(attributes: &Value) -> Option<String> {
    let name = fields::text(attributes, "gen_ai.provider.name")?;
    provider_id(name, None).filter(|id| !id.starts_with("github"))
}

/// The calls of one session's log, and how far that log goes.
#[derive(Clone, Default)]
pub(super) struct SessionLog {
    calls: Vec<LoggedUse>,
    until: Option<Timestamp>,
}

impl SessionLog {
    pub fn add(&mut self, call: LoggedUse) {
        self.calls.push(call);
    }

    /// The call with these counts. Of several alike, what they have in common.
    pub fn find(&self, model: Option<&str>, counts: Counts) -> Option<LoggedUse> {
        let stated = |count: Option<u64>| count.unwrap_or_default();
        let mut alike = self
            .calls
            .iter()
            .filter(|call| call.model.as_deref() == model && call.counts.map(stated) == counts.map(stated));
        let mut found = alike.next()?.clone();
        for other in alike {
            // Which of them it is cannot be told, and an id belongs to one call only.
            found.ids.clear();
            if other.provider != found.provider {
                return None;
            }
        }
        Some(found)
    }

    /// The call of a response.
    pub fn response(&self, id: &str) -> Option<&LoggedUse> {
        self.calls.iter().find(|call| call.ids.iter().any(|known| known == id))
    }

    /// Who served all calls of a model, if the log tells of any and it was one.
    pub fn server(&self, model: &str) -> Option<&str> {
        let mut servers =
            self.calls.iter().filter(|call| call.model.as_deref() == Some(model)).map(|call| &call.provider);
        let first = servers.next()?.as_deref()?;
        servers.all(|server| server.as_deref() == Some(first)).then_some(first)
    }

    /// Whether a call of this time may still come.
    pub fn awaits(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= at)
    }
}

/// The logs of sessions beside a store or telemetry, each read when it is asked for.
pub(super) struct SessionLogs {
    home: Option<PathBuf>,
    read: RefCell<HashMap<String, SessionLog>>,
}

impl SessionLogs {
    pub fn new(home: Option<&Path>) -> Self {
        Self { home: home.map(Path::to_owned), read: RefCell::default() }
    }

    /// The log of a session, empty where there is none. An error says why it cannot be read: its calls might be filed under
    /// the wrong provider.
    pub fn of(&self, session: &str) -> Result<SessionLog, Refusal> {
        if let Some(known) = self.read.borrow().get(session) {
            return Ok(known.clone());
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

/// Reads the calls of a log. What cannot be read of it is told of where the log itself is read.
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
