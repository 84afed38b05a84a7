//! What is known about Antigravity, by Google, from documentation: no log of its own was at hand.
//!
//! Sources: the readers of ccusage (`rust/adapters/antigravity`) and of tokscale (`sessions/antigravity_cli.rs`).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, Stated};
use crate::import::engine::places::Place;

use super::Antigravity;

/// Antigravity, by Google.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "antigravity",
    aliases: &["antigravity-cli"],
    places: &[
        Place::Home(&[
            ".gemini/antigravity",
            ".gemini/antigravity-cli",
            ".gemini/antigravity-ide",
            ".gemini/antigravity-backup",
        ]),
        Place::Config(&["Antigravity", "Antigravity IDE"]),
        Place::Listed("ANTIGRAVITY_DATA_DIR", &[""]),
    ],
    source: &Antigravity,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: Stated::Sometimes, cache_write: Stated::Sometimes },
    unlogged: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("antigravity", "antigravity")),
};
