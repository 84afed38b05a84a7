//! The descriptor of Copilot CLI.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;
use crate::import::engine::telemetry_vocabulary::{SumNames, TelemetryVocabulary, VendorNames};

use super::CopilotCli;

/// Copilot CLI, by GitHub.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "copilot-cli",
    aliases: &["copilot"],
    places: &[
        LogPlace::Home(&[".copilot", ".config/copilot", ".local/state/copilot"]),
        LogPlace::Listed("COPILOT_HOME", &[""]),
        LogPlace::Listed("COPILOT_OTEL_FILE_EXPORTER_PATH", &[""]),
        LogPlace::Listed("XDG_CONFIG_HOME", &[".copilot", "copilot"]),
        LogPlace::Listed("XDG_STATE_HOME", &[".copilot", "copilot"]),
    ],
    source: &CopilotCli,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: Some(&TELEMETRY),
    ccusage: Some(CcusageAgent::new("copilot-cli", "copilot")),
};

static TELEMETRY: TelemetryVocabulary = TelemetryVocabulary {
    service: None,
    prefixes: &["github.copilot.", "copilot_chat."],
    calls: None,
    metric: None,
    vendor: Some(VendorNames { provider: "github-copilot", vendor: "github", scope: "github.copilot" }),
    sums: SumNames::NONE,
};
