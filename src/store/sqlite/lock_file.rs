//! Lock files beside a ledger. The system releases a lock if its process is killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::{behind_links, beside, open_at_once};
use super::identity::Identity;
use super::queue;
use crate::model::error::{Error, Result};

/// The delay between attempts to take a lock.
pub(super) const AGAIN: Duration = Duration::from_millis(5);
/// The suffix of the lock of a name.
const NAME: &str = ".name-lock";

/// A lock file, which is removed on drop.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    _file: File,
}

/// The result of an attempt to take a lock.
#[derive(Debug)]
pub(super) enum LockAttempt {
    Taken(LockFile),
    /// Another handle holds it, in this process or another one.
    Held,
    /// The file system has no locks. The file is there, and nobody holds it.
    NoLocks(LockFile),
}

/// The lock of a process that is gone, if its file is there.
#[derive(Debug)]
pub(super) struct GoneProcess {
    _lock: Option<LockFile>,
}

impl LockFile {
    /// Creates and locks a file, without waiting.
    pub fn attempt(path: &Path) -> io::Result<LockAttempt> {
        loop {
            // If its last holder removed this file, the next attempt opens another one.
            if let Some(attempt) = Self::locked(opened(path, true)?, path)? {
                return Ok(attempt);
            }
        }
    }

    /// Prevents that another program takes a lock file whose process is gone; `None` if the process may still run.
    pub fn of_gone(path: &Path) -> Option<GoneProcess> {
        let file = match opened(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(GoneProcess { _lock: None }),
            file => file.ok()?,
        };
        // Where the file system has no locks, the process may still run. The file must stay then.
        file.try_lock().ok()?;
        match Self::locked(file, path) {
            Ok(Some(LockAttempt::Taken(lock))) => Some(GoneProcess { _lock: Some(lock) }),
            _ => None,
        }
    }

    /// Tries to lock an open file; `None` if the file lost its name before.
    fn locked(file: File, path: &Path) -> io::Result<Option<LockAttempt>> {
        let locked = file.try_lock();
        if matches!(locked, Err(TryLockError::WouldBlock)) {
            return Ok(Some(LockAttempt::Held));
        }
        if Identity::at(path)? != Some(Identity::of(&file.metadata()?)) {
            return Ok(None);
        }
        let file = Self { path: path.to_owned(), _file: file };
        Ok(Some(if locked.is_ok() { LockAttempt::Taken(file) } else { LockAttempt::NoLocks(file) }))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Removed before it is unlocked: a waiting process sees that it has no name any more, and creates another.
        let _ = fs::remove_file(&self.path);
    }
}

fn opened(path: &Path, create: bool) -> io::Result<File> {
    // A link could lead to the ledger itself, and closing that file drops the locks of this process.
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: it is a link", path.display())));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(create).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    // The caller's error names the directory.
    open_at_once(&mut options, path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The permission to put a ledger at a path, or to make one in the empty file there.
///
/// A new ledger is an empty file until its first page is written, and SQLite has no lock that keeps another file from
/// taking its name meanwhile. So each program holds this lock from its last look at the path until the ledger is there.
/// Writers of an existing ledger do not need it.
#[derive(Debug)]
pub(super) struct NameLock {
    /// `None` if its name is too long.
    _file: Option<LockFile>,
}

impl NameLock {
    /// Waits at most `seconds` for the lock of a path.
    pub fn wait(place: &Path, seconds: u64) -> Result<Self> {
        let lock = beside(&behind_links(place), NAME);
        let until = queue::after(seconds);
        loop {
            match LockFile::attempt(&lock) {
                // Where the file system has no locks, SQLite cannot exclude other programs either.
                Ok(LockAttempt::Taken(file) | LockAttempt::NoLocks(file)) => return Ok(Self { _file: Some(file) }),
                Ok(LockAttempt::Held) if Instant::now() < until => std::thread::sleep(AGAIN),
                Ok(LockAttempt::Held) => return Err(Error::Busy { seconds }),
                // A name of almost the maximal length. No copy can take it either, because the names of copies are
                // longer.
                Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Ok(Self { _file: None }),
                Err(source) => return Err(Error::Io { path: place.to_owned(), source }),
            }
        }
    }
}
