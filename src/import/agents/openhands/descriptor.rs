//! Properties of `OpenHands`, from documentation. No real log was available.
//!
//! Sources: the source of the `OpenHands` SDK (`conversation/conversation_stats.py`, `llm/utils/metrics.py`) and its documentation of persistence (`base_state.json`).

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::OpenHands;

/// `OpenHands`.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "openhands",
    aliases: &["open-hands"],
    places: &[
        LogPlace::Home(&[".openhands/conversations"]),
        LogPlace::Named("OPENHANDS_PERSISTENCE_DIR", &["conversations"]),
    ],
    source: &OpenHands,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
