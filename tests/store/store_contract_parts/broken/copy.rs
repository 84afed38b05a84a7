//! A modifiable copy of a store's whole state, shown in its place.

use std::collections::BTreeMap;

use usage_ledger::store::{EventStore, Flow, Head, MemoryStore, Order, ReadView, Row, Table};
use usage_ledger::{EventId, Position, Result};

use super::{KeyVisitor, RowVisitor};
use usage_ledger::store::conformance::support::{LogRow, rows_from, whole};

#[derive(Clone, Default)]
pub struct Copy {
    pub rows: BTreeMap<Position, LogRow>,
    pub values: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Copy {
    pub fn of(store: &MemoryStore) -> Self {
        let store = store.clone();
        let view = store.read().unwrap();
        let values = |table| whole(&*view, table).into_iter().map(move |(key, value)| ((table, key), value));
        Self {
            rows: rows_from(&*view, 0).into_iter().map(|(at, line)| (Position::new(at), line)).collect(),
            values: Table::ALL.into_iter().flat_map(values).collect(),
        }
    }
}

impl ReadView for Copy {
    fn head(&self) -> Result<Head> {
        let last = self.rows.last_key_value();
        Ok(last.map(|(at, line)| Head { position: *at, recorded_at: line.recorded_at }).unwrap_or_default())
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        Ok(self.rows.iter().find(|(_, line)| line.id == id).map(|(at, _)| *at))
    }

    fn rows(&self, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        for (at, line) in self.rows.range(from..) {
            if visit(*at, line.row())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.values.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], order: Order, visit: KeyVisitor<'_>) -> Result<()> {
        let inside = |key: &[u8]| key >= from && (to.is_empty() || key < to);
        let mut pairs: Vec<_> = self.values.iter().filter(|((s, key), _)| *s == table && inside(key)).collect();
        if order == Order::Descending {
            pairs.reverse();
        }
        for ((_, key), value) in pairs {
            if visit(key, value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A view that computes a new state for each query.
pub struct Asking<F>(pub F);

impl<F: Fn() -> Copy> ReadView for Asking<F> {
    fn head(&self) -> Result<Head> {
        (self.0)().head()
    }
    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        (self.0)().position_of(id)
    }
    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        (self.0)().rows(from, visit)
    }
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        (self.0)().get(table, key)
    }
    fn scan(&self, table: Table, from: &[u8], to: &[u8], order: Order, visit: KeyVisitor<'_>) -> Result<()> {
        (self.0)().scan(table, from, to, order, visit)
    }
}
