//! The descriptor of Droid.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Droid;

/// Droid, by Factory.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "droid",
    aliases: &["factory"],
    places: &[LogPlace::Home(&[".factory/sessions"]), LogPlace::Listed("FACTORY_DIR", &["sessions"])],
    source: &Droid,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &["single calls, but their sums"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("droid", "droid").with_separate_reasoning().without_activity()),
};
