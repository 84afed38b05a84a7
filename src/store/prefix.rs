use std::collections::BTreeMap;

use super::memory::{TableRows, scan_map};
use super::{Flow, Head, Order, ReadView, Row, STOP, Table, WriteView};
use crate::model::error::Result;
use crate::model::event::{EventId, Position};

/// The state of a ledger at an earlier position: a prefix of the log, with projections folded again in memory.
pub(crate) struct PrefixView<'a> {
    log: Box<dyn ReadView + 'a>,
    head: Head,
    spaces: BTreeMap<Table, TableRows>,
}

impl<'a> PrefixView<'a> {
    /// The log up to `position`, without projections.
    pub fn new(log: Box<dyn ReadView + 'a>, position: Position) -> Result<Self> {
        let mut head = Head::default();
        if position > Position::START {
            log.rows(position, &mut |at, row| {
                head = Head { position: at, recorded_at: row.recorded_at };
                STOP
            })?;
        }
        Ok(Self { log, head, spaces: BTreeMap::new() })
    }

    /// Every row of a table, in order.
    pub fn table(&self, table: Table) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.spaces.get(&table).into_iter().flatten()
    }
}

/// Whether a prefix reads a table of the whole log. The tree contains the nodes of each prefix. A block that is full in
/// the prefix is the same in the whole log, except for later corrections: its summary and the index of
/// quarters may then contain more, which costs time but changes no answer.
fn is_of_the_log(table: Table) -> bool {
    matches!(table, Table::Tree | Table::Blocks | Table::Columns | Table::Quarters | Table::Chapters | Table::History)
}

impl ReadView for PrefixView<'_> {
    fn head(&self) -> Result<Head> {
        Ok(self.head)
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        Ok(self.log.position_of(id)?.filter(|position| *position <= self.head.position))
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let last = self.head.position;
        self.log.rows(from, &mut |at, row| if at > last { STOP } else { visit(at, row) })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if is_of_the_log(table) {
            return self.log.get(table, key);
        }
        Ok(self.spaces.get(&table).and_then(|map| map.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        if is_of_the_log(table) {
            return self.log.scan(table, from, to, order, visit);
        }
        match self.spaces.get(&table) {
            Some(map) => scan_map(map, from, to, order, visit),
            None => Ok(()),
        }
    }
}

impl WriteView for PrefixView<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if is_of_the_log(table) {
            return Ok(());
        }
        let map = self.spaces.entry(table).or_default();
        match value {
            Some(value) => map.insert(key.to_vec(), value.to_vec()),
            None => map.remove(key),
        };
        Ok(())
    }
}
