//! The descriptor of pi.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Pi;

/// pi, by Mario Zechner.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "pi",
    aliases: &["pi-coding-agent"],
    places: &[LogPlace::Home(&[".pi/agent/sessions"]), LogPlace::Named("PI_CODING_AGENT_DIR", &["sessions"])],
    source: &Pi,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("pi", "pi")),
};
