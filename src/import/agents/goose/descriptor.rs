//! The descriptor of Goose.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Goose;

/// Session directories below the data directories. On macOS and Windows they are below the maker's name.
const SESSIONS: &[&str] =
    &["goose/sessions", "Block/goose/sessions", "Block/goose/data/sessions", "Block.goose/sessions"];

/// Goose, by Block.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "goose",
    aliases: &[],
    places: &[LogPlace::Data(SESSIONS), LogPlace::Listed("GOOSE_PATH_ROOT", &["data/sessions"])],
    source: &Goose,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("goose", "goose").with_separate_reasoning().without_activity()),
};
