//! Rows of the rollups as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::super::day::{self, Quarters};
use super::super::key::{day_of, push_day};
use super::super::series::Level;
use super::changes::{Changes, add_encoded};
use super::chapters::{LEVELS, row_key, split_key, start_of, unreadable};
use super::days::DayState;
use super::past_view::PastView;
use crate::model::error::Result;
use crate::store::{Flow, GO_ON, Order, Table, after_prefix, scan_map};

/// A part of a scan.
enum RollupPart {
    /// The rows of the present.
    Present { from: Vec<u8>, to: Vec<u8> },
    /// The rows of a day that was something else.
    Mixed { from: Vec<u8>, to: Vec<u8> },
}

/// The number of a level's table, if it is one.
pub(super) fn level_of(table: Table) -> Option<usize> {
    Level::ALL.iter().position(|level| level.table() == table)
}

fn day_key(day: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(3);
    push_day(&mut key, day);
    key
}

impl PastView<'_> {
    pub(super) fn rollup_row(&self, table: Table, level: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match day_of(key).map(|day| self.days.state(day)) {
            None | Some(DayState::Present) => self.log.get(table, key),
            Some(DayState::Empty) => Ok(None),
            Some(DayState::Mixed) => {
                // Behind every key that begins with this one: keys are texts.
                let mut to = key.to_vec();
                to.push(u8::MAX);
                if level < LEVELS {
                    return Ok(self.mixed_rows(level, key, &to)?.remove(key));
                }
                let days = BTreeSet::from_iter(day_of(key));
                Ok(self.rows_from_blocks(level, &days)?.remove(key))
            }
        }
    }

    pub(super) fn scan_rollup(
        &self,
        table: Table,
        level: usize,
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let mut parts = self.parts(from, to);
        if order == Order::Descending {
            parts.reverse();
        }
        let from_blocks = if level < LEVELS { None } else { Some(self.rows_from_blocks(level, &mixed_days(&parts))?) };
        let mut is_over = false;
        for part in parts {
            let visit = &mut |key: &[u8], value: &[u8]| {
                let flow = visit(key, value)?;
                is_over = flow.is_break();
                Ok(flow)
            };
            match part {
                RollupPart::Present { from, to } => self.log.scan(table, &from, &to, order, visit)?,
                RollupPart::Mixed { from, to } => match &from_blocks {
                    Some(rows) => scan_map(rows, &from, &to, order, visit)?,
                    None => scan_map(&self.mixed_rows(level, &from, &to)?, &[], &[], order, visit)?,
                },
            }
            if is_over {
                break;
            }
        }
        Ok(())
    }

    /// Cuts a range of keys at the days that differ from the present.
    fn parts(&self, from: &[u8], to: &[u8]) -> Vec<RollupPart> {
        // A key without a whole day begins before every day, and ends behind every day.
        let first = if from.is_empty() { i64::MIN } else { day_of(from).unwrap_or(i64::MIN) };
        let last = if to.is_empty() { i64::MAX } else { day_of(to).unwrap_or(i64::MAX) };
        let (mut parts, mut cursor, mut has_present) = (Vec::new(), from.to_vec(), false);
        let end = |key: Vec<u8>| if to.is_empty() || key.as_slice() < to { key } else { to.to_vec() };
        for (day, state) in self.days.between(first, last) {
            if state == DayState::Present {
                has_present = true;
                continue;
            }
            let (start, behind) = (day_key(day), after_prefix(&day_key(day)));
            if has_present && cursor < start {
                parts.push(RollupPart::Present { from: cursor.clone(), to: end(start.clone()) });
            }
            has_present = false;
            let start = start.max(cursor);
            let stop = end(behind.clone());
            if state == DayState::Mixed && start < stop {
                parts.push(RollupPart::Mixed { from: start, to: stop });
            }
            cursor = behind;
        }
        if has_present && (to.is_empty() || cursor.as_slice() < to) {
            parts.push(RollupPart::Present { from: cursor, to: to.to_vec() });
        }
        parts
    }

    /// The rows of a range within one day: the sums of their changes up to the position.
    fn mixed_rows(&self, level: usize, from: &[u8], to: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut rows: BTreeMap<Vec<u8>, Quarters> = BTreeMap::new();
        let range = (row_key(level, from), row_key(level, to));
        self.log.scan(Table::History, &range.0, &range.1, Order::Ascending, &mut |key, value| {
            let (_, row, chapter) = split_key(key).ok_or_else(|| unreadable(self.chapter))?;
            if chapter >= self.chapter {
                return GO_ON;
            }
            let quarters = match rows.get_mut(row) {
                Some(quarters) => quarters,
                None => rows.entry(row.to_vec()).or_default(),
            };
            add_encoded(quarters, value).ok_or_else(|| unreadable(chapter))??;
            GO_ON
        })?;
        if let Some(tail) = self.tail.rows.get(level) {
            let range = (Bound::Included(from), Bound::Excluded(to));
            for (row, changes) in tail.range::<[u8], _>(range) {
                let quarters = rows.entry(row.clone()).or_default();
                for (quarter, change) in changes {
                    quarters.entry(*quarter).or_default().add(change)?;
                }
            }
        }
        encode(rows)
    }

    /// The rows of mixed days of a level whose changes are not stored. One pass over the blocks serves all days.
    fn rows_from_blocks(&self, level: usize, days: &BTreeSet<i64>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut rows: BTreeMap<Vec<u8>, Quarters> = BTreeMap::new();
        let mut add = |changes: &Changes| -> Result<()> {
            let changed = changes.rows.get(level).into_iter().flatten();
            for (row, changes) in changed.filter(|(row, _)| day_of(row).is_some_and(|day| days.contains(&day))) {
                let quarters = match rows.get_mut(row) {
                    Some(quarters) => quarters,
                    None => rows.entry(row.clone()).or_default(),
                };
                for (quarter, change) in changes {
                    quarters.entry(*quarter).or_default().add(change)?;
                }
            }
            Ok(())
        };
        if !days.is_empty() {
            for chapter in self.days.chapters_of(days).into_iter().filter(|chapter| *chapter < self.chapter) {
                add(&Changes::of(&*self.log, start_of(chapter), start_of(chapter + 1))?)?;
            }
            add(&self.tail)?;
        }
        encode(rows)
    }
}

fn mixed_days(parts: &[RollupPart]) -> BTreeSet<i64> {
    let mixed = parts.iter().filter_map(|part| match part {
        RollupPart::Mixed { from, .. } => day_of(from),
        RollupPart::Present { .. } => None,
    });
    mixed.collect()
}

fn encode(rows: BTreeMap<Vec<u8>, Quarters>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut encoded = BTreeMap::new();
    for (row, mut quarters) in rows {
        quarters.retain(|_, totals| !totals.is_zero());
        if !quarters.is_empty() {
            encoded.insert(row, day::encode(&quarters)?);
        }
    }
    Ok(encoded)
}
