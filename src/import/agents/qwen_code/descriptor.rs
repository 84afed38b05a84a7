//! The descriptor of Qwen Code.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;
use crate::import::engine::telemetry_vocabulary::{CallNames, MetricNames, SumNames, TelemetryVocabulary};

use super::QwenCode;

/// Qwen Code, by Alibaba.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "qwen-code",
    aliases: &["qwen"],
    places: &[
        LogPlace::Home(&[".qwen/projects", ".qwen/tmp"]),
        LogPlace::Listed("QWEN_RUNTIME_DIR", &["projects", "tmp"]),
        LogPlace::Listed("QWEN_HOME", &["projects", "tmp"]),
    ],
    source: &QwenCode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &["the calls that make titles and summaries"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("qwen-code", "qwen").with_separate_reasoning()),
};

static TELEMETRY: TelemetryVocabulary = TelemetryVocabulary {
    service: Some("qwen-code"),
    prefixes: &["qwen-code."],
    calls: Some(CallNames {
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
    metric: Some(MetricNames {
        name: "qwen-code.token.usage",
        kind: "type",
        summed: &["input", "output", "tool"],
        parts: &["cache", "thought"],
    }),
    vendor: None,
    sums: SumNames::NONE,
};
