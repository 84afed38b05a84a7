//! The descriptor of `llm`.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Llm;

/// `llm`, by Simon Willison.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "llm",
    aliases: &[],
    places: &[Place::Config(&["io.datasette.llm"]), Place::Named("LLM_USER_PATH", &[""])],
    source: &Llm,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &["the calls of a run with `--no-log`"],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
