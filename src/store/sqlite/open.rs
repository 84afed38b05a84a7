//! Opens a ledger file.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::SqliteStore;
use super::connect::{connect, one_at_a_time};
use super::file::{FileContext, behind_links, create_private, is_unmade, refuse_stale_log};
use super::identity::{Identity, OpenFiles};
use super::inspect::{refuse_foreign, unreadable_side};
use super::lock_file::NameLock;
use super::options::Options;
use super::pool::ConnectionPool;
use super::read_only::{self, FilesState, obstacle};
use crate::model::error::{Error, Result};

/// How often opening is repeated if the file is replaced at that moment.
const TRIES: usize = 10;

impl Options {
    /// Opens a ledger file.
    ///
    /// # Errors
    /// [`Error::NotALedger`] for another program's file and [`Error::NewerSchema`] for a newer build's, both unchanged;
    /// [`Error::HardLinked`], [`Error::MountedFile`], [`Error::StaleLog`], [`Error::Damaged`], [`Error::Busy`], [`Error::DiskFull`] or
    /// [`Error::Io`] as documented there.
    ///
    /// ```
    /// use usage_ledger::{Error, store::Options};
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("notes.txt");
    /// std::fs::write(&path, "not a database")?;
    /// assert!(matches!(Options::new().open(&path), Err(Error::NotALedger { .. })));
    /// assert_eq!(std::fs::read_to_string(&path)?, "not a database"); // untouched
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(self, path: &Path) -> Result<SqliteStore> {
        self.open_pool(path).map(SqliteStore::over)
    }

    pub(super) fn open_pool(self, path: &Path) -> Result<Arc<ConnectionPool>> {
        self.open_named(path, None)
    }

    /// Opens a file for a caller that may hold the lock of its name already.
    pub(super) fn open_named(self, path: &Path, held: Option<&NameLock>) -> Result<Arc<ConnectionPool>> {
        let about = FileContext { path: path.to_owned(), busy_seconds: self.busy_seconds };
        if self.read_only {
            return self.open_read_only(path, about);
        }
        if let Some(why) = obstacle(path) {
            return Err(Error::ReadOnly { path: path.to_owned(), why });
        }
        let mut tries = 1;
        loop {
            match self.open_once(path, about.clone(), held.is_some()) {
                // A restore replaced it after it was opened.
                Err(Error::Replaced { .. }) if tries < TRIES => tries += 1,
                opened => return opened,
            }
        }
    }

    fn open_once(self, path: &Path, about: FileContext, is_held: bool) -> Result<Arc<ConnectionPool>> {
        let (mut connection, files, naming) = self.connect(path, &about, is_held)?;
        let place = behind_links(files.database());
        let mut pool = ConnectionPool::new(about, self, Some(files)).with_queue(&place);
        pool.prepare(&mut connection)?;
        pool.note_files()?;
        // The file is no longer empty, so no other file takes its name.
        drop(naming);
        Ok(pool.with_connection(connection))
    }

    fn open_read_only(self, path: &Path, about: FileContext) -> Result<Arc<ConnectionPool>> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(io)?;
        refuse_foreign(&path)?;
        let look = FilesState::at(&path);
        let identity = Identity::at(&path).map_err(io)?.ok_or_else(|| io(ErrorKind::NotFound.into()))?;
        let mut connection = read_only::connect(&path, &look)
            .map_err(|e| unreadable_side(&path).unwrap_or_else(|| about.error(e, "opening the ledger")))?;
        let mut pool = ConnectionPool::new(about, self, Some(OpenFiles::new(path, identity)));
        pool.read_only = Some(look);
        pool.prepare(&mut connection)?;
        Ok(pool.with_connection(connection))
    }

    /// Opens the file at a path, creates it if it is missing, and determines its identity. A caller that is about to
    /// make a ledger there gets the lock of the name, unless it holds it already.
    pub(super) fn connect(
        self,
        path: &Path,
        about: &FileContext,
        is_held: bool,
    ) -> Result<(Connection, OpenFiles, Option<NameLock>)> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        // The program may change its current directory later.
        let absolute = std::path::absolute(path).map_err(io)?;
        refuse_foreign(path)?;
        for _ in 0..TRIES {
            let is_named = self.create || absolute.exists();
            let naming = if is_named && !is_held && is_unmade(&absolute)? {
                Some(NameLock::wait(&absolute, self.busy_seconds)?)
            } else {
                None
            };
            // No other thread may open a new file before its first descriptor is closed. A thread that waits for the
            // name must not have this lock.
            let _one_at_a_time = one_at_a_time();
            if naming.is_some() {
                // Another program may have put a file there.
                refuse_foreign(path)?;
            }
            let mut before = Identity::at(&absolute).map_err(io)?;
            if before.is_none() && self.create {
                if naming.is_none() && !is_held {
                    continue; // it was deleted meanwhile
                }
                refuse_stale_log(&absolute)?;
                create_private(&behind_links(&absolute))?;
                before = Identity::at(&absolute).map_err(io)?;
            }
            let connection = connect(&absolute).map_err(|e| about.error(e, "opening the ledger"))?;
            match (before, Identity::at(&absolute).map_err(io)?) {
                (Some(before), Some(after)) if before == after => {
                    return Ok((connection, OpenFiles::new(absolute, after), naming));
                }
                _ => {} // it was replaced meanwhile
            }
        }
        let what = "it is being replaced again and again".to_owned();
        Err(Error::Replaced { path: path.to_owned(), what })
    }
}
