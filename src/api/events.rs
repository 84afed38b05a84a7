//! Lists events: the filter and the answer shared by `log --json`, ranges and streams.

use serde::Serialize;
use serde_json::value::RawValue;

use super::input::{self, EventsInput, is_relative, moment};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::{Envelope, EventKind, NameKind, Payload, Position, Tombstone, on_one_line};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::range;

/// Default and maximum number of events in an answer.
const DEFAULT: usize = 100;
const MOST: usize = 1_000;
/// Maximum bytes of lines in one answer. The event that reaches it is the last.
const BYTES: usize = 4 << 20;
/// Maximum number of events that one call examines. Otherwise a filter without matches would read the whole log in one
/// call.
const LOOKED_AT: u64 = 100_000;

/// Selects events.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventSelection {
    pub kinds: Vec<EventKind>,
    pub providers: Vec<ProviderId>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl EventSelection {
    /// Parses the names of kinds and providers.
    pub fn new(kinds: &[String], providers: &[String]) -> Result<Self> {
        let kinds = kinds.iter().flat_map(|names| names.split(',')).map(|name| {
            EventKind::named(name).ok_or_else(|| {
                Error::invalid(format!("`{name}` is no kind of event: write one of {}", Payload::KINDS.join(", ")))
            })
        });
        let providers = providers.iter().map(|name| ProviderId::resolve(name));
        Ok(Self {
            kinds: kinds.collect::<Result<_>>()?,
            providers: providers.collect::<Result<_>>()?,
            since: None,
            until: None,
        })
    }

    /// Returns whether an event is selected.
    pub fn admits(&self, position: Position, line: &str) -> Result<bool> {
        let envelope = Envelope::parse(position, line)?;
        let at = envelope.occurred_at;
        if !(self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.name() == envelope.kind))
            || self.since.is_some_and(|since| at < since)
            || self.until.is_some_and(|until| until <= at)
        {
            return Ok(false);
        }
        if self.providers.is_empty() {
            return Ok(true);
        }
        let event = envelope.open(position)?;
        Ok(self.providers.iter().any(|id| is_about(&event.payload, id.as_str())))
    }
}

/// A range of events.
#[derive(Serialize)]
pub(crate) struct EventList {
    /// Last position of the ledger.
    head: Position,
    events: Vec<Box<RawValue>>,
    /// Value of `after` for the next call; null at the end of the log.
    next: Option<Position>,
}

impl EventsInput {
    /// Returns the filter.
    pub fn filter(&self, zone: Zone, now: Timestamp) -> Result<EventSelection> {
        let (since, until) = (moment(self.since.as_deref())?, moment(self.until.as_deref())?);
        let (since, until) = range(since, until, zone, now)?;
        Ok(EventSelection { since, until, ..EventSelection::new(&self.kind, &self.provider)? })
    }

    /// Returns the position after which the list begins.
    pub fn after(&self) -> Result<Position> {
        if self.after == 0 { Ok(Position::START) } else { input::position("after", self.after) }
    }

    /// Returns the maximum number of events in the answer.
    pub fn limit(&self) -> Result<usize> {
        input::limit(self.limit, DEFAULT, MOST)
    }

    /// Returns whether the answer depends on events alone.
    pub fn is_timeless(&self) -> bool {
        !is_relative(self.since.as_deref(), self.until.as_deref())
    }
}

/// Lists events after a position.
pub(crate) fn answer(
    snapshot: &Snapshot<'_>,
    after: Position,
    limit: usize,
    filter: &EventSelection,
) -> Result<EventList> {
    let head = snapshot.head()?.position;
    let (mut events, mut bytes, mut last) = (Vec::new(), 0, after);
    if after < head {
        snapshot.lines(after.next(), &mut |position, line| {
            if filter.admits(position, line)? {
                let shown = shown(position, line)?;
                bytes += shown.len();
                events.push(
                    RawValue::from_string(shown)
                        .map_err(|error| Error::damaged(position, format!("the line is no JSON ({error})")))?,
                );
            }
            last = position;
            Ok(events.len() < limit && bytes < BYTES && position.get() - after.get() < LOOKED_AT)
        })?;
    }
    Ok(EventList { head, events, next: (last < head).then_some(last) })
}

/// Formats an event as one line with its position. A shredded event has its tombstone and the position of its
/// `event_shredded`.
pub(crate) fn shown(position: Position, line: &str) -> Result<String> {
    Ok(match Tombstone::read(position, line)? {
        None => format!("{{\"position\":{position},\"event\":{}}}", on_one_line(line)),
        Some(Tombstone { leaf, by, kept: tombstone, .. }) => {
            let tombstone = on_one_line(tombstone);
            format!(
                "{{\"position\":{position},\"shredded\":{{\"by\":{by},\"leaf\":\"{leaf}\"}},\"event\":{tombstone}}}"
            )
        }
    })
}

/// Returns whether an event names a provider.
pub(crate) fn is_about(payload: &Payload, provider: &str) -> bool {
    let mut names_it = false;
    payload.names(&mut |kind, name| names_it |= kind == NameKind::Provider && name == provider);
    names_it
}

/// Returns the kind of an event.
#[cfg(feature = "web")]
pub(crate) fn kind(position: Position, line: &str) -> Result<String> {
    Ok(Envelope::parse(position, line)?.kind.to_string())
}
