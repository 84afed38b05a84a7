//! Imports agents' logs into a ledger: incremental, idempotent, and independent of the order of files.

mod agents;
mod engine;
mod health;
mod options;
mod outcome;
#[cfg(feature = "web")]
pub mod telemetry;

#[cfg(feature = "cli")]
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::export::CcusageAgent;
#[cfg(feature = "cli")]
use crate::model::error::Result;

pub use agents::koan;
#[cfg(feature = "cli")]
pub(crate) use engine::first::fill;
pub use engine::first::first;
pub use engine::follow::Follower;
pub use engine::preview::{Amendment, Preview, Withdrawal, preview};
pub use engine::run::run;
#[cfg(feature = "cli")]
pub(crate) use health::changed::changed_logs;
pub use health::inventory::{ExpiringLog, Surveyed, Unreadable, survey};
pub use health::schema_drift::SchemaDrift;
pub use health::self_check::{CheckedLog, SkipCount, self_check};
pub use health::skip_reasons::loses_counts;
pub use health::unread_agents::{UnreadAgent, unread_agents};
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

/// Lists the directories that an import without options searches, by agent.
#[cfg(feature = "cli")]
pub(crate) fn searched() -> Result<Vec<(&'static str, Vec<PathBuf>)>> {
    let agents = ImportOptions::default().agents()?.into_iter();
    agents.map(|agent| Ok((agent.name, engine::discover::roots(agent, &[])?))).collect()
}

/// Describes how ccusage names the agents of this build, for
/// [`CcusageOptions::agents`](crate::export::CcusageOptions::agents).
///
/// ```
/// use usage_ledger::import;
/// let claude = import::ccusage_agents().iter().find(|agent| agent.agent() == "claude-code").unwrap();
/// assert_eq!(claude.name(), "claude");
/// ```
pub fn ccusage_agents() -> &'static [CcusageAgent] {
    static KNOWN: LazyLock<Vec<CcusageAgent>> =
        LazyLock::new(|| agents::ALL.iter().filter_map(|agent| agent.ccusage).collect());
    &KNOWN
}
