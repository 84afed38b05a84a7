//! The seals of a ledger, and the rule that their periods do not overlap.

use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, Payload, PeriodSealed, Position, Subject};
use crate::model::time::Timestamp;
use crate::projection::collect_events;
use crate::store::ReadView;

/// The seals that are not voided at a time, in order.
pub(crate) fn current_seals(view: &dyn ReadView, now: Timestamp) -> Result<Vec<(Position, Timestamp, PeriodSealed)>> {
    collect_events(view, EventKind::PeriodSealed, &Subject::Ledger, (Timestamp::MIN, now), |indexed| {
        let Payload::PeriodSealed(sealed) = indexed.event.payload else { return None };
        Some((indexed.position, indexed.event.occurred_at, sealed))
    })
}

/// Refuses a period that overlaps a sealed one: no call belongs to two closed periods. The caller gives the seals of all time,
/// because the clock of another program may be ahead.
pub(crate) fn refuse_overlap(
    seals: &[(Position, Timestamp, PeriodSealed)],
    since: Option<Timestamp>,
    until: Timestamp,
) -> Result<()> {
    let overlaps = |sealed: &PeriodSealed| {
        since.is_none_or(|since| since < sealed.until) && sealed.since.is_none_or(|since| since < until)
    };
    match seals.iter().find(|(_, _, sealed)| overlaps(sealed)) {
        None => Ok(()),
        Some((position, _, sealed)) => Err(Error::AlreadySealed { position: *position, period: sealed.period() }),
    }
}

/// The seal that holds again if an event is withdrawn: the event withdraws it, or withdraws what restored it.
pub(super) fn restored_seal(view: &dyn ReadView, withdrawn: &Event) -> Result<Option<PeriodSealed>> {
    let (mut event, mut restores) = (withdrawn.clone(), false);
    let mut place = view.position_of(withdrawn.id)?;
    loop {
        match event.payload {
            Payload::EventVoided(void) => {
                // An appended event may withdraw one that came later or is not there, so withdrawals may form a circle.
                let Some(target) = view.position_of(void.target)?.filter(|target| Some(*target) < place) else {
                    return Ok(None);
                };
                place = Some(target);
                event = Event::from_line(target, &view.expect_line(target)?)?;
                restores = !restores;
            }
            Payload::PeriodSealed(sealed) if restores => return Ok(Some(sealed)),
            _ => return Ok(None),
        }
    }
}
