//! Which days of the past differ from the present.

use std::collections::{BTreeMap, BTreeSet};

use super::super::blocks::{BLOCK, StoredSummary, block_key, damaged, place};
use super::super::corrections;
use super::changes::{corrections_between, is_correction};
use super::chapters::{CHAPTER, each_day, start_of};
use crate::model::error::Result;
use crate::model::event::{Event, EventKind, Position};
use crate::model::time::{DAY, HOUR, QUARTER, Timestamp};
use crate::store::{GO_ON, ReadView, STOP, Table};

/// What a day is as of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayState {
    /// What it is in the present: no event behind the position changes it.
    Present,
    /// Without anything: only events behind the position change it.
    Empty,
    /// Something else.
    Mixed,
}

/// Chapters of a day whose uses are read by the hour.
const FEW: usize = 8;

/// A part of the time line in which days have the same state. A mixed part is at most one day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The first instant in milliseconds.
    pub from: i64,
    /// The first instant behind it.
    pub to: i64,
    pub state: DayState,
}

/// The days that the events of a ledger change.
pub(super) struct Days {
    /// The chapters whose events change a day. The events behind the last full chapter count as one.
    chapters: BTreeMap<i64, Vec<u32>>,
    /// The chapter of the position, and whether the position is the one in front of it.
    chapter: u64,
    at_start: bool,
    spans: Vec<Span>,
}

impl Days {
    /// The days of a ledger, seen from a position.
    pub fn new(view: &dyn ReadView, position: Position) -> Result<Self> {
        let mut chapters: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        let mut add = |chapter: u64, day: i64| chapters.entry(day).or_default().push(chapter as u32);
        each_day(view, &mut add)?;
        let head = view.head()?.position;
        let loose = head.get() / CHAPTER;
        for day in days_behind(view, start_of(loose), head)? {
            add(loose, day);
        }
        let chapter = position.get() / CHAPTER;
        let mut days = Self { chapters, chapter, at_start: start_of(chapter) == position, spans: Vec::new() };
        days.spans = days.cut();
        Ok(days)
    }

    pub fn state(&self, day: i64) -> DayState {
        match self.chapters.get(&day).map(Vec::as_slice) {
            Some([first, .., last]) => self.state_of((*first).into(), (*last).into()),
            Some([only]) => self.state_of((*only).into(), (*only).into()),
            // Nothing counts on this day.
            _ => DayState::Present,
        }
    }

    const fn state_of(&self, first: u64, last: u64) -> DayState {
        if last < self.chapter {
            DayState::Present
        } else if first > self.chapter || (first == self.chapter && self.at_start) {
            DayState::Empty
        } else {
            DayState::Mixed
        }
    }

    /// The days from one to another that have records, in order.
    pub fn between(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, DayState)> {
        let range = if first <= last { Some(self.chapters.range(first..=last)) } else { None };
        range.into_iter().flatten().map(|(day, _)| (*day, self.state(*day)))
    }

    /// The time line from its beginning to its end.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The chapters, up to that of the position, whose events change one of these days.
    pub fn chapters_of(&self, days: &BTreeSet<i64>) -> BTreeSet<u64> {
        let chapters = days.iter().filter_map(|day| self.chapters.get(day)).flatten();
        chapters.map(|chapter| u64::from(*chapter)).filter(|chapter| *chapter <= self.chapter).collect()
    }

    fn cut(&self) -> Vec<Span> {
        let (mut spans, mut end) = (Vec::<Span>::new(), i64::MIN);
        for day in self.chapters.keys() {
            let state = self.state(*day);
            if state == DayState::Present {
                continue;
            }
            let (from, to) = (day * DAY, (day + 1) * DAY);
            match spans.last_mut() {
                // Days of the future without a gap are one part.
                Some(last) if state == DayState::Empty && last.state == state && end == from => last.to = to,
                _ => {
                    if end < from {
                        spans.push(Span { from: end, to: from, state: DayState::Present });
                    }
                    // A day of few blocks is read by the hour: most questions are about a few hours.
                    let few = self.chapters.get(day).is_some_and(|chapters| chapters.len() <= FEW);
                    let step = if state == DayState::Mixed && few { HOUR } else { DAY };
                    let mut start = from;
                    while start < to {
                        spans.push(Span { from: start, to: start + step, state });
                        start += step;
                    }
                }
            }
            end = to;
        }
        spans.push(Span { from: end, to: i64::MAX, state: DayState::Present });
        spans
    }
}

/// The days that the events behind `after` through `last` may change.
fn days_behind(view: &dyn ReadView, after: Position, last: Position) -> Result<BTreeSet<i64>> {
    let mut days = BTreeSet::new();
    let mut first = after.next();
    while first <= last {
        let (number, _) = place(first);
        let end = Position::new((number + 1) * BLOCK).min(last);
        let mut corrects = true;
        if let Some(bytes) = view.get(Table::Blocks, &block_key(number))? {
            let summary = StoredSummary::read(&bytes).ok_or_else(|| damaged(number))?;
            let read = summary.has_quarter(&mut |quarter| {
                days.insert(quarter.div_euclid(DAY / QUARTER));
                false
            });
            read.ok_or_else(|| damaged(number))?;
            corrects = summary.has_kind(EventKind::TokensAmended) || summary.has_kind(EventKind::EventVoided);
        } else {
            add_days_of_lines(view, first, end, &mut days)?;
        }
        if corrects {
            for (position, line) in corrections_between(view, first, end)? {
                let event = Event::from_line(position, &line)?;
                if let Some(root) = corrections::root(view, &event, position)? {
                    add_days_of_record(view, root, &mut days)?;
                }
            }
        }
        first = end.next();
    }
    Ok(days)
}

fn add_days_of_lines(view: &dyn ReadView, first: Position, last: Position, days: &mut BTreeSet<i64>) -> Result<()> {
    let any = corrections::corrections_exist(view)?;
    let mut corrected = Vec::new();
    view.rows(first, &mut |position, row| {
        if position > last {
            return STOP;
        }
        if !is_correction(row.kind) {
            days.insert(row.occurred_at.utc_day());
            if any && row.is_kind(EventKind::TokensRecorded) && corrections::any(view, row.id)? {
                corrected.push(position);
            }
        }
        if position == last { STOP } else { GO_ON }
    })?;
    corrected.into_iter().try_for_each(|position| add_days_of_record(view, position, days))
}

/// The day of a record, and those that its amendments give it.
fn add_days_of_record(view: &dyn ReadView, position: Position, days: &mut BTreeSet<i64>) -> Result<()> {
    let event = Event::from_line(position, &view.expect_line(position)?)?;
    days.insert(event.occurred_at.utc_day());
    let amended = corrections::amended_times(view, event.id)?;
    days.extend(amended.into_iter().map(Timestamp::utc_day));
    Ok(())
}
