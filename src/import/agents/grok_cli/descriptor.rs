//! Properties of Grok CLI, by xAI, from documentation. No real log was available.
//!
//! Sources: the readers of ccusage (`rust/adapters/grok`, checked by its authors against 58 turns of Grok CLI 1.0.0) and of
//! tokscale (`sessions/grok.rs`).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::GrokCli;

/// Grok CLI, by xAI.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "grok-cli",
    aliases: &["grok-build"],
    places: &[LogPlace::Home(&[".grok/sessions"]), LogPlace::Named("GROK_HOME", &["sessions"])],
    source: &GrokCli,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("grok-cli", "grok")),
};
