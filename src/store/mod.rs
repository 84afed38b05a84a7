//! Where a ledger lives: a log of lines and the projections beside it, changed together or not at all.

mod memory;
mod prefix;
mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::{Options, SqliteStore};

pub(crate) use prefix::PrefixView;

pub use crate::view::{Flow, GO_ON, Head, Order, Row, STOP, Sink, Space, View};

use crate::error::Result;
use crate::event::Position;

/// A store of events: a log and its projections, read through snapshots and written one writer at a time.
///
/// An implementation keeps these promises; the conformance suite holds each of them against it:
///
/// * positions are 1, 2, 3 … in the order of commits, and a position once seen keeps its row for all time;
/// * an id stands in the log once;
/// * a [`Transaction`] sees the newest committed state and its own writes, and no other writer runs beside it;
/// * commit makes the rows and the projections of a transaction visible at once, and durable; dropping it leaves no trace;
/// * a [`View`] sees one committed state for as long as it lives.
pub trait EventStore: Send {
    /// Opens a snapshot.
    fn read(&mut self) -> Result<Box<dyn View + '_>>;

    /// Waits for the write lock and opens a transaction, which rolls back when it is dropped.
    fn write(&mut self) -> Result<Box<dyn Transaction + '_>>;
}

/// A write in progress.
pub trait Transaction: Sink {
    /// Adds rows to the log behind the head and returns the position of the last one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when an id is in the log already; the transaction can then only be dropped.
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position>;

    /// Makes everything visible and durable.
    fn commit(self: Box<Self>) -> Result<()>;
}
