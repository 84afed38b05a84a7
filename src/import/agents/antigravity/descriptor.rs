//! Properties of Antigravity, by Google, from documentation. No real log was available.
//!
//! Sources: the readers of ccusage (`rust/adapters/antigravity`) and of tokscale (`sessions/antigravity_cli.rs`).

use crate::export::CcusageAgent;
use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Antigravity;

/// Antigravity, by Google.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "antigravity",
    aliases: &["antigravity-cli"],
    places: &[
        LogPlace::Home(&[
            ".gemini/antigravity",
            ".gemini/antigravity-cli",
            ".gemini/antigravity-ide",
            ".gemini/antigravity-backup",
        ]),
        LogPlace::Config(&["Antigravity", "Antigravity IDE"]),
        LogPlace::Listed("ANTIGRAVITY_DATA_DIR", &[""]),
    ],
    source: &Antigravity,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &[],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: Some(CcusageAgent::new("antigravity", "antigravity")),
};
