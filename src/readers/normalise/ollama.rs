//! Ollama `/api/chat` and `/api/generate` (`api.Metrics`): the counts are fields of the last chunk. The prompt includes
//! cached input. Thinking is inside the output and not reported separately.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::fields::Fields;
use crate::readers::normalise::statement::UsageStatement;
use crate::readers::normalise::{Normalised, UsageFormat, parse};

/// The usage fields. The other fields contain the reply, which no record may contain.
const METRICS: [&str; 7] = [
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_cached_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
];

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
struct OllamaMetrics {
    #[serde(rename = "prompt_eval_count")]
    prompt: Count,
    #[serde(rename = "prompt_eval_cached_count")]
    cached: Count,
    #[serde(rename = "eval_count")]
    output: Count,
    total_duration: Count,
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let metrics: OllamaMetrics = parse(format, json)?;
    let mut statement =
        UsageStatement::new(metrics.prompt.named("prompt_eval_count")?, metrics.output.named("eval_count")?);
    statement.cache_read = metrics.cached.named("prompt_eval_cached_count")?;
    statement.settle(format)
}

/// The usage fields of a chunk, if it has any, and the duration of the call.
pub(super) fn metrics(format: UsageFormat, chunk: &str) -> Result<Option<(String, Option<u64>)>> {
    let metrics: OllamaMetrics = parse(format, chunk)?;
    let mut fields: Fields = parse(format, chunk)?;
    fields.retain(|name| METRICS.contains(&name));
    let milliseconds = metrics.total_duration.whole().map(|ns| ns.saturating_add(500_000) / 1_000_000);
    Ok((!fields.is_empty()).then(|| (fields.compose(), milliseconds)))
}
