//! The default store: one SQLite file.

mod copy;
#[cfg(feature = "import")]
mod draft;
mod file;
mod identity;
mod inspect;
mod leftover;
mod open;
mod queue;
mod read_only;
mod view;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

pub(crate) use self::copy::{Held, PendingCopy, copy_file, refuse_left_log};
use self::file::{FileContext, behind_links, newer};
use self::identity::{GONE, OpenFiles};
pub use self::open::Options;
use self::queue::{Queue, Turn, Waited};
use self::read_only::Look;
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
/// Bytes of a write-ahead log that may stay when a ledger is closed. Whoever opens it next reads all of it.
const LOG_BYTES_KEPT: u64 = 1 << 20;
/// Statements that are kept prepared.
const STATEMENTS: usize = 64;
/// How long the erasing of shredded bytes waits for readers at most, in seconds.
const ERASE_SECONDS: u64 = 5;
/// Why bytes cannot be erased while another program writes.
const IN_USE: &str = "another program is using the ledger";

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
    options: Options,
    /// The files that are open; `None` for a draft, and for a ledger that was lost.
    files: Option<OpenFiles>,
    /// How the files looked that are only read.
    read_only: Option<Look>,
    /// The file of a draft, which has neither a journal nor other readers.
    draft: Option<Arc<File>>,
    /// Where writers wait for each other; `None` for a draft.
    queue: Option<Queue>,
    /// Whether nobody may have made the entry of the write-ahead log in its directory durable yet.
    is_log_new: bool,
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
        let schema = self.schema()?;
        if self.read_only.is_some() {
            return self.expect_current(schema);
        }
        if schema < SCHEMA || !self.has_log()? {
            self.migrate()?;
        }
        let about = &self.about;
        let fail = |e| about.error(e, "opening the ledger");
        let settings =
            format!("PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; PRAGMA wal_autocheckpoint={LOG_PAGES};");
        self.connection.execute_batch(&settings).map_err(fail)
    }

    /// Waits so many seconds at most for the turn to write; `None` where there is no queue.
    fn turn(&mut self, seconds: u64) -> Result<Option<Turn>> {
        let Some(queue) = &mut self.queue else { return Ok(None) };
        match queue.wait(queue::after(seconds)) {
            Waited::Turn(turn) => Ok(Some(turn)),
            Waited::NoQueue => Ok(None),
            Waited::TooLong => Err(Error::Busy { seconds }),
        }
    }

    /// Whether the file has a write-ahead log. One that was locked to be replaced has none.
    fn has_log(&self) -> Result<bool> {
        let mode: rusqlite::Result<String> = self.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
        Ok(mode.map_err(|e| self.about.error(e, "opening the ledger"))? == "wal")
    }

    /// That nothing would have to be written before the ledger can be read.
    fn expect_current(&self, schema: i64) -> Result<()> {
        if schema == SCHEMA {
            return Ok(());
        }
        let why = format!("it has schema {schema}, and has to be written to once to bring it to schema {SCHEMA}");
        Err(Error::ReadOnly { path: self.about.path.clone(), why })
    }

    /// That the ledger may be written to.
    fn expect_writable(&self) -> Result<()> {
        if self.read_only.is_none() {
            return Ok(());
        }
        let why = read_only::obstacle(&self.about.path).unwrap_or_else(|| "it was opened to be read".to_owned());
        Err(Error::ReadOnly { path: self.about.path.clone(), why })
    }

    /// Opens files again that are read without locks and look different now.
    fn look_again(&mut self) -> Result<()> {
        if self.read_only.as_ref().is_some_and(|look| *look != Look::at(&self.about.path)) {
            // Not counted among the connections of this process any more, and gone when the next one is opened.
            self.files = None;
            let nothing = Connection::open_in_memory().map_err(|e| self.about.error(e, "opening the ledger again"))?;
            self.connection = nothing;
            *self = self.options.open(&self.about.path)?;
        }
        Ok(())
    }

    /// Takes note of the files beside the database, once all of them are there.
    fn note_files(&mut self) -> Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.note_beside().map_err(|source| Error::Io { path: self.about.path.clone(), source })?;
        // From here on the log stays. Whoever writes the first frame to it syncs the directory before: see `write`.
        self.is_log_new |= file::log_bytes(files.database()).is_none_or(|bytes| bytes == 0);
        files.expect_in_place(&self.about)
    }

    /// Fails when the file that is open is not the one at the path any more, and closes it: whoever relies on what it held
    /// must start anew. The next call opens what is at the path by then.
    fn expect_in_place(&mut self) -> Result<()> {
        if let Some(files) = &self.files {
            let in_place = files.expect_in_place(&self.about);
            if matches!(in_place, Err(Error::Replaced { .. })) {
                // A connection that is left open would keep the index of the former write-ahead log in use.
                let nothing = Connection::open_in_memory().map_err(|e| self.about.error(e, "closing a lost file"))?;
                self.connection = nothing;
                self.files = None;
            }
            return in_place;
        }
        if self.draft.is_some() {
            return Ok(());
        }
        match self.options.create(false).open(&self.about.path) {
            Ok(other) => {
                *self = other;
                Ok(())
            }
            Err(_) if !self.about.path.exists() => Err(self.about.replaced(GONE)),
            Err(error) => Err(error),
        }
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
        // Many processes may find the file empty at once: the first one through the queue migrates.
        let _turn = self.turn(self.about.busy_seconds)?;
        // A new ledger is whole in its file from the beginning.
        self.options.keep_small_log = false;
        self.is_log_new = true;
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
        self.look_again()?;
        self.expect_in_place()?;
        let about = &self.about;
        let fail = |e| about.error(e, "opening a snapshot");
        let tx = self.connection.transaction().map_err(fail)?;
        // A deferred transaction takes its snapshot at its first read, not at BEGIN.
        tx.query_row("SELECT 1 FROM kinds LIMIT 1", [], |_| Ok(())).map_err(fail)?;
        Ok(Box::new(SqliteView { tx, about, files: self.files.as_ref(), turn: None }))
    }

    fn copy_to(&mut self, path: &Path) -> Result<()> {
        self.look_again()?;
        self.expect_in_place()?;
        copy::copy_pages(&self.connection, path, &self.about)
    }

    fn write(&mut self) -> Result<Box<dyn Transaction + '_>> {
        self.expect_writable()?;
        self.expect_in_place()?;
        let turn = self.turn(self.about.busy_seconds)?;
        if let Some(files) = self.files.as_ref().filter(|_| self.is_log_new) {
            file::sync_entry_of(files.database())?;
            self.is_log_new = false;
        }
        let about = &self.about;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| about.error(e, "taking the write lock"))?;
        Ok(Box::new(SqliteView { tx, about, files: self.files.as_ref(), turn }))
    }

    fn housekeeping(&mut self) -> Result<Option<Housekeeping>> {
        if let Some(file) = self.draft.clone() {
            // What is on its way to the disk already is not waited for at the end.
            return Ok(Some(Box::new(move || drop(file.sync_data()))));
        }
        self.expect_in_place()?;
        let fail = |e| self.about.error(e, "preparing to write much");
        let beside = open::connect(&self.about.path).map_err(fail)?;
        self.expect_in_place()?;
        let fail = |e| self.about.error(e, "preparing to write much");
        let registered = self.files.as_ref().map(OpenFiles::another_connection);
        beside.execute_batch("PRAGMA synchronous=FULL").map_err(fail)?;
        self.connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_KEPT).map_err(fail)?;
        // A power failure may now take the last commits along, but never one that others stand on.
        self.connection.pragma_update(None, "synchronous", "NORMAL").map_err(fail)?;
        Ok(Some(Box::new(move || {
            // It waits for nobody. What it cannot move now, or at all, the writer moves and tells why not.
            let _ = beside.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            let _ = &registered;
        })))
    }

    fn sync(&mut self) -> Result<()> {
        if self.draft.is_some() {
            return Ok(()); // it is made durable before it is put in its place
        }
        self.expect_in_place()?;
        let fail = |e| self.about.error(e, "making what was written durable");
        self.connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(fail)?;
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
        // What is in the file itself already was made durable when it was moved there.
        file::sync_log(&self.about.path)?;
        self.expect_in_place()
    }

    fn erase(&mut self) -> Result<()> {
        self.expect_writable()?;
        self.expect_in_place()?;
        leftover::sweep(&behind_links(&self.about.path));
        let most = self.about.busy_seconds.min(ERASE_SECONDS);
        let _turn = match self.turn(most) {
            Err(Error::Busy { .. }) => return Err(Error::NotErased { why: IN_USE.to_owned() }),
            other => other?,
        };
        let patience = |seconds| self.connection.busy_timeout(Duration::from_secs(seconds));
        let done = patience(most).and_then(|()| self.rewrite());
        // However that went, other writes are waited for as before.
        let restored = patience(self.about.busy_seconds);
        let why = match done.and_then(|whole| restored.map(|()| whole)) {
            Ok(true) => return Ok(()),
            Ok(false) => "another program is reading the ledger, so its write-ahead log must stay".to_owned(),
            Err(e) => match e.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => IN_USE.to_owned(),
                Some(ErrorCode::DiskFull) => "the disk is full, and a second copy of the file needs room".to_owned(),
                _ => e.to_string(),
            },
        };
        Err(Error::NotErased { why })
    }
}

impl SqliteStore {
    /// Whether the last connection to close moves the write-ahead log into the file and removes it.
    fn empties_log(&self) -> bool {
        let Some(files) = self.files.as_ref().filter(|files| files.expect_in_place(&self.about).is_ok()) else {
            return false; // the log at the path may be that of another file
        };
        // An empty log is removed at no cost.
        let is_small = |bytes: u64| bytes > 0 && bytes <= LOG_BYTES_KEPT;
        !(self.options.keep_small_log && file::log_bytes(files.database()).is_some_and(is_small))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.read_only.is_none() && self.empties_log() {
            // Where this fails the log stays, and whoever opens the ledger next goes on with it.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
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
