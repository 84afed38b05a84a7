use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{EventStore, Flow, Head, Order, ReadView, Row, Table, Transaction, WriteView};
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;

/// The reference implementation of a store: everything is in memory, and each write works on a copy of it.
///
/// Clones share one ledger, as processes share a file. It is meant for tests and short-lived ledgers: the cost of a
/// write grows with the ledger.
///
/// ```
/// use usage_ledger::{Ledger, store::MemoryStore};
/// let ledger = Ledger::with_store(Box::new(MemoryStore::new()));
/// # let _ = ledger;
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    committed: Arc<Mutex<Arc<MemoryState>>>,
    writer: Arc<Mutex<()>>,
}

#[derive(Clone, Debug, Default)]
struct MemoryState {
    rows: Vec<StoredRow>,
    ids: HashMap<EventId, Position>,
    spaces: BTreeMap<Table, TableRows>,
}

pub(crate) type TableRows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
struct StoredRow {
    id: EventId,
    kind: u8,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    body: Arc<str>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere cannot leave this half changed, because states are replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty ledger.
    ///
    /// ```
    /// # use usage_ledger::store::{EventStore, MemoryStore};
    /// assert_eq!(MemoryStore::new().read()?.head()?.position.get(), 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }
}

impl EventStore for MemoryStore {
    fn read(&self) -> Result<Box<dyn ReadView + '_>> {
        Ok(Box::new(FrozenState(Arc::clone(&lock(&self.committed)))))
    }

    fn write(&self) -> Result<Box<dyn Transaction + '_>> {
        let guard = lock(&self.writer);
        let state = MemoryState::clone(&lock(&self.committed));
        Ok(Box::new(MemoryTransaction { state, committed: &self.committed, _guard: guard }))
    }
}

impl MemoryState {
    fn head(&self) -> Head {
        Head {
            position: Position::new(self.rows.len() as u64),
            recorded_at: self.rows.last().map(|row| row.recorded_at).unwrap_or_default(),
        }
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let skip = usize::try_from(from.get().max(1) - 1).unwrap_or(usize::MAX);
        for (index, row) in self.rows.iter().enumerate().skip(skip) {
            let seen = Row {
                id: row.id,
                kind: row.kind,
                occurred_at: row.occurred_at,
                recorded_at: row.recorded_at,
                body: &row.body,
            };
            if visit(Position::new(index as u64 + 1), seen)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

pub(crate) fn scan_map(
    map: &TableRows,
    from: &[u8],
    to: &[u8],
    order: Order,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
) -> Result<()> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    if !to.is_empty() && from >= to {
        return Ok(());
    }
    let end = if to.is_empty() { Unbounded } else { Excluded(to) };
    let mut range = map.range::<[u8], _>((Included(from), end));
    loop {
        let next = match order {
            Order::Ascending => range.next(),
            Order::Descending => range.next_back(),
        };
        let Some((key, value)) = next else { return Ok(()) };
        if visit(key, value)?.is_break() {
            return Ok(());
        }
    }
}

macro_rules! view_of_state {
    ($type:ty) => {
        impl ReadView for $type {
            fn head(&self) -> Result<Head> {
                Ok(self.state().head())
            }
            fn position_of(&self, id: EventId) -> Result<Option<Position>> {
                Ok(self.state().ids.get(&id).copied())
            }
            fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
                self.state().rows(from, visit)
            }
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
                Ok(self.state().spaces.get(&table).and_then(|map| map.get(key)).cloned())
            }
            fn scan(
                &self,
                table: Table,
                from: &[u8],
                to: &[u8],
                order: Order,
                visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
            ) -> Result<()> {
                match self.state().spaces.get(&table) {
                    Some(map) => scan_map(map, from, to, order, visit),
                    None => Ok(()),
                }
            }
        }
    };
}

struct FrozenState(Arc<MemoryState>);

impl FrozenState {
    fn state(&self) -> &MemoryState {
        &self.0
    }
}

view_of_state!(FrozenState);

struct MemoryTransaction<'a> {
    state: MemoryState,
    committed: &'a Mutex<Arc<MemoryState>>,
    _guard: MutexGuard<'a, ()>,
}

impl MemoryTransaction<'_> {
    const fn state(&self) -> &MemoryState {
        &self.state
    }
}

view_of_state!(MemoryTransaction<'_>);

impl WriteView for MemoryTransaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let map = self.state.spaces.entry(table).or_default();
        match value {
            Some(value) => map.insert(key.to_vec(), value.to_vec()),
            None => map.remove(key),
        };
        Ok(())
    }
}

impl Transaction for MemoryTransaction<'_> {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<Position> {
        for row in rows {
            let position = self.state.head().position.next();
            if let Some(earlier) = self.state.ids.insert(row.id, position) {
                return Err(Error::Conflict { id: row.id, position: earlier });
            }
            self.state.rows.push(StoredRow {
                id: row.id,
                kind: row.kind,
                occurred_at: row.occurred_at,
                recorded_at: row.recorded_at,
                body: row.body.into(),
            });
        }
        Ok(self.state.head().position)
    }

    fn shred(&mut self, position: Position, tombstone: &str) -> Result<()> {
        let index = usize::try_from(position.get()).ok().and_then(|number| number.checked_sub(1));
        let row = index.and_then(|index| self.state.rows.get_mut(index));
        let row = row.ok_or_else(|| Error::NotFound { what: format!("at position {position}") })?;
        row.body = tombstone.into();
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { state, committed, _guard } = *self;
        *lock(committed) = Arc::new(state);
        Ok(())
    }
}
