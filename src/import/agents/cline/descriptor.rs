//! The descriptors of Cline, Roo Code and Kilo Code.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

/// All three state the four counters of each request.
const COUNTERS: Counters = Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always };

/// Cline.
pub(in crate::import) static CLINE: Agent = Agent {
    name: "cline",
    aliases: &[],
    places: &[
        Place::Editor(&["saoudrizwan.claude-dev/tasks", "saoudrizwan.cline-nightly/tasks"]),
        Place::Home(&[".cline/data/tasks", ".cline/data/sessions"]),
        Place::Listed("CLINE_DIR", &["data/tasks", "data/sessions"]),
        Place::Listed("CLINE_DATA_DIR", &["tasks", "sessions"]),
        Place::Listed("CLINE_SESSION_DATA_DIR", &[""]),
    ],
    source: &super::CLINE,
    retention: Retention::Kept,
    counters: COUNTERS,
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};

/// Roo Code.
pub(in crate::import) static ROO_CODE: Agent = Agent {
    name: "roo-code",
    aliases: &["roo"],
    places: &[Place::Editor(&["rooveterinaryinc.roo-cline/tasks", "rooveterinaryinc.roo-code-nightly/tasks"])],
    source: &super::ROO_CODE,
    retention: Retention::Kept,
    counters: COUNTERS,
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};

/// Kilo Code.
pub(in crate::import) static KILO_CODE: Agent = Agent {
    name: "kilo-code",
    aliases: &["kilo", "kilocode"],
    places: &[
        Place::Editor(&["kilocode.kilo-code/tasks"]),
        Place::Home(&[".kilocode/cli/global/tasks"]),
        Place::Data(&["kilo"]),
    ],
    source: &super::KILO_CODE,
    retention: Retention::Kept,
    counters: COUNTERS,
    unlogged: &["the calls that make session titles"],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("kilo-code", "kilo")),
};
