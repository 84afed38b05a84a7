//! Imports agents' logs into a ledger: incremental, idempotent, and independent of the order of files.

pub(crate) mod agents;
pub(crate) mod engine;
pub(crate) mod health;
#[cfg(test)]
#[cfg(feature = "cli")]
mod label_tests;
mod options;
mod outcome;
#[cfg(feature = "web")]
pub(crate) mod telemetry;

#[cfg(feature = "cli")]
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::export::CcusageAgent;
#[cfg(feature = "cli")]
use crate::model::error::Result;

#[cfg(feature = "cli")]
pub(crate) use agents::koan;
#[cfg(feature = "cli")]
use engine::agent::Overlap;
#[cfg(feature = "cli")]
pub(crate) use engine::first_import::fill;
pub use engine::follow::Follower;
pub(crate) use engine::preview::{Preview, preview};
pub use engine::run::run;
#[cfg(any(feature = "tui", feature = "web"))]
pub(crate) use engine::run::run_until;
#[cfg(feature = "cli")]
pub(crate) use health::changed::changed_logs;
pub(crate) use health::inventory::{ExpiringLog, LogInventory, inventory};
pub use health::schema_drift::SchemaDrift;
pub(crate) use health::self_check::{CheckedLog, self_check};
pub(crate) use health::skip_reasons::loses_counts;
pub(crate) use health::unread_agents::{UnreadAgent, unread_agents};
pub use options::ImportOptions;
pub use outcome::{ImportReport, Progress, SourceReport};

/// The names of the importers of this build.
///
/// ```
/// assert!(usage_ledger::import::names().contains(&"claude-code"));
/// ```
pub fn names() -> Vec<&'static str> {
    agents::ALL.iter().map(|agent| agent.name).collect()
}

/// Returns whether the calls of a source are also in the logs of other agents, without a common key.
#[cfg(feature = "cli")]
pub(crate) fn repeats_other_logs(source: &str) -> bool {
    agents::find(source).is_some_and(|agent| agent.overlap == Overlap::Unmarked)
}

/// Lists the feeds of quota readings that importers record.
#[cfg(feature = "cli")]
pub(crate) fn feeds() -> impl Iterator<Item = &'static str> {
    agents::ALL.iter().flat_map(|agent| agent.feeds).copied()
}

/// Lists the directories that an import without options searches, by agent.
#[cfg(feature = "cli")]
pub(crate) fn searched() -> Result<Vec<(&'static str, Vec<PathBuf>)>> {
    let agents = ImportOptions::default().agents()?.into_iter();
    agents.map(|agent| Ok((agent.name, engine::discover::roots(agent, &[])?))).collect()
}

/// Describes how ccusage names the agents of this build, for
/// [`CcusageOptions::agents`](crate::export::CcusageOptions::agents).
pub(crate) fn ccusage_agents() -> &'static [CcusageAgent] {
    static KNOWN: LazyLock<Vec<CcusageAgent>> =
        LazyLock::new(|| agents::ALL.iter().filter_map(|agent| agent.ccusage).collect());
    &KNOWN
}
