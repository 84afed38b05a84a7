//! The descriptor of Mistral Vibe.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::MistralVibe;

/// Mistral Vibe, by Mistral.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "mistral-vibe",
    aliases: &["vibe"],
    places: &[Place::Home(&[".vibe/logs/session/unified"]), Place::Named("VIBE_HOME", &["logs/session/unified"])],
    source: &MistralVibe,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &["single calls, once a checkpoint has summed them"],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
