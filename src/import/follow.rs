//! Follows logs as agents write them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::discover::{self, roots};
use super::run::{Named, run_some};
use super::{ImportOptions, ImportReport, Progress};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::time::Timestamp;

/// How long further changes are waited for when there is one: an agent writes several lines at a time.
const TOGETHER: Duration = Duration::from_millis(10);
/// How long at most: somebody may always be writing.
const LONGEST: Duration = Duration::from_millis(40);
/// How often all is looked at anew: a directory may have come into being, and not every file system tells of changes.
const AGAIN: Duration = Duration::from_secs(60);
/// How long after a directory has come into being all is looked at: what was written in it before it was watched is not
/// told of.
const SETTLED: Duration = Duration::from_millis(50);
/// How often directories that were not there are looked for.
const APPEAR: Duration = Duration::from_secs(2);

/// Follows the logs of agents by what the operating system tells of their directories.
///
/// ```
/// use usage_ledger::{Ledger, import::{Follower, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let mut ledger = Ledger::in_memory()?;
/// let mut follower = Follower::new(options)?;
/// let all = follower.next(&mut ledger, || now, std::time::Duration::ZERO)?.unwrap(); // what there is already
/// assert_eq!(all.sources.iter().map(|source| source.recorded).sum::<u64>(), 0);
/// assert!(follower.next(&mut ledger, || now, std::time::Duration::ZERO)?.is_none()); // nothing has changed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Follower {
    options: ImportOptions,
    watcher: RecommendedWatcher,
    told: Receiver<notify::Result<Event>>,
    watched: BTreeSet<PathBuf>,
    /// When all is looked at next.
    look: Instant,
    /// When directories were looked for last.
    sought: Instant,
}

impl Follower {
    /// Follows what an import with these options would read.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown source and when the operating system cannot watch, [`Error::Io`] for a home
    /// that cannot be read.
    ///
    /// ```
    /// use usage_ledger::import::{Follower, ImportOptions};
    /// let unknown = ImportOptions { sources: vec!["nobody".to_owned()], ..ImportOptions::default() };
    /// assert!(Follower::new(unknown).is_err());
    /// ```
    pub fn new(options: ImportOptions) -> Result<Self> {
        let (tell, told) = channel();
        let watcher = notify::recommended_watcher(move |event| {
            // Nobody listens any more when the follower is gone.
            let _ = tell.send(event);
        })
        .map_err(|error| refused(&error, None))?;
        let mut follower =
            Self { options, watcher, told, watched: BTreeSet::new(), look: Instant::now(), sought: Instant::now() };
        follower.seek()?;
        Ok(follower)
    }

    /// Watches directories that have come into being.
    fn seek(&mut self) -> Result<bool> {
        let mut new = false;
        for source in self.options.sources()? {
            for root in roots(source, &self.options.homes)? {
                if !self.watched.contains(&root) && root.exists() {
                    self.watcher
                        .watch(&root, RecursiveMode::Recursive)
                        .map_err(|error| refused(&error, Some(&root)))?;
                    self.watched.insert(root);
                    new = true;
                }
            }
        }
        self.sought = Instant::now();
        Ok(new)
    }

    /// Imports what has changed, waiting at most so long for a change. The first call imports all there is. `None` when
    /// nothing changed.
    ///
    /// # Errors
    /// As those of [`run`](super::run).
    ///
    /// ```
    /// # use usage_ledger::{Ledger, import::{Follower, ImportOptions}};
    /// # let home = tempfile::tempdir()?;
    /// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
    /// let (mut ledger, mut follower) = (Ledger::in_memory()?, Follower::new(options)?);
    /// assert!(follower.next(&mut ledger, chrono::Utc::now, std::time::Duration::ZERO)?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next<T: Into<Timestamp>>(
        &mut self,
        ledger: &mut Ledger,
        now: impl Fn() -> T,
        wait: Duration,
    ) -> Result<Option<ImportReport>> {
        let quiet = &mut |_: Progress| {};
        let changed = if self.look <= Instant::now() { BTreeSet::new() } else { self.changed(wait) };
        if self.sought.elapsed() >= APPEAR && self.seek()? {
            self.look = Instant::now();
        }
        if self.look <= Instant::now() {
            self.look = Instant::now() + AGAIN;
            return run_some(ledger, &self.options, None, now(), quiet).map(Some);
        }
        if changed.is_empty() {
            return Ok(None);
        }
        let named = Named { paths: changed, roots: &self.watched };
        let report = run_some(ledger, &self.options, Some(&named), now(), quiet)?;
        Ok((!report.sources.is_empty()).then_some(report))
    }

    /// The files that were written to.
    fn changed(&mut self, wait: Duration) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        let mut wait = wait.min(APPEAR).min(self.look.saturating_duration_since(Instant::now()));
        let mut until = None;
        loop {
            match self.told.recv_timeout(wait) {
                Ok(Ok(event)) => {
                    if matches!(event.kind, EventKind::Access(_)) {
                        continue;
                    }
                    if matches!(event.kind, EventKind::Create(_)) && event.paths.iter().any(|path| path.is_dir()) {
                        self.look = self.look.min(Instant::now() + SETTLED);
                    }
                    changed.extend(event.paths.into_iter().map(|path| discover::logged(&path)));
                    let until = *until.get_or_insert_with(|| Instant::now() + LONGEST);
                    wait = TOGETHER.min(until.saturating_duration_since(Instant::now()));
                }
                // What was missed is found when all is looked at.
                Ok(Err(_)) => self.look = Instant::now(),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return changed,
            }
        }
    }
}

fn refused(error: &notify::Error, path: Option<&Path>) -> Error {
    let place = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
    Error::invalid(format!(
        "the logs{place} cannot be watched ({error}): raise the system's limit of watches, or import now and then instead"
    ))
}
