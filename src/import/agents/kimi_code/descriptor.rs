//! The descriptor of Kimi Code.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::KimiCode;

/// Kimi Code, by Moonshot.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "kimi-code",
    aliases: &["kimi"],
    places: &[Place::Home(&[".kimi-code/sessions"]), Place::Named("KIMI_CODE_HOME", &["sessions"])],
    source: &KimiCode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("kimi-code", "kimi")),
};
