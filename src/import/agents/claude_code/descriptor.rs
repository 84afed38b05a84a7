//! The descriptor of Claude Code.

use std::path::Path;

use serde::Deserialize;

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;
use crate::import::engine::telemetry_vocabulary::{CallNames, MetricNames, SumNames, TelemetryVocabulary};

use super::{ClaudeCode, cowork};

/// Cowork's sessions below the configuration of Claude Desktop.
const COWORK: &str = "Claude/local-agent-mode-sessions";

/// Claude Code, by Anthropic.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "claude-code",
    aliases: &["claude", "claude_code", "claude-acp"],
    places: &[
        LogPlace::Home(&[".claude/projects", ".config/claude/projects"]),
        LogPlace::Config(&[COWORK]),
        LogPlace::Package("Claude_", &[COWORK]),
        LogPlace::Listed("CLAUDE_CONFIG_DIR", &["projects"]),
        LogPlace::Named("XDG_CONFIG_HOME", &["claude/projects"]),
    ],
    source: &ClaudeCode,
    retention: Retention::BySettings(kept_days),
    counters: Counters {
        omits_zeros: false,
        // Servers of other providers may state no cache.
        cache_read: StatedWhen::By("anthropic"),
        cache_write: StatedWhen::By("anthropic"),
    },
    unlogged: &["the call that compacts a conversation"],
    feeds: &[],
    overlap: Overlap::Apart,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("claude-code", "claude").with_projects(project)),
};

static TELEMETRY: TelemetryVocabulary = TelemetryVocabulary {
    service: Some("claude-code"),
    prefixes: &["claude_code."],
    calls: Some(CallNames {
        events: &["claude_code.api_request"],
        short_events: &["api_request"],
        // Without the request's id, nothing distinguishes it from the log record of the same call.
        events_with_id: &["claude_code.llm_request"],
        counted_by: None,
        provider: "anthropic",
        normaliser: "claude-code-otlp/1",
        input: "input_tokens",
        output: "output_tokens",
        tool_input: None,
        cache_read: "cache_read_tokens",
        cache_write: Some("cache_creation_tokens"),
        reasoning: None,
        cache_inside: false,
        reasoning_inside: true,
        id: Some("request_id"),
        conversation: "session.id",
        models: &["model"],
        tier: Some(("speed", &["normal", "standard"])),
        answered_tier: None,
        purposes: &["query_source", "purpose"],
    }),
    metric: Some(MetricNames {
        name: "claude_code.token.usage",
        kind: "type",
        summed: &["input", "output", "cacheRead", "cacheCreation"],
        parts: &[],
    }),
    vendor: None,
    sums: SumNames { events: &["subagent_completed", "compaction"], attributes: &[], spans: false },
};

/// The setting `cleanupPeriodDays`; the default is 30 days.
fn kept_days(root: &Path, settings: &[u8]) -> Option<u32> {
    #[derive(Default, Deserialize)]
    struct ClaudeSettings {
        #[serde(rename = "cleanupPeriodDays")]
        days: Option<u32>,
    }
    if cowork::is_root(root) {
        return None;
    }
    let settings: ClaudeSettings = serde_json::from_slice(settings).unwrap_or_default();
    Some(settings.days.unwrap_or(30))
}

/// Returns the project directory of a log, which is ccusage's name of the project.
fn project(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let (project, _) = path.rsplit_once("/projects/")?.1.split_once('/')?;
    Some(project.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_by_its_directory() {
        let named = |path: &str| project(path).unwrap();
        assert_eq!(named("/h/.claude/projects/-home-dev-a/b.jsonl"), "-home-dev-a");
        assert_eq!(named(r"C:\h\.claude\projects\C--src\b\subagents\agent-c.jsonl"), "C--src");
        assert_eq!(project("/elsewhere/b.jsonl"), None);
    }
}
