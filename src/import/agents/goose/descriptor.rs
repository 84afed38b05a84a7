//! The descriptor of Goose.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Goose;

/// Session directories below the data directories. On macOS and Windows they are below the maker's name.
const SESSIONS: &[&str] =
    &["goose/sessions", "Block/goose/sessions", "Block/goose/data/sessions", "Block.goose/sessions"];

/// Goose, by Block.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "goose",
    aliases: &[],
    places: &[Place::Data(SESSIONS), Place::Listed("GOOSE_PATH_ROOT", &["data/sessions"])],
    source: &Goose,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("goose", "goose").with_reasoning_beside().without_activity()),
};
