//! Changes in memory on top of a snapshot: a trial write, or the changes that a store writes when it commits.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::ops::Bound;

use super::{Flow, Head, Order, ReadView, Row, Table, Transaction, WriteView};
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;

/// The changes of one table; `None` for a removed row.
pub(super) type TableChanges = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The state of a ledger with additional events. It cannot be committed.
pub(crate) struct Overlay<'v> {
    base: Box<dyn ReadView + 'v>,
    head: Head,
    rows: Vec<OwnedRow>,
    /// Places in `rows`.
    ids: HashMap<EventId, u64>,
    /// The differences from the base.
    changes: BTreeMap<Table, TableChanges>,
}

#[derive(Clone, Debug)]
pub(super) struct OwnedRow {
    pub id: EventId,
    pub kind: u8,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    pub body: String,
}

/// The changes in a range of keys, in the order of a scan.
type ChangedRows<'o> = Peekable<Box<dyn Iterator<Item = (&'o Vec<u8>, &'o Option<Vec<u8>>)> + 'o>>;

impl<'v> Overlay<'v> {
    pub fn new(base: Box<dyn ReadView + 'v>) -> Result<Self> {
        let head = base.head()?;
        Ok(Self { base, head, rows: Vec::new(), ids: HashMap::new(), changes: BTreeMap::new() })
    }

    /// The last position of the base.
    fn base_end(&self) -> u64 {
        self.head.position.get() - self.rows.len() as u64
    }

    fn changed(&self, table: Table, from: &[u8], to: &[u8], order: Order) -> ChangedRows<'_> {
        let rows: Box<dyn Iterator<Item = _>> = match self.changes.get(&table) {
            Some(changes) if to.is_empty() || from < to => {
                let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
                let range = changes.range::<[u8], _>((Bound::Included(from), end));
                if order == Order::Ascending { Box::new(range) } else { Box::new(range.rev()) }
            }
            _ => Box::new(std::iter::empty()),
        };
        rows.peekable()
    }
}

/// What a store needs that writes an overlay.
#[cfg(feature = "postgres")]
impl Overlay<'_> {
    /// The additional rows.
    pub(super) fn new_rows(&self) -> &[OwnedRow] {
        &self.rows
    }

    /// The differences of projections.
    pub(super) const fn changes(&self) -> &BTreeMap<Table, TableChanges> {
        &self.changes
    }

    /// Replaces the body of an additional row; false if the position is one of the base.
    pub(super) fn replace_body(&mut self, position: Position, body: &str) -> bool {
        let place = position.get().checked_sub(self.base_end() + 1);
        let row = place.and_then(|place| usize::try_from(place).ok()).and_then(|place| self.rows.get_mut(place));
        row.is_some_and(|row| {
            body.clone_into(&mut row.body);
            true
        })
    }

    /// A copy of everything that was changed, to return to.
    pub(super) fn saved(&self) -> SavedChanges {
        (self.rows.len(), self.head, self.changes.clone())
    }

    /// Returns to an earlier state.
    pub(super) fn return_to(&mut self, (rows, head, changes): SavedChanges) {
        self.rows.drain(rows..).for_each(|row| {
            self.ids.remove(&row.id);
        });
        self.head = head;
        self.changes = changes;
    }
}

/// The state of an [`Overlay`].
#[cfg(feature = "postgres")]
pub(super) type SavedChanges = (usize, Head, BTreeMap<Table, TableChanges>);

impl ReadView for Overlay<'_> {
    fn head(&self) -> Result<Head> {
        Ok(self.head)
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        match self.ids.get(&id) {
            Some(place) => Ok(Some(Position::new(self.base_end() + place + 1))),
            None => self.base.position_of(id),
        }
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let mut is_over = false;
        self.base.rows(from, &mut |at, row| {
            let flow = visit(at, row)?;
            is_over = flow.is_break();
            Ok(flow)
        })?;
        for (number, row) in (self.base_end() + 1..).zip(&self.rows) {
            if is_over {
                break;
            }
            if number >= from.get() {
                let OwnedRow { id, kind, occurred_at, recorded_at, .. } = *row;
                let seen = Row { id, kind, occurred_at, recorded_at, body: &row.body };
                is_over = visit(Position::new(number), seen)?.is_break();
            }
        }
        Ok(())
    }

    fn expect_rows(&self, from: Position, to: Position) -> Result<()> {
        self.base.expect_rows(from, to.min(Position::new(self.base_end())))
    }

    fn structure(&self) -> Result<Vec<super::StructureFinding>> {
        self.base.structure()
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.changes.get(&table).and_then(|changes| changes.get(key)) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let mut changed = self.changed(table, from, to, order);
        let comes_first = |own: &[u8], other: &[u8]| match order {
            Order::Ascending => own <= other,
            Order::Descending => own >= other,
        };
        let mut is_over = false;
        self.base.scan(table, from, to, order, &mut |key, value| {
            let mut replaced = false;
            while let Some((own, changed)) = changed.next_if(|(own, _)| comes_first(own, key)) {
                replaced |= own == key;
                if let Some(changed) = changed {
                    let flow = visit(own, changed)?;
                    if flow.is_break() {
                        is_over = true;
                        return Ok(flow);
                    }
                }
            }
            if replaced {
                return super::GO_ON;
            }
            let flow = visit(key, value)?;
            is_over = flow.is_break();
            Ok(flow)
        })?;
        while !is_over && let Some((key, changed)) = changed.next() {
            if let Some(changed) = changed {
                is_over = visit(key, changed)?.is_break();
            }
        }
        Ok(())
    }
}

impl WriteView for Overlay<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.changes.entry(table).or_default().insert(key.to_vec(), value.map(<[u8]>::to_vec));
        Ok(())
    }
}

impl Transaction for Overlay<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        for row in rows {
            if let Some(position) = self.position_of(row.id)? {
                return Err(Error::Conflict { id: row.id, position });
            }
            let Row { id, kind, occurred_at, recorded_at, body } = *row;
            self.ids.insert(id, self.rows.len() as u64);
            self.rows.push(OwnedRow { id, kind, occurred_at, recorded_at, body: body.to_owned() });
            self.head = Head { position: self.head.position.next(), recorded_at };
        }
        Ok(self.head.position)
    }

    fn shred(&mut self, position: Position, _tombstone: &str) -> Result<()> {
        Err(Error::NotFound { what: format!("at position {position} that a trial could shred") })
    }

    // An overlay has no store to write to: it exists to try events and is dropped.
    fn commit(self: Box<Self>) -> Result<()> {
        Err(Error::invalid("a trial cannot be committed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventStore, GO_ON, MemoryStore, STOP};

    fn at(n: u8) -> [u8; 1] {
        [n]
    }

    #[test]
    fn overlay_writes_are_visible_and_leave_no_trace() {
        let store = MemoryStore::new();
        let row = |key| Row {
            id: EventId::from_key("p", key),
            kind: 0,
            occurred_at: Timestamp::default(),
            recorded_at: Timestamp::default(),
            body: "{}",
        };
        let mut tx = store.write().unwrap();
        tx.append(&[row("a")]).unwrap();
        for n in [1, 3, 5, 7] {
            tx.put(Table::EventIndex, &at(n), Some(&at(n))).unwrap();
        }
        tx.commit().unwrap();
        let mut trial = Overlay::new(store.read().unwrap()).unwrap();
        for (n, value) in [(0, Some(9)), (3, None), (5, Some(9)), (6, Some(9)), (8, Some(9))] {
            trial.put(Table::EventIndex, &at(n), value.map(at).as_ref().map(|value| &value[..])).unwrap();
        }
        assert_eq!(trial.append(&[row("b")]).unwrap().get(), 2);
        assert!(trial.append(&[row("a")]).is_err() && trial.append(&[row("b")]).is_err());
        let scan = |from: &[u8], to: &[u8], order, most: usize| {
            let mut seen = Vec::new();
            let visit = &mut |key: &[u8], value: &[u8]| {
                seen.push((key[0], value[0]));
                if seen.len() == most { STOP } else { GO_ON }
            };
            trial.scan(Table::EventIndex, from, to, order, visit).unwrap();
            seen
        };
        let all = [(0, 9), (1, 1), (5, 9), (6, 9), (7, 7), (8, 9)];
        assert_eq!(scan(&[], &[], Order::Ascending, 99), all);
        assert_eq!(scan(&[], &[], Order::Descending, 99), all.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(scan(&[1], &[7], Order::Ascending, 99), all[1..4]);
        assert_eq!(scan(&[1], &[7], Order::Descending, 99), [(6, 9), (5, 9), (1, 1)]);
        for most in 1..6 {
            assert_eq!(scan(&[], &[], Order::Ascending, most), all[..most]);
        }
        let mut positions = Vec::new();
        trial
            .rows(Position::START, &mut |at, row| {
                positions.push((at.get(), row.id));
                GO_ON
            })
            .unwrap();
        assert_eq!(positions.len(), 2);
        assert_eq!(trial.position_of(EventId::from_key("p", "b")).unwrap(), Some(Position::new(2)));
        assert_eq!(trial.get(Table::EventIndex, &at(3)).unwrap(), None);
        drop(trial);
        assert_eq!(store.read().unwrap().head().unwrap().position.get(), 1);
    }
}
