//! The descriptor of Kimi Code.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::KimiCode;

/// Kimi Code, by Moonshot.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "kimi-code",
    aliases: &["kimi"],
    places: &[LogPlace::Home(&[".kimi-code/sessions"]), LogPlace::Named("KIMI_CODE_HOME", &["sessions"])],
    source: &KimiCode,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("kimi-code", "kimi")),
};
