//! Reservations for calls in progress.

use std::collections::BTreeSet;

use serde::Serialize;

use super::AccountAt;
use crate::model::error::Result;
use crate::model::event::{EventId, EventKind, Payload, Position, Subject};
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::projection::each_event_between;
use crate::store::{GO_ON, Order, ReadView};

/// The maximal duration of a reservation, which limits the events that must be read.
pub(crate) const LONGEST: i64 = DAY;

/// The accepted difference between the clocks of reserving and settling callers.
const SKEW: i64 = 10 * MINUTE;

/// An open reservation.
///
/// ```
/// use usage_ledger::{Ledger, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let reservation = ledger.reserve("anthropic", 20_000, 10 * MINUTE, now)?;
/// assert_eq!((reservation.tokens, reservation.expires_at), (20_000, now.plus(10 * MINUTE)));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reservation {
    /// The id with which to settle or release it.
    pub id: EventId,
    /// The event.
    pub position: Position,
    /// Reserved limit tokens.
    pub tokens: u64,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The reservations of an account that are neither settled, released nor expired at `now`, of those made up to `until`.
pub(crate) fn reservations(
    AccountAt { view, account, now }: AccountAt<'_>,
    until: Timestamp,
) -> Result<Vec<Reservation>> {
    let (mut open, mut since) = (Vec::new(), Timestamp::MAX);
    let span = (now.plus(-LONGEST), until);
    let subject = Subject::Account(account.clone());
    each_event_between(view, EventKind::BudgetReserved, &subject, span, Order::Ascending, &mut |indexed| {
        if let Payload::BudgetReserved(reserved) = indexed.event.payload
            && reserved.expires_at > now
        {
            let (id, position) = (indexed.event.id, indexed.position);
            since = since.min(indexed.event.occurred_at);
            open.push(Reservation { id, position, tokens: reserved.tokens, expires_at: reserved.expires_at });
        }
        GO_ON
    })?;
    if !open.is_empty() {
        let closed = closed(view, since)?;
        open.retain(|reservation| !closed.contains(&reservation.id));
    }
    Ok(open)
}

/// How a reservation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReservationEnd {
    /// With the record of its call.
    Settled(Option<EventId>),
    /// Without a call, by the event at a position.
    Released(Position),
}

/// Visits the ends of reservations since a time.
fn each_closing(view: &dyn ReadView, since: Timestamp, visit: &mut dyn FnMut(EventId, ReservationEnd)) -> Result<()> {
    let span = (since.plus(-SKEW), Timestamp::MAX);
    for kind in [EventKind::BudgetSettled, EventKind::BudgetReleased] {
        each_event_between(view, kind, &Subject::Ledger, span, Order::Ascending, &mut |indexed| {
            match indexed.event.payload {
                Payload::BudgetSettled(settled) => visit(settled.reservation, ReservationEnd::Settled(settled.record)),
                Payload::BudgetReleased(released) => {
                    visit(released.reservation, ReservationEnd::Released(indexed.position));
                }
                _ => {}
            }
            GO_ON
        })?;
    }
    Ok(())
}

/// The reservations that were settled or released since a time.
fn closed(view: &dyn ReadView, since: Timestamp) -> Result<BTreeSet<EventId>> {
    let mut closed = BTreeSet::new();
    each_closing(view, since, &mut |reservation, _| {
        closed.insert(reservation);
    })?;
    Ok(closed)
}

/// How a reservation that was made at a time ended, if it did.
pub(crate) fn closing(view: &dyn ReadView, reservation: EventId, made: Timestamp) -> Result<Option<ReservationEnd>> {
    let mut found = None;
    each_closing(view, made, &mut |other, closing| {
        if other == reservation {
            found = Some(closing);
        }
    })?;
    Ok(found)
}
