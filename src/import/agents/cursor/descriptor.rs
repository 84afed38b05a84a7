//! The descriptor of Cursor.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Cursor;

/// Cursor, by Anysphere.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "cursor",
    aliases: &["cursor-agent"],
    places: &[Place::Config(&["Cursor/User/globalStorage"]), Place::Home(&[".cursor-server/data/User/globalStorage"])],
    source: &Cursor,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
