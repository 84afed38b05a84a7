//! The descriptors of Cline, Roo Code and Kilo Code.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

/// All three state the four counters of each request.
const COUNTERS: Counters =
    Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always };

/// Cline.
pub(in crate::import) static CLINE: Agent = Agent {
    name: "cline",
    aliases: &[],
    places: &[
        LogPlace::Editor(&["saoudrizwan.claude-dev/tasks", "saoudrizwan.cline-nightly/tasks"]),
        LogPlace::Home(&[".cline/data/tasks", ".cline/data/sessions"]),
        LogPlace::Listed("CLINE_DIR", &["data/tasks", "data/sessions"]),
        LogPlace::Listed("CLINE_DATA_DIR", &["tasks", "sessions"]),
        LogPlace::Listed("CLINE_SESSION_DATA_DIR", &[""]),
    ],
    source: &super::CLINE,
    retention: Retention::Kept,
    counters: COUNTERS,
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};

/// Roo Code.
pub(in crate::import) static ROO_CODE: Agent = Agent {
    name: "roo-code",
    aliases: &["roo"],
    places: &[LogPlace::Editor(&["rooveterinaryinc.roo-cline/tasks", "rooveterinaryinc.roo-code-nightly/tasks"])],
    source: &super::ROO_CODE,
    retention: Retention::Kept,
    counters: COUNTERS,
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};

/// Kilo Code.
pub(in crate::import) static KILO_CODE: Agent = Agent {
    name: "kilo-code",
    aliases: &["kilo", "kilocode"],
    places: &[
        LogPlace::Editor(&["kilocode.kilo-code/tasks"]),
        LogPlace::Home(&[".kilocode/cli/global/tasks"]),
        LogPlace::Data(&["kilo"]),
    ],
    source: &super::KILO_CODE,
    retention: Retention::Kept,
    counters: COUNTERS,
    unlogged: &["the calls that make session titles"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("kilo-code", "kilo")),
};
