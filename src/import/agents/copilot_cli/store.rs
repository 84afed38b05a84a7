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
    let chosen = fields::choose(&have, TABLE, &NEEDED, &more)?;
    let stored: i64 = resume::member(resume, "last")?.unwrap_or(0);
    let mut awaited: Vec<i64> = resume::member(resume, "awaited")?.unwrap_or_default();
    let (newest, last) = query::new_rows(database, TABLE, stored)?;
    if last != stored {
        awaited.clear();
    }

    let mut document = Document::default();
    let mut directories = HashMap::new();
    let unknown = read_directories(database, &mut directories).err();
    let mut tally = SkipTally::default();
    let open = awaited.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    // The row number is the id, but it is a number in a table of another declaration too.
    let sql = format!(
        "SELECT rowid AS row, {chosen} FROM {TABLE} WHERE rowid <= ?2 AND (rowid > ?1 OR rowid IN ({open})) \
         ORDER BY rowid"
    );
    let (mut reached, mut still, mut refusal) = (last, Vec::new(), None);
    let visited = fields::visit(database, &sql, [last, newest], &mut |row| {
        if refusal.is_some() {
            return;
        }
        let Some(number) = row.get("row").and_then(Value::as_i64) else {
            refusal =
                Some(Refusal::Unreadable(format!("the database cannot be read: a row of `{TABLE}` has no number")));
            return;
        };
        match call(&row, &directories, &mut tally) {
            Ok(Some(mut call)) => match file(&mut call, &row, logs) {
                Ok(is_open) => {
                    still.extend(is_open.then_some(number));
                    document.calls.push(call);
                }
                Err(why) => refusal = Some(why),
            },
            Ok(None) => {}
            Err(why) => document.skipped.push((u64::try_from(number).unwrap_or(0), why)),
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
    // Without sessions the calls still count; only their projects are unknown.
    document.cut = document.cut.or(unknown);
    Ok(document)
}

/// Reads the directory of each session.
fn read_directories(database: &Connection, directories: &mut HashMap<String, String>) -> Result<(), Refusal> {
    let have = fields::columns(database, "sessions")?;
    let Ok(chosen) = fields::choose(&have, "sessions", &["id", "cwd"], &[]) else { return Ok(()) };
    fields::visit(database, &format!("SELECT {chosen} FROM sessions"), [], &mut |row| {
        if let (Some(id), Some(directory)) = (fields::text(&row, "id"), fields::text(&row, "cwd")) {
            directories.insert(id.to_owned(), directory.to_owned());
        }
    })
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

fn call(
    row: &Value,
    directories: &HashMap<String, String>,
    tally: &mut SkipTally,
) -> Result<Option<ParsedCall>, String> {
    let mut fields = [("", None); 5];
    for (field, name) in fields.iter_mut().zip(COUNTS) {
        *field = (name, fields::count(row, name)?);
    }
    let logged = logged(fields);
    if logged.is_nothing() {
        tally.add("calls without token counts");
        return Ok(None);
    }
    let id = row.get("id").and_then(Value::as_u64).ok_or("unknown shape: a call without an id")?;
    let session = fields::text(row, "session_id").ok_or("unknown shape: a call without a session")?;
    let at = fields::time(row.get("created_at")).ok_or("unknown shape: a call without a time")?;
    let mut record = fields::record(PROVIDER, AGENT, logged)?;
    record = record.conversation(session).key(format!("copilot-cli/{session}/{id}"));
    // The requested model may be "auto"; the billed model is the real one.
    let billed = fields::text(row, "copilot_usage_model");
    record.model = billed.or_else(|| fields::text(row, "model")).map(str::to_owned);
    record.project = directories.get(session).cloned();
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
        let Ok(chosen) = fields::choose(&have, TABLE, &NEEDED, &[]) else { return Ok(None) };
        let mut rows: HashMap<String, Vec<Timestamp>> = HashMap::new();
        fields::visit(database, &format!("SELECT {chosen} FROM {TABLE}"), [], &mut |row| {
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
