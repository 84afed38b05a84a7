//! The descriptor of Amp.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Amp;

/// Amp, by Amp.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "amp",
    aliases: &["ampcode"],
    places: &[Place::Data(&["amp/threads"]), Place::Listed("AMP_DATA_DIR", &["threads"])],
    source: &Amp,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("amp", "amp").without_activity()),
};
