//! The connections of one handle to one database file.
//!
//! Each snapshot and each write uses its own connection, so a reader never waits for a writer of the same process. A
//! connection is opened when none is idle, so a program with sequential queries opens only one.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::file::{self, FileContext};
use super::identity::OpenFiles;
use super::queue::{Queue, WaitResult, WriterTurn};
use super::read_only::{self, FilesState};
use super::writer_lock::WriterLock;
use super::{LOG_BYTES_KEPT, LOG_PAGES, LOG_PAGES_KEPT, Options, STATEMENTS, connect};
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

/// The page cache of a connection in KiB.
const CACHE: i64 = 16_000;
/// The largest page cache of a transaction that appends many rows, in KiB.
const LARGE_CACHE: i64 = 64_000;
/// The part of the file that such a cache may hold.
const CACHED_PART: i64 = 16;
/// The maximal number of idle connections. Each may hold a page cache.
const IDLE_KEPT: usize = 8;

/// A connection, and the durability of its commits.
#[derive(Debug)]
struct PooledConnection {
    connection: Connection,
    /// Whether a commit may become durable later.
    is_deferred: bool,
    /// Whether its page cache is larger than usual.
    is_cache_large: bool,
}

impl PooledConnection {
    const fn new(connection: Connection) -> Self {
        Self { connection, is_deferred: false, is_cache_large: false }
    }
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<PooledConnection>,
    /// Whether the file is lost: returned connections are then closed.
    is_lost: bool,
}

/// An open database file with its connections.
#[derive(Debug)]
pub(super) struct ConnectionPool {
    /// Dropped before `files`, which registers this process among those that have the file open.
    idle: Mutex<Idle>,
    pub about: FileContext,
    pub options: Options,
    /// The open files; `None` for a draft.
    pub files: Option<OpenFiles>,
    /// The state of the files that are only read.
    pub read_only: Option<FilesState>,
    /// The file of a draft, which has neither a journal nor other readers.
    pub draft: Option<Arc<File>>,
    /// The queue of the writers of all programs; `None` for a draft and for a ledger that is only read.
    queue: Option<Mutex<Queue>>,
    writer: WriterLock,
    /// Whether the directory entry of the write-ahead log may not be durable yet.
    is_log_new: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves a valid list of connections, or a queue that opens its file again.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ConnectionPool {
    pub fn new(about: FileContext, options: Options, files: Option<OpenFiles>) -> Self {
        Self {
            idle: Mutex::default(),
            about,
            options,
            files,
            read_only: None,
            draft: None,
            queue: None,
            writer: WriterLock::default(),
            is_log_new: AtomicBool::new(false),
        }
    }

    /// Adds a queue of writers next to the ledger at this path.
    pub fn with_queue(mut self, ledger: &Path) -> Self {
        self.queue = Some(Mutex::new(Queue::of(ledger)));
        self
    }

    /// Shares the pool, together with the connection that prepared it.
    pub fn with_connection(self, connection: Connection) -> Arc<Self> {
        lock(&self.idle).connections.push(PooledConnection::new(connection));
        Arc::new(self)
    }

    /// Takes a connection for exclusive use.
    pub fn lease(self: &Arc<Self>) -> Result<Lease> {
        let idle = lock(&self.idle).connections.pop();
        match idle {
            Some(pooled) => Ok(Lease { pooled: Some(pooled), pool: Arc::clone(self) }),
            None => self.lease_new(),
        }
    }

    /// Takes a new connection.
    pub fn lease_new(self: &Arc<Self>) -> Result<Lease> {
        let _one_at_a_time = connect::one_at_a_time();
        let fail = |e| self.about.error(e, "opening another connection to the ledger");
        let path = self.files.as_ref().map_or(&*self.about.path, OpenFiles::database);
        let connection = match &self.read_only {
            Some(look) => read_only::connect(path, look),
            None => connect::connect(path),
        };
        let connection = connection.map_err(fail)?;
        self.configure(&connection).map_err(fail)?;
        if let Some(files) = &self.files {
            // SQLite opens the files beside the database at the first read.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(fail)?;
            files.expect_in_place(&self.about)?;
        }
        Ok(Lease { pooled: Some(PooledConnection::new(connection)), pool: Arc::clone(self) })
    }

    /// Configures a connection.
    pub fn configure(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::from_secs(self.about.busy_seconds))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if self.read_only.is_some() || self.draft.is_some() {
            return Ok(());
        }
        connection.execute_batch(&format!(
            "PRAGMA synchronous=FULL; PRAGMA cache_size=-{CACHE}; PRAGMA wal_autocheckpoint={LOG_PAGES};"
        ))
    }

    /// Waits until all earlier writers have written, and returns the permission to write.
    pub fn writer(self: &Arc<Self>, seconds: u64) -> Result<WriterPermit> {
        let until = super::queue::after(seconds);
        if !self.writer.acquire(until) {
            return Err(Error::Busy { seconds });
        }
        // From here on the lock is released on drop.
        let mut writer = WriterPermit { turn: None, pool: Arc::clone(self) };
        writer.turn = self.turn(until, seconds)?;
        Ok(writer)
    }

    /// Waits for the turn among all programs; `None` if there is no queue.
    pub fn turn(&self, until: Instant, seconds: u64) -> Result<Option<WriterTurn>> {
        let Some(queue) = &self.queue else { return Ok(None) };
        match lock(queue).wait(until) {
            WaitResult::Turn(turn) => Ok(Some(turn)),
            WaitResult::NoQueue => Ok(None),
            WaitResult::TooLong => Err(Error::Busy { seconds }),
        }
    }

    /// Records that the next writer must sync the directory.
    pub fn expect_new_log(&mut self) {
        *self.is_log_new.get_mut() = true;
    }

    /// Records the files next to the database, once all of them exist.
    pub fn note_files(&mut self) -> Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.note_beside().map_err(|source| Error::Io { path: self.about.path.clone(), source })?;
        // From here on the log stays. The writer of its first frame syncs the directory before.
        *self.is_log_new.get_mut() |= file::log_bytes(files.database()).is_none_or(|bytes| bytes == 0);
        files.expect_in_place(&self.about)
    }

    /// Syncs the directory entry of a new write-ahead log before its first frame is written.
    pub fn sync_new_log(&self) -> Result<()> {
        // Only the writer runs this.
        if let Some(files) = self.files.as_ref().filter(|_| self.is_log_new.load(Ordering::Relaxed)) {
            file::sync_entry_of(files.database())?;
            self.is_log_new.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the files of a ledger that is read without locks have changed.
    pub fn looks_different(&self) -> bool {
        self.read_only.as_ref().is_some_and(|look| *look != FilesState::at(&self.about.path))
    }

    /// Checks that the ledger is writable.
    pub fn expect_writable(&self) -> Result<()> {
        if self.read_only.is_none() {
            return Ok(());
        }
        let why = read_only::obstacle(&self.about.path).unwrap_or_else(|| "it was opened to be read".to_owned());
        Err(Error::ReadOnly { path: self.about.path.clone(), why })
    }

    /// Checks that writes reach the file at the path.
    pub fn expect_in_place(&self) -> Result<()> {
        self.files.as_ref().map_or(Ok(()), |files| files.expect_in_place(&self.about))
    }

    /// Closes the connections to a file that is no longer at its path, now or when they are returned. An open
    /// connection would keep the index of the former write-ahead log in use.
    pub fn lose(&self) {
        let mut idle = lock(&self.idle);
        idle.is_lost = true;
        let closed = std::mem::take(&mut idle.connections);
        drop(idle);
        drop(closed);
    }

    #[cfg(test)]
    pub fn idle_connections(&self) -> usize {
        lock(&self.idle).connections.len()
    }

    fn give_back(&self, pooled: PooledConnection) {
        let mut idle = lock(&self.idle);
        if !idle.is_lost && idle.connections.len() < IDLE_KEPT {
            idle.connections.push(pooled);
        } else {
            drop(idle);
            drop(pooled);
        }
    }

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

impl Drop for ConnectionPool {
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut connections = std::mem::take(&mut idle.connections);
        let is_lost = idle.is_lost;
        let last = connections.pop();
        drop(connections);
        if let Some(last) = last.filter(|_| !is_lost && self.read_only.is_none() && self.empties_log()) {
            // If this fails the log stays, and the next program to open the ledger continues with it.
            let _ = last.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }
}

/// An exclusively used connection of a pool. Dropping it rolls back an open transaction.
#[derive(Debug)]
pub(super) struct Lease {
    /// Present until this is dropped.
    pooled: Option<PooledConnection>,
    pub pool: Arc<ConnectionPool>,
}

impl Lease {
    pub fn connection(&self) -> Result<&Connection> {
        self.pooled
            .as_ref()
            .map(|pooled| &pooled.connection)
            .ok_or_else(|| bug!("a connection was given back while it is used"))
    }

    /// Sets whether a commit may become durable later.
    pub fn set_deferred(&mut self, deferred: bool) -> Result<()> {
        let Some(pooled) = self.pooled.as_mut().filter(|pooled| pooled.is_deferred != deferred) else { return Ok(()) };
        let (pages, synchronous) = if deferred { (LOG_PAGES_KEPT, "NORMAL") } else { (LOG_PAGES, "FULL") };
        let change = |name, value: &dyn rusqlite::ToSql| pooled.connection.pragma_update(None, name, value);
        change("wal_autocheckpoint", &pages)
            .and_then(|()| change("synchronous", &synchronous))
            .map_err(|e| self.pool.about.error(e, "choosing when a commit is durable"))?;
        pooled.is_deferred = deferred;
        Ok(())
    }
}

impl Lease {
    /// Enlarges the page cache for a transaction that appends many rows. Their ids are random, so they change pages in all
    /// parts of the index of ids; pages that do not fit are written and read again. A part of a long job has many such
    /// transactions and keeps its memory bounded.
    pub fn enlarge_cache(&mut self) -> Result<()> {
        let is_job = |pooled: &PooledConnection| pooled.is_deferred || self.pool.draft.is_some();
        let Some(pooled) = self.pooled.as_mut().filter(|pooled| !pooled.is_cache_large && !is_job(pooled)) else {
            return Ok(());
        };
        let fail = |e| self.pool.about.error(e, "choosing the size of the page cache");
        let number = |name| pooled.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(fail);
        let kibibytes = large_cache(number("page_count")?, number("page_size")?);
        pooled.is_cache_large = true;
        set_cache(&pooled.connection, kibibytes).map_err(fail)
    }
}

/// The page cache in KiB for a large transaction on a file.
fn large_cache(pages: i64, page_size: i64) -> i64 {
    (pages.saturating_mul(page_size) / 1_024 / CACHED_PART).clamp(CACHE, LARGE_CACHE)
}

/// Sets the size of the page cache in KiB.
fn set_cache(connection: &Connection, kibibytes: i64) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA cache_size=-{kibibytes}"))
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut pooled) = self.pooled.take() else { return };
        // A connection that cannot roll back is closed, which also rolls back.
        let mut is_usable = pooled.connection.is_autocommit() || pooled.connection.execute_batch("ROLLBACK").is_ok();
        if is_usable && std::mem::take(&mut pooled.is_cache_large) {
            is_usable = set_cache(&pooled.connection, CACHE).is_ok();
        }
        if is_usable {
            self.pool.give_back(pooled);
        }
    }
}

/// The permission to write. On drop it passes first to the next program, then to the next thread.
#[derive(Debug)]
pub(super) struct WriterPermit {
    turn: Option<WriterTurn>,
    pool: Arc<ConnectionPool>,
}

impl Drop for WriterPermit {
    fn drop(&mut self) {
        drop(self.turn.take());
        self.pool.writer.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{EventStore, Row};

    #[test]
    fn the_cache_of_a_large_append_follows_the_file_and_shrinks_afterwards() {
        assert_eq!(
            [large_cache(1, 8_192), large_cache(64_000, 8_192), large_cache(i64::MAX, 8_192)],
            [16_000, 32_000, 64_000]
        );
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("usage.db")).unwrap();
        let at = crate::model::time::Timestamp::from_millis(0);
        let id = |n: u32| crate::model::event::EventId::from_key("p", &n.to_string());
        let rows: Vec<_> =
            (0..5_000).map(|n| Row { id: id(n), kind: 0, occurred_at: at, recorded_at: at, body: "{}" }).collect();
        let is_large = |lease: &Lease| lease.pooled.as_ref().unwrap().is_cache_large;
        let pool = store.pool().unwrap();
        let mut lease = pool.lease().unwrap();
        lease.enlarge_cache().unwrap();
        assert!(is_large(&lease));
        drop(lease);
        let mut tx = store.write().unwrap();
        tx.append(&rows).unwrap();
        tx.commit().unwrap();
        let mut lease = pool.lease().unwrap();
        assert!(!is_large(&lease));
        let size: i64 = lease.connection().unwrap().pragma_query_value(None, "cache_size", |row| row.get(0)).unwrap();
        assert_eq!(size, -CACHE);
        // A part of a long job keeps its memory.
        lease.set_deferred(true).unwrap();
        lease.enlarge_cache().unwrap();
        assert!(!is_large(&lease));
    }
}
