//! Sessions of Cline's command: `<id>.messages.json`, with `<id>.json` next to it.

use std::path::Path;

use serde_json::Value;

use super::models::beside;
use super::{Family, is_inside};
use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::import::engine::query::Refusal;
use crate::import::health::missing_usage::WITHOUT_COUNTS;
use crate::model::event::Quality;
use crate::readers::normalise::logged::Logged;

/// Suffix of the message files.
pub(super) const SUFFIX: &str = ".messages.json";

const COUNTS: [&str; 4] = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens"];

pub(super) fn read(family: &Family, path: &Path, text: &[u8]) -> Result<Document, Refusal> {
    let messages = fields::parse(text)?;
    let messages = messages.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or("unknown shape: a session without a list of messages")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let id = name.strip_suffix(SUFFIX).unwrap_or(&name).to_owned();
    let about = beside(&path.with_file_name(format!("{id}.json")))?;

    let mut document = Document { conversation: Some(id.clone()), ..Document::default() };
    document.began = fields::time(about.get("started_at"))
        .into_iter()
        .chain(messages.iter().filter_map(|message| fields::time(message.get("ts"))))
        .min();
    let mut tally = SkipTally::default();
    let mut answers = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let counts = || message.get("metrics").is_some_and(Value::is_object);
        match message.get("role").and_then(Value::as_str) {
            Some("assistant") => {}
            Some("user") => continue,
            _ if counts() => {
                document.skipped.push((at as u64 + 1, "unknown shape: token counts of an unknown role".to_owned()));
                continue;
            }
            _ => continue,
        }
        match logged(family, message) {
            Ok(Some(logged)) if !logged.is_nothing() => answers.push((at, message, logged)),
            Ok(_) => tally.add(WITHOUT_COUNTS),
            Err(why) => document.skipped.push((at as u64 + 1, why)),
        }
    }
    let inside = is_inside(answers.iter().map(|(_, _, logged)| logged));
    for (at, message, mut logged) in answers {
        logged.cache_inside = inside;
        match made(family, &id, at, message, &about, logged) {
            Ok(call) => document.calls.push(call),
            Err(why) => document.skipped.push((at as u64 + 1, why)),
        }
    }
    document.skipped.extend(tally.skipped());
    Ok(document)
}

fn logged(family: &Family, message: &Value) -> Result<Option<Logged>, String> {
    let Some(metrics) = message.get("metrics").filter(|metrics| metrics.is_object()) else { return Ok(None) };
    let field = |name| fields::field(metrics, name);
    let [input, output, read, written] = COUNTS;
    let mut logged = Logged::new(family.name, family.normaliser, field(input)?, field(output)?);
    logged.cache_read = field(read)?;
    logged.cache_write = field(written)?;
    Ok(Some(logged))
}

fn made(
    family: &Family,
    session: &str,
    place: usize,
    message: &Value,
    about: &Value,
    logged: Logged,
) -> Result<ParsedCall, String> {
    let at = fields::time(message.get("ts")).ok_or("unknown shape: an answer without a time")?;
    let info = message.get("modelInfo").unwrap_or(&Value::Null);
    let provider = fields::text(info, "provider").or_else(|| fields::text(info, "providerId"));
    let provider = provider.or_else(|| fields::text(about, "provider"));
    let model = fields::text(info, "id").or_else(|| fields::text(about, "model"));
    let mut record = fields::record(&provider_names::provider(provider, model, family.name), family.name, logged)?;
    if logged.cache_inside && logged.cached() > 0 && record.residual.is_none() {
        record.quality = Quality::Derived;
        record.residual =
            Some("took the cached input as inside `inputTokens`: no answer of the session has more of it".to_owned());
    }
    let key = fields::text(message, "id").map_or_else(|| format!("answer/{place}"), str::to_owned);
    record = record.conversation(session).key(format!("{}/{session}/{key}", family.name));
    record.model = model.map(str::to_owned);
    record.project = fields::text(about, "workspace_root").or_else(|| fields::text(about, "cwd")).map(str::to_owned);
    let metrics = message.get("metrics").unwrap_or(&Value::Null);
    fields::set_cost(&mut record, "cost", metrics.get("cost"));
    let raw_fields = COUNTS.iter().chain(&["cost"]);
    record.raw = fields::raw(&raw_fields.filter_map(|name| Some((*name, metrics.get(*name)?.clone()))).collect());
    fields::checked(at, record)
}
