//! A view without what was appended behind a position, for tables whose rows name the position of their event.

use super::super::check::position_in;
use crate::model::error::Result;
use crate::model::event::{EventId, Position};
use crate::store::{Flow, GO_ON, Head, Order, ReadView, Row, STOP, Table};

/// The log, the event index, the corrections and the keys up to a position. Other tables are those of the whole ledger.
pub(super) struct Until<'v> {
    pub view: &'v dyn ReadView,
    pub last: Position,
}

/// Whether a row stands in the ledger as of a position.
fn is_there(table: Table, key: &[u8], value: &[u8], last: Position) -> bool {
    position_in(table, key, Some(value)).is_none_or(|position| position <= last)
}

impl ReadView for Until<'_> {
    fn head(&self) -> Result<Head> {
        self.view.head()
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        Ok(self.view.position_of(id)?.filter(|position| *position <= self.last))
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        self.view.rows(from, &mut |at, row| if at > self.last { STOP } else { visit(at, row) })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.view.get(table, key)?.filter(|value| is_there(table, key, value, self.last)))
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
            if is_there(table, key, value, self.last) { visit(key, value) } else { GO_ON }
        })
    }
}
