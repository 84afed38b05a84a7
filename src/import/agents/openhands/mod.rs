//! `OpenHands`: `~/.openhands/conversations/<id>/base_state.json`.
//!
//! From documentation: see the descriptor. `stats.usage_to_metrics` has the metrics of each use of a model (`agent`,
//! `condenser` …): `token_usages` has the counts of each call in the words of `LiteLLM`, and `costs` the
//! time of each call that has a price. `prompt_tokens` includes what was read from and written to the cache, `completion_tokens`
//! includes reasoning. A call without a cost has the time of the one before it, and is `derived`. `LiteLLM` works costs out
//! itself, so no cost is recorded.

mod descriptor;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::provider_names::{UNKNOWN, provider_id};
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DocumentLog, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::provider::ProviderId;
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

    /// Beside the state are thousands of events.
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
        let id = fields::text(&state, "id").or_else(|| above(path, 1)).unwrap_or_default().to_owned();
        let metrics = state.pointer("/stats/usage_to_metrics").and_then(Value::as_object);
        let metrics = metrics.ok_or("unknown shape: a conversation without metrics")?;
        let directory = state.pointer("/workspace/working_dir").and_then(Value::as_str);
        let mut document = Document { conversation: Some(id.clone()), ..Document::default() };
        let mut place = 0;
        for (purpose, metrics) in metrics {
            let usages = metrics.get("token_usages").and_then(Value::as_array);
            for (number, usage) in usages.into_iter().flatten().enumerate() {
                place += 1;
                match call(metrics, (purpose, number), usage, (&id, directory)) {
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
    (purpose, number): (&str, usize),
    usage: &Value,
    (id, directory): (&str, Option<&str>),
) -> Result<Option<ParsedCall>, String> {
    let field = |name: &'static str| Ok::<_, String>((name, fields::count(usage, name)?));
    let [input, output, read, written, reasoning] = COUNTS;
    let mut logged = Logged::new(AGENT, "openhands/1", field(input)?, field(output)?);
    (logged.cache_read, logged.cache_write, logged.reasoning) = (field(read)?, field(written)?, field(reasoning)?);
    if logged.is_nothing() {
        return Err("unknown usage: all counts of a call are 0".to_owned());
    }
    let times = metrics.get("costs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let time = |cost: &Value| fields::time(cost.get("timestamp"));
    let exact = times.len() == metrics.get("token_usages").and_then(Value::as_array).map_or(0, Vec::len);
    let at = times.get(number).or_else(|| times.last()).and_then(time);
    let at = at.ok_or("unknown shape: a call without a time")?;
    let model = fields::text(usage, "model").or_else(|| fields::text(metrics, "model_name"));
    let named = model.and_then(|model| model.split_once('/')).and_then(|(maker, _)| provider_id(maker, model));
    let named = named.filter(|id| ProviderId::new(id).is_ok_and(|id| id.known().is_some()));
    let mut record = fields::record(named.as_deref().unwrap_or(UNKNOWN), AGENT, logged)?;
    // The list only grows. A relay may give every response the same id.
    record = record.key(format!("openhands/{id}/{purpose}/{number}"));
    if !exact {
        record.quality = Quality::Derived;
    }
    record.model = model.map(str::to_owned);
    record = record.conversation(id);
    record.project = directory.map(str::to_owned);
    if purpose != "agent" {
        record = record.label("purpose", purpose);
    }
    record.raw = fields::raw(
        &COUNTS.iter().filter_map(|name| Some((*name, usage.get(*name)?.clone()))).collect::<BTreeMap<_, _>>(),
    );
    fields::checked(at, record).map(Some)
}
