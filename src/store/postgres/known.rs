//! What a transaction knows of the stored state, so that it asks the server for each row once.
//!
//! A range of keys is known if all of its rows are: a key in it without a row does not exist.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::super::{Order, Table};
use crate::merkle::Hash;
use crate::model::event::{EventId, Position};
use crate::model::time::Timestamp;

/// A row of the log.
#[derive(Clone, Debug)]
pub(super) struct KnownRow {
    pub id: EventId,
    pub kind: u8,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    pub body: StoredBody,
}

/// The body of a row.
#[derive(Clone, Debug)]
pub(super) enum StoredBody {
    Line(String),
    /// The leaf hash of a line that is in an archive.
    Archived(Hash),
}

/// Nothing is known of a row, not even whether it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread;

/// What is known of a row; `Ok(None)` if it does not exist.
pub(super) type Lookup<T> = Result<Option<T>, Unread>;

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Known rows.
#[derive(Default)]
pub(super) struct Known {
    ids: HashMap<EventId, Option<Position>>,
    log: BTreeMap<Position, KnownRow>,
    tables: HashMap<Table, KnownTable>,
}

#[derive(Default)]
struct KnownTable {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The known ranges: start → end (exclusive; `None` means to the end). They neither overlap nor touch.
    ranges: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// A piece of a scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Rows in the order of the scan; the scan continues at the bound, or is over.
    Rows(Vec<Pair>, Option<Vec<u8>>),
    /// A range that is not known: from, to (empty means to the end).
    Gap(Vec<u8>, Vec<u8>),
}

/// The smallest key after another one.
pub(super) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// Whether an exclusive end is at or after another one.
fn reaches(end: Option<&[u8]>, other: Option<&[u8]>) -> bool {
    match (end, other) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(end), Some(other)) => end >= other,
    }
}

/// The entries between two bounds.
fn range<'m, V>(map: &'m BTreeMap<Vec<u8>, V>, from: &[u8], to: Bound<&[u8]>) -> Range<'m, Vec<u8>, V> {
    map.range::<[u8], _>((Bound::Included(from), to))
}

/// The bound of an exclusive end.
fn below(end: Option<&[u8]>) -> Bound<&[u8]> {
    end.map_or(Bound::Unbounded, Bound::Excluded)
}

impl KnownTable {
    /// The known range that contains a key.
    fn range_of(&self, key: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
        let (start, end) = range(&self.ranges, &[], Bound::Included(key)).next_back()?;
        let inside = end.as_deref().is_none_or(|end| key < end);
        inside.then_some((start.as_slice(), end.as_deref()))
    }

    /// The known range that ends at or after a bound (exclusive; `None` means the end) and begins before it.
    fn range_before(&self, bound: Option<&[u8]>) -> Option<(&[u8], Option<&[u8]>)> {
        let (start, end) = range(&self.ranges, &[], below(bound)).next_back()?;
        reaches(end.as_deref(), bound).then_some((start.as_slice(), end.as_deref()))
    }

    fn add_range(&mut self, from: &[u8], to: Option<&[u8]>) {
        let (mut start, mut end) = (from.to_vec(), to.map(<[u8]>::to_vec));
        // Joins every known range that overlaps or touches it.
        loop {
            let upto = end.clone();
            let upto = upto.as_deref().map_or(Bound::Unbounded, Bound::Included);
            let Some((near, near_end)) = range(&self.ranges, &[], upto).next_back() else { break };
            if !reaches(near_end.as_deref(), Some(&start)) {
                break;
            }
            let near = near.clone();
            let near_end = self.ranges.remove(&near).flatten();
            if reaches(near_end.as_deref(), end.as_deref()) {
                end = near_end;
            }
            start = start.min(near);
        }
        self.ranges.insert(start, end);
    }
}

impl Known {
    /// The position of an id.
    pub fn position_of(&self, id: EventId) -> Lookup<Position> {
        self.ids.get(&id).copied().ok_or(Unread)
    }

    pub fn row(&self, position: Position) -> Option<&KnownRow> {
        self.log.get(&position)
    }

    pub fn add_row(&mut self, position: Position, row: KnownRow) {
        self.ids.insert(row.id, Some(position));
        self.log.insert(position, row);
    }

    /// Notes that an id does not exist, unless it is known.
    pub fn add_missing(&mut self, id: EventId) {
        self.ids.entry(id).or_insert(None);
    }

    /// The value of a key.
    pub fn get(&self, table: Table, key: &[u8]) -> Lookup<&[u8]> {
        let table = self.tables.get(&table).filter(|table| table.range_of(key).is_some()).ok_or(Unread)?;
        Ok(table.rows.get(key).map(Vec::as_slice))
    }

    /// Adds the rows of a range, which are all there are.
    pub fn add(
        &mut self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) {
        if to.is_some_and(|to| to <= from) {
            return;
        }
        let table = self.tables.entry(table).or_default();
        table.rows.extend(rows);
        table.add_range(from, to);
    }

    /// The next piece of a scan of `[from, to)`, where an empty `to` means to the end; at most `most` rows.
    pub fn piece(&self, table: Table, (from, to): (&[u8], &[u8]), order: Order, most: usize) -> Piece {
        let gap = || Piece::Gap(from.to_vec(), to.to_vec());
        let Some(table) = self.tables.get(&table) else { return gap() };
        let bound = (!to.is_empty()).then_some(to);
        let copied = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        match order {
            Order::Ascending => {
                let Some((_, end)) = table.range_of(from) else {
                    // The request includes the next known range, because a request costs more than rows that are read twice.
                    return gap();
                };
                let end = if reaches(end, bound) { bound } else { end };
                let mut rows: Vec<_> = range(&table.rows, from, below(end)).take(most + 1).map(copied).collect();
                if rows.len() > most {
                    rows.pop();
                    let next = rows.last().map(|(key, _)| successor(key));
                    return Piece::Rows(rows, next);
                }
                let over = reaches(end, bound);
                Piece::Rows(rows, if over { None } else { end.map(<[u8]>::to_vec) })
            }
            Order::Descending => {
                let Some((start, _)) = table.range_before(bound) else { return gap() };
                let start = start.max(from);
                let rows = range(&table.rows, start, below(bound)).rev();
                let mut rows: Vec<_> = rows.take(most + 1).map(copied).collect();
                if rows.len() > most {
                    rows.pop();
                    let next = rows.last().map(|(key, _)| key.clone());
                    return Piece::Rows(rows, next);
                }
                Piece::Rows(rows, (start > from).then(|| start.to_vec()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: Table = Table::Files;

    /// Scans with the help of a whole table, and counts the ranges that were asked for.
    fn scan(
        known: &mut Known,
        whole: &BTreeMap<Vec<u8>, Vec<u8>>,
        from: &[u8],
        to: &[u8],
        order: Order,
    ) -> Vec<Vec<u8>> {
        let (mut from, mut to) = (from.to_vec(), to.to_vec());
        let mut seen = Vec::new();
        for _ in 0..100 {
            if !to.is_empty() && from >= to {
                return seen;
            }
            match known.piece(TABLE, (&from, &to), order, 2) {
                Piece::Rows(rows, next) => {
                    seen.extend(rows.into_iter().map(|(key, _)| key));
                    match (next, order) {
                        (None, _) => return seen,
                        (Some(next), Order::Ascending) => from = next,
                        (Some(next), Order::Descending) => to = next,
                    }
                }
                Piece::Gap(low, high) => {
                    let end = (!high.is_empty()).then_some(high.as_slice());
                    let inside = |key: &&Vec<u8>| **key >= low && end.is_none_or(|end| key.as_slice() < end);
                    let all: Vec<_> = whole.keys().filter(inside).cloned().collect();
                    // A page of two rows.
                    let page: Vec<_> = match order {
                        Order::Ascending => all.iter().take(2).cloned().collect(),
                        Order::Descending => all.iter().rev().take(2).cloned().collect(),
                    };
                    let last = page.last().cloned().filter(|_| page.len() < all.len());
                    let rows = page.into_iter().map(|key| (key, vec![1]));
                    match (last, order) {
                        (None, _) => known.add(TABLE, &low, end, rows),
                        (Some(last), Order::Ascending) => known.add(TABLE, &low, Some(&successor(&last)), rows),
                        (Some(last), Order::Descending) => known.add(TABLE, &last, end, rows),
                    }
                }
            }
        }
        panic!("the scan does not end");
    }

    proptest! {
        /// Whatever was asked for before, a scan returns what the table has.
        #[test]
        fn scans_of_known_ranges_equal_scans_of_the_table(
            keys in prop::collection::btree_set(prop::collection::vec(0_u8..4, 1..3), 0..12),
            scans in prop::collection::vec(
                (prop::collection::vec(0_u8..4, 0..3), prop::collection::vec(0_u8..4, 0..3), any::<bool>()), 1..12),
        ) {
            let whole: BTreeMap<Vec<u8>, Vec<u8>> = keys.into_iter().map(|key| (key, vec![1])).collect();
            let mut known = Known::default();
            for (from, to, up) in scans {
                let order = if up { Order::Ascending } else { Order::Descending };
                let inside = |key: &&Vec<u8>| **key >= from && (to.is_empty() || **key < to);
                let mut want: Vec<_> = whole.keys().filter(inside).cloned().collect();
                if !up {
                    want.reverse();
                }
                prop_assert_eq!(scan(&mut known, &whole, &from, &to, order), want);
                for key in whole.keys() {
                    if let Ok(value) = known.get(TABLE, key) {
                        prop_assert_eq!(value, Some(&[1][..]));
                    }
                }
            }
        }
    }
}
