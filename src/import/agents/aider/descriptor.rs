//! Properties of aider, from documentation. No real log was available.
//!
//! Sources: the documentation of aider (`docs/more/analytics`, with a sample of the log) and its source (`aider/coders/base_coder.py`, `aider/analytics.py`).

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Aider;

/// aider.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "aider",
    aliases: &[],
    places: &[LogPlace::Home(&[".aider"]), LogPlace::File("AIDER_ANALYTICS_LOG", &[LogPlace::Home(&[""])])],
    source: &Aider,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &["the calls of sessions without `--analytics-log`: the history of a chat has rounded counts only"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
