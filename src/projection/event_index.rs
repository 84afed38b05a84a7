//! The index of events other than counts: switches, limits, observations and the like, by subject and time.

use std::collections::BTreeSet;

#[cfg(feature = "cli")]
use super::corrections::is_void_id;
use super::corrections::{is_void, root};
use super::key::{position_value, push_time, take_id, take_position, take_time};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, Position, Subject};
use crate::model::time::Timestamp;
use crate::store::{Flow, GO_ON, Order, ReadView, Row, STOP, Table, WriteView, after_prefix};

impl Subject<'_> {
    fn key(&self) -> Vec<u8> {
        match self {
            Self::Ledger => vec![0],
            Self::Account(account) => account.key(),
        }
    }
}

/// An indexed event that is not voided, with its position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexedEvent {
    pub position: Position,
    pub event: Event,
}

/// Index entries that are not written yet.
#[derive(Clone, Default)]
pub(super) struct PendingEntries {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    accounts: BTreeSet<Vec<u8>>,
}

impl PendingEntries {
    /// Adds an event, if it is indexed.
    pub fn take(&mut self, event: &Event, position: Position) {
        let Some(subject) = event.payload.subject(event.occurred_at) else { return };
        let about = subject.key();
        let mut key = Vec::with_capacity(about.len() + 25);
        key.push(event.payload.event_kind().code());
        key.extend_from_slice(&about);
        push_time(&mut key, event.occurred_at);
        key.extend_from_slice(event.id.as_bytes());
        self.entries.push((key, position_value(position)));
        if matches!(subject, Subject::Account(_)) && !self.accounts.contains(&about) {
            self.accounts.insert(about);
        }
    }

    /// Writes the pending entries.
    pub fn file(&mut self, sink: &mut dyn WriteView) -> Result<()> {
        self.entries.sort_unstable();
        sink.put_all(
            Table::EventIndex,
            &mut self.entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice())),
        )?;
        self.entries.clear();
        for account in std::mem::take(&mut self.accounts) {
            if sink.get(Table::Accounts, &account)?.is_none() {
                sink.put(Table::Accounts, &account, Some(&[]))?;
            }
        }
        Ok(())
    }
}

/// Visits the events of a kind and subject that happened up to `until`, without voided ones.
pub(crate) fn each_event(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    until: Timestamp,
    order: Order,
    visit: &mut dyn FnMut(IndexedEvent) -> Flow,
) -> Result<()> {
    each_event_between(view, kind, subject, (Timestamp::MIN, until), order, visit)
}

/// The keys of a kind and subject from the first time through the second: the length of their common part, the first key, and
/// the key behind the last.
fn span(kind: EventKind, subject: &Subject<'_>, (since, until): (Timestamp, Timestamp)) -> (usize, Vec<u8>, Vec<u8>) {
    let mut from = vec![kind.code()];
    from.extend(subject.key());
    let prefix = from.len();
    let mut to = from.clone();
    push_time(&mut from, since);
    push_time(&mut to, until);
    (prefix, from, after_prefix(&to))
}

/// Like [`each_event`], for events from the first time through the second.
pub(crate) fn each_event_between(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    times: (Timestamp, Timestamp),
    order: Order,
    visit: &mut dyn FnMut(IndexedEvent) -> Flow,
) -> Result<()> {
    each_line_between(view, kind, subject, times, order, &mut |_, line| line.event(view)?.map_or(GO_ON, &mut *visit))
}

/// The line of an indexed event, which may be voided.
pub(crate) struct IndexedLine {
    pub position: Position,
    pub line: String,
}

impl IndexedLine {
    /// The event; `None` if it is voided.
    pub fn event(&self, view: &dyn ReadView) -> Result<Option<IndexedEvent>> {
        let event = Event::from_line(self.position, &self.line)?;
        Ok((!is_void(view, &event)?).then_some(IndexedEvent { position: self.position, event }))
    }
}

/// Like [`each_event_between`], for the times and lines of the events, voided ones too. Parsing a line and looking for its
/// corrections takes most of the time of a visit, so a query of many lines chooses from them first.
pub(crate) fn each_line_between(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    times: (Timestamp, Timestamp),
    order: Order,
    visit: &mut dyn FnMut(Timestamp, IndexedLine) -> Flow,
) -> Result<()> {
    let (prefix, from, to) = span(kind, subject, times);
    view.scan(Table::EventIndex, &from, &to, order, &mut |key, value| {
        let read = || {
            let (at, rest) = take_time(key.get(prefix..)?)?;
            take_id(rest)?;
            Some((at, take_position(value)?))
        };
        let (at, position) = read().ok_or_else(|| Error::damaged(None, "a row of facts is unreadable"))?;
        visit(at, IndexedLine { position, line: view.expect_line(position)? })
    })
}

/// Visits the times and positions of the events of a kind and subject, without voided ones and without reading their lines.
/// Events of this kind cannot be amended. `times` are the first and the last time.
#[cfg(feature = "cli")]
pub(crate) fn each_entry_between(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    times: (Timestamp, Timestamp),
    visit: &mut dyn FnMut(Timestamp, Position) -> Flow,
) -> Result<()> {
    let (prefix, from, to) = span(kind, subject, times);
    view.scan(Table::EventIndex, &from, &to, Order::Ascending, &mut |key, value| {
        let read = || {
            let (at, rest) = take_time(key.get(prefix..)?)?;
            let (id, _) = take_id(rest)?;
            Some((at, id, take_position(value)?))
        };
        let (at, id, position) = read().ok_or_else(|| Error::damaged(None, "a row of facts is unreadable"))?;
        if is_void_id(view, id)? { GO_ON } else { visit(at, position) }
    })
}

/// The positions of calls that are [counted later](crate::model::event::is_counted_later), or were before a correction.
pub(crate) fn counted_later(view: &dyn ReadView) -> Result<BTreeSet<Position>> {
    let mut positions = BTreeSet::new();
    for kind in [EventKind::TokensRecorded, EventKind::TokensAmended] {
        each_event(view, kind, &Subject::Ledger, Timestamp::MAX, Order::Ascending, &mut |indexed| {
            if indexed.event.payload.corrects().is_none() {
                positions.insert(indexed.position);
            } else {
                positions.extend(root(view, &indexed.event, Position::new(u64::MAX))?);
            }
            GO_ON
        })?;
    }
    Ok(positions)
}

/// The events of a kind and subject up to `until`, latest first.
pub(crate) fn events_latest_first(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    until: Timestamp,
) -> Result<Vec<IndexedEvent>> {
    let mut latest = Vec::new();
    each_event(view, kind, subject, until, Order::Descending, &mut |indexed| {
        latest.push(indexed);
        GO_ON
    })?;
    Ok(latest)
}

/// The latest value up to `until` that `decode` returns for an event of a kind and subject. Events for which it returns
/// `None` are skipped.
pub(crate) fn latest_event<T>(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    until: Timestamp,
    mut decode: impl FnMut(IndexedEvent) -> Option<T>,
) -> Result<Option<T>> {
    let mut latest = None;
    each_event(view, kind, subject, until, Order::Descending, &mut |indexed| {
        latest = decode(indexed);
        if latest.is_some() { STOP } else { GO_ON }
    })?;
    Ok(latest)
}

/// The values that `decode` returns for the events of a kind and subject from the first time through the second,
/// earliest first. Events for which it returns `None` are skipped.
pub(crate) fn collect_events<T>(
    view: &dyn ReadView,
    kind: EventKind,
    subject: &Subject<'_>,
    span: (Timestamp, Timestamp),
    mut decode: impl FnMut(IndexedEvent) -> Option<T>,
) -> Result<Vec<T>> {
    let mut values = Vec::new();
    each_event_between(view, kind, subject, span, Order::Ascending, &mut |indexed| {
        values.extend(decode(indexed));
        GO_ON
    })?;
    Ok(values)
}

impl Row<'_> {
    /// Whether this key is that of a kind.
    pub(crate) fn is_kind(&self, kind: EventKind) -> bool {
        self.kind == kind.code()
    }
}
