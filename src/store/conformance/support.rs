//! Helpers of the rules: rows to append, and functions that read a store.

use std::ops::ControlFlow;

use uuid::Uuid;

use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;
use crate::store::{EventStore, GO_ON, Order, ReadView, Row, Table};

/// A row that owns its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub id: EventId,
    pub kind: u8,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    pub body: String,
}

impl LogRow {
    /// The `n`th line. Every column differs from the other columns and from those of neighbouring lines.
    pub fn new(n: u64) -> Self {
        Self {
            id: id(n),
            kind: u8::try_from(n % 16).unwrap(),
            occurred_at: Timestamp::from_millis(1_000_000 - 7 * i64::try_from(n).unwrap()),
            recorded_at: Timestamp::from_millis(2_000_000 + i64::try_from(n).unwrap()),
            body: format!("{{\"line\":{n}}}"),
        }
    }

    pub fn with_body(n: u64, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::new(n) }
    }

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

impl From<Row<'_>> for LogRow {
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

pub fn lines(numbers: impl IntoIterator<Item = u64>) -> Vec<LogRow> {
    numbers.into_iter().map(LogRow::new).collect()
}

/// Appends lines in a separate transaction.
pub fn commit(store: &dyn EventStore, lines: &[LogRow]) -> Position {
    let mut tx = store.write().unwrap();
    let rows: Vec<Row<'_>> = lines.iter().map(LogRow::row).collect();
    let last = tx.append(&rows).unwrap();
    tx.commit().unwrap();
    last
}

/// Sets keys of a table in a separate transaction.
pub fn commit_puts(store: &dyn EventStore, table: Table, puts: &[(&[u8], Option<&[u8]>)]) {
    let mut tx = store.write().unwrap();
    for (key, value) in puts {
        tx.put(table, key, *value).unwrap();
    }
    tx.commit().unwrap();
}

/// Positions and rows from a position on.
pub fn rows_from(view: &dyn ReadView, from: u64) -> Vec<(u64, LogRow)> {
    let mut found = Vec::new();
    view.rows(Position::new(from), &mut |at, row| {
        found.push((at.get(), LogRow::from(row)));
        GO_ON
    })
    .unwrap();
    found
}

/// The bodies of the log, in order.
pub fn bodies(view: &dyn ReadView) -> Vec<String> {
    rows_from(view, 0).into_iter().map(|(_, line)| line.body).collect()
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

/// The number stored under a key; 0 if there is none.
pub fn counter(view: &dyn ReadView, key: &[u8]) -> u64 {
    let value = view.get(Table::EventIndex, key).unwrap();
    value.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}
