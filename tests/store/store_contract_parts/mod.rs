//! The stores that the rules are checked against, and stores that break them.

pub mod broken;

use std::ops::ControlFlow;
use std::path::PathBuf;

use usage_ledger::store::conformance::Factory;
use usage_ledger::store::{EventStore, GO_ON, MemoryStore, Order, ReadView, Row, SqliteStore, Table};
use usage_ledger::{EventId, Position, Timestamp};
use uuid::Uuid;

#[derive(Default)]
pub struct Memory(MemoryStore);

impl Factory for Memory {
    fn open(&self) -> Box<dyn EventStore> {
        Box::new(self.0.clone())
    }
}

pub struct Sqlite {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Default for Sqlite {
    fn default() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { path: dir.path().join("usage.db"), _dir: dir }
    }
}

impl Factory for Sqlite {
    fn open(&self) -> Box<dyn EventStore> {
        Box::new(SqliteStore::open(&self.path).unwrap())
    }
}

/// A row that owns its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub id: EventId,
    pub kind: u8,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    pub body: String,
}

impl Line {
    pub fn row(&self) -> Row<'_> {
        Row {
            id: self.id,
            kind: self.kind,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            body: &self.body,
        }
    }
}

impl From<Row<'_>> for Line {
    fn from(row: Row<'_>) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            body: row.body.to_owned(),
        }
    }
}

/// Ids that sort differently from their numbers: a log is in the order of commits, not of ids.
pub fn id(n: u64) -> EventId {
    EventId::from(Uuid::from_u128(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
}

/// Positions and rows from a position on.
pub fn rows_from(view: &dyn ReadView, from: u64) -> Vec<(u64, Line)> {
    let mut found = Vec::new();
    view.rows(Position::new(from), &mut |at, row| {
        found.push((at.get(), Line::from(row)));
        GO_ON
    })
    .unwrap();
    found
}

pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The pairs that a scan visits.
pub fn scanned(view: &dyn ReadView, table: Table, from: &[u8], to: &[u8], order: Order) -> Pairs {
    let mut found = Vec::new();
    view.scan(table, from, to, order, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    found
}

/// A whole table, in ascending order.
pub fn whole(view: &dyn ReadView, table: Table) -> Pairs {
    scanned(view, table, &[], &[], Order::Ascending)
}
