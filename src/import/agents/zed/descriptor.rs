//! Properties of the agent of Zed, from documentation. No real log was available.
//!
//! Sources: the readers of codeburn (`providers/zed.ts`) and of tokscale (`sessions/zed.rs`), and the type `DbThread` of Zed.

use crate::import::engine::agent::{Agent, Counters, Overlap, Retention, StatedWhen};
use crate::import::engine::log_places::LogPlace;

use super::Zed;

/// The agent of Zed.
pub(in crate::import) static DESCRIPTOR: Agent = Agent {
    name: "zed",
    aliases: &[],
    places: &[LogPlace::Data(&["zed/threads", "Zed/threads"])],
    source: &Zed,
    retention: Retention::Kept,
    counters: Counters { omits_zeros: true, cache_read: StatedWhen::Sometimes, cache_write: StatedWhen::Sometimes },
    unlogged: &["the calls that make titles and summaries of threads"],
    feeds: &[],
    overlap: Overlap::ByKeys,
    telemetry: None,
    ccusage: None,
};
