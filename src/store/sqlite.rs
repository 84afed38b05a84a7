//! The default store: one SQLite file.

#[cfg(feature = "import")]
mod draft;
mod file;
mod view;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use self::file::{FileContext, behind_links, create_private, newer, plain, refuse_foreign};
use self::view::SqliteView;
use super::{EventStore, Housekeeping, ReadView, Transaction};
use crate::model::error::{Error, Result};

#[cfg(feature = "import")]
pub(crate) use self::draft::DraftLedger;

/// `ULDG`: marks a database file as a usage ledger.
pub(crate) const APPLICATION_ID: i32 = 0x554c_4447;
/// Every migration in order; the schema number of a file is how many it has seen.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_ledger.sql")];
/// The newest schema this build knows.
const SCHEMA: i64 = 1;
const _: () = assert!(MIGRATIONS.len() == SCHEMA.unsigned_abs() as usize);
/// Bytes of a page in a new file.
const PAGE: u32 = 8_192;
/// Pages of the write-ahead log at which a writer moves them into the file.
const LOG_PAGES: u32 = 4_000;
/// The same while somebody else does so.
const LOG_PAGES_KEPT: u32 = 2 * LOG_PAGES;
/// Statements that are kept prepared.
const STATEMENTS: usize = 64;
/// How long the erasing of shredded bytes waits for readers at most, in seconds.
const ERASE_SECONDS: u64 = 5;

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
    busy_seconds: u64,
    create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_seconds: 60, create: true }
    }
}

impl Options {
    /// The defaults: create the file when it is missing, wait up to 60 s for other writers.
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

    /// Opens a ledger file.
    ///
    /// # Errors
    /// [`Error::NotALedger`] for another program's file, [`Error::NewerSchema`] for a newer build's, both untouched;
    /// [`Error::Damaged`], [`Error::Busy`], [`Error::DiskFull`] or [`Error::Io`] as they say.
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
        refuse_foreign(path)?;
        if self.create {
            create_private(&behind_links(path))?;
        }
        let about = FileContext { path: path.to_owned(), busy_seconds: self.busy_seconds };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(plain(path), flags).map_err(|e| about.error(e, "opening the ledger"))?;
        let mut store = SqliteStore { connection, about, is_draft: false };
        store.prepare()?;
        Ok(store)
    }
}

/// The default store: one SQLite file in WAL mode, `synchronous=FULL`, mode 0600.
///
/// A commit is durable when it returns, but for those of a long import, which are when the import returns. Readers never
/// wait; writers wait for each other.
///
/// ```
/// use usage_ledger::{Ledger, store::SqliteStore};
/// # let dir = tempfile::tempdir()?;
/// let ledger = Ledger::with_store(Box::new(SqliteStore::open(&dir.path().join("usage.db"))?));
/// # let _ = ledger;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    about: FileContext,
    /// Whether it is in the making still, with neither a journal nor anybody else who knows it.
    is_draft: bool,
}

impl SqliteStore {
    /// Opens a ledger file with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open`].
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, SqliteStore};
    /// # let dir = tempfile::tempdir()?;
    /// let mut store = SqliteStore::open(&dir.path().join("usage.db"))?;
    /// assert_eq!(store.read()?.head()?.position.get(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: &Path) -> Result<Self> {
        Options::new().open(path)
    }

    fn prepare(&mut self) -> Result<()> {
        let about = &self.about;
        let fail = |e| about.error(e, "opening the ledger");
        let connection = &self.connection;
        connection.busy_timeout(Duration::from_secs(about.busy_seconds)).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if self.schema()? < SCHEMA {
            self.migrate()?;
        }
        let about = &self.about;
        let fail = |e| about.error(e, "opening the ledger");
        let settings =
            format!("PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; PRAGMA wal_autocheckpoint={LOG_PAGES};");
        self.connection.execute_batch(&settings).map_err(fail)
    }

    /// The schema number of the file; 0 for an empty one.
    fn schema(&self) -> Result<i64> {
        let fail = |e| self.about.error(e, "reading the schema");
        // One snapshot for all three answers: another process may be making the tables just now.
        let tx = self.connection.unchecked_transaction().map_err(fail)?;
        let number = |pragma: &str| tx.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(fail);
        let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
        if application == i64::from(APPLICATION_ID) {
            newer(&self.about.path, version)?;
            return Ok(version);
        }
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        if application == 0 && version == 0 && tables == 0 {
            return Ok(0);
        }
        Err(Error::NotALedger {
            path: self.about.path.clone(),
            why: "it is the database of another program".to_owned(),
        })
    }

    /// Writes the whole file anew, without free pages, and empties the write-ahead log; false when a reader keeps that.
    fn rewrite(&self) -> rusqlite::Result<bool> {
        // New pages hold zeros where they hold no row, not what memory held before.
        self.connection.query_row("PRAGMA secure_delete=ON", [], |_| Ok(()))?;
        self.connection.execute_batch("VACUUM")?;
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    fn migrate(&mut self) -> Result<()> {
        // Lines of 400 to 900 bytes leave less of a page of this size unused; it has no effect on a file with pages.
        let size = format!("PRAGMA page_size={PAGE}");
        self.connection.execute_batch(&size).map_err(|e| self.about.error(e, "choosing a page size"))?;
        // Many processes may find the file empty at once: the first one through the write lock migrates.
        let deadline = std::time::Instant::now() + Duration::from_secs(self.about.busy_seconds);
        loop {
            let mode: rusqlite::Result<String> =
                self.connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0));
            match mode {
                Ok(_) => break,
                // This one pragma does not honour the busy timeout.
                Err(e)
                    if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && std::time::Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(self.about.error(e, "switching to write-ahead logging")),
            }
        }
        self.make_tables()
    }

    /// Brings the tables to the newest schema.
    fn make_tables(&mut self) -> Result<()> {
        let about = &self.about;
        let fail = |e| about.error(e, "migrating the ledger");
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let from: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
            tx.execute_batch(migration).map_err(fail)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        tx.pragma_update(None, "user_version", SCHEMA).map_err(fail)?;
        tx.commit().map_err(fail)
    }
}

impl EventStore for SqliteStore {
    fn read(&mut self) -> Result<Box<dyn ReadView + '_>> {
        let about = &self.about;
        let fail = |e| about.error(e, "opening a snapshot");
        let tx = self.connection.transaction().map_err(fail)?;
        // A deferred transaction takes its snapshot at its first read, not at BEGIN.
        tx.query_row("SELECT 1 FROM kinds LIMIT 1", [], |_| Ok(())).map_err(fail)?;
        Ok(Box::new(SqliteView { tx, about }))
    }

    fn write(&mut self) -> Result<Box<dyn Transaction + '_>> {
        let about = &self.about;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| about.error(e, "taking the write lock"))?;
        Ok(Box::new(SqliteView { tx, about }))
    }

    fn housekeeping(&mut self) -> Result<Option<Housekeeping>> {
        let fail = |e| self.about.error(e, "preparing to write much");
        if self.is_draft {
            // What is on its way to the disk already is not waited for at the end.
            let file = std::fs::File::open(&self.about.path);
            return Ok(file.ok().map(|file| -> Housekeeping { Box::new(move || drop(file.sync_data())) }));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let beside = Connection::open_with_flags(plain(&self.about.path), flags).map_err(fail)?;
        beside.execute_batch("PRAGMA synchronous=FULL").map_err(fail)?;
        self.connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_KEPT).map_err(fail)?;
        // A power failure may now take the last commits along, but never one that others stand on.
        self.connection.pragma_update(None, "synchronous", "NORMAL").map_err(fail)?;
        Ok(Some(Box::new(move || {
            // It waits for nobody. What it cannot move now, or at all, the writer moves and tells why not.
            let _ = beside.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        })))
    }

    fn sync(&mut self) -> Result<()> {
        if self.is_draft {
            return Ok(()); // it is made durable before it is put in its place
        }
        let fail = |e| self.about.error(e, "making what was written durable");
        self.connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(fail)?;
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
        // What is in the file itself already was made durable when it was moved there.
        file::sync_log(&behind_links(&self.about.path))
    }

    fn erase(&mut self) -> Result<()> {
        #[cfg(feature = "import")]
        draft::sweep(&behind_links(&self.about.path));
        let patience = |seconds| self.connection.busy_timeout(Duration::from_secs(seconds));
        let done = patience(self.about.busy_seconds.min(ERASE_SECONDS)).and_then(|()| self.rewrite());
        // However that went, other writes are waited for as before.
        let restored = patience(self.about.busy_seconds);
        let why = match done.and_then(|whole| restored.map(|()| whole)) {
            Ok(true) => return Ok(()),
            Ok(false) => "another program is reading the ledger, so its write-ahead log must stay".to_owned(),
            Err(e) => match e.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    "another program is using the ledger".to_owned()
                }
                Some(ErrorCode::DiskFull) => "the disk is full, and a second copy of the file needs room".to_owned(),
                _ => e.to_string(),
            },
        };
        Err(Error::NotErased { why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_durable_one_by_one_but_while_much_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&dir.path().join("usage.db")).unwrap();
        let setting = |store: &SqliteStore, name: &str| -> i64 {
            store.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
        };
        let usual = |store: &SqliteStore| (setting(store, "synchronous"), setting(store, "wal_autocheckpoint"));
        assert_eq!(usual(&store), (2, i64::from(LOG_PAGES)));
        let work = store.housekeeping().unwrap();
        assert_eq!(setting(&store, "synchronous"), 1);
        let mut tx = store.write().unwrap();
        tx.put(crate::store::Table::Facts, b"key", Some(b"value")).unwrap();
        tx.commit().unwrap();
        drop(work);
        store.sync().unwrap();
        assert_eq!(usual(&store), (2, i64::from(LOG_PAGES)));
    }
}
