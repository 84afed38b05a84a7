//! Stores that break a promise: a correct store with one flaw.
//!
//! A flaw changes one thing and forwards everything else, so it is known which rules it must fail.

mod copy;
mod log;
mod projections;
mod transactions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use usage_ledger::store::{EventStore, Flow, Head, MemoryStore, Order, ReadView, Row, Table, Transaction, WriteView};
use usage_ledger::{EventId, Position, Result};

use usage_ledger::store::conformance::Factory;

use usage_ledger::store::conformance::support::LogRow;

type RowVisitor<'v> = &'v mut dyn FnMut(Position, Row<'_>) -> Flow;
type KeyVisitor<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Flow;

/// The operations that a flaw can change. Each method is between a caller and the correct store.
trait Flaw: Send + Sync {
    fn read<'a>(&'a self, inner: &'a MemoryStore, _handle: usize) -> Result<Box<dyn ReadView + 'a>> {
        inner.read()
    }
    fn write<'a>(&'a self, inner: &'a MemoryStore, _handle: usize) -> Result<Box<dyn Transaction + 'a>> {
        inner.write()
    }
    fn head(&self, view: &dyn ReadView) -> Result<Head> {
        view.head()
    }
    fn position_of(&self, view: &dyn ReadView, id: EventId) -> Result<Option<Position>> {
        view.position_of(id)
    }
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        view.rows(from, visit)
    }
    fn get(&self, view: &dyn ReadView, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        view.get(table, key)
    }
    fn scan(
        &self,
        view: &dyn ReadView,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: KeyVisitor<'_>,
    ) -> Result<()> {
        view.scan(table, from, to, order, visit)
    }
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        tx.put(table, key, value)
    }
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        tx.append(rows)
    }
    fn shred(&self, tx: &mut dyn Transaction, position: Position, tombstone: &str) -> Result<()> {
        tx.shred(position, tombstone)
    }
    fn commit(&self, tx: Box<dyn Transaction + '_>, _handle: &MemoryStore, _written: &Written) -> Result<()> {
        tx.commit()
    }
    fn rolled_back(&self, _handle: &MemoryStore, _written: &Written) {}
    fn opened(&self) {}
    fn closed(&self) {}
}

/// The writes of a transaction.
#[derive(Default)]
struct Written {
    rows: Vec<LogRow>,
    calls: usize,
    puts: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
    shreds: Vec<(Position, String)>,
    conflict: bool,
}

impl Written {
    fn put_all(&self, tx: &mut dyn Transaction) -> Result<()> {
        self.puts.iter().try_for_each(|(table, key, value)| tx.put(*table, key, value.as_deref()))
    }

    fn shred_all(&self, tx: &mut dyn Transaction) -> Result<()> {
        self.shreds.iter().try_for_each(|(position, tombstone)| tx.shred(*position, tombstone))
    }

    fn append_all(&self, tx: &mut dyn Transaction) -> Result<()> {
        self.rows.iter().try_for_each(|line| tx.append(&[line.row()]).map(|_| ()))
    }
}

/// A handle to a correct store with a flaw.
struct Flawed {
    inner: MemoryStore,
    flaw: Arc<dyn Flaw>,
    handle: usize,
}

impl EventStore for Flawed {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        Ok(Box::new(FlawedView { view: self.flaw.read(&self.inner, self.handle)?, flaw: &*self.flaw }))
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        let handle = self.inner.clone();
        let tx = self.flaw.write(&self.inner, self.handle)?;
        Ok(Box::new(FlawedTx { tx: Some(tx), flaw: &*self.flaw, handle, written: Written::default() }))
    }
}

impl Drop for Flawed {
    fn drop(&mut self) {
        self.flaw.closed();
    }
}

struct FlawedView<'a> {
    view: Box<dyn ReadView + 'a>,
    flaw: &'a dyn Flaw,
}

struct FlawedTx<'a> {
    /// Present until it is committed or dropped.
    tx: Option<Box<dyn Transaction + 'a>>,
    flaw: &'a dyn Flaw,
    handle: MemoryStore,
    written: Written,
}

impl FlawedView<'_> {
    fn below(&self) -> &dyn ReadView {
        &*self.view
    }
}

impl FlawedTx<'_> {
    fn below(&self) -> &dyn ReadView {
        &**self.tx.as_ref().unwrap()
    }
}

macro_rules! view_through_the_flaw {
    ($type:ty) => {
        impl ReadView for $type {
            fn head(&self) -> Result<Head> {
                self.flaw.head(self.below())
            }
            fn position_of(&self, id: EventId) -> Result<Option<Position>> {
                self.flaw.position_of(self.below(), id)
            }
            fn rows(&self, from: Position, visit: RowVisitor<'_>) -> Result<()> {
                self.flaw.rows(self.below(), from, visit)
            }
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
                self.flaw.get(self.below(), table, key)
            }
            fn scan(&self, table: Table, from: &[u8], to: &[u8], order: Order, visit: KeyVisitor<'_>) -> Result<()> {
                self.flaw.scan(self.below(), table, from, to, order, visit)
            }
        }
    };
}

view_through_the_flaw!(FlawedView<'_>);
view_through_the_flaw!(FlawedTx<'_>);

impl WriteView for FlawedTx<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.written.puts.push((table, key.to_vec(), value.map(<[u8]>::to_vec)));
        self.flaw.put(&mut **self.tx.as_mut().unwrap(), table, key, value)
    }
}

impl Transaction for FlawedTx<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        let done = self.flaw.append(&mut **self.tx.as_mut().unwrap(), rows);
        self.written.conflict |= done.is_err();
        if done.is_ok() {
            self.written.rows.extend(rows.iter().copied().map(LogRow::from));
            self.written.calls += 1;
        }
        done
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        self.written.shreds.push((position, tombstone.to_owned()));
        self.flaw.shred(&mut **self.tx.as_mut().unwrap(), position, tombstone)
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        let tx = self.tx.take().unwrap();
        let written = std::mem::take(&mut self.written);
        self.flaw.commit(tx, &self.handle, &written)
    }
}

impl Drop for FlawedTx<'_> {
    fn drop(&mut self) {
        if let Some(tx) = self.tx.take() {
            drop(tx); // gives the write lock back before the flaw does its harm
            self.flaw.rolled_back(&self.handle, &self.written);
        }
    }
}

/// A new broken store.
pub struct BrokenFactory {
    inner: MemoryStore,
    flaw: Arc<dyn Flaw>,
    handles: AtomicUsize,
}

impl Factory for BrokenFactory {
    fn open(&self) -> Box<dyn EventStore> {
        self.flaw.opened();
        let handle = self.handles.fetch_add(1, Ordering::SeqCst);
        Box::new(Flawed { inner: self.inner.clone(), flaw: Arc::clone(&self.flaw), handle })
    }
}

/// A way to break a store, and the rules that detect it.
pub struct Breakage {
    pub name: &'static str,
    pub fails: &'static [&'static str],
    make: fn() -> Arc<dyn Flaw>,
}

impl Breakage {
    pub fn factory(&self) -> BrokenFactory {
        BrokenFactory { inner: MemoryStore::new(), flaw: (self.make)(), handles: AtomicUsize::new(0) }
    }
}

/// Combines a flaw with the rules it fails.
macro_rules! breakages {
    ($($flaw:ident fails [$($rule:ident)+])*) => {
        pub const BREAKAGES: &[super::Breakage] = &[$(super::Breakage {
            name: stringify!($flaw),
            fails: &[$(stringify!($rule)),+],
            make: || std::sync::Arc::new($flaw::default()),
        }),*];
    };
}
use breakages;

/// Every broken store.
pub fn all() -> impl Iterator<Item = &'static Breakage> {
    log::BREAKAGES.iter().chain(projections::BREAKAGES).chain(transactions::BREAKAGES)
}
