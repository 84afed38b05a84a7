//! The descriptor of Qwen Code.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;
use crate::import::engine::telemetry_words::{CallWords, MetricWords, SumWords, TelemetryWords};

use super::QwenCode;

/// Qwen Code, by Alibaba.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "qwen-code",
    aliases: &["qwen"],
    places: &[
        Place::Home(&[".qwen/projects", ".qwen/tmp"]),
        Place::Listed("QWEN_RUNTIME_DIR", &["projects", "tmp"]),
        Place::Listed("QWEN_HOME", &["projects", "tmp"]),
    ],
    source: &QwenCode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &["the calls that make titles and summaries"],
    overlap: Overlap::ByKeys,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("qwen-code", "qwen").with_reasoning_beside()),
};

static TELEMETRY: TelemetryWords = TelemetryWords {
    service: Some("qwen-code"),
    prefixes: &["qwen-code."],
    calls: Some(CallWords {
        events: &["qwen-code.api_response"],
        short_events: &[],
        events_with_id: &[],
        counted_by: None,
        provider: "alibaba",
        normaliser: "qwen-code-otlp/1",
        input: "input_token_count",
        output: "output_token_count",
        tool_input: Some("tool_token_count"),
        cache_read: "cached_content_token_count",
        cache_write: None,
        reasoning: Some("thoughts_token_count"),
        cache_inside: true,
        reasoning_inside: true,
        id: Some("response_id"),
        conversation: "session.id",
        models: &["model"],
        tier: None,
        answered_tier: None,
        purposes: &["role", "purpose"],
    }),
    metric: Some(MetricWords {
        name: "qwen-code.token.usage",
        kind: "type",
        summed: &["input", "output", "tool"],
        parts: &["cache", "thought"],
    }),
    served: None,
    sums: SumWords::NONE,
};
