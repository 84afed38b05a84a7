//! The descriptor of `llm`.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Llm;

/// `llm`, by Simon Willison.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "llm",
    aliases: &[],
    places: &[LogPlace::Config(&["io.datasette.llm"]), LogPlace::Named("LLM_USER_PATH", &[""])],
    source: &Llm,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &["the calls of a run with `--no-log`"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
