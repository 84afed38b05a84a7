//! `log`: summaries of events, the latest first.

use serde::Serialize;

use super::events::EventSelection;
use super::view_inputs::{LogInput, SummariesInput};
use crate::ledger::{EventFilter, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, NameKind, Position, Tombstone};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::{Moment, range};
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
        let moment = |text: &Option<String>| text.as_deref().map(str::parse::<Moment>).transpose();
        let (since, until) = range(moment(&self.since)?, moment(&self.until)?, zone, now)?;
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
        let is_relative = |text: &Option<String>| matches!(text.as_deref(), Some("today" | "yesterday"));
        !is_relative(&self.since) && !is_relative(&self.until)
    }
}

/// Returns a number of items within its bounds.
pub(super) fn limit(given: Option<u32>, default: usize, most: usize) -> Result<usize> {
    match given.map(usize::try_from) {
        None => Ok(default),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(Error::invalid(format!("`limit` must be 1 to {most}: follow `next` for more"))),
    }
}

/// Returns the position before which a list begins.
pub(super) fn before(given: Option<u64>) -> Result<Option<Position>> {
    match given.map(i64::try_from) {
        Some(Ok(0)) => {
            Err(Error::invalid("`before` is 0, and positions begin at 1: leave it out for the latest events"))
        }
        Some(Err(_)) => Err(Error::invalid("`before` is larger than any position: leave it out for the latest events")),
        _ => Ok(given.map(Position::new)),
    }
}

/// Lists events before a position.
pub(crate) fn answer(snapshot: &Snapshot<'_>, input: &LogInput, filter: &EventFilter) -> Result<EventSummaries> {
    let (limit, before) = (limit(input.limit, DEFAULT, MOST)?, before(input.before)?);
    let (mut events, mut next) = (Vec::new(), None);
    snapshot.find_back(filter, before, &mut |position, line| {
        let event = Event::from_line(position, stored(position, line)?)?;
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
        let position = before(Some(*position))?.unwrap_or(Position::START);
        let line = snapshot.stored(position)?;
        let event = Event::from_line(position, stored(position, &line)?)?;
        summarise(snapshot, position, &line, event)
    });
    Ok(EventSummaries { events: events.collect::<Result<_>>()?, head: snapshot.head()?.position, next: None })
}

/// Returns what folds read of a line: the kept numbers of a shredded event.
fn stored(position: Position, line: &str) -> Result<&str> {
    Ok(Tombstone::read(position, line)?.map_or(line, |tombstone| tombstone.kept))
}

fn summarise(snapshot: &Snapshot<'_>, position: Position, line: &str, event: Event) -> Result<EventSummary> {
    let text = summary(&event.payload);
    let cut = text.char_indices().nth(SUMMARY).map(|(at, _)| at);
    let summary = match cut.and_then(|at| text.get(..at)) {
        Some(begun) => format!("{begun}…"),
        None => text,
    };
    Ok(EventSummary {
        position,
        kind: event.payload.kind(),
        occurred_at: event.occurred_at,
        recorded_at: event.recorded_at,
        summary,
        bytes: line.len(),
        shredded: Tombstone::is(line),
        void: snapshot.is_void(event.id)?,
        id: event.id,
        source: event.source.into_owned(),
    })
}
