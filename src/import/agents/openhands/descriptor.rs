//! What is known about `OpenHands`, from documentation: no log of its own was at hand.
//!
//! Sources: the source of the `OpenHands` SDK (`conversation/conversation_stats.py`, `llm/utils/metrics.py`) and its documentation of persistence (`base_state.json`).

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::OpenHands;

/// `OpenHands`.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "openhands",
    aliases: &["open-hands"],
    places: &[
        Place::Home(&[".openhands/conversations"]),
        Place::Named("OPENHANDS_PERSISTENCE_DIR", &["conversations"]),
    ],
    source: &OpenHands,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
