//! The descriptor of Droid.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Droid;

/// Droid, by Factory.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "droid",
    aliases: &["factory"],
    places: &[Place::Home(&[".factory/sessions"]), Place::Listed("FACTORY_DIR", &["sessions"])],
    source: &Droid,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("droid", "droid").with_reasoning_beside().without_activity()),
};
