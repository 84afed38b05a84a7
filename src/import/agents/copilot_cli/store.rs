//! `session-store.db`: reads its calls, and answers whether it contains a call that another file also contains.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::call_provider::SessionLogs;
use super::metrics::Counts;
use super::{AGENT, PROVIDER, STORE, home_of, logged};
use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::{self, Refusal};
use crate::import::engine::resume;
use crate::model::time::{MINUTE, Timestamp};

const TABLE: &str = "assistant_usage_events";
const NEEDED: [&str; 6] = ["id", "session_id", "model", "input_tokens", "output_tokens", "created_at"];
const COUNTS: [&str; 5] =
    ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"];

/// Maximum number of calls that may wait for an entry in their session's log.
const MOST_AWAITED: usize = 64;

/// Reads the new calls.
pub(super) fn read(database: &Connection, logs: &SessionLogs, resume: Option<&Value>) -> Result<Document, Refusal> {
    let have = fields::columns(database, TABLE)?;
    if have.is_empty() {
        // Older stores contain only sessions, which have files of their own.
        let sessions = fields::columns(database, "sessions")?;
        if sessions.is_empty() {
            return Err("unknown shape: a store without a table of sessions".into());
        }
        if resume.is_some_and(|resume| resume.get("last").is_some()) || counts_elsewhere(database)? {
            return Err("unknown shape: a store whose calls are in no table that is known".into());
        }
        return Ok(Document::default());
    }
    let more = [
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "duration_ms",
        "agent_id",
        "total_nano_aiu",
        "copilot_usage_model",
    ];
    let mut chosen = fields::choose(&have, TABLE, &NEEDED, &more)?;
    let mut tables = TABLE.to_owned();
    let sessions = fields::columns(database, "sessions")?;
    if ["id", "cwd"].iter().all(|name| sessions.iter().any(|column| column == name)) {
        chosen.push_str(", sessions.cwd");
        tables = format!("{TABLE} LEFT JOIN sessions ON sessions.id = {TABLE}.session_id");
    }
    let newest = database.query_row(&format!("SELECT max(id) FROM {TABLE}"), [], |row| row.get::<_, Option<i64>>(0));
    let newest = newest?.unwrap_or(0);
    let mut last: i64 = resume::member(resume, "last")?.unwrap_or(0);
    let mut awaited: Vec<i64> = resume::member(resume, "awaited")?.unwrap_or_default();
    // A recreated store numbers its rows from the beginning.
    if newest < last {
        last = 0;
        awaited.clear();
    }

    let mut document = Document::default();
    let mut tally = SkipTally::default();
    let open = awaited.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {chosen} FROM {tables} WHERE {TABLE}.id <= ?2 AND ({TABLE}.id > ?1 OR {TABLE}.id IN ({open})) \
         ORDER BY {TABLE}.id"
    );
    let (mut reached, mut still, mut refusal) = (last, Vec::new(), None);
    let visited = fields::visit(database, &sql, [last, newest], &mut |row| {
        let id = row.get("id").and_then(Value::as_u64).unwrap_or(0);
        let number = i64::try_from(id).unwrap_or(reached);
        if refusal.is_some() {
            return;
        }
        match call(&row, id, &mut tally) {
            Ok(Some(mut call)) => match file(&mut call, &row, logs) {
                Ok(is_open) => {
                    still.extend(is_open.then_some(number));
                    document.calls.push(call);
                }
                Err(why) => refusal = Some(why),
            },
            Ok(None) => {}
            Err(why) => document.skipped.push((id, why)),
        }
        if refusal.is_none() {
            reached = reached.max(number);
        }
    });
    document.cut = visited.err().or(refusal);
    document.skipped.extend(tally.skipped());
    let mut resume = json!({ "last": if document.cut.is_none() { newest } else { reached } });
    if document.cut.is_some() {
        still.extend(awaited);
        still.sort_unstable();
        still.dedup();
    }
    let late = still.split_off(still.len().saturating_sub(MOST_AWAITED));
    if let Some(resume) = resume.as_object_mut().filter(|_| !late.is_empty()) {
        resume.insert("awaited".to_owned(), json!(late));
    }
    document.resume = Some(resume);
    Ok(document)
}

/// Sets the provider of a call from its session's log. Returns whether the log may still get an entry for it.
fn file(call: &mut ParsedCall, row: &Value, logs: &SessionLogs) -> Result<bool, Refusal> {
    let Some(session) = call.record.conversation.clone() else { return Ok(false) };
    let log = logs.of(&session)?;
    let mut counts = Counts::default();
    for (count, name) in counts.iter_mut().zip(COUNTS) {
        let stated = fields::count(row, name).map_err(Refusal::from)?;
        *count = stated.and_then(|count| u64::try_from(count).ok());
    }
    let Some(logged) = log.find(fields::text(row, "model"), counts) else {
        return Ok(log.awaits(call.at));
    };
    logged.file(&mut call.record);
    Ok(false)
}

/// Returns whether another table contains counts.
fn counts_elsewhere(database: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
               WHERE t.type = 'table' AND c.name IN ('input_tokens', 'output_tokens'))";
    database.query_row(sql, [], |row| row.get(0))
}

fn call(row: &Value, id: u64, tally: &mut SkipTally) -> Result<Option<ParsedCall>, String> {
    let mut fields = [("", None); 5];
    for (field, name) in fields.iter_mut().zip(COUNTS) {
        *field = (name, fields::count(row, name)?);
    }
    let logged = logged(fields);
    if logged.is_nothing() {
        tally.add("calls without token counts");
        return Ok(None);
    }
    let session = fields::text(row, "session_id").ok_or("unknown shape: a call without a session")?;
    let at = fields::time(row.get("created_at")).ok_or("unknown shape: a call without a time")?;
    let mut record = fields::record(PROVIDER, AGENT, logged)?;
    record = record.conversation(session).key(format!("copilot-cli/{session}/{id}"));
    // The requested model may be "auto"; the billed model is the real one.
    let billed = fields::text(row, "copilot_usage_model");
    record.model = billed.or_else(|| fields::text(row, "model")).map(str::to_owned);
    record.project = fields::text(row, "cwd").map(str::to_owned);
    record.duration_ms = row.get("duration_ms").and_then(Value::as_u64);
    if fields::text(row, "agent_id").is_some() {
        record = record.label("sidechain", "true");
    }
    let counts = COUNTS.iter().chain(&["total_nano_aiu"]);
    let stated = counts.filter_map(|name| Some((*name, row.get(*name).filter(|count| count.is_number())?.clone())));
    record.raw = fields::raw(&stated.collect());
    fields::checked(at, record).map(Some)
}

/// The store next to other files, to check whether it contains their calls.
pub(super) struct Store {
    /// Times of the rows by session.
    rows: HashMap<String, Vec<Timestamp>>,
}

impl Store {
    /// Opens the store in the same home as a file, if it contains calls. If it cannot be read that is an error, because
    /// the file's calls could count twice.
    pub fn beside(file: &Path) -> Result<Option<Self>, Refusal> {
        let Some(path) = home_of(file).map(|home| home.join(STORE)).filter(|path| path.is_file()) else {
            return Ok(None);
        };
        let refused = |why: Refusal| Refusal::Unreadable(format!("`{STORE}` beside it may tell of its calls: {why}"));
        Self::read(&query::open(&path).map_err(refused)?).map_err(refused)
    }

    fn read(database: &Connection) -> Result<Option<Self>, Refusal> {
        let have = fields::columns(database, TABLE)?;
        if fields::choose(&have, TABLE, &NEEDED, &[]).is_err() {
            return Ok(None);
        }
        let mut rows: HashMap<String, Vec<Timestamp>> = HashMap::new();
        fields::visit(database, &format!("SELECT session_id, created_at FROM {TABLE}"), [], &mut |row| {
            if let (Some(session), Some(at)) = (fields::text(&row, "session_id"), fields::time(row.get("created_at"))) {
                rows.entry(session.to_owned()).or_default().push(at);
            }
        })?;
        Ok(Some(Self { rows }))
    }

    /// Returns whether the session had a row by this time. Allows for a row that is written slightly later than the
    /// other file.
    pub fn knew(&self, session: &str, at: Timestamp) -> bool {
        self.any(session, &|row| row <= at.plus(MINUTE))
    }

    /// Returns whether the session has a row in this time.
    pub fn has_between(&self, session: &str, from: Timestamp, to: Timestamp) -> bool {
        self.any(session, &|row| row >= from.plus(-MINUTE) && row <= to.plus(MINUTE))
    }

    fn any(&self, session: &str, fits: &dyn Fn(Timestamp) -> bool) -> bool {
        self.rows.get(session).is_some_and(|rows| rows.iter().any(|row| fits(*row)))
    }
}
