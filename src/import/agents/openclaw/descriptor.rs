//! The descriptor of `OpenClaw`.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Openclaw;

/// `OpenClaw`, by Peter Steinberger.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "openclaw",
    aliases: &["clawdbot", "moltbot"],
    places: &[
        LogPlace::Home(&[".openclaw/agents", ".clawdbot/agents", ".moltbot/agents"]),
        LogPlace::Named("OPENCLAW_STATE_DIR", &["agents"]),
    ],
    source: &Openclaw,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: StatedWhen::Always, cache_write: StatedWhen::Always },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("openclaw", "openclaw")),
};
