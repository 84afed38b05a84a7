//! The descriptor of `OpenCode`.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Opencode;

/// `OpenCode`, by Anomaly.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "opencode",
    aliases: &[],
    places: &[
        Place::Data(&["opencode"]),
        Place::Listed("OPENCODE_DATA_DIR", &[""]),
        Place::File("OPENCODE_DB", &[Place::Data(&["opencode"]), Place::Listed("OPENCODE_DATA_DIR", &[""])]),
    ],
    source: &Opencode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &["the calls that make session titles"],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("opencode", "opencode").with_reasoning_beside()),
};
