//! `llm`, the command by Simon Willison: `logs.db` in the configuration directory `io.datasette.llm`.
//!
//! Supported: the table `turns` of 0.36 (checked against a real one and the responses of its server), and `responses`
//! of older versions with the same columns. A row is a call. `token_details` has further counts under the names of the
//! provider's API: `OpenAI`'s are included in input and output, Anthropic's cache is not part of the input. No row
//! names the provider. It follows from a known prefix of the model, otherwise it is `unknown`.

mod descriptor;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names::{UNKNOWN, before_model};
use crate::import::engine::query::{self, Refusal, RowAction};
use crate::import::engine::resume;
use crate::import::engine::source::{DatabaseLog, LogFormat, Source};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of the log of `llm`.
pub(crate) struct Llm;

const AGENT: &str = "llm";
/// Tables with a row for each call, and the column that names the conversation.
const TABLES: [(&str, &str); 2] = [("turns", "thread_id"), ("responses", "conversation_id")];

impl Source for Llm {
    fn logged(&self, raw: &Value) -> Option<Result<Logged, String>> {
        Some(counts(raw, raw.get("token_details").unwrap_or(&Value::Null)))
    }

    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "logs.db")
    }

    fn enters(&self, _directory: &Path) -> bool {
        false
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Database(self)
    }
}

impl DatabaseLog for Llm {
    fn database(&self, _path: &Path, database: &Connection, resume: Option<&Value>) -> Result<Document, Refusal> {
        let (mut document, mut reached, mut known) = (Document::default(), serde_json::Map::new(), false);
        for (table, conversation) in TABLES {
            let have = fields::columns(database, table)?;
            if have.is_empty() {
                continue;
            }
            known = true;
            let needed = ["id", "model", "input_tokens", "output_tokens", "datetime_utc", conversation];
            let columns = fields::choose(&have, table, &needed, &["token_details", "resolved_model", "duration_ms"])?;
            let last = resume::member(resume, table)?.unwrap_or(0);
            let last = rows(database, (table, conversation), &columns, last, &mut document)?;
            reached.insert(table.to_owned(), json!(last));
            if document.cut.is_some() {
                break;
            }
        }
        if !known {
            return Err("unknown shape: a database without a table of turns or responses".into());
        }
        document.resume = Some(Value::Object(reached));
        Ok(document)
    }
}

/// Reads the new rows of a table and returns the number of the last one.
fn rows(
    database: &Connection,
    (table, conversation): (&str, &str),
    columns: &str,
    last: i64,
    document: &mut Document,
) -> Result<i64, Refusal> {
    let (_, mut reached) = query::new_rows(database, table, last)?;
    let sql = format!("SELECT rowid AS row, {columns} FROM {table} WHERE rowid > ?1 ORDER BY rowid");
    let read = query::rows(database, &sql, [reached], &mut |row| {
        let number: i64 = row.get("row")?;
        match call(&fields::object(row)?, conversation) {
            Ok(call) => document.calls.extend(call),
            Err(why) => document.skipped.push((u64::try_from(number).unwrap_or(0), why)),
        }
        reached = number;
        Ok(RowAction::Row)
    });
    document.cut = read.err();
    Ok(reached)
}

fn call(row: &Value, conversation: &str) -> Result<Option<ParsedCall>, String> {
    let details = match fields::text(row, "token_details") {
        Some(text) => fields::parse(text.as_bytes())?,
        None => Value::Null,
    };
    let logged = counts(row, &details)?;
    if logged.is_nothing() {
        // The model's plugin states no counts.
        return Err("requests without token counts".to_owned());
    }
    let id = fields::text(row, "id").ok_or("unknown shape: a call without an id")?;
    let at = fields::time(row.get("datetime_utc")).ok_or("unknown shape: a call without a time")?;
    let model = fields::text(row, "resolved_model").or_else(|| fields::text(row, "model"));
    let provider = before_model(fields::text(row, "model"), model);
    let mut record = fields::record(provider.as_deref().unwrap_or(UNKNOWN), AGENT, logged)?.key(format!("llm/{id}"));
    record.model = model.map(str::to_owned);
    record.conversation = fields::text(row, conversation).map(str::to_owned);
    record.duration_ms = fields::unsigned(row, "duration_ms").ok().flatten();
    let mut raw: BTreeMap<&str, Value> = BTreeMap::new();
    for name in ["input_tokens", "output_tokens"] {
        raw.extend(row.get(name).map(|count| (name, count.clone())));
    }
    raw.insert("token_details", details);
    record.raw = fields::raw(&raw);
    fields::checked(at, record).map(Some)
}

fn counts(row: &Value, details: &Value) -> Result<Logged, String> {
    let of = fields::field;
    let mut logged = Logged::new(AGENT, "llm/1", of(row, "input_tokens")?, of(row, "output_tokens")?);
    let part = |name: &str| details.get(name).unwrap_or(&Value::Null);
    logged.cache_read = of(part("prompt_tokens_details"), "cached_tokens")?;
    if logged.cache_read.1.is_none() {
        logged.cache_read = of(part("input_tokens_details"), "cached_tokens")?;
    }
    if logged.cache_read.1.is_none() {
        logged.cache_read = of(details, "cachedContentTokenCount")?;
    }
    if details.get("cache_read_input_tokens").is_some() || details.get("cache_creation_input_tokens").is_some() {
        logged.cache_read = of(details, "cache_read_input_tokens")?;
        logged.cache_write = of(details, "cache_creation_input_tokens")?;
        logged.cache_inside = false;
    }
    logged.reasoning = of(part("completion_tokens_details"), "reasoning_tokens")?;
    if logged.reasoning.1.is_none() {
        logged.reasoning = of(part("output_tokens_details"), "reasoning_tokens")?;
    }
    if logged.reasoning.1.is_none() {
        logged.reasoning = of(details, "thoughtsTokenCount")?;
    }
    Ok(logged)
}
