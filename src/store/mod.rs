//! The storage of a ledger: a log of lines and its projections, which change in one transaction.

#[cfg(all(feature = "archive", feature = "postgres"))]
mod archived;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(test)]
#[cfg(feature = "cli")]
pub(crate) mod counting;
pub(crate) mod directory;
mod key_range;
mod memory;
#[cfg(feature = "archive")]
mod objects;
#[cfg(any(feature = "cli", feature = "postgres"))]
mod overlay;
#[cfg(feature = "postgres")]
mod postgres;
mod prefix;
mod sqlite;
mod table;
mod view;

#[cfg(all(feature = "archive", feature = "postgres"))]
pub(crate) use archived::ArchivedLines;
pub use memory::MemoryStore;
#[cfg(feature = "archive")]
pub(crate) use objects::{ArchiveUrl, ObjectArchive};
#[cfg(all(feature = "postgres", feature = "cli"))]
pub(crate) use postgres::{CITUS, LedgerHeadRow, LedgerRedirect, MoveState, ShardAddress, ShardClusters, ShardMap};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresAddress, PostgresStore};
pub use sqlite::{Options, SqliteStore};

pub(crate) use key_range::{KeyRange, after_prefix};
pub(crate) use memory::{TableRows, scan_map};
#[cfg(feature = "cli")]
pub(crate) use overlay::Overlay;
pub(crate) use prefix::PrefixView;
#[cfg(feature = "import")]
pub(crate) use sqlite::DraftLedger;
#[cfg(feature = "cli")]
pub(crate) use sqlite::former_name;
pub(crate) use sqlite::{CopyKind, LockedLedger, PendingCopy, copy_file, is_taken, refuse_ledger, refuse_stale_log};

pub(crate) use self::view::clear;
pub use self::view::{Flow, GO_ON, Head, Order, ReadView, Row, STOP, StructureFinding, Table, WriteView};

use std::path::Path;

use crate::model::error::{Error, Result};
use crate::model::event::Position;

/// A store of events: a log and its projections, read through snapshots, with one writer at a time.
///
/// Threads share a store. A reader does not wait for a writer, and several snapshots may be open at once. A thread with
/// an open [`Transaction`] must not open another one: it would wait for itself.
///
/// An implementation keeps these promises. The rules of the module `conformance` check them (feature `conformance`):
///
/// * positions are 1, 2, 3 … in the order of commits, and a visible position keeps its row forever, except that a
///   tombstone may replace its body ([`Transaction::shred`]);
/// * an id is unique in the log;
/// * a [`Transaction`] sees the newest committed state and its own writes, and excludes all other writers;
/// * a commit makes the rows and the projections of a transaction visible at once, and durable; dropping the
///   transaction discards it;
/// * a [`ReadView`] shows one committed state for its whole life.
///
/// ```
/// use usage_ledger::store::{EventStore, MemoryStore, Table};
/// let store = MemoryStore::new();
/// let mut tx = store.write()?;
/// tx.put(Table::EventIndex, b"key", Some(b"value"))?;
/// drop(tx); // not committed: no trace
/// assert_eq!(store.read()?.get(Table::EventIndex, b"key")?, None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub trait EventStore: Send + Sync {
    /// Opens a snapshot.
    ///
    /// # Errors
    /// The store's own errors, such as [`Error::Store`].
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// assert_eq!(MemoryStore::new().read()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn read(&self) -> Result<Box<dyn ReadView + '_>>;

    /// Waits for the write lock and opens a transaction, which rolls back if it is dropped.
    ///
    /// # Errors
    /// [`Error::Busy`] if another writer keeps the lock for too long, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, MemoryStore, Table};
    /// let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// tx.put(Table::EventIndex, b"key", Some(b"value"))?;
    /// tx.commit()?;
    /// assert!(store.read()?.get(Table::EventIndex, b"key")?.is_some());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn write(&self) -> Result<Box<dyn Transaction + '_>>;

    /// Like [`write`](Self::write), for part of a long job: its commit may become durable only when
    /// [`sync`](Self::sync) returns, but never before an earlier commit.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, SqliteStore, Table};
    /// # let dir = tempfile::tempdir()?;
    /// let store = SqliteStore::open(&dir.path().join("usage.db"))?;
    /// for part in 0..3_u8 {
    ///     let mut tx = store.write_deferred()?;
    ///     tx.put(Table::EventIndex, &[part], Some(b"value"))?;
    ///     tx.commit()?;
    /// }
    /// store.sync()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn write_deferred(&self) -> Result<Box<dyn Transaction + '_>> {
        self.write()
    }

    /// Erases everything that was shredded or removed from the files of the store.
    ///
    /// # Errors
    /// [`Error::NotErased`] if something remains, with a remedy.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// MemoryStore::new().erase()?; // it has no files
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn erase(&self) -> Result<()> {
        Ok(())
    }

    /// Copies the store, in one consistent state, into a new file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a store without a file, and the store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, SqliteStore};
    /// # let dir = tempfile::tempdir()?;
    /// SqliteStore::open(&dir.path().join("usage.db"))?.copy_to(&dir.path().join("copy.db"))?;
    /// assert!(SqliteStore::open(&dir.path().join("copy.db"))?.read()?.head()?.position.get() == 0);
    /// assert!(MemoryStore::new().copy_to(&dir.path().join("other.db")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn copy_to(&self, path: &Path) -> Result<()> {
        Err(Error::invalid(format!("this ledger has no file that could be copied to {}: export it", path.display())))
    }

    /// Work that another thread may repeat during a long job, so that the writer need not do it between its
    /// transactions; `None` if there is none. The work is optional.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// assert!(MemoryStore::new().housekeeping()?.is_none());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn housekeeping(&self) -> Result<Option<Housekeeping>> {
        Ok(None)
    }

    /// Makes the commits of [`write_deferred`](Self::write_deferred) durable.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, SqliteStore};
    /// # let dir = tempfile::tempdir()?;
    /// let store = SqliteStore::open(&dir.path().join("usage.db"))?;
    /// let work = store.housekeeping()?;
    /// // … much is written …
    /// drop(work);
    /// store.sync()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// Background work for a store: [`EventStore::housekeeping`].
///
/// ```
/// use usage_ledger::store::{EventStore, Housekeeping, SqliteStore};
/// # let dir = tempfile::tempdir()?;
/// let store = SqliteStore::open(&dir.path().join("usage.db"))?;
/// let mut work: Housekeeping = store.housekeeping()?.ok_or("SQLite has some")?;
/// std::thread::spawn(move || work()).join().map_err(|_| "it does not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Housekeeping = Box<dyn FnMut() + Send>;

/// A write in progress. Dropping it without [`commit`](Self::commit) discards it.
///
/// ```
/// use usage_ledger::EventId;
/// use usage_ledger::store::{EventStore, MemoryStore, Row};
/// let (id, at) = (EventId::from_key("openai", "resp_1"), usage_ledger::Timestamp::default());
/// let store = MemoryStore::new();
/// let mut tx = store.write()?;
/// tx.append(&[Row { id, kind: 0, occurred_at: at, recorded_at: at, body: "{}" }])?;
/// assert_eq!(tx.position_of(id)?, Some(1.into())); // it sees its own writes
/// tx.commit()?;
/// assert_eq!(store.read()?.position_of(id)?, Some(1.into()));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub trait Transaction: WriteView {
    /// Appends rows to the log and returns the position of the last one.
    ///
    /// # Errors
    /// [`Error::Conflict`] if an id is already in the log. The transaction can then only be dropped.
    ///
    /// ```
    /// use usage_ledger::{EventId, Timestamp};
    /// use usage_ledger::store::{EventStore, MemoryStore, Row};
    /// let at = Timestamp::default();
    /// let row = |key| Row { id: EventId::from_key("p", key), kind: 0, occurred_at: at, recorded_at: at, body: "{}" };
    /// let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// assert_eq!(tx.append(&[row("a"), row("b")])?.get(), 2);
    /// assert!(tx.append(&[row("a")]).is_err()); // an id stands in the log once
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position>;

    /// Replaces the body at a position with a tombstone; all other columns stay. Only
    /// [`Ledger::shred`](crate::Ledger::shred) needs this, and a store may refuse any other use.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing position, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::EventId;
    /// use usage_ledger::store::{EventStore, MemoryStore, Row, STOP};
    /// let (id, at) = (EventId::from_key("openai", "resp_1"), usage_ledger::Timestamp::default());
    /// let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// tx.append(&[Row { id, kind: 0, occurred_at: at, recorded_at: at, body: "{}" }])?;
    /// tx.shred(1.into(), "{\"shredded\":1}")?;
    /// tx.rows(1.into(), &mut |_, row| {
    ///     assert_eq!((row.id, row.body), (id, "{\"shredded\":1}"));
    ///     STOP
    /// })?;
    /// assert!(tx.shred(2.into(), "{}").is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()>;

    /// Whether reads are cheaper together than one by one, as across a network. Such a store is written to in passes: see
    /// [`begin_pass`](Self::begin_pass).
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, MemoryStore};
    /// assert!(!MemoryStore::new().write()?.reads_together());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn reads_together(&self) -> bool {
        false
    }

    /// Begins a pass: until its end, a row that the store has not read yet is missing, and the store notes it.
    ///
    /// A caller repeats a pass with the same calls until [`end_pass`](Self::end_pass) returns true. The number of passes
    /// is the longest chain of reads that depend on each other, however many rows are read.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, MemoryStore, Table, Transaction};
    /// fn double(tx: &mut dyn Transaction) -> usage_ledger::Result<()> {
    ///     loop {
    ///         tx.begin_pass()?;
    ///         let value = tx.get(Table::EventIndex, b"key")?.unwrap_or_default();
    ///         tx.put(Table::EventIndex, b"key", Some(&[&value[..], &value].concat()))?;
    ///         if tx.end_pass()? {
    ///             return Ok(());
    ///         }
    ///     }
    /// }
    /// let store = MemoryStore::new();
    /// double(&mut *store.write()?)?;
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn begin_pass(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends a pass. Returns false if rows were missing: then the writes of the pass are undone, the rows are read now, and
    /// errors in the pass do not count, because it saw an incomplete state.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// assert!(MemoryStore::new().write()?.end_pass()?); // nothing is ever missing
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn end_pass(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// Repairs the differences that [`ReadView::structure`] reports as repairable.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, MemoryStore};
    /// MemoryStore::new().write()?.repair_structure()?; // it has none
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn repair_structure(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the transaction visible and durable.
    ///
    /// # Errors
    /// The store's own errors, such as [`Error::DiskFull`]. Nothing is written then.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, Table};
    /// # let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// tx.put(Table::EventIndex, b"key", Some(b"value"))?;
    /// tx.commit()?;
    /// assert_eq!(store.read()?.get(Table::EventIndex, b"key")?.as_deref(), Some(&b"value"[..]));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn commit(self: Box<Self>) -> Result<()>;
}
