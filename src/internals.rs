//! What the tests, benches and fuzz targets of this crate call below its public interface. Nothing here is stable.

pub use crate::budget::afford::{affordable, run_cost};
pub use crate::budget::burn::{Uses, burn_rate, minutes_left, slowed};
pub use crate::budget::ladder::safety_margin;
pub use crate::model::humanize;
pub use crate::model::provider::CATALOGUE;
pub use crate::usage::pause::resume_at;

#[cfg(feature = "cli")]
pub use command::*;

/// What only the command uses.
#[cfg(feature = "cli")]
mod command {
    use crate::ledger::Snapshot;
    use crate::model::error::Result;
    use crate::model::time::Timestamp;
    use crate::report::Report;

    pub use crate::budget::settings::BudgetSettings;
    pub use crate::export::activity::activity;
    pub use crate::export::ccusage::{CcusageOptions, ccusage};
    pub use crate::merkle::cosignature::Cosigner;
    pub use crate::merkle::witness_request::AddCheckpoint;
    pub use crate::readers::exhaustion;
    pub use crate::report::allocate::{Allocation, AllocationTable};
    pub use crate::report::efficiency::Efficiency;

    /// Shares the spend of a period.
    ///
    /// # Errors
    /// Those of the query.
    pub fn allocate(snapshot: &Snapshot<'_>, request: &Allocation, now: Timestamp) -> Result<AllocationTable> {
        snapshot.allocate(request, now)
    }

    /// The outcomes of sessions.
    ///
    /// # Errors
    /// Those of the query.
    pub fn efficiency(snapshot: &Snapshot<'_>, report: &Report) -> Result<Efficiency> {
        snapshot.efficiency(report)
    }
}

/// What agents print about their own usage.
#[cfg(feature = "cli")]
pub mod agent {
    pub use crate::readers::normalise::agent::{Turns, extract};
}

/// Parts of the importers.
#[cfg(feature = "import")]
pub mod import {
    use std::path::Path;

    use crate::import::engine::first_import::fill;
    use crate::import::{ImportOptions, ImportReport, Progress};
    use crate::model::error::Result;
    use crate::model::time::Timestamp;
    use crate::store::DraftLedger;

    pub use crate::import::agents::koan;
    pub use crate::import::engine::preview::preview;
    pub use crate::import::health::inventory::inventory;
    pub use crate::import::health::skip_reasons::loses_counts;
    pub use crate::import::health::unread_agents::unread_agents;
    #[cfg(feature = "web")]
    pub use crate::import::telemetry::{MetricSums, Telemetry, take};

    /// Imports into a ledger that does not exist yet, as the command does.
    ///
    /// # Errors
    /// Those of the import.
    pub fn first(
        path: &Path,
        options: &ImportOptions,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<ImportReport>> {
        DraftLedger::beside(path)?.map_or(Ok(None), |draft| fill(draft, options, now, progress))
    }
}

/// The log of a witness.
#[cfg(feature = "cli")]
pub mod witness {
    pub use crate::sync::witness::{WitnessAnswer, WitnessLog};
}

/// The dashboard.
#[cfg(feature = "tui")]
pub mod tui {
    pub use crate::present::bars::bar_cells;
    pub use crate::present::tint::tint;
    pub use crate::tui::as_text::{panel, render};
    pub use crate::tui::{KeyEntry, modal_input};
}

/// The HTTP server.
#[cfg(feature = "web")]
pub mod web {
    pub use crate::web::{Access, Receiver, Services, serve};
}

/// Ledgers of one database that share their connections.
#[cfg(all(feature = "cli", feature = "postgres"))]
pub mod shared_ledgers {
    use crate::model::error::{Error, Result};
    use crate::store::PostgresStore;

    /// Another ledger of the same database, which is created if it does not exist.
    ///
    /// # Errors
    /// Those of [`PostgresStore::open`].
    pub fn ledger(store: &PostgresStore, name: &str) -> Result<PostgresStore> {
        store.ledger(name, true)?.ok_or_else(|| Error::NotFound { what: format!("of the ledger {name}") })
    }
}

/// Ledgers on several clusters.
#[cfg(all(feature = "cli", feature = "postgres"))]
pub mod shards {
    use std::path::Path;
    use std::sync::Arc;

    use crate::ledger::Ledger;
    use crate::model::error::{Error, Result};
    use crate::store::ShardClusters;

    /// Opens a ledger of a map of clusters, and creates a missing one.
    ///
    /// # Errors
    /// Those of the map and of the clusters.
    pub fn open(map: &Path, ledger: &str) -> Result<Ledger> {
        let clusters = Arc::new(ShardClusters::new(map, Box::new(Ok)));
        let store = clusters.open(ledger, true)?;
        let store = store.ok_or_else(|| Error::NotFound { what: format!("of the ledger {ledger}") })?;
        Ledger::upgraded(Box::new(store), &mut |_, _| {})
    }
}
