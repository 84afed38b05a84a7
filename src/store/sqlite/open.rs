//! Opens a ledger file.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::SqliteStore;
use super::file::{FileContext, behind_links, create_private, plain};
use super::identity::{Identity, OpenFiles};
use super::inspect::refuse_foreign;
use super::pool::ConnectionPool;
use super::read_only::{self, FilesState, obstacle};
use crate::model::error::{Error, Result};

/// How often opening is repeated if the file is replaced at that moment.
const TRIES: usize = 10;
/// Locked by the thread of this process that opens a ledger.
static OPENING: Mutex<()> = Mutex::new(());

/// How to open a ledger file.
///
/// ```
/// use usage_ledger::store::Options;
/// # let dir = tempfile::tempdir()?;
/// let store = Options::new().busy_timeout_seconds(5).open(&dir.path().join("usage.db"))?;
/// # let _ = store;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Options {
    pub(super) busy_seconds: u64,
    pub(super) create: bool,
    pub(super) read_only: bool,
    pub(super) keep_small_log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_seconds: 60, create: true, read_only: false, keep_small_log: false }
    }
}

impl Options {
    /// The defaults: create a missing file, wait up to 60 s for other writers.
    ///
    /// ```
    /// # use usage_ledger::store::Options;
    /// # let dir = tempfile::tempdir()?;
    /// assert!(Options::new().open(&dir.path().join("usage.db")).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a write waits for another process, in seconds. Default 60.
    ///
    /// ```
    /// use usage_ledger::{Error, store::{EventStore, Options}};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("usage.db");
    /// let (mut one, mut other) = (Options::new().open(&path)?, Options::new().busy_timeout_seconds(0).open(&path)?);
    /// let writing = one.write()?;
    /// assert!(matches!(other.write(), Err(Error::Busy { seconds: 0 }))); // it did not wait
    /// # drop(writing);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn busy_timeout_seconds(mut self, seconds: u64) -> Self {
        self.busy_seconds = seconds;
        self
    }

    /// Whether a missing file is created. Default true.
    ///
    /// ```
    /// # use usage_ledger::store::Options;
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("usage.db");
    /// assert!(Options::new().create(false).open(&path).is_err());
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether closing keeps a small write-ahead log. Moving it into the file takes four more syncs than appending an
    /// event. A program that appends one event and ends avoids them.
    #[cfg(feature = "cli")]
    pub(crate) const fn keep_small_log(mut self) -> Self {
        self.keep_small_log = true;
        self
    }

    /// Whether the ledger is only read: nothing is written to it or beside it, so no write permission is needed.
    /// Default false.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, TokenRecord, store::Options};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("usage.db");
    /// Ledger::open(&path)?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let ledger = Ledger::open_with(&path, Options::new().read_only(true))?;
    /// assert_eq!(ledger.head()?.position.get(), 1);
    /// let refused = ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now);
    /// assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Opens a ledger file.
    ///
    /// # Errors
    /// [`Error::NotALedger`] for another program's file and [`Error::NewerSchema`] for a newer build's, both unchanged;
    /// [`Error::HardLinked`], [`Error::Damaged`], [`Error::Busy`], [`Error::DiskFull`] or [`Error::Io`] as documented
    /// there.
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
        let about = FileContext { path: path.to_owned(), busy_seconds: self.busy_seconds };
        if self.read_only {
            return self.open_read_only(path, about);
        }
        if let Some(why) = obstacle(path) {
            return Err(Error::ReadOnly { path: path.to_owned(), why });
        }
        let (mut connection, files) = self.connect(path, &about)?;
        let place = behind_links(files.database());
        let mut pool = ConnectionPool::new(about, self, Some(files)).with_queue(&place);
        pool.prepare(&mut connection)?;
        pool.note_files()?;
        Ok(pool.with_connection(connection))
    }

    fn open_read_only(self, path: &Path, about: FileContext) -> Result<Arc<ConnectionPool>> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(io)?;
        refuse_foreign(&path)?;
        let look = FilesState::at(&path);
        let identity = Identity::at(&path).map_err(io)?.ok_or_else(|| io(ErrorKind::NotFound.into()))?;
        let mut connection = read_only::connect(&path, &look).map_err(|e| about.error(e, "opening the ledger"))?;
        let mut pool = ConnectionPool::new(about, self, Some(OpenFiles::new(path, identity)));
        pool.read_only = Some(look);
        pool.prepare(&mut connection)?;
        Ok(pool.with_connection(connection))
    }

    /// Opens the file at a path, creates it if it is missing, and determines its identity.
    fn connect(self, path: &Path, about: &FileContext) -> Result<(Connection, OpenFiles)> {
        // No other thread may open a new file before its first descriptor is closed.
        let _one_at_a_time = one_at_a_time();
        let io = |source| Error::Io { path: path.to_owned(), source };
        // The program may change its current directory later.
        let absolute = std::path::absolute(path).map_err(io)?;
        refuse_foreign(path)?;
        for _ in 0..TRIES {
            if self.create {
                create_private(&behind_links(&absolute))?;
            }
            let before = Identity::at(&absolute).map_err(io)?;
            let connection = connect(&absolute).map_err(|e| about.error(e, "opening the ledger"))?;
            match (before, Identity::at(&absolute).map_err(io)?) {
                (Some(before), Some(after)) if before == after => {
                    return Ok((connection, OpenFiles::new(absolute, after)));
                }
                _ => {} // it was replaced meanwhile
            }
        }
        let what = "it is being replaced again and again".to_owned();
        Err(Error::Replaced { path: path.to_owned(), what })
    }
}

/// Prevents other threads from opening a ledger while this lives.
pub(super) fn one_at_a_time() -> MutexGuard<'static, ()> {
    OPENING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a database without changing its write-ahead log on close, because the file may be foreign.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(plain(path), flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}
