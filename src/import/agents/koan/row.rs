//! Parses one row of a day's usage.

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::AGENT;
use super::mission::{mission_type, title_key};
use crate::import::engine::jsonl;
use crate::import::engine::provider_names::lower_case;
use crate::model::event::{EventData, Quality, TokenRecord};
use crate::model::provider::ProviderId;
use crate::model::secrets;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;

/// Parses a row into its time, its record, and a hash of its content that identifies equal rows. A row without a time
/// is dated at the day of its file.
pub(super) fn read(line: &[u8], day: NaiveDate, zone: Zone) -> Result<(Timestamp, TokenRecord, u64), String> {
    if !line.starts_with(b"{") {
        // serde would also fill a struct from an array.
        return Err(match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
            Ok(_) => "unknown shape: the row is not an object".to_owned(),
            Err(error) => jsonl::refusal(&error),
        });
    }
    let row: Value = serde_json::from_slice(line).map_err(|error| jsonl::refusal(&error))?;
    // Independent of the order of fields and of white space.
    let content = xxh3_64(row.to_string().as_bytes());
    let stated = text(&row, "ts").map(|ts| local_time(ts, zone)).transpose()?;
    let at = stated.unwrap_or_else(|| zone.start_of_day(day));
    let quality = if stated.is_some() { Quality::Reported } else { Quality::Derived };
    let stated = text(&row, "provider").unwrap_or("unknown");
    let provider = ProviderId::resolve(&lower_case(stated.trim())).map_or("unknown".to_owned(), |id| id.to_string());
    let mut record = TokenRecord::new(&provider, text(&row, "model").unwrap_or("unknown"));
    record.quality = quality;
    record.agent = Some(AGENT.to_owned());
    record.project = Some(text(&row, "project").unwrap_or("_global").to_owned());
    record.tokens.input = count(&row, "input_tokens")?;
    record.tokens.output = count(&row, "output_tokens")?;
    record.tokens.cache_read = count(&row, "cache_read_input_tokens")?;
    record.tokens.cache_write = count(&row, "cache_creation_input_tokens")?;
    record.cost = cost(row.get("cost_usd"))?;
    record.duration_ms = match row.get("duration_seconds").and_then(Value::as_f64) {
        Some(seconds) if (0.0..1e12).contains(&seconds) => Some((seconds * 1_000.0).round() as u64),
        _ => None,
    };
    let title = row.get("mission").and_then(Value::as_str).unwrap_or_default();
    let kind = text(&row, "mission_type").unwrap_or_else(|| mission_type(title));
    let mode = text(&row, "mode").unwrap_or("unknown");
    record = record.label("mode", mode).label("type", kind);
    if let Some(command) = command(title) {
        record = record.label("mission", command);
    }
    if let Some(key) = title_key(title) {
        record = record.label("title_key", key);
    }
    if let Some(id) = text(&row, "mission_id") {
        record = record.label("mission_id", id);
    }
    if stated != provider {
        record = record.label("cli_provider", stated);
    }
    if row.get("backfill").is_some_and(|flag| *flag == Value::Bool(true)) {
        record.quality = Quality::Estimated;
        record = record.label("backfill", "true");
    }
    record.validate().map_err(|error| error.to_string())?;
    Ok((at, record, content))
}

/// Returns the text of a field that is neither absent nor empty.
fn text<'r>(row: &'r Value, name: &str) -> Option<&'r str> {
    row.get(name)?.as_str().filter(|text| !text.trim().is_empty()).and_then(jsonl::name)
}

fn count(row: &Value, name: &str) -> Result<Option<u64>, String> {
    let what = match row.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(count) => return Ok(Some(count)),
            None => number.to_string(),
        },
        Some(Value::Null) => "null".to_owned(),
        Some(_) => "no number".to_owned(),
    };
    Err(format!("`{name}` is {what}: a token count is a whole number from 0"))
}

fn cost(stated: Option<&Value>) -> Result<Option<Usd>, String> {
    match stated {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            number.to_string().parse().map(Some).map_err(|_| "`cost_usd` has too many digits".to_owned())
        }
        Some(_) => Err("`cost_usd` is no number".to_owned()),
    }
}

/// Returns the slash command of a title. Other words of the title are not stored, because they may contain anything.
fn command(title: &str) -> Option<&str> {
    /// A longer title is text that happens to begin with a slash.
    const LONGEST: usize = 200;
    let word = title.split_whitespace().next().filter(|_| title.len() <= LONGEST)?;
    let name = word.strip_prefix('/')?;
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    (!name.is_empty() && name.bytes().all(fine)).then_some(word)
}

/// Parses a time in Koan's format: local time of `zone` without an offset. An offset, if present, is respected.
pub(super) fn local_time(text: &str, zone: Zone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|local| zone.instant(local))
        .ok_or_else(|| format!("unreadable time {}", secrets::quoted_time(text)))
}
