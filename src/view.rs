//! The sight that folds and queries have of a ledger, whichever store keeps it.

mod space;

use std::ops::ControlFlow;

pub use space::Space;

use crate::error::{Error, Result};
use crate::event::{EventId, Position};
use crate::time::Timestamp;

/// The last event of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its position, which is also the number of events; 0 when there is none.
    pub position: Position,
    /// When it was recorded; the epoch when there is none.
    pub recorded_at: Timestamp,
}

/// One row of the log: a line and the columns it can be found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The event's id.
    pub id: EventId,
    /// Index into [`Payload::KINDS`](crate::event::Payload::KINDS).
    pub kind: u8,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The line that is hashed.
    pub body: &'a str,
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the least key up.
    Ascending,
    /// From the greatest key down.
    Descending,
}

/// What a visitor tells a scan: go on, or stop.
pub type Flow = Result<ControlFlow<()>>;

/// Goes on with a scan.
pub const GO_ON: Flow = Ok(ControlFlow::Continue(()));
/// Ends a scan.
pub const STOP: Flow = Ok(ControlFlow::Break(()));

/// A consistent sight of a store.
pub trait View {
    /// The last event.
    fn head(&self) -> Result<Head>;

    /// Where an id stands in the log.
    fn position_of(&self, id: EventId) -> Result<Option<Position>>;

    /// Visits the rows from a position on, in order.
    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()>;

    /// The value of a projection's key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Visits the keys of a projection from `from` (inclusive) to `to` (exclusive; empty means to the end).
    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()>;
}

/// A view whose projections can be changed.
pub trait Sink: View {
    /// Sets the value of a projection's key; `None` removes it.
    fn put(&mut self, space: Space, key: &[u8], value: Option<&[u8]>) -> Result<()>;
}

impl dyn View + '_ {
    /// The row at a position, as an owned event line.
    pub(crate) fn line(&self, position: Position) -> Result<Option<(EventId, String)>> {
        let mut found = None;
        if position > Position::START {
            self.rows(position, &mut |at, row| {
                if at == position {
                    found = Some((row.id, row.body.to_owned()));
                }
                STOP
            })?;
        }
        Ok(found)
    }

    /// The row at a position that must be there.
    pub(crate) fn expect_line(&self, position: Position) -> Result<String> {
        self.line(position)?
            .map(|(_, line)| line)
            .ok_or_else(|| Error::damaged(position, "a projection names this event, but it is not in the log"))
    }
}

/// A borrowed view is a view.
impl<V: View + ?Sized> View for &V {
    fn head(&self) -> Result<Head> {
        (**self).head()
    }
    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        (**self).position_of(id)
    }
    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        (**self).rows(from, visit)
    }
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        (**self).get(space, key)
    }
    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        (**self).scan(space, from, to, order, visit)
    }
}
