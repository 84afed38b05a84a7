//! The descriptor of pi.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Pi;

/// pi, by Mario Zechner.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "pi",
    aliases: &["pi-coding-agent"],
    places: &[Place::Home(&[".pi/agent/sessions"]), Place::Named("PI_CODING_AGENT_DIR", &["sessions"])],
    source: &Pi,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("pi", "pi")),
};
