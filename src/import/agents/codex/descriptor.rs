//! The descriptor of Codex.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;
use crate::import::engine::telemetry_vocabulary::{CallNames, MetricNames, SumNames, TelemetryVocabulary};

use super::Codex;

/// Directories of a Codex home that contain rollouts.
const ROLLOUTS: &[&str] = &["sessions", "archived_sessions"];

/// Codex, by `OpenAI`.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "codex",
    aliases: &["codex-acp"],
    places: &[
        LogPlace::Home(&[".codex/sessions", ".codex/archived_sessions"]),
        // The client uses the value as one home, even with commas in it. Users with several homes list them.
        LogPlace::Named("CODEX_HOME", ROLLOUTS),
        LogPlace::Listed("CODEX_HOME", ROLLOUTS),
    ],
    source: &Codex,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Sometimes },
    unlogged: &["all calls of a run with `--ephemeral`"],
    feeds: &[super::limits::FEED],
    overlap: Overlap::Apart,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("codex", "codex").with_threads(rollout)),
};

static TELEMETRY: TelemetryVocabulary = TelemetryVocabulary {
    service: Some("codex"),
    prefixes: &["codex."],
    calls: Some(CallNames {
        events: &[],
        short_events: &[],
        events_with_id: &[],
        counted_by: Some("input_token_count"),
        provider: "openai",
        normaliser: "codex-otlp/1",
        input: "input_token_count",
        output: "output_token_count",
        // `tool_token_count` is the total.
        tool_input: None,
        cache_read: "cached_token_count",
        cache_write: Some("cache_write_token_count"),
        reasoning: Some("reasoning_token_count"),
        cache_inside: true,
        reasoning_inside: true,
        id: None,
        conversation: "conversation.id",
        models: &["model", "slug"],
        tier: None,
        answered_tier: Some("service_tier"),
        purposes: &["query_source", "purpose"],
    }),
    metric: Some(MetricNames {
        name: "codex.turn.token_usage",
        kind: "token_type",
        summed: &["total"],
        parts: &["input", "cached_input", "non_cached_input", "cache_write_input", "output", "reasoning_output"],
    }),
    vendor: None,
    sums: SumNames { events: &[], attributes: &["codex.turn.", "codex.usage."], spans: true },
};

/// Returns the path of a rollout below the rollout directory, without its extension, which is ccusage's name of the
/// session.
fn rollout(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let place = ["/sessions/", "/archived_sessions/"].iter().find_map(|root| path.rsplit_once(root))?.1;
    let place = place.strip_suffix(".zst").unwrap_or(place);
    Some(place.strip_suffix(".jsonl").unwrap_or(place).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_identified_by_its_path() {
        let named = |path: &str| rollout(path).unwrap();
        assert_eq!(named("/h/.codex/sessions/2026/03/01/rollout-a.jsonl"), "2026/03/01/rollout-a");
        assert_eq!(named("/h/.codex/sessions/2026/03/01/rollout-a.jsonl.zst"), "2026/03/01/rollout-a");
        assert_eq!(named(r"C:\h\.codex\archived_sessions\rollout-a.jsonl"), "rollout-a");
        assert_eq!(named("/old/sessions/h/.codex/sessions/2026/rollout-a.jsonl"), "2026/rollout-a");
        assert_eq!(rollout("/elsewhere/rollout-a.jsonl"), None);
    }
}
