//! Amendments and voids: determines which one applies, independent of their order of arrival.

use super::key::{push_time, take_id, take_position, take_time};
use crate::model::error::{Error, Result};
use crate::model::event::{Envelope, Event, EventId, EventKind, Payload, Position, RecordLine, TokenRecord, Tombstone};
use crate::model::time::Timestamp;
use crate::store::{KeyRange, ReadView, STOP, Table, WriteView};

/// The maximal depth of corrections of corrections.
const DEPTH: u32 = 64;

/// A stored correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    pub at: Timestamp,
    id: EventId,
    pub position: Position,
    pub void: bool,
}

impl Correction {
    /// Rival corrections are ordered by time, then id.
    const fn rank(&self) -> (Timestamp, EventId) {
        (self.at, self.id)
    }
}

/// Stores a correction under its target.
pub(super) fn file(sink: &mut dyn WriteView, target: EventId, event: &Event, position: Position) -> Result<()> {
    let mut key = target.as_bytes().to_vec();
    push_time(&mut key, event.occurred_at);
    key.extend_from_slice(event.id.as_bytes());
    let mut value = vec![u8::from(matches!(event.payload, Payload::EventVoided(_)))];
    value.extend(super::key::position_value(position));
    sink.put(Table::Corrections, &key, Some(&value))
}

/// Whether any correction exists.
pub(crate) fn corrections_exist(view: &dyn ReadView) -> Result<bool> {
    view.has_any(&KeyRange::whole(Table::Corrections))
}

/// Whether an event has any correction.
pub(crate) fn any(view: &dyn ReadView, target: EventId) -> Result<bool> {
    view.has_any(&KeyRange::prefix(Table::Corrections, target.as_bytes()))
}

/// The times that amendments of a record give it.
pub(super) fn amended_times(view: &dyn ReadView, record: EventId) -> Result<Vec<Timestamp>> {
    let mut times = Vec::new();
    for correction in of(view, record)?.iter().filter(|correction| !correction.void) {
        let event = Event::from_line(correction.position, &view.expect_line(correction.position)?)?;
        if let Payload::TokensAmended(amend) = event.payload {
            times.extend(amend.at);
        }
    }
    Ok(times)
}

/// The position of the record with an id, if it precedes another position.
pub(crate) fn record_before(view: &dyn ReadView, id: EventId, before: Position) -> Result<Option<Position>> {
    let Some(position) = view.position_of(id)?.filter(|position| *position < before) else { return Ok(None) };
    let mut is_record = false;
    view.rows(position, &mut |at, row| {
        is_record = at == position && row.is_kind(EventKind::TokensRecorded);
        STOP
    })?;
    Ok(is_record.then_some(position))
}

/// The corrections of an event, latest first.
fn of(view: &dyn ReadView, target: EventId) -> Result<Vec<Correction>> {
    let range = KeyRange::prefix(Table::Corrections, target.as_bytes()).descending();
    view.collect(&range, |key, value| {
        let read = || {
            let (at, rest) = take_time(key.get(16..)?)?;
            let (id, _) = take_id(rest)?;
            let (void, position) = value.split_first()?;
            Some(Correction { at, id, position: take_position(position)?, void: *void == 1 })
        };
        read().map(Some).ok_or_else(|| Error::damaged(None, "a row of corrections is unreadable"))
    })
}

/// The positions of the corrections of an event.
pub(crate) fn corrections_of(view: &dyn ReadView, target: EventId) -> Result<Vec<Position>> {
    Ok(of(view, target)?.into_iter().map(|correction| correction.position).collect())
}

/// The correction that applies to an event, excluding one. A correction of a correction counts only if it is later than
/// its target, so no cycle can form.
fn holding(
    view: &dyn ReadView,
    target: EventId,
    of_correction: Option<(Timestamp, EventId)>,
    without: Option<EventId>,
    depth: u32,
) -> Result<Option<Correction>> {
    if depth > DEPTH {
        return Err(Error::invalid(format!(
            "event {target} is at the end of more than {DEPTH} voids of voids: record it anew"
        )));
    }
    for candidate in of(view, target)? {
        let counts = of_correction.is_none_or(|rank| candidate.void && candidate.rank() > rank);
        if counts
            && Some(candidate.id) != without
            && holding(view, candidate.id, Some(candidate.rank()), without, depth + 1)?.is_none()
        {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// The correction that applies to an event.
pub(crate) fn correction_of(view: &dyn ReadView, event: &Event) -> Result<Option<Correction>> {
    let of_correction = match event.payload {
        Payload::TokensRecorded(_) => None,
        Payload::TokensAmended(_) | Payload::EventVoided(_) => Some((event.occurred_at, event.id)),
        // Only records can be amended, so the voids of other events have no rivals.
        _ => Some((Timestamp::MIN, EventId::from(uuid::Uuid::nil()))),
    };
    holding(view, event.id, of_correction, None, 0)
}

/// Whether an event is voided.
pub(crate) fn is_void(view: &dyn ReadView, event: &Event) -> Result<bool> {
    Ok(correction_of(view, event)?.is_some_and(|correction| correction.void))
}

/// Whether an event that is no record and no correction is voided.
#[cfg(feature = "cli")]
pub(crate) fn is_void_id(view: &dyn ReadView, id: EventId) -> Result<bool> {
    let first = (Timestamp::MIN, EventId::from(uuid::Uuid::nil()));
    Ok(holding(view, id, Some(first), None, 0)?.is_some_and(|correction| correction.void))
}

/// A token record with its corrections applied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effective {
    /// When the call happened.
    pub at: Timestamp,
    /// Its content.
    pub record: TokenRecord,
    /// The source of the record or of the amendment that applies.
    pub source: String,
    /// When the applied amendment was made, if there is one.
    pub amended_at: Option<Timestamp>,
    /// The event that determines it.
    pub evidence: Position,
    /// Whether its names are shredded.
    pub shredded: bool,
}

/// The record at `position` with its corrections; `None` if it is voided.
pub(crate) fn effective(
    view: &dyn ReadView,
    position: Position,
    without: Option<EventId>,
) -> Result<Option<Effective>> {
    let line = view.expect_line(position)?;
    let envelope = Envelope::parse(position, &line)?;
    let correction = holding(view, envelope.id, None, without, 0)?;
    corrected(view, position, &line, correction)
}

/// The record in the line at `position`, which nothing corrects. `None` if the line is not that of a record.
pub(crate) fn uncorrected(position: Position, line: &str) -> Result<Option<Effective>> {
    if let Some(read) = RecordLine::<TokenRecord>::read(line) {
        return Ok(Some(Effective {
            at: read.occurred_at,
            record: read.data,
            source: read.source.into_owned(),
            amended_at: None,
            evidence: position,
            shredded: false,
        }));
    }
    let event = Event::from_line(position, line)?;
    let Payload::TokensRecorded(record) = event.payload else { return Ok(None) };
    Ok(Some(Effective {
        at: event.occurred_at,
        record,
        source: event.source.into_owned(),
        amended_at: None,
        evidence: position,
        shredded: Tombstone::is(line),
    }))
}

fn corrected(
    view: &dyn ReadView,
    position: Position,
    line: &str,
    correction: Option<Correction>,
) -> Result<Option<Effective>> {
    match correction {
        None => uncorrected(position, line),
        Some(Correction { void: true, .. }) => Ok(None),
        Some(amend) => {
            let correction = Event::from_line(amend.position, &view.expect_line(amend.position)?)?;
            let Payload::TokensAmended(data) = correction.payload else {
                return Err(Error::damaged(
                    amend.position,
                    "the corrections projection calls this an amend, which it is not",
                ));
            };
            let at = match data.at {
                Some(at) => at,
                None => Envelope::parse(position, line)?.occurred_at,
            };
            Ok(Some(Effective {
                at,
                record: data.replacement,
                source: correction.source.into_owned(),
                amended_at: Some(correction.occurred_at),
                evidence: amend.position,
                shredded: Tombstone::is(line),
            }))
        }
    }
}

/// The token record at the end of a chain of corrections, among the events before `before`.
pub(crate) fn root(view: &dyn ReadView, correction: &Event, before: Position) -> Result<Option<Position>> {
    let mut rank = (correction.occurred_at, correction.id);
    let mut target = correction.payload.corrects();
    let mut first = true;
    while let Some(id) = target {
        let Some(position) = view.position_of(id)?.filter(|position| *position < before) else { return Ok(None) };
        let line = view.expect_line(position)?;
        let event = Event::from_line(position, &line)?;
        match &event.payload {
            Payload::TokensRecorded(_) => return Ok(Some(position)),
            Payload::TokensAmended(_) | Payload::EventVoided(_) => {
                let only_voids = first && !matches!(correction.payload, Payload::EventVoided(_));
                if only_voids || rank <= (event.occurred_at, event.id) {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
        rank = (event.occurred_at, event.id);
        target = event.payload.corrects();
        first = false;
    }
    Ok(None)
}
