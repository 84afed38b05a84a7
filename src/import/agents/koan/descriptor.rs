//! The descriptor of Koan.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Koan;

/// Koan, by its contributors.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "koan",
    aliases: &[],
    places: &[
        // Only the directory with the rows, because the instance itself may be a home directory.
        Place::Home(&["usage", "instance/usage", "koan/instance/usage", ".koan/instance/usage"]),
        Place::Named("KOAN_ROOT", &["instance/usage"]),
    ],
    source: &Koan,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    // Koan runs other agents. Their logs also contain its calls, with ids that its rows lack.
    overlap: Overlap::Unmarked,
    telemetry: None,
    ccusage: None,
};
