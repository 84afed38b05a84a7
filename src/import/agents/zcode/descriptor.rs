//! What is known about `ZCode`, by Z.ai, from documentation: no log of its own was at hand.
//!
//! Sources: the readers of ccusage (`rust/adapters/zcode`) and of codeburn (`providers/zcode.ts`, checked by its authors against 0.14.8).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Zcode;

/// `ZCode`, by Z.ai.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "zcode",
    aliases: &[],
    places: &[Place::Home(&[".zcode/cli/db"])],
    source: &Zcode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("zcode", "zcode")),
};
