//! The descriptor of Hermes Agent.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Hermes;

/// Hermes Agent, by Nous Research.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "hermes",
    aliases: &["hermes-agent"],
    places: &[LogPlace::Home(&[".hermes"]), LogPlace::Named("HERMES_HOME", &[""])],
    source: &Hermes,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &["single calls, but their sums", "the last call of a subagent whose parent ends first"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("hermes", "hermes")),
};
