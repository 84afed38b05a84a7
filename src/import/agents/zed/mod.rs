//! The agent of Zed: `threads/threads.db` in the data directory of Zed.
//!
//! From documentation: see the descriptor. A row of `threads` is a thread, whose `data` is JSON, compressed with zstd.
//! `request_token_usage` has the counts of each request. A thread has one model and one time, that of its last
//! change, so its records are `derived`. Each record has the time of its thread at the first import. The input excludes the
//! cache. A thread with only a sum (`cumulative_token_usage`) is reported as skipped, because later versions of the thread
//! may contain its requests.

mod descriptor;

use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::import::engine::query::{self, Refusal, RowAction};
use crate::import::engine::source::{DatabaseLog, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::time::Timestamp;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Zed's threads.
pub(crate) struct Zed;

const AGENT: &str = "zed";
const COUNTS: [&str; 4] = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

impl Source for Zed {
    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "threads.db")
    }

    fn enters(&self, _directory: &Path) -> bool {
        false
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Database(self)
    }
}

impl DatabaseLog for Zed {
    fn database(&self, _path: &Path, database: &Connection, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let have = fields::columns(database, "threads")?;
        let columns = fields::choose(&have, "threads", &["id", "updated_at", "data_type", "data"], &[])?;
        let mut document = Document::default();
        let mut place = 0;
        let sql = format!("SELECT {columns}, octet_length(data) AS length FROM threads ORDER BY rowid");
        let read = query::rows(database, &sql, [], &mut |row| {
            place += 1;
            match thread(row) {
                Ok(requests) => {
                    for request in requests {
                        match request {
                            Ok(call) => document.calls.push(call),
                            Err(why) => document.skipped.push((place, why)),
                        }
                    }
                }
                Err(why) => document.skipped.push((place, why)),
            }
            Ok(RowAction::Row)
        });
        document.cut = read.err();
        Ok(document)
    }
}

/// Reads the requests of a thread. A request that cannot be read hides no other.
fn thread(row: &Row<'_>) -> Result<Vec<Result<ParsedCall, String>>, String> {
    let unknown = |error: rusqlite::Error| format!("unknown shape: {error}");
    let id: String = row.get("id").map_err(unknown)?;
    let updated: String = row.get("updated_at").map_err(unknown)?;
    let kind: String = row.get("data_type").map_err(unknown)?;
    if let Some(why) = query::too_long("a thread", row.get("length").map_err(unknown)?) {
        return Err(why);
    }
    let data = row.get_ref("data").map_err(unknown)?;
    let data = data.as_bytes().map_err(|_| "unknown shape: a thread without data")?;
    let thread = match kind.as_str() {
        "zstd" => fields::parse(&unpacked(data)?)?,
        "json" => fields::parse(data)?,
        _ => return Err("unknown shape: a thread whose data are neither JSON nor zstd".to_owned()),
    };
    let at = fields::time_text(&updated).ok_or("unknown shape: a thread without a time")?;
    let requests = match thread.get("request_token_usage") {
        None | Some(Value::Null) => None,
        Some(requests) => Some(requests.as_object().ok_or("unknown shape: `request_token_usage` is no object")?),
    };
    let mut found = Vec::new();
    for (request, usage) in requests.into_iter().flatten() {
        found.extend(call(&thread, (&id, request), usage, at).transpose());
    }
    let has_sum =
        |usage: &Value| COUNTS.iter().any(|name| fields::count(usage, name).is_ok_and(|count| count > Some(0)));
    if found.is_empty() && thread.get("cumulative_token_usage").is_some_and(has_sum) {
        return Err("unknown usage: a thread that states a sum and no requests".to_owned());
    }
    Ok(found)
}

fn unpacked(data: &[u8]) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("a thread cannot be unpacked: {error}");
    let decoder = zstd::stream::read::Decoder::new(data).map_err(unreadable)?;
    let mut text = Vec::new();
    decoder.take(LONGEST_LINE as u64 + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() > LONGEST_LINE { Err("a thread that is too long".to_owned()) } else { Ok(text) }
}

fn call(
    thread: &Value,
    (id, request): (&str, &str),
    usage: &Value,
    at: Timestamp,
) -> Result<Option<ParsedCall>, String> {
    let field = |name| fields::field(usage, name);
    let [input, output, read, written] = COUNTS;
    let mut logged = Logged::new(AGENT, "zed/1", field(input)?, field(output)?);
    (logged.cache_read, logged.cache_write) = (field(read)?, field(written)?);
    logged.cache_inside = false;
    if logged.is_nothing() {
        return Ok(None);
    }
    let chosen = thread.get("model").unwrap_or(&Value::Null);
    let model = fields::text(chosen, "model");
    let provider = provider_names::provider(fields::text(chosen, "provider"), model, provider_names::UNKNOWN);
    let mut record = fields::record(&provider, AGENT, logged)?.key(format!("zed/{id}/{request}")).conversation(id);
    record.quality = Quality::Derived;
    record.model = model.map(str::to_owned);
    record.raw = fields::raw_of(usage, &COUNTS);
    fields::checked(at, record).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_cannot_be_read_hides_no_other() {
        let database = Connection::open_in_memory().unwrap();
        let thread = r#"{"model":{"provider":"anthropic","model":"m"},"cumulative_token_usage":{"input_tokens":400},
            "request_token_usage":{"r1":{"input_tokens":100,"output_tokens":10},"r2":{"input_tokens":"x"},
            "r3":{"input_tokens":300,"output_tokens":30}}}"#;
        database.execute_batch("CREATE TABLE threads (id, updated_at, data_type, data BLOB)").unwrap();
        let row = ("t", "2026-06-01T10:00:00Z", "json", thread.as_bytes());
        database.execute("INSERT INTO threads VALUES (?1, ?2, ?3, ?4)", row).unwrap();
        let document = Zed.database(Path::new("threads.db"), &database, None).unwrap();
        let input: Vec<_> = document.calls.iter().map(|call| call.record.tokens.input).collect();
        assert_eq!(input, [Some(100), Some(300)]);
        assert_eq!(document.skipped, [(1, "unknown shape: `input_tokens` is no whole number from 0".to_owned())]);
    }
}
