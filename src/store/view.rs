//! The snapshot of a ledger that folds and queries read, independent of the store.

use std::ops::ControlFlow;

pub use crate::store::table::Table;

use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;

/// The last event of a ledger.
///
/// ```
/// use usage_ledger::{Ledger, store::Head};
/// assert_eq!(Ledger::in_memory()?.head()?, Head::default()); // position 0, the epoch
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its position, which is also the number of events; 0 when there is none.
    pub position: Position,
    /// When it was recorded; the epoch when there is none.
    pub recorded_at: Timestamp,
}

/// One row of the log: a line and its indexed columns.
///
/// ```
/// use usage_ledger::store::{EventStore, MemoryStore, STOP};
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let store = MemoryStore::new();
/// let ledger = Ledger::with_store(Box::new(store.clone()));
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// store.read()?.rows(1.into(), &mut |_, row| {
///     assert_eq!((row.occurred_at, row.kind), (now, 0));
///     assert!(row.body.contains("tokens_recorded"));
///     STOP
/// })?;
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The event's id.
    pub id: EventId,
    /// The code of an [`EventKind`](crate::model::event::EventKind).
    pub kind: u8,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The hashed line; for a shredded event, its tombstone.
    pub body: &'a str,
}

/// The direction of a scan.
///
/// ```
/// use usage_ledger::store::{EventStore, MemoryStore, Order, STOP, Table};
/// let store = MemoryStore::new();
/// let mut tx = store.write()?;
/// tx.put(Table::EventIndex, b"a", Some(b""))?;
/// tx.put(Table::EventIndex, b"b", Some(b""))?;
/// let mut last = Vec::new();
/// tx.scan(Table::EventIndex, b"", b"", Order::Descending, &mut |key, _| {
///     last = key.to_vec();
///     STOP
/// })?;
/// assert_eq!(last, b"b");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key up.
    Ascending,
    /// From the largest key down.
    Descending,
}

/// The result of a visitor: continue the scan, or stop.
///
/// ```
/// use usage_ledger::store::{Flow, GO_ON, STOP};
/// let up_to = |most: u64| move |seen: u64| -> Flow { if seen < most { GO_ON } else { STOP } };
/// assert!(up_to(3)(2)?.is_continue());
/// assert!(up_to(3)(3)?.is_break());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub type Flow = Result<ControlFlow<()>>;

/// Continues a scan.
///
/// ```
/// # use usage_ledger::store::GO_ON;
/// assert!(GO_ON?.is_continue());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub const GO_ON: Flow = Ok(ControlFlow::Continue(()));
/// Ends a scan.
///
/// ```
/// # use usage_ledger::store::STOP;
/// assert!(STOP?.is_break());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub const STOP: Flow = Ok(ControlFlow::Break(()));

/// A difference between the structure of a store and that of a new store of this build.
///
/// ```
/// use usage_ledger::store::StructureFinding;
/// assert!(StructureFinding::new("a guard is missing").repairable().can_be_repaired);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StructureFinding {
    /// What is wrong.
    pub what: String,
    /// Whether [`Transaction::repair_structure`](crate::store::Transaction::repair_structure) repairs it.
    pub can_be_repaired: bool,
}

impl StructureFinding {
    /// A difference that cannot be repaired.
    ///
    /// ```
    /// # use usage_ledger::store::StructureFinding;
    /// assert!(!StructureFinding::new("a table of another program").can_be_repaired);
    /// ```
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), can_be_repaired: false }
    }

    /// Marks a difference as repairable, because the build alone determines the object.
    ///
    /// ```
    /// # use usage_ledger::store::StructureFinding;
    /// assert!(StructureFinding::new("a guard is missing").repairable().can_be_repaired);
    /// ```
    #[must_use]
    pub fn repairable(mut self) -> Self {
        self.can_be_repaired = true;
        self
    }
}

/// A consistent snapshot of a store.
///
/// [`EventStore`](crate::store::EventStore) documents its promises.
///
/// ```
/// use usage_ledger::store::{EventStore, MemoryStore, ReadView};
/// fn events(view: &dyn ReadView) -> usage_ledger::Result<u64> {
///     Ok(view.head()?.position.get())
/// }
/// assert_eq!(events(&*MemoryStore::new().read()?)?, 0);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub trait ReadView {
    /// The last event.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// assert_eq!(MemoryStore::new().read()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn head(&self) -> Result<Head>;

    /// The position of an id in the log.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::{EventId, store::{EventStore, MemoryStore}};
    /// let id = EventId::from_key("openai", "resp_1");
    /// assert_eq!(MemoryStore::new().read()?.position_of(id)?, None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn position_of(&self, id: EventId) -> Result<Option<Position>>;

    /// Visits every id with the position that a lookup of it finds, in any order. Only an audit calls this. The default
    /// implementation looks up the id of each row.
    ///
    /// # Errors
    /// The store's own errors, and the visitor's.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, GO_ON, MemoryStore};
    /// use usage_ledger::{EventId, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let store = MemoryStore::new();
    /// let ledger = Ledger::with_store(Box::new(store.clone()));
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1"), now)?;
    /// store.read()?.each_id(&mut |id, position| {
    ///     assert_eq!((id, position.get()), (EventId::from_key("openai", "resp_1"), 1));
    ///     GO_ON
    /// })?;
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn each_id(&self, visit: &mut dyn FnMut(EventId, Position) -> Flow) -> Result<()> {
        self.rows(Position::START.next(), &mut |_, row| match self.position_of(row.id)? {
            Some(found) => visit(row.id, found),
            None => GO_ON,
        })
    }

    /// Visits the rows from a position on, in order.
    ///
    /// # Errors
    /// The store's own errors, and the visitor's.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, GO_ON, MemoryStore};
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let store = MemoryStore::new();
    /// let ledger = Ledger::with_store(Box::new(store.clone()));
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now)?;
    /// let mut seen = Vec::new();
    /// store.read()?.rows(2.into(), &mut |position, _| {
    ///     seen.push(position.get());
    ///     GO_ON
    /// })?;
    /// assert_eq!(seen, [2]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()>;

    /// Announces that the rows from one position through another are read next. A store across a network asks for them
    /// together; the default implementation does nothing.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// MemoryStore::new().read()?.expect_rows(1.into(), 1_024.into())?;
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn expect_rows(&self, from: Position, to: Position) -> Result<()> {
        let _ = (from, to);
        Ok(())
    }

    /// The value of a projection's key.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, Table};
    /// assert_eq!(MemoryStore::new().read()?.get(Table::EventIndex, b"nothing")?, None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Visits the keys of a projection from `from` (inclusive) to `to` (exclusive; empty means to the end).
    ///
    /// # Errors
    /// The store's own errors, and the visitor's.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, GO_ON, MemoryStore, Order, Table};
    /// let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// for key in [b"a", b"b", b"c"] {
    ///     tx.put(Table::EventIndex, key, Some(b""))?;
    /// }
    /// let mut keys = Vec::new();
    /// tx.scan(Table::EventIndex, b"a", b"c", Order::Ascending, &mut |key, _| {
    ///     keys.push(key.to_vec());
    ///     GO_ON
    /// })?;
    /// assert_eq!(keys, [b"a", b"b"]); // the end is exclusive
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()>;

    /// The differences from the structure of this build: missing triggers, changed names, foreign tables. Only an audit
    /// calls this. The default implementation, for stores without a structure, returns none.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::store::{EventStore, MemoryStore};
    /// assert_eq!(MemoryStore::new().read()?.structure()?, []);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn structure(&self) -> Result<Vec<StructureFinding>> {
        Ok(Vec::new())
    }
}

/// A view whose projections can be changed.
///
/// ```
/// use usage_ledger::store::{EventStore, MemoryStore, WriteView, Table};
/// fn mark(sink: &mut dyn WriteView) -> usage_ledger::Result<()> {
///     sink.put(Table::EventIndex, b"seen", Some(b"1"))
/// }
/// let store = MemoryStore::new();
/// let mut tx = store.write()?;
/// mark(&mut *tx)?;
/// assert_eq!(tx.get(Table::EventIndex, b"seen")?.as_deref(), Some(&b"1"[..])); // its own writes are seen
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub trait WriteView: ReadView {
    /// Sets the value of a projection's key; `None` removes it.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, Table};
    /// let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// tx.put(Table::EventIndex, b"key", Some(b"value"))?;
    /// tx.put(Table::EventIndex, b"key", None)?;
    /// assert_eq!(tx.get(Table::EventIndex, b"key")?, None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()>;

    /// Sets several keys of one projection, preferably in key order.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore, Table};
    /// let store = MemoryStore::new();
    /// let mut tx = store.write()?;
    /// tx.put_all(Table::EventIndex, &mut [(&b"a"[..], &b"1"[..]), (b"b", b"2")].into_iter())?;
    /// assert_eq!(tx.get(Table::EventIndex, b"b")?.as_deref(), Some(&b"2"[..]));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    fn put_all(&mut self, table: Table, rows: &mut dyn Iterator<Item = (&[u8], &[u8])>) -> Result<()> {
        for (key, value) in rows {
            self.put(table, key, Some(value))?;
        }
        Ok(())
    }
}

/// Removes every key of a projection.
pub(crate) fn clear(sink: &mut dyn WriteView, table: Table) -> Result<()> {
    let view: &dyn ReadView = &*sink;
    let mut keys = Vec::new();
    view.scan(table, &[], &[], Order::Ascending, &mut |key, _| {
        keys.push(key.to_vec());
        GO_ON
    })?;
    keys.iter().try_for_each(|key| sink.put(table, key, None))
}

impl dyn ReadView + '_ {
    /// The row at a position, as an owned event line.
    pub(crate) fn line(&self, position: Position) -> Result<Option<(EventId, String)>> {
        let mut line = None;
        if position > Position::START {
            self.rows(position, &mut |at, row| {
                if at == position {
                    line = Some((row.id, row.body.to_owned()));
                }
                STOP
            })?;
        }
        Ok(line)
    }

    /// The line at a position that must exist.
    pub(crate) fn expect_line(&self, position: Position) -> Result<String> {
        self.line(position)?
            .map(|(_, line)| line)
            .ok_or_else(|| Error::damaged(position, "a projection names this event, but it is not in the log"))
    }
}

/// A reference to a view is a view.
impl<V: ReadView + ?Sized> ReadView for &V {
    fn head(&self) -> Result<Head> {
        (**self).head()
    }
    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        (**self).position_of(id)
    }
    fn each_id(&self, visit: &mut dyn FnMut(EventId, Position) -> Flow) -> Result<()> {
        (**self).each_id(visit)
    }
    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        (**self).rows(from, visit)
    }
    fn expect_rows(&self, from: Position, to: Position) -> Result<()> {
        (**self).expect_rows(from, to)
    }
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        (**self).get(table, key)
    }
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        (**self).scan(table, from, to, order, visit)
    }
    fn structure(&self) -> Result<Vec<StructureFinding>> {
        (**self).structure()
    }
}
