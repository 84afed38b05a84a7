//! What is known about Koan.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Koan;

/// Koan, by its contributors.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "koan",
    aliases: &[],
    places: &[
        // Only the directory with the rows: the instance itself may be a whole home.
        Place::Home(&["usage", "instance/usage", "koan/instance/usage", ".koan/instance/usage"]),
        Place::Named("KOAN_ROOT", &["instance/usage"]),
    ],
    source: &Koan,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    // Koan runs other agents. Their logs contain its calls too, under ids that its rows lack.
    overlap: Overlap::Unmarked,
    telemetry: None,
    ccusage: None,
};
