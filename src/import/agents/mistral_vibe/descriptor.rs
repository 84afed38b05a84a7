//! The descriptor of Mistral Vibe.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::MistralVibe;

/// Mistral Vibe, by Mistral.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "mistral-vibe",
    aliases: &["vibe"],
    places: &[LogPlace::Home(&[".vibe/logs/session/unified"]), LogPlace::Named("VIBE_HOME", &["logs/session/unified"])],
    source: &MistralVibe,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &["single calls before a checkpoint, but their sum"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
