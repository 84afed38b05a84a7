//! Snapshots, and the macro that forwards reads.

use super::super::{Flow, Head, Order, ReadView, Row, StructureFinding, Table};
use super::view::StoredState;
use crate::model::error::Result;
use crate::model::event::{EventId, Position};

/// A snapshot. Dropping it ends its transaction.
pub(super) struct SnapshotView(pub StoredState);

impl Drop for SnapshotView {
    fn drop(&mut self) {
        self.0.connection().borrow_mut().roll_back();
    }
}

/// Forwards the reads of a type to a field.
macro_rules! forward {
    ($type:ty, $field:tt) => {
        forward!(@view $type, $field, $field, rows);
    };
    // A type that shows the rows of the log in another way has a method for it.
    ($type:ty, $field:tt, except_rows) => {
        forward!(@own $type, $field);
    };
    (@own $type:ty, $field:tt) => {
        impl ReadView for $type {
            fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
                self.visit_rows(from, visit)
            }
            forward!(@rest $field);
        }
    };
    (@view $type:ty, $field:tt, $same:tt, rows) => {
        impl ReadView for $type {
            fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
                self.$field.rows(from, visit)
            }
            forward!(@rest $same);
        }
    };
    (@rest $field:tt) => {
        fn head(&self) -> Result<Head> {
            self.$field.head()
        }
        fn position_of(&self, id: EventId) -> Result<Option<Position>> {
            self.$field.position_of(id)
        }
        fn expect_rows(&self, from: Position, to: Position) -> Result<()> {
            self.$field.expect_rows(from, to)
        }
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
            self.$field.get(table, key)
        }
        fn scan(
            &self,
            table: Table,
            from: &[u8],
            to: &[u8],
            order: Order,
            visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
        ) -> Result<()> {
            self.$field.scan(table, from, to, order, visit)
        }
        fn structure(&self) -> Result<Vec<StructureFinding>> {
            self.$field.structure()
        }
    };
}
pub(super) use forward;

forward!(SnapshotView, 0);
