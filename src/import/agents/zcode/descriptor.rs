//! Properties of `ZCode`, by Z.ai, from documentation. No real log was available.
//!
//! Sources: the readers of ccusage (`rust/adapters/zcode`) and of codeburn (`providers/zcode.ts`, checked by its authors against 0.14.8).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Zcode;

/// `ZCode`, by Z.ai.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "zcode",
    aliases: &[],
    places: &[LogPlace::Home(&[".zcode/cli/db"])],
    source: &Zcode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("zcode", "zcode")),
};
