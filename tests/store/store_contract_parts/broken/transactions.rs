//! Stores that break rules about transactions and snapshots.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use usage_ledger::store::{EventStore, Head, MemoryStore, Order, ReadView, Row, Table, Transaction, WriteView};
use usage_ledger::{Error, EventId, Position, Result};

use super::copy::{Asking, Copy};
use super::{Flaw, KeyVisitor, RowVisitor, Written};
use usage_ledger::store::conformance::support::LogRow;

super::breakages! {
    WritesWithoutALock fails [no_update_is_lost rows_and_values_appear_together]
    DoesNotReadItsRows fails [a_transaction_reads_the_rows_it_wrote]
    DoesNotReadItsValues fails [a_transaction_reads_the_values_it_put]
    RollbackKeepsRows fails [a_dropped_transaction_leaves_no_rows a_rolled_back_append_uses_up_no_position
        a_conflict_leaves_no_trace]
    RollbackKeepsValues fails [a_dropped_transaction_leaves_no_values]
    ShowsRowsBeforeTheCommit fails [no_write_is_visible_before_the_commit rows_and_values_appear_together]
    ShowsValuesBeforeTheCommit fails [no_write_is_visible_before_the_commit rows_and_values_appear_together]
    ShowsRowsBeforeValues fails [rows_and_values_appear_together]
    ShowsALowerPositionLater fails [a_follower_misses_nothing rows_and_values_appear_together]
    ValuesLagBehind fails [a_commit_is_visible_to_every_handle a_commit_outlives_every_handle
        rows_and_values_appear_together]
    ShowsAHandleAnOldState fails [a_commit_is_visible_to_every_handle a_follower_misses_nothing no_update_is_lost]
    SnapshotMoves fails [a_snapshot_stays_as_it_is rows_and_values_appear_together
        a_snapshot_keeps_the_shredded_body]
    SnapshotBeginsWithItsFirstRead fails [a_snapshot_stays_as_it_is]
    ForgetsTheLastCommitWhenItIsClosed fails [a_commit_outlives_every_handle]
}

/// Long enough for a reader in a loop to read meanwhile.
const A_WHILE: Duration = Duration::from_millis(3);

/// Two writers at a time: each works on a copy, and the one that commits last wins.
#[derive(Default)]
struct WritesWithoutALock;

impl Flaw for WritesWithoutALock {
    fn write<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn Transaction + 'a>> {
        Ok(Box::new(Unlocked { copy: Copy::of(inner), written: Written::default(), store: inner.clone() }))
    }
}

struct Unlocked {
    copy: Copy,
    written: Written,
    store: MemoryStore,
}

/// Forwards the queries of a view to something else.
macro_rules! view_as {
    ($type:ty, |$this:ident| log: $log:expr, values: $values:expr) => {
        impl ReadView for $type {
            fn head(&self) -> Result<Head> {
                let $this = self;
                $log.head()
            }
            fn position_of(&self, id: EventId) -> Result<Option<Position>> {
                let $this = self;
                $log.position_of(id)
            }
            fn rows(&self, from: Position, visit: RowVisitor<'_>) -> Result<()> {
                let $this = self;
                $log.rows(from, visit)
            }
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
                let $this = self;
                $values.get(table, key)
            }
            fn scan(&self, table: Table, from: &[u8], to: &[u8], order: Order, visit: KeyVisitor<'_>) -> Result<()> {
                let $this = self;
                $values.scan(table, from, to, order, visit)
            }
        }
    };
}

view_as!(Unlocked, |this| log: this.copy, values: this.copy);

impl WriteView for Unlocked {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.written.puts.push((table, key.to_vec(), value.map(<[u8]>::to_vec)));
        match value {
            Some(value) => self.copy.values.insert((table, key.to_vec()), value.to_vec()),
            None => self.copy.values.remove(&(table, key.to_vec())),
        };
        Ok(())
    }
}

impl Transaction for Unlocked {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        for row in rows {
            if let Some(position) = self.copy.position_of(row.id)? {
                return Err(Error::Conflict { id: row.id, position });
            }
            self.copy.rows.insert(self.copy.head()?.position.next(), LogRow::from(*row));
            self.written.rows.push(LogRow::from(*row));
        }
        Ok(self.copy.head()?.position)
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        let row = self.copy.rows.get_mut(&position);
        let row = row.ok_or_else(|| Error::NotFound { what: format!("at position {position}") })?;
        tombstone.clone_into(&mut row.body);
        self.written.shreds.push((position, tombstone.to_owned()));
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { written, store, .. } = *self;
        thread::sleep(A_WHILE);
        let mut tx = store.write()?;
        written.append_all(&mut *tx)?;
        written.put_all(&mut *tx)?;
        written.shred_all(&mut *tx)?;
        tx.commit()
    }
}

/// A transaction that answers queries from its initial state.
struct Blind<'a> {
    begun: Copy,
    tx: Box<dyn Transaction + 'a>,
    sees_rows: bool,
}

impl Blind<'_> {
    fn log(&self) -> &dyn ReadView {
        if self.sees_rows { &*self.tx } else { &self.begun }
    }

    fn values(&self) -> &dyn ReadView {
        if self.sees_rows { &self.begun } else { &*self.tx }
    }
}

view_as!(Blind<'_>, |this| log: this.log(), values: this.values());

impl WriteView for Blind<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.tx.put(table, key, value)
    }
}

impl Transaction for Blind<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        self.tx.append(rows)
    }
    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        self.tx.shred(position, tombstone)
    }
    fn commit(self: Box<Self>) -> Result<()> {
        self.tx.commit()
    }
}

fn blind(inner: &MemoryStore, sees_rows: bool) -> Result<Box<dyn Transaction + '_>> {
    let handle = inner.clone();
    let tx = inner.write()?;
    Ok(Box::new(Blind { begun: Copy::of(&handle), tx, sees_rows }))
}

#[derive(Default)]
struct DoesNotReadItsRows;

impl Flaw for DoesNotReadItsRows {
    fn write<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn Transaction + 'a>> {
        blind(inner, false)
    }
}

#[derive(Default)]
struct DoesNotReadItsValues;

impl Flaw for DoesNotReadItsValues {
    fn write<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn Transaction + 'a>> {
        blind(inner, true)
    }
}

#[derive(Default)]
struct RollbackKeepsRows;

impl Flaw for RollbackKeepsRows {
    fn rolled_back(&self, handle: &MemoryStore, written: &Written) {
        let mut tx = handle.write().unwrap();
        written.append_all(&mut *tx).unwrap();
        tx.commit().unwrap();
    }
}

#[derive(Default)]
struct RollbackKeepsValues;

impl Flaw for RollbackKeepsValues {
    fn rolled_back(&self, handle: &MemoryStore, written: &Written) {
        let mut tx = handle.write().unwrap();
        written.put_all(&mut *tx).unwrap();
        tx.commit().unwrap();
    }
}

/// The part of an uncommitted transaction that readers see.
#[derive(Default)]
struct Uncommitted(Mutex<Copy>);

impl Uncommitted {
    fn rows(&self, rows: &[Row<'_>], last: Position) {
        let first = last.get() + 1 - rows.len() as u64;
        let mut uncommitted = self.0.lock().unwrap();
        uncommitted.rows.extend((first..).zip(rows).map(|(at, row)| (Position::new(at), LogRow::from(*row))));
    }

    fn forget(&self) {
        *self.0.lock().unwrap() = Copy::default();
    }

    fn read<'a>(&self, inner: &MemoryStore) -> Box<dyn ReadView + 'a> {
        // The lock covers both reads, so that an early write is not lost between them.
        let uncommitted = self.0.lock().unwrap();
        let mut copy = Copy::of(inner);
        copy.rows.extend(uncommitted.rows.clone());
        copy.values.extend(uncommitted.values.clone());
        Box::new(copy)
    }

    /// Commits while readers read the early part.
    fn commit(&self, tx: Box<dyn Transaction + '_>) -> Result<()> {
        thread::sleep(A_WHILE);
        let mut uncommitted = self.0.lock().unwrap();
        tx.commit()?;
        *uncommitted = Copy::default();
        Ok(())
    }
}

#[derive(Default)]
struct ShowsRowsBeforeTheCommit(Uncommitted);

impl Flaw for ShowsRowsBeforeTheCommit {
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        let last = tx.append(rows)?;
        self.0.rows(rows, last);
        Ok(last)
    }
    fn commit(&self, tx: Box<dyn Transaction + '_>, _: &MemoryStore, _: &Written) -> Result<()> {
        self.0.commit(tx)
    }
    fn rolled_back(&self, _: &MemoryStore, _: &Written) {
        self.0.forget();
    }
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        Ok(self.0.read(inner))
    }
}

#[derive(Default)]
struct ShowsValuesBeforeTheCommit(Uncommitted);

impl Flaw for ShowsValuesBeforeTheCommit {
    fn put(&self, tx: &mut dyn Transaction, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if let Some(value) = value {
            self.0.0.lock().unwrap().values.insert((table, key.to_vec()), value.to_vec());
        }
        tx.put(table, key, value)
    }
    fn commit(&self, tx: Box<dyn Transaction + '_>, _: &MemoryStore, _: &Written) -> Result<()> {
        self.0.commit(tx)
    }
    fn rolled_back(&self, _: &MemoryStore, _: &Written) {
        self.0.forget();
    }
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        Ok(self.0.read(inner))
    }
}

/// A commit of two separate statements.
#[derive(Default)]
struct ShowsRowsBeforeValues(Uncommitted);

impl Flaw for ShowsRowsBeforeValues {
    fn commit(&self, tx: Box<dyn Transaction + '_>, _: &MemoryStore, written: &Written) -> Result<()> {
        let rows: Vec<Row<'_>> = written.rows.iter().map(LogRow::row).collect();
        self.0.rows(&rows, tx.head()?.position);
        self.0.commit(tx)
    }
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        Ok(self.0.read(inner))
    }
}

/// Positions drawn before the commit: the second one is visible before the first.
#[derive(Default)]
struct ShowsALowerPositionLater(Uncommitted);

impl Flaw for ShowsALowerPositionLater {
    fn commit(&self, tx: Box<dyn Transaction + '_>, _: &MemoryStore, written: &Written) -> Result<()> {
        if let Some(last) = written.rows.get(1..).and_then(<[LogRow]>::last) {
            self.0.rows(&[last.row()], tx.head()?.position);
        }
        self.0.commit(tx)
    }
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        Ok(self.0.read(inner))
    }
}

/// Projections that are updated some time after their rows.
#[derive(Default)]
struct ValuesLagBehind(Mutex<Option<Copy>>);

impl Flaw for ValuesLagBehind {
    fn commit(&self, tx: Box<dyn Transaction + '_>, handle: &MemoryStore, written: &Written) -> Result<()> {
        let both = !written.rows.is_empty() && !written.puts.is_empty();
        let mut before = self.0.lock().unwrap();
        *before = both.then(|| Copy::of(handle));
        tx.commit()
    }
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        let before = self.0.lock().unwrap();
        let mut copy = Copy::of(inner);
        if let Some(before) = &*before {
            copy.values.clone_from(&before.values);
        }
        Ok(Box::new(copy))
    }
}

/// A reading handle keeps its first state until it writes.
#[derive(Default)]
struct ShowsAHandleAnOldState(Mutex<HashMap<usize, Copy>>);

impl Flaw for ShowsAHandleAnOldState {
    fn read<'a>(&'a self, inner: &'a MemoryStore, handle: usize) -> Result<Box<dyn ReadView + 'a>> {
        let mut kept = self.0.lock().unwrap();
        Ok(Box::new(kept.entry(handle).or_insert_with(|| Copy::of(inner)).clone()))
    }
    fn write<'a>(&'a self, inner: &'a MemoryStore, handle: usize) -> Result<Box<dyn Transaction + 'a>> {
        self.0.lock().unwrap().remove(&handle);
        inner.write()
    }
}

/// READ COMMITTED.
#[derive(Default)]
struct SnapshotMoves;

impl Flaw for SnapshotMoves {
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        let inner = inner.clone();
        Ok(Box::new(Asking(move || {
            thread::sleep(A_WHILE);
            Copy::of(&inner)
        })))
    }
}

/// `BEGIN` alone does not take a snapshot.
#[derive(Default)]
struct SnapshotBeginsWithItsFirstRead;

impl Flaw for SnapshotBeginsWithItsFirstRead {
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        let inner = inner.clone();
        let first = OnceLock::new();
        Ok(Box::new(Asking(move || first.get_or_init(|| Copy::of(&inner)).clone())))
    }
}

/// A cache that is never flushed.
#[derive(Default)]
struct ForgetsTheLastCommitWhenItIsClosed(Mutex<Closing>);

#[derive(Default)]
struct Closing {
    open: usize,
    before: Copy,
    forgotten: bool,
}

impl Flaw for ForgetsTheLastCommitWhenItIsClosed {
    fn opened(&self) {
        self.0.lock().unwrap().open += 1;
    }
    fn closed(&self) {
        let mut state = self.0.lock().unwrap();
        state.open -= 1;
        state.forgotten |= state.open == 0;
    }
    fn commit(&self, tx: Box<dyn Transaction + '_>, handle: &MemoryStore, _: &Written) -> Result<()> {
        let before = Copy::of(handle);
        tx.commit()?;
        let mut state = self.0.lock().unwrap();
        state.before = before;
        state.forgotten = false;
        Ok(())
    }
    fn read<'a>(&'a self, inner: &'a MemoryStore, _: usize) -> Result<Box<dyn ReadView + 'a>> {
        let state = self.0.lock().unwrap();
        Ok(Box::new(if state.forgotten { state.before.clone() } else { Copy::of(inner) }))
    }
}
