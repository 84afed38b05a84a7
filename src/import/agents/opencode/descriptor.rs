//! The descriptor of `OpenCode`.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Opencode;

/// `OpenCode`, by Anomaly.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "opencode",
    aliases: &[],
    places: &[
        LogPlace::Data(&["opencode"]),
        LogPlace::Listed("OPENCODE_DATA_DIR", &[""]),
        LogPlace::File("OPENCODE_DB", &[LogPlace::Data(&["opencode"]), LogPlace::Listed("OPENCODE_DATA_DIR", &[""])]),
    ],
    source: &Opencode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &["the calls that make session titles"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("opencode", "opencode").with_separate_reasoning()),
};
