//! Properties of Codebuff, from documentation. No real log was available.
//!
//! Sources: the readers of ccusage (`rust/adapters/codebuff`) and of codeburn (`providers/codebuff.ts`).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Codebuff;

/// Codebuff.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "codebuff",
    aliases: &["manicode"],
    places: &[
        LogPlace::Config(&["manicode/projects", "manicode-dev/projects", "manicode-staging/projects"]),
        LogPlace::Named("CODEBUFF_DATA_DIR", &["projects"]),
    ],
    source: &Codebuff,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &["the calls of answers that state credits and no token counts"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("codebuff", "codebuff")),
};
