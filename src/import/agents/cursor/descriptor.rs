//! The descriptor of Cursor.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Cursor;

/// Cursor, by Anysphere.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "cursor",
    aliases: &["cursor-agent"],
    places: &[
        LogPlace::Config(&["Cursor/User/globalStorage"]),
        LogPlace::Home(&[".cursor-server/data/User/globalStorage"]),
    ],
    source: &Cursor,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
