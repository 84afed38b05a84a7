//! `ZCode`: `~/.zcode/cli/db/db.sqlite`.
//!
//! From documentation: see the descriptor. A row of `model_usage` is a call. `input_tokens` includes cache reads and
//! cache writes. Output includes reasoning, unless `computed_total_tokens` is the sum of input, output and reasoning. If no
//! column names the provider, the provider of GLM models is Z.ai.

mod descriptor;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DatabaseLog, LogFormat, Source};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of `ZCode`'s database.
pub(crate) struct Zcode;

const AGENT: &str = "zcode";
const TABLE: &str = "model_usage";
const COUNTS: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "reasoning_tokens",
    "computed_total_tokens",
];

impl Source for Zcode {
    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "db.sqlite")
    }

    fn enters(&self, _directory: &Path) -> bool {
        false
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Database(self)
    }
}

impl DatabaseLog for Zcode {
    fn database(&self, _path: &Path, database: &Connection, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let have = fields::columns(database, TABLE)?;
        if have.is_empty() {
            return Err("unknown shape: a database without a table `model_usage`".into());
        }
        let needed = ["id", "session_id", "model_id", "input_tokens", "output_tokens", "started_at"];
        let optional: Vec<&str> = COUNTS.into_iter().skip(2).chain(["completed_at", "provider_id"]).collect();
        let columns = fields::choose(&have, TABLE, &needed, &optional)?;
        let mut document = Document::default();
        let mut directories = BTreeMap::new();
        // Without sessions the calls still count; only their projects are unknown.
        document.cut = match read_sessions(database, &mut directories, &mut document) {
            Err(why) if !why.is_unreadable() => return Err(why),
            read => read.err(),
        };
        let mut place = 0;
        let read = fields::visit(database, &format!("SELECT {columns} FROM {TABLE} ORDER BY rowid"), [], &mut |row| {
            place += 1;
            match call(&row, &directories) {
                Ok(found) => document.calls.extend(found),
                Err(why) => document.skipped.push((place, why)),
            }
        });
        document.cut = document.cut.or(read.err());
        Ok(document)
    }
}

/// Reads the directory and the start time of each session.
fn read_sessions(
    database: &Connection,
    directories: &mut BTreeMap<String, String>,
    document: &mut Document,
) -> Result<(), Refusal> {
    let have = fields::columns(database, "session")?;
    if have.is_empty() {
        return Ok(());
    }
    let columns = fields::choose(&have, "session", &["id"], &["directory", "time_created"])?;
    fields::visit(database, &format!("SELECT {columns} FROM session"), [], &mut |row| {
        let Some(id) = fields::text(&row, "id") else {
            document.skipped.push((0, "unknown shape: a session whose id is no text".to_owned()));
            return;
        };
        if let Some(directory) = fields::text(&row, "directory") {
            directories.insert(id.to_owned(), directory.to_owned());
        }
        if let Some(began) = fields::time(row.get("time_created")) {
            document.conversations.push((id.to_owned(), began));
        }
    })
}

fn call(row: &Value, directories: &BTreeMap<String, String>) -> Result<Option<ParsedCall>, String> {
    let field = |name| fields::field(row, name);
    let [input, output, read, written, reasoning, total] = COUNTS;
    let mut logged = Logged::new(AGENT, "zcode/1", field(input)?, field(output)?);
    (logged.cache_read, logged.cache_write, logged.reasoning) = (field(read)?, field(written)?, field(reasoning)?);
    let parts = [logged.input, logged.output, logged.reasoning].into_iter().filter_map(|(_, count)| count);
    let sum = parts.fold(0, i64::saturating_add);
    let has_reasoning = logged.reasoning.1.is_some_and(|count| count != 0);
    logged.reasoning_inside = !has_reasoning || fields::count(row, total)? != Some(sum);
    if logged.is_nothing() {
        // A call in progress has no end time.
        let is_over = row.get("completed_at").is_some_and(|end| !end.is_null());
        return if is_over { Err("unknown usage: all counts of a call are 0".to_owned()) } else { Ok(None) };
    }
    let id = fields::text(row, "id").ok_or("unknown shape: a call without an id")?;
    let at = fields::time(row.get("started_at")).ok_or("unknown shape: a call without a time")?;
    let model = fields::text(row, "model_id");
    let is_glm = model.is_some_and(|model| model.to_ascii_lowercase().starts_with("glm"));
    let fallback = if is_glm { "zai" } else { provider_names::UNKNOWN };
    let provider = provider_names::provider(fields::text(row, "provider_id"), model, fallback);
    let mut record = fields::record(&provider, AGENT, logged)?.key(format!("zcode/{id}"));
    record.model = model.map(str::to_owned);
    record.conversation = fields::text(row, "session_id").map(str::to_owned);
    record.project = record.conversation.as_ref().and_then(|session| directories.get(session)).cloned();
    record.raw = fields::raw_of(row, &COUNTS);
    fields::checked(at, record).map(Some)
}
