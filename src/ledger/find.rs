//! Finds events by kind, name and time, and reads only blocks that may contain matches.

use std::collections::BTreeSet;

use super::Snapshot;
use crate::model::error::Result;
use crate::model::event::{EventKind, NameKind, Payload, Position};
use crate::model::time::{DAY, Timestamp};
use crate::projection::blocks::{
    BLOCK, QuarterRanges, StoredSummary, blocks_with, damaged, full_blocks, place, position_at, quarter_of,
    quarters_between, scan_blocks, scan_these,
};
use crate::projection::{Effective, corrections_exist, uncorrected};
use crate::store::{Flow, GO_ON, Order, Row, STOP};

/// The longest range in milliseconds whose blocks come from the index of quarters. A longer one has many rows there, and a
/// search may end soon.
const SHORT: i64 = 8 * DAY;

/// The wanted events.
#[derive(Debug, Default)]
pub(crate) struct EventFilter {
    kinds: Vec<EventKind>,
    names: Vec<(NameKind, BTreeSet<String>)>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl EventFilter {
    /// Events from one time up to another, the second exclusive.
    pub fn between(since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self { since, until, ..Self::default() }
    }

    /// Only events of these kinds; an empty list allows all.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = EventKind>) -> Self {
        self.kinds.extend(kinds);
        self
    }

    /// Only events with one of these names; an empty list allows all.
    pub fn names<S: Into<String>>(mut self, kind: NameKind, names: impl IntoIterator<Item = S>) -> Self {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        if !names.is_empty() {
            self.names.push((kind, names));
        }
        self
    }

    /// Whether names are restricted.
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether an event has one of the wanted names.
    pub fn is_named(&self, payload: &Payload) -> bool {
        self.names.iter().all(|(kind, wanted)| {
            let mut matches = false;
            payload.names(&mut |of, name| matches |= of == *kind && wanted.contains(name));
            matches
        })
    }

    /// Whether an event with these columns may match.
    fn may_match(&self, row: &Row<'_>) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| row.is_kind(*kind)))
            && self.since.is_none_or(|since| since <= row.occurred_at)
            && self.until.is_none_or(|until| row.occurred_at < until)
    }

    /// Whether a block may contain a match; `None` if its summary is damaged.
    fn may_be_in(&self, block: &StoredSummary<'_>) -> Option<bool> {
        let kind = self.kinds.is_empty() || self.kinds.iter().any(|kind| block.has_kind(*kind));
        let named = |(kind, names): &(NameKind, BTreeSet<String>)| names.iter().any(|n| block.may_name(kind.hash(n)));
        if !kind || !self.names.iter().all(named) {
            return Some(false);
        }
        if self.since.is_none() && self.until.is_none() {
            return Some(true);
        }
        let since = self.since.map(quarter_of);
        let until = self.until.map(|until| quarter_of(until.plus(-1)));
        block.has_quarter(&mut |quarter| {
            since.is_none_or(|since| since <= quarter) && until.is_none_or(|until| quarter <= until)
        })
    }

    /// The quarters of a range that is so short that the index of quarters is read first.
    fn short_range(&self) -> Option<QuarterRanges> {
        let is_short = self.until?.millis().saturating_sub(self.since?.millis()) <= SHORT;
        quarters_between(self.since, self.until).filter(|_| is_short)
    }
}

impl Snapshot<'_> {
    /// Visits the full blocks that may contain a match.
    fn possible_blocks(&self, filter: &EventFilter, order: Order, visit: &mut dyn FnMut(u64) -> Flow) -> Result<()> {
        let mut each = |number: u64, block: Option<&StoredSummary<'_>>| {
            // A block without a summary may contain anything.
            let may_hold = block.map_or(Some(true), |block| filter.may_be_in(block)).ok_or_else(|| damaged(number))?;
            if may_hold { visit(number) } else { GO_ON }
        };
        match filter.short_range() {
            Some(quarters) => scan_these(self.view(), &blocks_with(self.view(), &quarters)?, order, &mut each),
            None => scan_blocks(self.view(), order, &mut each),
        }
    }

    /// The possible matches from a position on, up to the end of its block.
    fn candidates(&self, filter: &EventFilter, from: Position) -> Result<Vec<(Position, String)>> {
        let mut kinds = Vec::new();
        let (number, _) = place(from);
        let last = position_at(number, (BLOCK - 1) as u16);
        self.view().rows(from, &mut |position, row| {
            if position <= last && filter.may_match(&row) {
                kinds.push((position, row.body.to_owned()));
            }
            if position < last { GO_ON } else { STOP }
        })?;
        Ok(kinds)
    }

    /// Visits all matching events from a position on, and some others: the caller compares names with
    /// [`EventFilter::is_named`]. It ends when the visitor returns false.
    pub(crate) fn find_forward(
        &self,
        filter: &EventFilter,
        from: Position,
        visit: &mut dyn FnMut(Position, &str) -> Result<bool>,
    ) -> Result<()> {
        let full = full_blocks(self.view())?;
        let (first, _) = place(from);
        let mut goes_on = true;
        if first < full {
            self.possible_blocks(filter, Order::Ascending, &mut |number| {
                if number < first {
                    return GO_ON;
                }
                for (position, line) in self.candidates(filter, from.max(position_at(number, 0)))? {
                    if goes_on {
                        goes_on = visit(position, &line)?;
                    }
                }
                if goes_on { GO_ON } else { STOP }
            })?;
        }
        if goes_on {
            self.view().rows(from.max(position_at(full, 0)), &mut |position, row| {
                if filter.may_match(&row) && !visit(position, row.body)? { STOP } else { GO_ON }
            })?;
        }
        Ok(())
    }

    /// Visits every call from one time up to another, with its corrections. It reads only blocks that may contain one.
    pub(crate) fn each_call_between(
        &self,
        since: Timestamp,
        until: Timestamp,
        visit: &mut dyn FnMut(Effective) -> Result<()>,
    ) -> Result<()> {
        let in_blocks = EventFilter::between(Some(since), Some(until)).kinds([EventKind::TokensRecorded]);
        // A correction may move a call into the range, so the time in the row of the log excludes none.
        let records = EventFilter::default().kinds([EventKind::TokensRecorded]);
        let corrected = corrections_exist(self.view())?;
        let mut each = |position: Position, line: &str| {
            let call = if corrected { self.effective(position)? } else { uncorrected(position, line)? };
            match call {
                Some(call) if call.at >= since && call.at < until => visit(call),
                _ => Ok(()),
            }
        };
        let full = full_blocks(self.view())?;
        self.possible_blocks(&in_blocks, Order::Ascending, &mut |number| {
            for (position, line) in self.candidates(&records, position_at(number, 0))? {
                each(position, &line)?;
            }
            GO_ON
        })?;
        self.view().rows(position_at(full, 0), &mut |position, row| {
            if records.may_match(&row) {
                each(position, row.body)?;
            }
            GO_ON
        })
    }

    /// Like [`find_forward`](Self::find_forward), backwards from the last event, or from the one before a position.
    pub(crate) fn find_back(
        &self,
        filter: &EventFilter,
        before: Option<Position>,
        visit: &mut dyn FnMut(Position, &str) -> Result<bool>,
    ) -> Result<()> {
        let mut goes_on = true;
        let is_wanted = |position: Position| before.is_none_or(|before| position < before);
        let mut back = |from: Position| -> Result<bool> {
            if !is_wanted(from) {
                return Ok(true);
            }
            for (position, line) in self.candidates(filter, from)?.iter().rev() {
                if goes_on && is_wanted(*position) {
                    goes_on = visit(*position, line)?;
                }
            }
            Ok(goes_on)
        };
        if !back(position_at(full_blocks(self.view())?, 0))? {
            return Ok(());
        }
        self.possible_blocks(filter, Order::Descending, &mut |number| {
            let from = position_at(number, 0);
            if !is_wanted(from) || back(from)? { GO_ON } else { STOP }
        })
    }
}
