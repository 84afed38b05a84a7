//! Follows logs as agents write them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{Event, EventKind};

use crate::import::engine::discover::{self, absolute, roots};
use crate::import::engine::partial_lines::PartialLines;
use crate::import::engine::run::{NamedSource, run_some};
use crate::import::engine::watched_dirs::{WatchedDirectories, refused};
use crate::import::options::ImportOptions;
use crate::import::outcome::{ImportReport, Progress};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::threads::Stop;
use crate::model::time::Timestamp;

/// How long to wait for more changes after a change: an agent writes several lines at a time.
const TOGETHER: Duration = Duration::from_millis(10);
/// Maximum of that wait, because some agent may be writing all the time.
const LONGEST: Duration = Duration::from_millis(40);
/// Interval of a full scan. Directories may have been created, and some file systems report no changes.
const AGAIN: Duration = Duration::from_secs(60);
/// Delay between the creation of a directory and a full scan. Changes made before the watch started are not reported.
const SETTLED: Duration = Duration::from_millis(50);
/// Interval of a search for directories that appeared or vanished without a notification.
const APPEAR: Duration = Duration::from_secs(2);

/// Follows agents' logs by file notifications of the operating system.
///
/// ```
/// use usage_ledger::{Ledger, import::{Follower, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// let options = ImportOptions::new().homes([home.path().to_owned()]);
/// let ledger = Ledger::in_memory()?;
/// let mut follower = Follower::new(options)?;
/// let all = follower.next(&ledger, || now, std::time::Duration::ZERO)?.unwrap(); // what there is already
/// assert_eq!(all.sources.iter().map(|source| source.recorded).sum::<u64>(), 0);
/// assert!(follower.next(&ledger, || now, std::time::Duration::ZERO)?.is_none()); // nothing has changed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Follower {
    options: ImportOptions,
    /// Directories that contain homes of agents.
    homes: Vec<PathBuf>,
    notifications: Receiver<notify::Result<Event>>,
    watched: WatchedDirectories,
    /// Time of the next full scan.
    look: Instant,
    /// Time of the next search for directories.
    seek: Instant,
    partial_lines: PartialLines,
}

impl Follower {
    /// Follows the logs that an import with these options would read.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an unknown source and when the operating system cannot watch,
    /// [`Error::Io`](crate::Error::Io) for a home that cannot be read.
    ///
    /// ```
    /// use usage_ledger::import::{Follower, ImportOptions};
    /// let unknown = ImportOptions::new().sources(["nobody".to_owned()]);
    /// assert!(Follower::new(unknown).is_err());
    /// ```
    pub fn new(options: ImportOptions) -> Result<Self> {
        let (send, notifications) = channel();
        let system = notify::recommended_watcher(move |event| {
            // Sending fails only after the follower is dropped, so the error does not matter.
            let _ = send.send(event);
        })
        .map_err(|error| refused(&error, None))?;
        let mut sought = BTreeSet::new();
        for agent in options.agents()? {
            sought.extend(roots(agent, &options.homes)?);
        }
        let homes =
            if options.homes.is_empty() { std::env::home_dir().into_iter().collect() } else { options.homes.clone() };
        let homes = absolute(homes);
        let watched = WatchedDirectories::new(system, sought);
        let (look, partial_lines) = (Instant::now(), PartialLines::default());
        let mut follower = Self { options, homes, notifications, watched, look, seek: look, partial_lines };
        follower.seek()?;
        Ok(follower)
    }

    /// Watches new directories, and requests a full scan if there are any.
    fn seek(&mut self) -> Result<()> {
        if self.watched.seek(&self.homes)? {
            self.look = Instant::now();
        }
        self.seek = Instant::now() + APPEAR;
        Ok(())
    }

    /// Imports what changed, and waits at most `wait` for a change. The first call imports everything. Returns `None`
    /// if nothing changed. A partial last line is not reported until it has stayed partial for one minute.
    ///
    /// # Errors
    /// As those of [`run`](crate::import::run).
    ///
    /// ```
    /// # use usage_ledger::{Ledger, import::{Follower, ImportOptions}};
    /// # let home = tempfile::tempdir()?;
    /// let options = ImportOptions::new().homes([home.path().to_owned()]);
    /// let (ledger, mut follower) = (Ledger::in_memory()?, Follower::new(options)?);
    /// assert!(follower.next(&ledger, chrono::Utc::now, std::time::Duration::ZERO)?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next<T: Into<Timestamp>>(
        &mut self,
        ledger: &Ledger,
        now: impl Fn() -> T,
        wait: Duration,
    ) -> Result<Option<ImportReport>> {
        let mut report = self.import(ledger, now, wait)?;
        if let Some(report) = &mut report {
            self.partial_lines.take_partial(report, Instant::now());
        }
        self.partial_lines.add_stuck(&mut report, Instant::now());
        Ok(report)
    }

    fn import<T: Into<Timestamp>>(
        &mut self,
        ledger: &Ledger,
        now: impl Fn() -> T,
        wait: Duration,
    ) -> Result<Option<ImportReport>> {
        let quiet = &mut |_: Progress| {};
        let changed = if self.look <= Instant::now() { BTreeSet::new() } else { self.changed(wait) };
        if self.seek <= Instant::now() {
            self.seek()?;
        }
        if self.look <= Instant::now() {
            self.look = Instant::now() + AGAIN;
            return run_some(ledger, &self.options, None, (now(), &Stop::default()), quiet).map(Some);
        }
        if changed.is_empty() {
            return Ok(None);
        }
        let named = NamedSource { paths: changed, roots: self.watched.roots() };
        let report = run_some(ledger, &self.options, Some(&named), (now(), &Stop::default()), quiet)?;
        Ok((!report.sources.is_empty()).then_some(report))
    }

    /// Returns the files that changed.
    fn changed(&mut self, wait: Duration) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        let mut end = (Instant::now() + wait).min(self.seek).min(self.look);
        let mut until = None;
        loop {
            match self.notifications.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Ok(event)) => {
                    if self.take(event, &mut changed) {
                        let until = *until.get_or_insert_with(|| Instant::now() + LONGEST);
                        end = (Instant::now() + TOGETHER).min(until);
                    }
                }
                // A full scan finds the changes that were missed.
                Ok(Err(_)) => self.look = Instant::now(),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return changed,
            }
        }
    }

    /// Handles a notification. Returns whether it concerns a log.
    fn take(&mut self, event: Event, changed: &mut BTreeSet<PathBuf>) -> bool {
        if event.need_rescan() {
            self.look = Instant::now();
            return true;
        }
        if matches!(event.kind, EventKind::Access(_)) {
            return false;
        }
        let (came, went) = match event.kind {
            EventKind::Create(_) => (true, false),
            EventKind::Remove(_) => (false, true),
            EventKind::Modify(ModifyKind::Name(_)) => (true, true),
            _ => (false, false),
        };
        let mut about_logs = false;
        for path in event.paths {
            if (came || went) && self.watched.is_above(&path) {
                self.watched.forget(&path);
                self.seek = Instant::now();
                about_logs = true;
            }
            if self.watched.contains(&path) {
                if came && path.is_dir() {
                    self.look = self.look.min(Instant::now() + SETTLED);
                }
                changed.insert(discover::logged(&path));
                about_logs = true;
            }
        }
        about_logs
    }
}
