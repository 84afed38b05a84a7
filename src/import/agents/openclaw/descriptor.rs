//! The descriptor of `OpenClaw`.

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Openclaw;

/// `OpenClaw`, by Peter Steinberger.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "openclaw",
    aliases: &["clawdbot", "moltbot"],
    places: &[
        Place::Home(&[".openclaw/agents", ".clawdbot/agents", ".moltbot/agents"]),
        Place::Named("OPENCLAW_STATE_DIR", &["agents"]),
    ],
    source: &Openclaw,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: false, cache_read: Stated::Always, cache_write: Stated::Always },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("openclaw", "openclaw")),
};
