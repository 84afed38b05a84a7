//! The first import of all: into a ledger that is not there yet.

use std::path::Path;

use crate::import::engine::run::run;
use crate::import::options::ImportOptions;
use crate::import::outcome::{ImportReport, Progress};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::store::DraftLedger;

/// Imports agents' logs into a ledger that is not there yet, which is quicker than making one and [importing](run) into it.
///
/// It is written beside its place and put there once it is whole and durable, so others find no ledger or one with
/// everything in it. A process that is killed leaves none; what it leaves beside is removed by a later import.
/// Of several processes that do so at once one makes the ledger, and the others wait for it. `None`,
/// and nothing has changed, when there is a ledger already, or by the time this one is whole: import into that.
///
/// # Errors
/// As those of [`run`], and [`Error::Io`](crate::Error::Io) where no file can be made. No ledger is made then.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let (dir, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
/// let path = dir.path().join("usage.db");
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let first = import::first(&path, &options, now, &mut |_| {})?;
/// let ledger = Ledger::open(&path)?;
/// let report = match first {
///     Some(report) => report,
///     None => import::run(&ledger, &options, now, &mut |_| {})?,
/// };
/// assert!(report.sources.iter().all(|source| source.files == 0));
/// assert!(import::first(&path, &options, now, &mut |_| {})?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn first(
    path: &Path,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<ImportReport>> {
    match DraftLedger::beside(path)? {
        Some(draft) => fill(draft, options, now, progress),
        None => Ok(None),
    }
}

/// Imports into a draft, and puts it in its place; `None` where something is there by now.
pub(crate) fn fill(
    draft: DraftLedger,
    options: &ImportOptions,
    now: impl Into<Timestamp>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<ImportReport>> {
    let ledger = Ledger::with_store(Box::new(draft.open()?));
    let done = run(&ledger, options, now, progress);
    drop(ledger);
    let report = match done {
        Err(_) if draft.is_gone() => return Ok(None),
        done => done?,
    };
    Ok(draft.put_in_place()?.then_some(report))
}
