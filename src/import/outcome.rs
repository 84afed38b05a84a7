//! Results and progress of an import.

use serde::Serialize;

use crate::import::health::schema_drift::SchemaDrift;
use crate::model::event::SkippedLine;

/// The result of an import.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// let ledger = Ledger::in_memory()?;
/// let options = ImportOptions::new().sources(["amp".to_owned()]).homes([home.path().to_owned()]);
/// let report = import::run(&ledger, &options, now, &mut |_| {})?;
/// assert_eq!(report.sources.len(), 1); // one importer ran, and found nothing in an empty home
/// assert_eq!(report.sources[0].files, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// One entry for each importer that ran.
    pub sources: Vec<SourceReport>,
}

/// The result of one importer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceReport {
    /// The importer.
    pub source: String,
    /// Number of log files.
    pub files: u64,
    /// Bytes that no earlier import read.
    pub bytes: u64,
    /// Number of new records.
    pub recorded: u64,
    /// Number of duplicates of recorded calls.
    pub duplicates: u64,
    /// Number of records whose counts, time or conversation changed.
    pub amended: u64,
    /// Lines that were skipped, each with a reason.
    pub skipped: Vec<SkippedLine>,
    /// Number of entries in `skipped` for files and directories that cannot be read completely. A later import tries
    /// again.
    pub unreadable: u64,
    /// Number of new quota events: observations, and overrides by an agent.
    pub observed: u64,
    /// Number of log files whose calls keep the labels of an earlier import, although this one states others.
    pub other_labels: u64,
    /// Signs that counts of the new records are wrong.
    #[serde(flatten)]
    pub drift: SchemaDrift,
}

/// Progress of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes to read.
    pub total: u64,
    /// Bytes read.
    pub done: u64,
    /// Calls found so far.
    pub records: u64,
}
