//! `OpenHands`: `~/.openhands/conversations/<id>/base_state.json`.
//!
//! From documentation: see the descriptor. `stats.usage_to_metrics` has the metrics of each use of a model (`agent`,
//! `condenser` …): `token_usages` has the counts of each call under `LiteLLM`'s names, and `costs` the time of each call
//! that has a price. `prompt_tokens` includes cache reads and cache writes, and `completion_tokens` includes reasoning. If
//! a call has no cost, the times cannot be assigned to calls: a record then has the time at the same index, or the last one
//! if there is none, and is `derived`. `LiteLLM` computes costs itself, so no cost is recorded.

mod descriptor;

use std::path::Path;

use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::provider_names::{UNKNOWN, before_model};
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DocumentLog, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::time::Zone;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of `OpenHands`' conversations.
pub(crate) struct OpenHands;

const AGENT: &str = "openhands";
const COUNTS: [&str; 5] =
    ["prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"];

impl Source for OpenHands {
    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "base_state.json")
    }

    /// Excludes the thousands of event files next to the state.
    fn enters(&self, directory: &Path) -> bool {
        directory.file_name().is_none_or(|name| name != "events")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Document(self)
    }
}

impl DocumentLog for OpenHands {
    fn document(&self, path: &Path, text: &[u8], _zone: Zone, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let state = fields::parse(text)?;
        let id = fields::text(&state, "id").or_else(|| above(path, 1));
        let id = id.ok_or("unknown shape: a conversation without an id")?.to_owned();
        let metrics = state.pointer("/stats/usage_to_metrics").and_then(Value::as_object);
        let metrics = metrics.ok_or("unknown shape: a conversation without metrics")?;
        let directory = state.pointer("/workspace/working_dir").and_then(Value::as_str);
        let mut document = Document { conversation: Some(id.clone()), ..Document::default() };
        let mut place = 0;
        for (purpose, metrics) in metrics {
            let Some(usages) = metrics.get("token_usages").and_then(Value::as_array) else {
                document.skipped.push((0, "unknown shape: metrics without `token_usages`".to_owned()));
                continue;
            };
            for (number, usage) in usages.iter().enumerate() {
                place += 1;
                match call(metrics, (purpose, number, usages.len()), usage, (&id, directory)) {
                    Ok(found) => document.calls.extend(found),
                    Err(why) => document.skipped.push((place, why)),
                }
            }
        }
        document.began = document.calls.iter().map(|call| call.at).min();
        Ok(document)
    }
}

fn call(
    metrics: &Value,
    (purpose, number, calls): (&str, usize, usize),
    usage: &Value,
    (id, directory): (&str, Option<&str>),
) -> Result<Option<ParsedCall>, String> {
    let field = |name| fields::field(usage, name);
    let [input, output, read, written, reasoning] = COUNTS;
    let mut logged = Logged::new(AGENT, "openhands/1", field(input)?, field(output)?);
    (logged.cache_read, logged.cache_write, logged.reasoning) = (field(read)?, field(written)?, field(reasoning)?);
    if logged.is_nothing() {
        return Err("unknown usage: all counts of a call are 0".to_owned());
    }
    let times = metrics.get("costs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let time = |cost: &Value| fields::time(cost.get("timestamp"));
    let has_own_time = times.len() == calls;
    let at = times.get(number).or_else(|| times.last()).and_then(time);
    let at = at.ok_or("unknown shape: a call without a time")?;
    let model = fields::text(usage, "model").or_else(|| fields::text(metrics, "model_name"));
    let provider = before_model(model, model);
    let mut record = fields::record(provider.as_deref().unwrap_or(UNKNOWN), AGENT, logged)?;
    // The list only grows. A relay may give every response the same id.
    record = record.key(format!("openhands/{id}/{purpose}/{number}"));
    if !has_own_time {
        record.quality = Quality::Derived;
    }
    record.model = model.map(str::to_owned);
    record = record.conversation(id);
    record.project = directory.map(str::to_owned);
    if purpose != "agent" {
        record = record.label("purpose", purpose);
    }
    record.raw = fields::raw_of(usage, &COUNTS);
    fields::checked(at, record).map(Some)
}
