//! A store that counts the rows that are read from it, for tests of the cost of queries.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{EventStore, Flow, Head, MemoryStore, Order, ReadView, Row, Table, Transaction, WriteView};
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};

/// The number of rows read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowsRead {
    log: Arc<AtomicU64>,
    projections: Arc<AtomicU64>,
    ids: Arc<AtomicU64>,
}

impl RowsRead {
    /// Runs a query and returns how many rows of the log and of projections it read.
    pub fn during<T>(&self, query: impl FnOnce() -> T) -> (u64, u64) {
        let before = (self.log.load(Ordering::Relaxed), self.projections.load(Ordering::Relaxed));
        query();
        (self.log.load(Ordering::Relaxed) - before.0, self.projections.load(Ordering::Relaxed) - before.1)
    }

    /// Runs an append and returns how many ids it looked up.
    pub fn ids_during<T>(&self, append: impl FnOnce() -> T) -> u64 {
        let before = self.ids.load(Ordering::Relaxed);
        append();
        self.ids.load(Ordering::Relaxed) - before
    }
}

/// The commits so far, and whether the next one fails or panics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commits {
    count: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Commits {
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets the next commit fail.
    pub fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// Lets the next commit panic.
    pub fn panic(&self) {
        self.panics.store(true, Ordering::Relaxed);
    }

    fn run(&self, commit: impl FnOnce() -> Result<()>) -> Result<()> {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "a commit that panics");
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(Error::DiskFull);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        commit()
    }
}

/// A store in memory that counts reads and commits.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountingStore {
    store: MemoryStore,
    pub read: RowsRead,
    pub commits: Commits,
}

struct CountingView<V> {
    view: V,
    read: RowsRead,
    commits: Commits,
}

impl EventStore for CountingStore {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        Ok(Box::new(CountingView { view: self.store.read()?, read: self.read.clone(), commits: self.commits.clone() }))
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        Ok(Box::new(CountingView { view: self.store.write()?, read: self.read.clone(), commits: self.commits.clone() }))
    }
}

impl WriteView for CountingView<Box<dyn Transaction + '_>> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.view.put(table, key, value)
    }
}

impl Transaction for CountingView<Box<dyn Transaction + '_>> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        self.view.append(rows)
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        self.view.shred(position, tombstone)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { view, commits, .. } = *self;
        commits.run(|| view.commit())
    }
}

impl<V: Deref<Target: ReadView>> ReadView for CountingView<V> {
    fn head(&self) -> Result<Head> {
        self.view.head()
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        self.read.ids.fetch_add(1, Ordering::Relaxed);
        self.view.position_of(id)
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        self.view.rows(from, &mut |position, row| {
            self.read.log.fetch_add(1, Ordering::Relaxed);
            visit(position, row)
        })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read.projections.fetch_add(1, Ordering::Relaxed);
        self.view.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        self.view.scan(table, from, to, order, &mut |key, value| {
            self.read.projections.fetch_add(1, Ordering::Relaxed);
            visit(key, value)
        })
    }
}
