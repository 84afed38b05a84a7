//! How the events of a part of the log change the rollups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::Xxh3;

use super::super::blocks::{BLOCK, StoredColumn, StoredSummary, block_key, damaged, place, position_at, quarter_of};
use super::super::corrections::{self, effective};
use super::super::day::Quarters;
use super::super::key::push_day;
use super::super::series::{KeyEnds, Level};
use super::super::totals::Totals;
use super::until::Until;
use crate::model::error::{Error, Result};
use crate::model::event::{Envelope, Event, EventKind, Position, TokenView};
use crate::model::time::{DAY, QUARTER, Timestamp};
use crate::store::{GO_ON, ReadView, STOP, Table};

/// Changes of rows, by level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub rows: [BTreeMap<Vec<u8>, Quarters>; Level::ALL.len()],
    /// Every UTC day that an event changed, also if the changes cancel each other.
    pub days: BTreeSet<i64>,
}

/// The sums of the records of one block that have the same names and quarter of an hour.
type Groups = HashMap<((u32, u32), i64), Totals, BuildHasherDefault<Xxh3>>;

impl Changes {
    /// What the events behind `after` through `last` change. Each event sees the corrections in front of it, so the changes
    /// of two neighbouring parts add up to those of both.
    pub fn of(view: &dyn ReadView, after: Position, last: Position) -> Result<Self> {
        let mut changes = Self::default();
        let mut first = after.next();
        while first <= last {
            let (number, _) = place(first);
            let end = Position::new((number + 1) * BLOCK).min(last);
            changes.add_block(view, number, first, end)?;
            first = end.next();
        }
        for rows in &mut changes.rows {
            rows.retain(|_, quarters| {
                quarters.retain(|_, totals| !totals.is_zero());
                !quarters.is_empty()
            });
        }
        Ok(changes)
    }

    fn add_block(&mut self, view: &dyn ReadView, number: u64, first: Position, last: Position) -> Result<()> {
        let key = block_key(number);
        match (view.get(Table::Blocks, &key)?, view.get(Table::Columns, &key)?) {
            (Some(summary), Some(column)) => self.add_stored(view, number, (first, last), &summary, &column),
            _ => self.add_lines(view, first, last),
        }
    }

    fn add_stored(
        &mut self,
        view: &dyn ReadView,
        number: u64,
        (first, last): (Position, Position),
        summary: &[u8],
        column: &[u8],
    ) -> Result<()> {
        let unreadable = || damaged(number);
        let summary = StoredSummary::read(summary).ok_or_else(unreadable)?;
        let column = StoredColumn::read(column).ok_or_else(unreadable)?;
        let corrected = summary.corrected().ok_or_else(unreadable)?;
        let (from, to) = (place(first).1, place(last).1);
        let mut groups = Groups::default();
        let read = column.each(&mut |entry| {
            if (from..=to).contains(&entry.offset) && !corrected.contains(&entry.offset) {
                groups.entry((entry.names, quarter_of(entry.at))).or_default().add(&entry.totals)?;
            }
            Ok(())
        });
        read.ok_or_else(unreadable)??;
        for ((names, quarter), totals) in groups {
            let (mut key, ends) = column.key_and_ends(names).ok_or_else(unreadable)?;
            let day = quarter.div_euclid(DAY / QUARTER);
            let mut day_key = Vec::with_capacity(3);
            push_day(&mut day_key, day);
            key.splice(..day_key.len(), day_key);
            let quarter = u8::try_from(quarter.rem_euclid(DAY / QUARTER)).map_err(|_| unreadable())?;
            self.add(day, quarter, &key, ends, &totals)?;
        }
        for offset in corrected.into_iter().filter(|offset| (from..=to).contains(offset)) {
            self.add_record_at(view, position_at(number, offset))?;
        }
        if summary.has_kind(EventKind::TokensAmended) || summary.has_kind(EventKind::EventVoided) {
            for (position, line) in corrections_between(view, first, last)? {
                self.add_correction(view, position, &line)?;
            }
        }
        Ok(())
    }

    /// Adds events from their lines.
    fn add_lines(&mut self, view: &dyn ReadView, first: Position, last: Position) -> Result<()> {
        let any = corrections::corrections_exist(view)?;
        let (mut corrected, mut correcting) = (Vec::new(), Vec::new());
        view.rows(first, &mut |position, row| {
            if position > last {
                return STOP;
            }
            if is_correction(row.kind) {
                correcting.push((position, row.body.to_owned()));
            } else if row.is_kind(EventKind::TokensRecorded) {
                if any && corrections::any(view, row.id)? {
                    corrected.push(position);
                } else {
                    let envelope = Envelope::parse(position, row.body)?;
                    let record: TokenView<'_> = serde_json::from_str(envelope.data.get())
                        .map_err(|e| Error::damaged(position, format!("this record is unreadable ({e})")))?;
                    self.add_record(envelope.occurred_at, &record, false)?;
                }
            }
            if position == last { STOP } else { GO_ON }
        })?;
        corrected.into_iter().try_for_each(|position| self.add_record_at(view, position))?;
        correcting.iter().try_for_each(|(position, line)| self.add_correction(view, *position, line))
    }

    /// Adds a record as it counted when it was appended: its corrections may have been there first.
    fn add_record_at(&mut self, view: &dyn ReadView, position: Position) -> Result<()> {
        match effective(&Until { view, last: position }, position, None)? {
            Some(now) => self.add_record(now.at, &TokenView::from(&now.record), false),
            None => Ok(()),
        }
    }

    /// Adds what a correction changes of the record that it corrects.
    fn add_correction(&mut self, view: &dyn ReadView, position: Position, line: &str) -> Result<()> {
        let event = Event::from_line(position, line)?;
        let until = Until { view, last: position };
        let Some(root) = corrections::root(&until, &event, position)? else { return Ok(()) };
        if let Some(before) = effective(&until, root, Some(event.id))? {
            self.add_record(before.at, &TokenView::from(&before.record), true)?;
        }
        if let Some(after) = effective(&until, root, None)? {
            self.add_record(after.at, &TokenView::from(&after.record), false)?;
        }
        Ok(())
    }

    fn add_record(&mut self, at: Timestamp, record: &TokenView<'_>, taken_back: bool) -> Result<()> {
        let mut key = Vec::new();
        let ends = Level::write_key(&mut key, at, record);
        let one = Totals::one(&record.tokens, record.cost);
        let one = if taken_back { one.negated() } else { one };
        self.add(at.utc_day(), at.quarter_of_day(), &key, ends, &one)
    }

    fn add(&mut self, day: i64, quarter: u8, key: &[u8], ends: KeyEnds, totals: &Totals) -> Result<()> {
        self.days.insert(day);
        for (rows, level) in self.rows.iter_mut().zip(Level::ALL) {
            let row = level.key_in(key, ends)?;
            if let Some(quarters) = rows.get_mut(&*row) {
                quarters.entry(quarter).or_default().add(totals)?;
            } else {
                rows.insert(row.into_owned(), Quarters::from([(quarter, *totals)]));
            }
        }
        Ok(())
    }
}

/// Whether a row of the log amends or voids another event.
pub(super) fn is_correction(kind: u8) -> bool {
    kind == EventKind::TokensAmended.code() || kind == EventKind::EventVoided.code()
}

/// The amendments and voids of a part of the log.
pub(super) fn corrections_between(
    view: &dyn ReadView,
    first: Position,
    last: Position,
) -> Result<Vec<(Position, String)>> {
    let mut found = Vec::new();
    view.rows(first, &mut |position, row| {
        if position > last {
            return STOP;
        }
        if is_correction(row.kind) {
            found.push((position, row.body.to_owned()));
        }
        if position == last { STOP } else { GO_ON }
    })?;
    Ok(found)
}

/// Writes changes of quarters: each quarter, then its change. Unlike stored sums, changes can be negative.
pub(super) fn encode(quarters: &Quarters) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 * quarters.len());
    for (quarter, totals) in quarters {
        out.push(*quarter);
        totals.encode_change(&mut out);
    }
    out
}

/// Adds stored changes to quarters; `None` when the bytes are damaged.
pub(super) fn add_encoded(quarters: &mut Quarters, mut bytes: &[u8]) -> Option<Result<()>> {
    while let Some((quarter, rest)) = bytes.split_first() {
        bytes = rest;
        let change = Totals::decode_change(&mut bytes)?;
        if let Err(error) = quarters.entry(*quarter).or_default().add(&change) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}
