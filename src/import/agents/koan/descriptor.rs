//! The descriptor of Koan.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;
use crate::usage::COUNTED_BY_AGENT;

use super::Koan;
use super::quota_documents::PAGE_FEED;

/// Koan, by its contributors.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "koan",
    aliases: &[],
    places: &[
        // Only the directory with the rows, because the instance itself may be a home directory.
        LogPlace::Home(&["usage", "instance/usage", "koan/instance/usage", ".koan/instance/usage"]),
        LogPlace::Named("KOAN_ROOT", &["instance/usage"]),
    ],
    source: &Koan,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[PAGE_FEED, COUNTED_BY_AGENT],
    // Koan runs other agents. Their logs also contain its calls, with ids that its rows lack.
    overlap: Overlap::Unmarked,
    telemetry: None,
    ccusage: None,
};
