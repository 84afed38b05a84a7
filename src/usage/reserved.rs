//! Tokens set aside for calls in progress.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::error::Result;
use crate::event::{EventId, Payload, Position};
use crate::projection::{AccountRef, Subject, facts_between};
use crate::time::{DAY, Timestamp};
use crate::view::{GO_ON, Order, View};

/// No reservation lasts longer, so that no more than this must be looked at.
pub(crate) const LONGEST: i64 = DAY;

/// A reservation that holds.
///
/// ```
/// use usage_ledger::{Ledger, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// let reservation = ledger.reserve("anthropic", 20_000, 10 * MINUTE, now)?;
/// assert_eq!((reservation.tokens, reservation.expires_at), (20_000, now.plus(10 * MINUTE)));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reservation {
    /// What to settle or release it by.
    pub id: EventId,
    /// The event.
    pub position: Position,
    /// Limit tokens set aside.
    pub tokens: u64,
    /// When it lapses by itself.
    pub expires_at: Timestamp,
}

/// The reservations of an account that are neither settled, released nor lapsed at `now`.
pub(crate) fn reservations(view: &dyn View, account: &AccountRef<'_>, now: Timestamp) -> Result<Vec<Reservation>> {
    let mut open = Vec::new();
    let span = (now.plus(-LONGEST), now);
    let subject = Subject::Account(account.clone());
    facts_between(view, "budget_reserved", &subject, span, Order::Ascending, &mut |fact| {
        if let Payload::BudgetReserved(reserved) = fact.event.payload
            && reserved.expires_at > now
        {
            let (id, position) = (fact.event.id, fact.position);
            open.push(Reservation { id, position, tokens: reserved.tokens, expires_at: reserved.expires_at });
        }
        GO_ON
    })?;
    if !open.is_empty() {
        let closed = closed(view, span)?;
        open.retain(|reservation| !closed.contains(&reservation.id));
    }
    Ok(open)
}

fn closed(view: &dyn View, span: (Timestamp, Timestamp)) -> Result<BTreeSet<EventId>> {
    let mut closed = BTreeSet::new();
    for kind in ["budget_settled", "budget_released"] {
        facts_between(view, kind, &Subject::Ledger, span, Order::Ascending, &mut |fact| {
            match fact.event.payload {
                Payload::BudgetSettled(settled) => closed.insert(settled.reservation),
                Payload::BudgetReleased(released) => closed.insert(released.reservation),
                _ => false,
            };
            GO_ON
        })?;
    }
    Ok(closed)
}

/// Whether a reservation was settled or released up to `now`.
pub(crate) fn is_closed(view: &dyn View, reservation: EventId, made: Timestamp, now: Timestamp) -> Result<bool> {
    Ok(closed(view, (made, now))?.contains(&reservation))
}
