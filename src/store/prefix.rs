use std::collections::BTreeMap;

use super::memory::{Map, scan_map};
use super::{Flow, Head, Order, Row, STOP, Sink, Space, View};
use crate::error::Result;
use crate::event::{EventId, Position};

/// A ledger as it was at an earlier position: the log cut there, the projections refolded in memory.
pub(crate) struct PrefixView<'a> {
    log: Box<dyn View + 'a>,
    head: Head,
    spaces: BTreeMap<Space, Map>,
}

impl<'a> PrefixView<'a> {
    /// The log up to `position`, without projections yet.
    pub fn new(log: Box<dyn View + 'a>, position: Position) -> Result<Self> {
        let mut head = Head::default();
        if position > Position::START {
            log.rows(position, &mut |at, row| {
                head = Head { position: at, recorded_at: row.recorded_at };
                STOP
            })?;
        }
        Ok(Self { log, head, spaces: BTreeMap::new() })
    }

    /// The whole log, beyond the prefix too.
    pub fn log(&self) -> &dyn View {
        &*self.log
    }

    /// Every row of a space, in order.
    pub fn space(&self, space: Space) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.spaces.get(&space).into_iter().flatten()
    }

    /// The projections as bytes.
    pub fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        for (space, map) in &self.spaces {
            for (key, value) in map {
                put(&[*space as u8]);
                put(key);
                put(value);
            }
        }
        out
    }

    /// Takes projections from bytes; false, and nothing taken, when they are not whole.
    pub fn load(&mut self, mut bytes: &[u8]) -> bool {
        let mut spaces: BTreeMap<Space, Map> = BTreeMap::new();
        while !bytes.is_empty() {
            let mut take = || {
                let (length, rest) = bytes.split_first_chunk::<8>()?;
                let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
                let (taken, rest) = rest.split_at_checked(length)?;
                bytes = rest;
                Some(taken)
            };
            let (Some(&[space]), Some(key), Some(value)) = (take(), take(), take()) else { return false };
            let Some(space) = Space::FOLDED.into_iter().find(|known| *known as u8 == space) else { return false };
            spaces.entry(space).or_default().insert(key.to_vec(), value.to_vec());
        }
        self.spaces = spaces;
        true
    }
}

impl View for PrefixView<'_> {
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

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if space == Space::Tree {
            // The tree of the whole log has the nodes of each of its beginnings.
            return self.log.get(space, key);
        }
        Ok(self.spaces.get(&space).and_then(|map| map.get(key)).cloned())
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        match self.spaces.get(&space) {
            Some(map) => scan_map(map, from, to, order, visit),
            None => Ok(()),
        }
    }
}

impl Sink for PrefixView<'_> {
    fn put(&mut self, space: Space, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let map = self.spaces.entry(space).or_default();
        match value {
            Some(value) => map.insert(key.to_vec(), value.to_vec()),
            None => map.remove(key),
        };
        Ok(())
    }
}
