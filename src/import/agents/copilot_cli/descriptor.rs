//! The descriptor of Copilot CLI.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;
use crate::import::engine::telemetry_words::{ServedWords, SumWords, TelemetryWords};

use super::CopilotCli;

/// Copilot CLI, by GitHub.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "copilot-cli",
    aliases: &["copilot"],
    places: &[
        Place::Home(&[".copilot", ".config/copilot", ".local/state/copilot"]),
        Place::Listed("COPILOT_HOME", &[""]),
        Place::Listed("COPILOT_OTEL_FILE_EXPORTER_PATH", &[""]),
        Place::Listed("XDG_CONFIG_HOME", &[".copilot", "copilot"]),
        Place::Listed("XDG_STATE_HOME", &[".copilot", "copilot"]),
    ],
    source: &CopilotCli,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("copilot-cli", "copilot")),
};

static TELEMETRY: TelemetryWords = TelemetryWords {
    service: None,
    prefixes: &["github.copilot.", "copilot_chat."],
    calls: None,
    metric: None,
    served: Some(ServedWords { provider: "github-copilot", vendor: "github", scope: "github.copilot" }),
    sums: SumWords::NONE,
};
