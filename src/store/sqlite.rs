//! The default store: one SQLite file.

mod connect;
mod copy;
#[cfg(feature = "import")]
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // the command makes the drafts
mod draft;
mod file;
mod identity;
mod inspect;
mod leftover;
mod lock_file;
mod open;
mod options;
mod pool;
mod queue;
mod read_only;
mod schema;
mod structure;
mod user_file;
mod view;
mod writer_lock;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

#[cfg(feature = "cli")]
pub(crate) use self::copy::former_name;
pub(crate) use self::copy::{LockedLedger, PendingCopy, copy_file};
use self::file::{FileContext, behind_links};
pub(crate) use self::file::{is_taken, refuse_stale_log};
use self::identity::GONE;
pub(crate) use self::leftover::CopyKind;
pub use self::options::Options;
use self::pool::ConnectionPool;
pub(crate) use self::user_file::refuse_ledger;
use self::view::SqliteView;
use super::{EventStore, Housekeeping, ReadView, Transaction, directory};
use crate::model::error::{Error, Result};

#[cfg(feature = "import")]
pub(crate) use self::draft::DraftLedger;

/// `ULDG`: marks a database file as a usage ledger.
pub(crate) const APPLICATION_ID: i32 = 0x554c_4447;
/// The newest schema of this build.
const SCHEMA: i64 = 6;
/// The page size of a new file, in bytes.
const PAGE: u32 = 8_192;
/// The size of the write-ahead log, in pages, at which a writer checkpoints it.
const LOG_PAGES: u32 = 4_000;
/// The same while a background thread checkpoints it.
const LOG_PAGES_KEPT: u32 = 2 * LOG_PAGES;
/// The maximal size of a write-ahead log that stays when a ledger is closed, in bytes. The next program to open the
/// ledger reads all of it.
const LOG_BYTES_KEPT: u64 = 1 << 20;
/// The number of cached prepared statements.
const STATEMENTS: usize = 64;
/// How long erasing waits for readers, in seconds.
const ERASE_SECONDS: u64 = 5;
/// The reason that erasing fails while another program writes.
const IN_USE: &str = "another program is using the ledger";

/// The default store: one SQLite file in WAL mode, `synchronous=FULL`, mode 0600.
///
/// A commit is durable when it returns, except during a long import, where commits are durable when the import returns.
/// Readers never wait; writers wait for each other. Threads may share a store: each snapshot and each write uses its
/// own connection, which is opened on demand.
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
    about: FileContext,
    options: Options,
    /// The open file; `None` after it was lost.
    current: Mutex<Option<Arc<ConnectionPool>>>,
}

impl SqliteStore {
    /// Opens a ledger file with the default [`Options`].
    ///
    /// # Errors
    /// As for [`Options::open`].
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, SqliteStore};
    /// # let dir = tempfile::tempdir()?;
    /// let store = SqliteStore::open(&dir.path().join("usage.db"))?;
    /// assert_eq!(store.read()?.head()?.position.get(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: &Path) -> Result<Self> {
        Options::new().open(path)
    }

    fn over(pool: Arc<ConnectionPool>) -> Self {
        Self { about: pool.about.clone(), options: pool.options, current: Mutex::new(Some(pool)) }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<ConnectionPool>>> {
        // It is replaced as a whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections to the file at the path.
    ///
    /// Fails if the open file is no longer at the path, and closes it: callers that relied on it must start again. The
    /// next call opens the file that is at the path then. Files that are read without locks are reopened when they look
    /// different.
    fn pool(&self) -> Result<Arc<ConnectionPool>> {
        let pool = self.current().clone();
        let Some(pool) = pool else { return self.open_again() };
        if pool.looks_different() {
            self.forget(&pool);
            drop(pool);
            return self.open_again();
        }
        let in_place = pool.expect_in_place();
        if matches!(in_place, Err(Error::Replaced { .. })) {
            self.forget(&pool);
        }
        in_place.map(|()| pool)
    }

    /// Closes a file, unless another thread already did.
    fn forget(&self, lost: &Arc<ConnectionPool>) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|pool| Arc::ptr_eq(pool, lost)) {
            *current = None;
        }
        drop(current);
        lost.lose();
    }

    fn open_again(&self) -> Result<Arc<ConnectionPool>> {
        let mut current = self.current();
        if let Some(pool) = &*current {
            return Ok(Arc::clone(pool)); // another thread was first
        }
        match self.options.create(false).open_pool(&self.about.path) {
            Ok(pool) => Ok(Arc::clone(current.insert(pool))),
            Err(_) if !self.options.read_only && !self.about.path.exists() => Err(self.about.replaced(GONE)),
            Err(error) => Err(error),
        }
    }

    /// Opens a transaction whose commit may become durable later.
    fn begin_write(&self, deferred: bool) -> Result<SqliteView> {
        self.current().as_ref().map_or(Ok(()), |pool| pool.expect_writable())?;
        let pool = self.pool()?;
        let writer = pool.writer(self.about.busy_seconds)?;
        pool.sync_new_log()?;
        let mut lease = pool.lease()?;
        lease.set_deferred(deferred)?;
        SqliteView::write(lease, writer)
    }
}

/// Rewrites the whole file without free pages, and empties the write-ahead log; false if a reader prevents that.
fn rewrite(connection: &Connection) -> rusqlite::Result<bool> {
    // Unused parts of new pages are then zero, not old memory.
    connection.query_row("PRAGMA secure_delete=ON", [], |_| Ok(()))?;
    if let Err(error) = connection.execute_batch("VACUUM") {
        file::forget_failed_commit(connection);
        return Err(error);
    }
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

impl EventStore for SqliteStore {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        Ok(Box::new(SqliteView::read(self.pool()?.lease()?)?))
    }

    fn copy_to(&self, path: &Path) -> Result<()> {
        copy::copy_pages(self.pool()?.lease()?.connection()?, path, &self.about)
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        Ok(Box::new(self.begin_write(false)?))
    }

    fn write_deferred(&self) -> Result<Box<dyn Transaction + '_>> {
        let is_draft = self.current().as_ref().is_some_and(|pool| pool.draft.is_some());
        // A power failure may lose the last commits, but never one that later commits depend on.
        Ok(Box::new(self.begin_write(!is_draft)?))
    }

    fn housekeeping(&self) -> Result<Option<Housekeeping>> {
        let pool = self.pool()?;
        if let Some(file) = pool.draft.clone() {
            // The final sync need not wait for data that are already on the disk.
            return Ok(Some(Box::new(move || drop(file.sync_data()))));
        }
        let beside = pool.lease_new()?;
        Ok(Some(Box::new(move || {
            // It never waits. The writer moves the remaining pages, and reports errors.
            let _ =
                beside.connection().map(|beside| beside.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
        })))
    }

    fn sync(&self) -> Result<()> {
        let pool = self.pool()?;
        if pool.draft.is_some() {
            return Ok(()); // it is made durable before it is put in its place
        }
        // Pages in the file were made durable when they were moved there.
        file::sync_log(&self.about.path)?;
        pool.expect_in_place()
    }

    fn erase(&self) -> Result<()> {
        let pool = self.pool()?;
        pool.expect_writable()?;
        let place = behind_links(&self.about.path);
        leftover::sweep(&place);
        leftover::sweep_copies(directory::parent(&place));
        let most = self.about.busy_seconds.min(ERASE_SECONDS);
        let _writer = match pool.writer(most) {
            Err(Error::Busy { .. }) => return Err(Error::NotErased { why: IN_USE.to_owned() }),
            other => other?,
        };
        let lease = pool.lease()?;
        let connection = lease.connection()?;
        let patience = |seconds| connection.busy_timeout(Duration::from_secs(seconds));
        let done = patience(most).and_then(|()| rewrite(connection));
        // Restores the normal waiting time after success or failure.
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

#[cfg(test)]
mod tests {
    use super::pool::Lease;
    use super::*;
    use crate::store::Table;

    fn setting(lease: &Lease, name: &str) -> i64 {
        lease.connection().unwrap().pragma_query_value(None, name, |row| row.get(0)).unwrap()
    }

    /// The settings of the connection for the next write.
    fn settings(store: &SqliteStore) -> (i64, i64) {
        let lease = store.pool().unwrap().lease().unwrap();
        (setting(&lease, "synchronous"), setting(&lease, "wal_autocheckpoint"))
    }

    fn put(tx: Box<dyn Transaction + '_>) {
        let mut tx = tx;
        tx.put(Table::EventIndex, b"key", Some(b"value")).unwrap();
        tx.commit().unwrap();
    }

    #[test]
    fn only_a_deferred_commit_may_be_durable_later() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("usage.db")).unwrap();
        let usual = (2, i64::from(LOG_PAGES));
        assert_eq!(settings(&store), usual);
        let work = store.housekeeping().unwrap();
        put(store.write_deferred().unwrap());
        assert_eq!(settings(&store), (1, i64::from(LOG_PAGES_KEPT)));
        put(store.write().unwrap()); // by another thread, perhaps
        assert_eq!(settings(&store), usual);
        drop(work);
        store.sync().unwrap();
    }

    #[test]
    fn nothing_is_written_after_a_full_disk_ended_the_transaction() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("usage.db")).unwrap();
        let lease = store.pool().unwrap().lease().unwrap();
        let pages = setting(&lease, "page_count");
        lease.connection().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
        drop(lease);
        let mut tx = store.write().unwrap();
        let large = vec![0; 1 << 20];
        assert!(matches!(tx.put(Table::EventIndex, b"large", Some(&large)).unwrap_err(), Error::DiskFull));
        tx.put(Table::EventIndex, b"small", Some(b"value")).unwrap_err();
        tx.put_all(Table::Keys, &mut [(&b"key"[..], &b""[..])].into_iter()).unwrap_err();
        let at = crate::model::time::Timestamp::from_millis(0);
        let id = crate::model::event::EventId::from_key("p", "k");
        tx.append(&[crate::store::Row { id, kind: 0, occurred_at: at, recorded_at: at, body: "{}" }]).unwrap_err();
        tx.commit().unwrap_err();
        let view = store.read().unwrap();
        assert_eq!(view.get(Table::EventIndex, b"small").unwrap(), None);
        assert_eq!(view.head().unwrap().position.get(), 0);
    }

    #[test]
    fn sequential_queries_use_one_connection() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("usage.db")).unwrap();
        let open = |store: &SqliteStore| store.pool().unwrap().idle_connections();
        for _ in 0..3 {
            drop(store.read().unwrap());
            put(store.write().unwrap());
        }
        assert_eq!(open(&store), 1);
        let (one, other) = (store.read().unwrap(), store.read().unwrap());
        drop((one, other));
        assert_eq!(open(&store), 2);
    }
}
