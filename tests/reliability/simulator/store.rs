//! A store whose calls fail on demand, like those of a disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use usage_ledger::store::{EventStore, Flow, Head, Order, ReadView, Row, Table, Transaction, WriteView};
use usage_ledger::{Error, EventId, Position, Result};

/// Where a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Opening a snapshot.
    Read,
    /// Taking the write lock.
    Write,
    Head,
    PositionOf,
    /// Reading rows, at the beginning or in the middle.
    Rows,
    Get,
    Scan,
    Put,
    Append,
    /// A full disk at the commit; nothing is written.
    Commit,
    /// The commit succeeds, but reports failure.
    CommitDone,
}

impl Fault {
    pub const ALL: [Self; 11] = [
        Self::Read,
        Self::Write,
        Self::Head,
        Self::PositionOf,
        Self::Rows,
        Self::Get,
        Self::Scan,
        Self::Put,
        Self::Append,
        Self::Commit,
        Self::CommitDone,
    ];

    fn error(self) -> Error {
        match self {
            Self::Write => Error::Busy { seconds: 0 },
            Self::Commit => Error::DiskFull,
            _ => Error::Store { what: format!("{self:?}"), source: "a fault of the simulator".into() },
        }
    }
}

/// The armed fault, and those that occurred.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    armed: Option<(Fault, u64)>,
    hit: bool,
    reached: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Lets a call of this kind fail after a number of successful ones.
    pub fn arm(&self, fault: Fault, after: u64) {
        let mut state = self.0.lock().unwrap();
        state.armed = Some((fault, after));
        state.hit = false;
    }

    /// Disarms the fault; returns whether it occurred.
    pub fn disarm(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        state.armed = None;
        std::mem::take(&mut state.hit)
    }

    pub fn reached(&self) -> BTreeMap<Fault, u64> {
        self.0.lock().unwrap().reached.clone()
    }

    fn due(&self, fault: Fault) -> bool {
        let mut state = self.0.lock().unwrap();
        match &mut state.armed {
            Some((armed, after)) if *armed == fault && *after > 0 => *after -= 1,
            Some((armed, _)) if *armed == fault => {
                state.armed = None;
                state.hit = true;
                *state.reached.entry(fault).or_default() += 1;
                return true;
            }
            _ => {}
        }
        false
    }

    fn pass(&self, fault: Fault) -> Result<()> {
        if self.due(fault) { Err(fault.error()) } else { Ok(()) }
    }
}

/// A store with faults.
pub struct Faulty {
    inner: Box<dyn EventStore>,
    faults: Faults,
}

impl Faulty {
    pub fn new(inner: Box<dyn EventStore>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl EventStore for Faulty {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        self.faults.pass(Fault::Read)?;
        Ok(Box::new(FaultyView { view: self.inner.read()?, faults: &self.faults }))
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        self.faults.pass(Fault::Write)?;
        Ok(Box::new(FaultyTx { tx: self.inner.write()?, faults: &self.faults }))
    }

    fn erase(&self) -> Result<()> {
        self.inner.erase()
    }
}

struct FaultyView<'a> {
    view: Box<dyn ReadView + 'a>,
    faults: &'a Faults,
}

struct FaultyTx<'a> {
    tx: Box<dyn Transaction + 'a>,
    faults: &'a Faults,
}

macro_rules! view_behind_faults {
    ($type:ty, $inner:ident) => {
        impl ReadView for $type {
            fn head(&self) -> Result<Head> {
                self.faults.pass(Fault::Head)?;
                self.$inner.head()
            }
            fn position_of(&self, id: EventId) -> Result<Option<Position>> {
                self.faults.pass(Fault::PositionOf)?;
                self.$inner.position_of(id)
            }
            fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
                self.$inner.rows(from, &mut |position, row| {
                    self.faults.pass(Fault::Rows)?;
                    visit(position, row)
                })
            }
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
                self.faults.pass(Fault::Get)?;
                self.$inner.get(table, key)
            }
            fn scan(
                &self,
                table: Table,
                from: &[u8],
                to: &[u8],
                order: Order,
                visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
            ) -> Result<()> {
                self.faults.pass(Fault::Scan)?;
                self.$inner.scan(table, from, to, order, &mut |key, value| {
                    self.faults.pass(Fault::Scan)?;
                    visit(key, value)
                })
            }
        }
    };
}

view_behind_faults!(FaultyView<'_>, view);
view_behind_faults!(FaultyTx<'_>, tx);

impl WriteView for FaultyTx<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.faults.pass(Fault::Put)?;
        self.tx.put(table, key, value)
    }
}

impl Transaction for FaultyTx<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        self.faults.pass(Fault::Append)?;
        self.tx.append(rows)
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        self.faults.pass(Fault::Put)?;
        self.tx.shred(position, tombstone)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.faults.pass(Fault::Commit)?;
        let Self { tx, faults } = *self;
        tx.commit()?;
        faults.pass(Fault::CommitDone)
    }
}
