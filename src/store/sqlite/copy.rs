//! Copies a ledger into a file, and replaces a ledger with a copy.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::file::{
    FileContext, SQLITE_SIDES, behind_links, beside, change_journal_mode, is_taken, log_beside, plain, prepare_journal,
    private_file, refuse_stale_log, remove_empty_journal,
};
use super::inspect::refuse_foreign;
use super::pool::Lease;
use super::read_only::{self, FilesState};
use super::user_file::refuse_ledger;
use super::view::SqliteView;
use crate::model::error::{Error, Result};
use crate::store::{ReadView, directory};

/// The delay between attempts to copy while the ledger is locked exclusively.
const AGAIN: Duration = Duration::from_millis(20);
/// How long restore waits for other programs to close the ledger, in seconds.
const CLOSE_SECONDS: u64 = 2;

/// A file that is deleted on drop unless it is kept.
#[derive(Debug)]
pub(crate) struct PendingCopy {
    path: PathBuf,
    kept: bool,
}

impl PendingCopy {
    /// A path next to `path` for a file that is renamed to it later.
    pub fn beside(path: &Path, end: &str) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::invalid(format!("`{}` names no file: give the path of one", path.display())))?;
        let mut own = std::ffi::OsString::from(".");
        own.push(name);
        own.push(format!(".{}.{end}", uuid::Uuid::now_v7().simple()));
        Ok(Self { path: path.with_file_name(own), kept: false })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the file to its final path, after it is closed. It overwrites only an empty file, and stays away from the log
    /// of another ledger.
    pub fn keep_at(self, path: &Path) -> Result<()> {
        self.finish()?;
        let taken = |path: &Path| Error::AlreadyExists { path: path.to_owned() };
        refuse_stale_log(path)?;
        if is_taken(path)? {
            return Err(taken(path));
        }
        let done = if fs::metadata(path).is_ok() {
            fs::rename(&self.path, path)
        } else {
            match fs::hard_link(&self.path, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(path)),
                // Some file systems have no hard links.
                Err(_) if fs::symlink_metadata(path).is_ok() => return Err(taken(path)),
                Err(_) => fs::rename(&self.path, path),
                Ok(()) => fs::remove_file(&self.path),
            }
        };
        self.settle(path, done)
    }

    /// Moves the file to its final path, after it is closed. The caller made sure that no log is there.
    fn put_over(self, path: &Path) -> Result<()> {
        self.finish()?;
        let done = fs::rename(&self.path, path);
        self.settle(path, done)
    }

    /// Replaces a file that is no ledger of this build, or cannot be locked as one. The error says why it cannot.
    pub fn replace_other(self, path: &Path, error: Error) -> Result<()> {
        let is_other = matches!(
            error,
            Error::NotALedger { .. } | Error::NewerSchema { .. } | Error::HardLinked { .. } | Error::ReadOnly { .. }
        );
        if is_other && log_beside(path).is_none() { self.put_over(path) } else { Err(error) }
    }

    /// Makes the file durable.
    fn finish(&self) -> Result<()> {
        // A connection that cannot move its log into the file leaves it, and the file alone is not the ledger.
        if let Some(log) = log_beside(&self.path) {
            let source = format!("{} still contains a part of it", log.display()).into();
            return Err(Error::Store { what: "completing the copy of the ledger".to_owned(), source });
        }
        sync(&self.path)
    }

    fn settle(mut self, path: &Path, done: std::io::Result<()>) -> Result<()> {
        done.and_then(|()| directory::sync(directory::parent(path)))
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        self.kept = true;
        self.remove("-queue");
        Ok(())
    }

    /// Removes a file beside this one. Most of them do not exist.
    fn remove(&self, end: &str) {
        let mut name = self.path.clone().into_os_string();
        name.push(end);
        let _ = fs::remove_file(name);
    }
}

impl Drop for PendingCopy {
    fn drop(&mut self) {
        if !self.kept {
            for end in ["", "-wal", "-shm", "-journal", "-queue"] {
                self.remove(end);
            }
        }
    }
}

/// Copies all pages of a database into a new private file. Others may read and write meanwhile: the copy is one
/// consistent state.
pub(super) fn copy_pages(from: &Connection, to: &Path, about: &FileContext) -> Result<()> {
    private_file(to).map_err(|source| Error::Io { path: to.to_owned(), source })?;
    let fail = |error| about.error(error, "copying the ledger");
    {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(plain(to), flags).map_err(fail)?;
        copy.execute_batch("PRAGMA synchronous=OFF").map_err(fail)?;
        let backup = Backup::new(from, &mut copy).map_err(fail)?;
        let end = Instant::now() + Duration::from_secs(about.busy_seconds);
        loop {
            // All pages in one step, because a step is one read transaction.
            match backup.step(-1).map_err(fail)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked if Instant::now() >= end => {
                    return Err(Error::Busy { seconds: about.busy_seconds });
                }
                _ => std::thread::sleep(AGAIN),
            }
        }
    }
    Ok(())
}

/// Copies the pages of a ledger file of any schema, opened read-only.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let about = FileContext { path: from.to_owned(), busy_seconds: CLOSE_SECONDS };
    if !from.exists() {
        return Err(Error::Io { path: from.to_owned(), source: ErrorKind::NotFound.into() });
    }
    refuse_foreign(from)?;
    let from =
        read_only::connect(from, &FilesState::at(from)).map_err(|error| about.error(error, "opening the backup"))?;
    copy_pages(&from, to, &about)
}

/// Syncs a file that no connection of this process has open.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| match source.kind() {
        ErrorKind::StorageFull => Error::DiskFull,
        _ => Error::Io { path: path.to_owned(), source },
    })
}

/// An exclusively locked ledger, which no other program can open until this is dropped.
pub(crate) struct LockedLedger {
    /// `None` if nothing is at the path, or nothing that can be opened.
    connection: Option<Lease>,
    path: PathBuf,
}

impl LockedLedger {
    /// Locks the ledger at a path exclusively.
    ///
    /// A ledger that is too damaged to open can be replaced too; a foreign file cannot.
    pub fn take(path: &Path) -> Result<Self> {
        let path = behind_links(path);
        if !is_taken(&path)? {
            return Ok(Self { connection: None, path });
        }
        // A damaged ledger is copied without SQLite, and closing such a file drops the locks of this process's
        // connections.
        if refuse_ledger(&path, None).is_err() {
            return Err(Error::InUse { path });
        }
        let connection = match Options::new().create(false).busy_timeout_seconds(CLOSE_SECONDS).open_pool(&path) {
            Ok(pool) => pool.lease()?,
            Err(Error::Damaged { .. }) => return Ok(Self { connection: None, path }),
            Err(error) => return Err(error),
        };
        match hold_alone(&connection) {
            Ok(()) => Ok(Self { connection: Some(connection), path }),
            Err(Error::Damaged { .. }) => Ok(Self { connection: None, path }),
            Err(Error::Busy { .. }) => Err(Error::InUse { path }),
            Err(error) => Err(error),
        }
    }

    /// Reads the locked ledger; `None` if there is none that can be opened.
    pub fn read<T>(&mut self, work: impl FnOnce(&dyn ReadView) -> Result<T>) -> Result<Option<T>> {
        let Some(lease) = self.connection.take() else { return Ok(None) };
        let pool = Arc::clone(&lease.pool);
        let done = SqliteView::read(lease).and_then(|view| work(&view));
        // The view gave back the connection that has the lock, and no other one is idle.
        self.connection = Some(pool.lease()?);
        done.map(Some)
    }

    /// Replaces the ledger with a copy that contains all of its events.
    pub fn supersede_by(self, copy: PendingCopy) -> Result<()> {
        copy.put_over(&self.path)
    }

    /// Replaces the ledger with a copy. The old ledger is renamed, and its new path returned. If only its log is left, that
    /// is renamed and returned.
    pub fn replace_by(self, copy: PendingCopy) -> Result<Option<PathBuf>> {
        let io = |path: &Path, source| Error::Io { path: path.to_owned(), source };
        let mut former = None;
        let kept = former_name(&self.path);
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| !meta.is_file() || meta.len() > 0) {
            if fs::hard_link(&self.path, &kept).is_err() {
                match &self.connection {
                    Some(lease) => copy_pages(lease.connection()?, &kept, &lease.pool.about)?,
                    None => fs::copy(&self.path, &kept).map(drop).map_err(|source| io(&kept, source))?,
                }
            }
            former = Some(kept.clone());
        }
        // A remaining log would be applied to the copy. A locked ledger has none, and its connection owns its journal.
        let ends = if self.connection.is_some() { &["-wal", "-shm"][..] } else { &SQLITE_SIDES };
        for end in ends {
            let (name, kept) = (beside(&self.path, end), beside(&kept, end));
            let Ok(meta) = fs::symlink_metadata(&name) else { continue };
            fs::rename(&name, &kept).map_err(|source| io(&name, source))?;
            if former.is_none() && *end != "-shm" && meta.len() > 0 {
                former = Some(kept);
            }
        }
        copy.put_over(&self.path)?;
        Ok(former)
    }
}

/// A name for the replaced ledger.
fn former_name(path: &Path) -> PathBuf {
    let now = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3f");
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{}{now}", super::leftover::REPLACED));
    name.into()
}

/// Locks the file exclusively for this connection, with its write-ahead log moved into it.
fn hold_alone(lease: &Lease) -> Result<()> {
    let (about, connection) = (&lease.pool.about, lease.connection()?);
    let fail = |error| about.error(error, "locking the ledger");
    connection.query_row("PRAGMA locking_mode=EXCLUSIVE", [], |_| Ok(())).map_err(fail)?;
    prepare_journal(&about.path)?;
    let left = leave_log(about, connection);
    if left.is_err() {
        remove_empty_journal(&about.path);
    }
    left?;
    // A write takes the lock if the file was not in WAL mode.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT").map_err(fail)
}

/// Leaves WAL mode. That takes an exclusive lock, which is then kept.
fn leave_log(about: &FileContext, connection: &Connection) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(about.busy_seconds);
    loop {
        let changed = change_journal_mode(connection, "DELETE");
        match changed.map_err(|error| about.error(error, "locking the ledger")) {
            Ok(mode) if mode == "delete" => return Ok(()),
            Ok(_) => return Err(Error::Busy { seconds: about.busy_seconds }),
            Err(Error::Busy { .. }) if Instant::now() < end => std::thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
}
