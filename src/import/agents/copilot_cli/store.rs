//! `session-store.db`: what is in it, and whether it tells of a call that another file tells of too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{AGENT, PROVIDER, STORE, logged};
use crate::import::engine::document::{self, Document};
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::source::ParsedCall;
use crate::model::time::{MINUTE, Timestamp};

const TABLE: &str = "assistant_usage_events";
const NEEDED: [&str; 6] = ["id", "session_id", "model", "input_tokens", "output_tokens", "created_at"];
const COUNTS: [&str; 5] =
    ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"];

/// Reads the calls that are new.
pub(super) fn read(database: &Connection, resume: Option<&Value>) -> Result<Document, String> {
    let have = fields::columns(database, TABLE)?;
    if have.is_empty() {
        // Older ones know sessions only; those have files of their own.
        let sessions = fields::columns(database, "sessions")?;
        if sessions.is_empty() {
            return Err("unknown shape: a store without a table of sessions".to_owned());
        }
        if resume.is_some_and(|resume| resume.get("last").is_some()) || counts_elsewhere(database)? {
            return Err("unknown shape: a store whose calls are in no table that is known".to_owned());
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
    let newest = newest.map_err(fields::refused)?.unwrap_or(0);
    let mut last = resume.and_then(|resume| resume.get("last")?.as_i64()).unwrap_or(0);
    // A store that was made anew counts from the beginning.
    if newest < last {
        last = 0;
    }

    let mut document = Document::default();
    let mut tally = SkipTally::default();
    let sql = format!("SELECT {chosen} FROM {tables} WHERE {TABLE}.id > ?1 AND {TABLE}.id <= ?2 ORDER BY {TABLE}.id");
    fields::visit(database, &sql, [last, newest], &mut |row| {
        let id = row.get("id").and_then(Value::as_u64).unwrap_or(0);
        match call(&row, id, &mut tally) {
            Ok(found) => document.found.extend(found),
            Err(why) => document.skipped.push((id, why)),
        }
    })?;
    document.skipped.extend(tally.skipped());
    document.resume = Some(json!({ "last": newest }));
    Ok(document)
}

/// Whether another table has counts.
fn counts_elsewhere(database: &Connection) -> Result<bool, String> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
               WHERE t.type = 'table' AND c.name IN ('input_tokens', 'output_tokens'))";
    database.query_row(sql, [], |row| row.get(0)).map_err(fields::refused)
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
    // What was asked for may be "auto"; what was billed says which model that was.
    let billed = fields::text(row, "copilot_usage_model");
    record.model = billed.or_else(|| fields::text(row, "model")).map(str::to_owned);
    record.project = fields::text(row, "cwd").map(str::to_owned);
    record.duration_ms = row.get("duration_ms").and_then(Value::as_u64);
    if fields::text(row, "agent_id").is_some() {
        record = record.label("sidechain", "true");
    }
    let counts = COUNTS.iter().chain(&["total_nano_aiu"]);
    let told = counts.filter_map(|name| Some((*name, row.get(*name).filter(|count| count.is_number())?.clone())));
    record.raw = fields::raw(&told.collect());
    fields::checked(at, record).map(Some)
}

/// The store beside other files, asked whether it tells of what they tell.
pub(super) struct Store {
    database: Connection,
    /// When the rows of a session were written.
    rows: RefCell<HashMap<String, Vec<Timestamp>>>,
}

impl Store {
    /// The store of a home, if it has one that tells of calls.
    pub fn open(home: &Path) -> Option<Self> {
        let path = home.join(STORE);
        let database = path.is_file().then(|| document::open(&path).ok()).flatten()?;
        let have = fields::columns(&database, TABLE).ok()?;
        fields::choose(&have, TABLE, &NEEDED, &[]).ok()?;
        Some(Self { database, rows: RefCell::default() })
    }

    /// Whether the session had a row by this time. A row may be written a moment after what is told elsewhere.
    pub fn knew(&self, session: &str, at: Timestamp) -> bool {
        self.any(session, &|row| row <= at.plus(MINUTE))
    }

    /// Whether the session has a row of this time.
    pub fn has_between(&self, session: &str, from: Timestamp, to: Timestamp) -> bool {
        self.any(session, &|row| row >= from.plus(-MINUTE) && row <= to.plus(MINUTE))
    }

    fn any(&self, session: &str, fits: &dyn Fn(Timestamp) -> bool) -> bool {
        let mut known = self.rows.borrow_mut();
        let rows = known.entry(session.to_owned()).or_insert_with(|| {
            let mut rows = Vec::new();
            let sql = format!("SELECT created_at FROM {TABLE} WHERE session_id = ?1");
            // A store that does not answer is told of where it is itself read.
            let _ = fields::visit(&self.database, &sql, [session], &mut |row| {
                rows.extend(fields::time(row.get("created_at")));
            });
            rows
        });
        rows.iter().any(|row| fits(*row))
    }
}
