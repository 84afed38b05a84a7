//! What an import did, and how far it has come.

use serde::Serialize;

use crate::import::health::schema_drift::SchemaDrift;
use crate::model::event::SkippedLine;

/// What an import did.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// let ledger = Ledger::in_memory()?;
/// let options = ImportOptions { sources: vec!["amp".to_owned()], homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let report = import::run(&ledger, &options, now, &mut |_| {})?;
/// assert_eq!(report.sources.len(), 1); // one importer ran, and found nothing in an empty home
/// assert_eq!(report.sources[0].files, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// One entry for each importer that ran.
    pub sources: Vec<SourceReport>,
}

/// What one importer did.
///
/// ```
/// use usage_ledger::import::SourceReport;
/// let report = SourceReport { source: "amp".to_owned(), files: 2, recorded: 5, ..SourceReport::default() };
/// assert!(report.skipped.is_empty()); // every line was taken in
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// The importer.
    pub source: String,
    /// Log files found.
    pub files: u64,
    /// Bytes newly read.
    pub bytes: u64,
    /// Records that were new.
    pub recorded: u64,
    /// Copies of records that were known already.
    pub duplicates: u64,
    /// Records whose numbers, time or conversation the new lines changed.
    pub amended: u64,
    /// Lines that could not be read, each with its reason.
    pub skipped: Vec<SkippedLine>,
    /// Of these, files and directories that cannot be read, or not to their end: a later import tries again.
    pub unreadable: u64,
    /// What the logs tell of quotas and was new: observations, and how much an agent took for used.
    pub observed: u64,
    /// What makes the counts of the new records doubtful.
    #[serde(flatten)]
    pub doubts: SchemaDrift,
}

/// How far an import has come.
///
/// ```
/// use usage_ledger::import::Progress;
/// let progress = Progress { total: 2_000, done: 500, records: 3 };
/// assert_eq!(100 * progress.done / progress.total, 25); // percent
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes to look at.
    pub total: u64,
    /// Bytes looked at.
    pub done: u64,
    /// Records found so far.
    pub records: u64,
}
