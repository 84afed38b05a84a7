//! What is known about Codebuff, from documentation: no log of its own was at hand.
//!
//! Sources: the readers of ccusage (`rust/adapters/codebuff`) and of codeburn (`providers/codebuff.ts`).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Codebuff;

/// Codebuff.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "codebuff",
    aliases: &["manicode"],
    places: &[
        Place::Config(&["manicode/projects", "manicode-dev/projects", "manicode-staging/projects"]),
        Place::Named("CODEBUFF_DATA_DIR", &["projects"]),
    ],
    source: &Codebuff,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &["the calls of answers that state credits and no token counts"],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("codebuff", "codebuff")),
};
