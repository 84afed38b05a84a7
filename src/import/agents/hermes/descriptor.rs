//! The descriptor of Hermes Agent.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Hermes;

/// Hermes Agent, by Nous Research.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "hermes",
    aliases: &["hermes-agent"],
    places: &[Place::Home(&[".hermes"]), Place::Named("HERMES_HOME", &[""])],
    source: &Hermes,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &["the last call of a subagent whose parent ends first"],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("hermes", "hermes")),
};
