//! The descriptor of Gemini CLI.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;
use crate::import::engine::telemetry_vocabulary::{CallNames, MetricNames, SumNames, TelemetryVocabulary};

use super::{GeminiCli, retention};

/// Gemini CLI, by Google.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "gemini-cli",
    aliases: &["gemini", "gemini_cli"],
    places: &[LogPlace::Home(&[".gemini/tmp"]), LogPlace::Named("GEMINI_CLI_HOME", &[".gemini/tmp"])],
    source: &GeminiCli,
    retention: Retention::BySettings(|_, settings| retention::days(settings)),
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Sometimes },
    unlogged: &["the calls of the router that chooses the model"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("gemini-cli", "gemini").with_separate_reasoning().without_activity()),
};

static TELEMETRY: TelemetryVocabulary = TelemetryVocabulary {
    service: Some("gemini-cli"),
    prefixes: &["gemini_cli."],
    calls: Some(CallNames {
        events: &["gemini_cli.api_response"],
        short_events: &[],
        events_with_id: &[],
        counted_by: None,
        provider: "google",
        normaliser: "gemini-cli-otlp/1",
        input: "input_token_count",
        output: "output_token_count",
        tool_input: Some("tool_token_count"),
        cache_read: "cached_content_token_count",
        cache_write: None,
        reasoning: Some("thoughts_token_count"),
        cache_inside: true,
        reasoning_inside: false,
        id: Some("response_id"),
        conversation: "session.id",
        models: &["model"],
        tier: None,
        answered_tier: None,
        purposes: &["role", "purpose"],
    }),
    metric: Some(MetricNames {
        name: "gemini_cli.token.usage",
        kind: "type",
        summed: &["input", "output", "thought", "tool"],
        parts: &["cache"],
    }),
    vendor: None,
    sums: SumNames::NONE,
};
