//! Which full blocks contain events of a quarter of an hour, so that a query for a few hours reads only their summaries.
//!
//! A row holds a quarter and a group of 64 blocks, and one bit for each block. Corrections only add times to a block,
//! and shredding keeps all times, so no bit is ever removed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::digest::digest_of;
use super::summary::{Summary, quarter_of};
use super::{damaged, full_blocks, position_at, scan_blocks};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::{DAY, QUARTER, Timestamp};
use crate::projection::key::{push_time, take_time};
use crate::store::{GO_ON, KeyRange, Order, ReadView, Table, WriteView};

/// Blocks in a row.
const GROUP: u64 = 64;
/// Ranges with fewer quarters between them are read together, because a look-up costs more than that many rows.
const GAP: i64 = 16;

/// Quarters of an hour: ranges in order that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QuarterRanges(Vec<RangeInclusive<i64>>);

impl QuarterRanges {
    /// The quarters from one through another.
    pub fn between(first: i64, last: i64) -> Self {
        Self(vec![first..=last])
    }

    /// Single quarters.
    pub fn of(quarters: impl IntoIterator<Item = i64>) -> Self {
        let sorted: BTreeSet<i64> = quarters.into_iter().collect();
        let mut ranges: Vec<RangeInclusive<i64>> = Vec::new();
        for quarter in sorted {
            match ranges.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(quarter) => *last = *last.start()..=quarter,
                _ => ranges.push(quarter..=quarter),
            }
        }
        Self(ranges)
    }

    /// Whether a quarter is in one of the ranges.
    pub fn contains(&self, quarter: i64) -> bool {
        let place = self.0.partition_point(|range| *range.end() < quarter);
        self.0.get(place).is_some_and(|range| range.contains(&quarter))
    }

    /// Fewer ranges that contain these.
    fn merged(&self) -> Vec<RangeInclusive<i64>> {
        let mut merged: Vec<RangeInclusive<i64>> = Vec::new();
        for range in &self.0 {
            match merged.last_mut() {
                Some(last) if range.start().saturating_sub(*last.end()) < GAP => *last = *last.start()..=*range.end(),
                _ => merged.push(range.clone()),
            }
        }
        merged
    }
}

/// The quarters from one time up to another, which is not among them; `None` if both are missing.
#[cfg(feature = "cli")]
pub(crate) fn quarters_between(since: Option<Timestamp>, until: Option<Timestamp>) -> Option<QuarterRanges> {
    if since.is_none() && until.is_none() {
        return None;
    }
    let first = since.map_or(i64::MIN, quarter_of);
    let last = until.map_or(i64::MAX, |until| quarter_of(until.plus(-1)));
    Some(QuarterRanges::between(first, last))
}

/// The first key of a quarter: the time at which it begins.
fn quarter_key(quarter: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    push_time(&mut key, Timestamp::from_millis(quarter.saturating_mul(QUARTER)));
    key
}

fn row_key(quarter: i64, group: u64) -> Vec<u8> {
    let mut key = quarter_key(quarter);
    key.extend_from_slice(&group.to_be_bytes());
    key
}

/// The quarter, the group and the bits of a row.
fn row_of(key: &[u8], value: &[u8]) -> Option<(i64, u64, u64)> {
    let (start, group) = take_time(key)?;
    let group = u64::from_be_bytes(group.try_into().ok()?);
    let is_start = start.millis().rem_euclid(QUARTER) == 0;
    is_start.then_some((quarter_of(start), group, u64::from_be_bytes(value.try_into().ok()?)))
}

fn unreadable() -> Error {
    Error::damaged(None, "a row of the index of quarters is unreadable: run `usage-ledger replay --write`")
}

/// Bits that are not written yet, by quarter and group.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuarterBits(BTreeMap<(i64, u64), u64>);

impl QuarterBits {
    /// Adds a quarter of a block.
    pub fn add(&mut self, number: u64, quarter: i64) {
        *self.0.entry((quarter, number / GROUP)).or_default() |= 1 << (number % GROUP);
    }

    /// Adds the quarters of a block.
    pub fn add_all(&mut self, number: u64, summary: &Summary) {
        summary.quarters().for_each(|quarter| self.add(number, quarter));
    }

    /// Adds the bits to the stored rows.
    pub fn write(&self, sink: &mut dyn WriteView) -> Result<()> {
        for ((quarter, group), bits) in &self.0 {
            let key = row_key(*quarter, *group);
            let stored = match sink.get(Table::Quarters, &key)? {
                Some(value) => row_of(&key, &value).ok_or_else(unreadable)?.2,
                None => 0,
            };
            if stored | bits != stored {
                sink.put(Table::Quarters, &key, Some(&(stored | bits).to_be_bytes()))?;
            }
        }
        Ok(())
    }

    /// Calls `bad` with the first position of the blocks and the time of the quarter of each stored row that differs from
    /// these bits; without, for a row that is not readable.
    pub fn differences(
        mut self,
        view: &dyn ReadView,
        bad: &mut dyn FnMut(Option<(Position, Timestamp)>),
    ) -> Result<()> {
        let place = |quarter: i64, group: u64| {
            let first = position_at(group.saturating_mul(GROUP), 0);
            Some((first, Timestamp::from_millis(quarter.saturating_mul(QUARTER))))
        };
        view.scan(Table::Quarters, &[], &[], Order::Ascending, &mut |key, value| {
            match row_of(key, value) {
                Some((quarter, group, bits)) if self.0.remove(&(quarter, group)) != Some(bits) => {
                    bad(place(quarter, group));
                }
                Some(_) => {}
                None => bad(None),
            }
            GO_ON
        })?;
        for (quarter, group) in self.0.into_keys() {
            bad(place(quarter, group));
        }
        Ok(())
    }
}

/// Whether a ledger has full blocks and no index of their quarters, because an earlier build wrote it. A ledger with a part
/// of the index is damaged.
pub(crate) fn lacks_quarters(view: &dyn ReadView) -> Result<bool> {
    Ok(full_blocks(view)? > 0 && !view.has_any(&KeyRange::whole(Table::Quarters))?)
}

/// Writes the index from the summaries of the blocks.
pub(crate) fn build_quarters(sink: &mut dyn WriteView) -> Result<()> {
    let mut bits = QuarterBits::default();
    scan_blocks(&*sink, Order::Ascending, &mut |number, block| {
        match block {
            Some(block) => {
                let read = block.has_quarter(&mut |quarter| {
                    bits.add(number, quarter);
                    false
                });
                read.ok_or_else(|| damaged(number))?;
            }
            None => bits.add_all(number, &digest_of(&*sink, number)?.summary),
        }
        GO_ON
    })?;
    bits.write(sink)
}

/// The full blocks with an event in one of these quarters, at any time that a correction gives it. A block without a summary
/// in a ledger without the index counts too.
pub(crate) fn blocks_with(view: &dyn ReadView, quarters: &QuarterRanges) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    if lacks_quarters(view)? {
        scan_blocks(view, Order::Ascending, &mut |number, block| {
            let has = block.map_or(Some(true), |block| block.has_quarter(&mut |quarter| quarters.contains(quarter)));
            if has.ok_or_else(|| damaged(number))? {
                found.insert(number);
            }
            GO_ON
        })?;
        return Ok(found);
    }
    // A view of the past has fewer blocks than the index.
    let full = full_blocks(view)?;
    for range in quarters.merged() {
        let to = range.end().checked_add(1).map(quarter_key).unwrap_or_default();
        view.scan(Table::Quarters, &quarter_key(*range.start()), &to, Order::Ascending, &mut |key, value| {
            let (quarter, group, bits) = row_of(key, value).ok_or_else(unreadable)?;
            if quarters.contains(quarter) {
                let numbers =
                    (0..GROUP).filter(|bit| bits & (1 << bit) != 0).map(|bit| group.saturating_mul(GROUP) + bit);
                found.extend(numbers.filter(|number| *number < full));
            }
            GO_ON
        })?;
    }
    Ok(found)
}

/// The last block with an event of each UTC day, at any time that a correction gives it. `None` if the ledger has no index.
pub(crate) fn last_blocks(view: &dyn ReadView) -> Result<Option<BTreeMap<i64, u64>>> {
    if lacks_quarters(view)? {
        return Ok(None);
    }
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    view.scan(Table::Quarters, &[], &[], Order::Ascending, &mut |key, value| {
        let (quarter, group, bits) = row_of(key, value).ok_or_else(unreadable)?;
        let last = u64::from(bits.checked_ilog2().ok_or_else(unreadable)?) + group.saturating_mul(GROUP);
        let of_day = days.entry(quarter.div_euclid(DAY / QUARTER)).or_default();
        *of_day = last.max(*of_day);
        GO_ON
    })?;
    Ok(Some(days))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{NewEvent, TokensAmended};
    use crate::projection::blocks::BLOCK;
    use crate::store::{EventStore, MemoryStore, clear};
    use crate::{Ledger, TokenRecord};

    #[test]
    fn ranges_hold_their_quarters_and_no_others() {
        let ranges = QuarterRanges::of([7, -2, 3, 4, 5, 100, -3]);
        assert_eq!(ranges.0, [-3..=-2, 3..=5, 7..=7, 100..=100]);
        let held: Vec<i64> = (-200..200).filter(|quarter| ranges.contains(*quarter)).collect();
        assert_eq!(held, [-3, -2, 3, 4, 5, 7, 100]);
        assert_eq!(ranges.merged(), [-3..=7, 100..=100]);
        let all = QuarterRanges::between(i64::MIN, i64::MAX);
        assert!(all.contains(i64::MIN) && all.contains(0) && all.contains(i64::MAX));
        assert!(!QuarterRanges::default().contains(0));
    }

    /// Calls of many hours in no order, and corrections that give some of them other times.
    fn ledger() -> (Ledger, MemoryStore) {
        let store = MemoryStore::new();
        let ledger = Ledger::with_store(Box::new(store.clone()));
        let at = |n: u64| Timestamp::from_millis((n * 7_919 % 40) as i64 * QUARTER + n as i64);
        let now = Timestamp::from_millis(100 * QUARTER);
        let call = |n: u64| NewEvent::new(TokenRecord::new("openai", "m").input(n).key(n.to_string()), at(n / 300));
        for part in 0..4 {
            ledger.append((part * 900..(part + 1) * 900).map(call), now).unwrap();
        }
        for n in [5, 1_500, 3_599_u64] {
            let target = ledger.event(n).unwrap().id;
            let moved = TokensAmended::new(target, "later", TokenRecord::new("openai", "m").input(1));
            let moved = moved.at(Timestamp::from_millis((60 + n as i64) * QUARTER));
            ledger.append([NewEvent::new(moved, now)], now).unwrap();
        }
        ledger.append((4_000..5_000).map(call), now).unwrap();
        (ledger, store)
    }

    /// The blocks with a quarter, from their summaries.
    fn expected(view: &dyn ReadView, ranges: &QuarterRanges) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        scan_blocks(view, Order::Ascending, &mut |number, block| {
            if block.unwrap().has_quarter(&mut |quarter| ranges.contains(quarter)).unwrap() {
                found.insert(number);
            }
            GO_ON
        })
        .unwrap();
        found
    }

    #[test]
    fn the_index_names_the_blocks_of_each_quarter() {
        let (ledger, store) = ledger();
        let mut questions: Vec<QuarterRanges> =
            (-2..45).map(|quarter| QuarterRanges::between(quarter, quarter)).collect();
        questions.extend([(0, 39), (10, 12), (i64::MIN, 3), (60, i64::MAX)].map(|(a, b)| QuarterRanges::between(a, b)));
        questions.extend([65, 1_560, 3_659].map(|quarter| QuarterRanges::of([quarter, 7])));
        let answers = |store: &MemoryStore| -> Vec<BTreeSet<u64>> {
            let view = store.read().unwrap();
            questions.iter().map(|ranges| blocks_with(&*view, ranges).unwrap()).collect()
        };
        let view = store.read().unwrap();
        let right: Vec<_> = questions.iter().map(|ranges| expected(&*view, ranges)).collect();
        assert!(
            right.iter().any(BTreeSet::is_empty) && right.iter().any(|blocks| blocks.len() as u64 == 4_603 / BLOCK)
        );
        assert_eq!(answers(&store), right);
        assert_eq!(right[questions.len() - 2], BTreeSet::from([1]), "the quarter that a correction gives");
        // Without the index, the summaries answer. It can be made from them.
        let mut tx = store.write().unwrap();
        clear(&mut *tx, Table::Quarters).unwrap();
        tx.commit().unwrap();
        assert!(lacks_quarters(&*store.read().unwrap()).unwrap());
        assert_eq!(answers(&store), right);
        let mut tx = store.write().unwrap();
        build_quarters(&mut *tx).unwrap();
        tx.commit().unwrap();
        assert_eq!(answers(&store), right);
        assert_eq!(ledger.verify().unwrap().findings, []);
    }

    #[test]
    fn a_changed_row_is_a_finding_and_is_rebuilt() {
        let (ledger, store) = ledger();
        let put = |key: &[u8], value: Option<&[u8]>| {
            let mut tx = store.write().unwrap();
            tx.put(Table::Quarters, key, value).unwrap();
            tx.commit().unwrap();
        };
        let changes: [(Vec<u8>, Option<&[u8]>); 6] = [
            (row_key(39, 0), None),
            (row_key(39, 0), Some(&[255; 8])),
            (row_key(39, 0), Some(b"short")),
            (row_key(39, 1), Some(&[0, 0, 0, 0, 0, 0, 0, 1])),
            (row_key(i64::MAX, u64::MAX), Some(&[1; 8])),
            (b"key".to_vec(), Some(&[1; 8])),
        ];
        for (key, value) in changes {
            put(&key, value);
            let findings = ledger.verify().unwrap().findings;
            assert!(findings.iter().any(|one| one.what.starts_with("block_quarters")), "{key:?}: {findings:?}");
            assert!(ledger.repair().unwrap().ok && ledger.verify().unwrap().ok, "{key:?}");
        }
    }
}
