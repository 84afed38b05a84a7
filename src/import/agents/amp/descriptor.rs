//! The descriptor of Amp.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Amp;

/// Amp, by Amp.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "amp",
    aliases: &["ampcode"],
    places: &[LogPlace::Data(&["amp/threads"]), LogPlace::Listed("AMP_DATA_DIR", &["threads"])],
    source: &Amp,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("amp", "amp").without_activity()),
};
