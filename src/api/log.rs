//! `log`: summaries of events, the latest first.

use serde::Serialize;

use super::events::EventSelection;
use super::input::{self, is_relative, limit, moment};
use super::view_inputs::{LogInput, SummariesInput};
use crate::ledger::{EventFilter, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, NameKind, Position, Tombstone};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::range;
use crate::present::summary::summary;

/// Default and maximum number of events in an answer.
const DEFAULT: usize = 50;
const MOST: usize = 100;
/// Maximum length of a summary, in characters. A name of a foreign log may have thousands.
const SUMMARY: usize = 300;

/// Summaries of events.
#[derive(Serialize)]
pub(crate) struct EventSummaries {
    /// Last position of the ledger.
    head: Position,
    events: Vec<EventSummary>,
    /// Value of `before` for the next call; null at the beginning of the log.
    next: Option<Position>,
}

/// An event in one line.
#[derive(Serialize)]
struct EventSummary {
    position: Position,
    id: EventId,
    kind: &'static str,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    source: String,
    summary: String,
    /// Length of its line in bytes.
    bytes: usize,
    /// Whether its body is erased.
    shredded: bool,
    /// Whether it is withdrawn.
    void: bool,
}

impl LogInput {
    /// Returns the filter.
    pub fn filter(&self, zone: Zone, now: Timestamp) -> Result<EventFilter> {
        let selected = EventSelection::new(&self.kind, &self.provider)?;
        let (since, until) = (moment(self.since.as_deref())?, moment(self.until.as_deref())?);
        let (since, until) = range(since, until, zone, now)?;
        Ok(EventFilter::between(since, until)
            .kinds(selected.kinds)
            .names(NameKind::Provider, selected.providers.iter().map(ProviderId::as_str))
            .names(NameKind::Account, &self.account)
            .names(NameKind::Model, &self.model)
            .names(NameKind::Agent, &self.agent)
            .names(NameKind::Project, &self.project)
            .names(NameKind::Conversation, &self.conversation))
    }

    /// Returns whether the answer depends on events alone.
    pub fn is_timeless(&self) -> bool {
        !is_relative(self.since.as_deref(), self.until.as_deref())
    }
}

/// Returns the position before which a list begins; `None` begins at the latest event.
pub(super) fn before(given: Option<u64>) -> Result<Option<Position>> {
    given.map(|number| input::position("before", number)).transpose()
}

/// Returns a text with at most `most` characters, and an ellipsis if it is longer.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let mut rest = text.chars();
    let mut begun: String = rest.by_ref().take(most).collect();
    if rest.next().is_some() {
        begun.push('…');
    }
    begun
}

/// Lists events before a position.
pub(crate) fn answer(snapshot: &Snapshot<'_>, input: &LogInput, filter: &EventFilter) -> Result<EventSummaries> {
    let (limit, before) = (limit(input.limit, DEFAULT, MOST)?, before(input.before)?);
    let (mut events, mut next) = (Vec::new(), None);
    snapshot.find_back(filter, before, &mut |position, line| {
        let event = Event::from_line(position, line)?;
        if !filter.is_named(&event.payload) {
            return Ok(true);
        }
        if events.len() == limit {
            next = events.last().map(|last: &EventSummary| last.position);
            return Ok(false);
        }
        events.push(summarise(snapshot, position, line, event)?);
        Ok(true)
    })?;
    Ok(EventSummaries { head: snapshot.head()?.position, events, next })
}

/// Summarises the events at given positions, in the order of the input.
pub(crate) fn summaries(snapshot: &Snapshot<'_>, input: &SummariesInput) -> Result<EventSummaries> {
    if input.position.len() > MOST {
        return Err(Error::invalid(format!("there are over {MOST} positions: send fewer at a time")));
    }
    let events = input.position.iter().map(|position| {
        let position = input::position("position", *position)?;
        let line = snapshot.stored(position)?;
        let event = Event::from_line(position, &line)?;
        summarise(snapshot, position, &line, event)
    });
    Ok(EventSummaries { events: events.collect::<Result<_>>()?, head: snapshot.head()?.position, next: None })
}

fn summarise(snapshot: &Snapshot<'_>, position: Position, line: &str, event: Event) -> Result<EventSummary> {
    Ok(EventSummary {
        position,
        kind: event.payload.kind(),
        occurred_at: event.occurred_at,
        recorded_at: event.recorded_at,
        summary: shortened(&summary(&event.payload), SUMMARY),
        bytes: line.len(),
        shredded: Tombstone::is(line),
        void: snapshot.is_void(event.id)?,
        id: event.id,
        source: event.source.into_owned(),
    })
}
