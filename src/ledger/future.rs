//! Finds events whose times are after the clock.

use serde::Serialize;

use super::Snapshot;
use crate::model::error::Result;
use crate::model::event::{EventKind, Position, Subject};
use crate::model::time::{MINUTE, Timestamp};
use crate::projection::{each_event_between, first_from};
use crate::store::{GO_ON, Order};
#[cfg(feature = "cli")]
use crate::usage::accounts;

/// The accepted difference between the clocks of machines, in milliseconds.
pub(super) const SKEW: i64 = MINUTE;

/// Events that state a time after the clock. Each counts from that time on, so no answer contains them before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FutureEvents {
    /// The first of them by position.
    pub position: Position,
    /// The time that it states.
    pub occurred_at: Timestamp,
    /// How many there are.
    pub events: u64,
}

impl FutureEvents {
    /// Adds an event.
    fn add(first: &mut Option<Self>, position: Position, occurred_at: Timestamp) {
        let known = first.get_or_insert(Self { position, occurred_at, events: 0 });
        known.events += 1;
        if position < known.position {
            (known.position, known.occurred_at) = (position, occurred_at);
        }
    }
}

/// Kinds of events about an account whose time decides when they count.
pub(crate) const KINDS_OF_ACCOUNTS: [EventKind; 5] = [
    EventKind::LimitSet,
    EventKind::ProviderDeclared,
    EventKind::QuotaExhausted,
    EventKind::QuotaObserved,
    EventKind::UsageOverridden,
];
/// Kinds of events about the whole ledger whose time decides when they count.
#[cfg(feature = "cli")]
const OF_LEDGER: [EventKind; 3] = [EventKind::Paused, EventKind::ProviderSwitched, EventKind::Resumed];

/// Whether a time is after the clock, by more than clocks differ.
#[cfg(feature = "cli")]
pub(crate) fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now.plus(SKEW)
}

impl Snapshot<'_> {
    /// The events of a kind and of subjects that state a time more than a minute after `now`.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn ahead(
        &self,
        kind: EventKind,
        subjects: &[Subject<'_>],
        now: Timestamp,
    ) -> Result<Option<FutureEvents>> {
        let (mut first, span) = (None, (now.plus(SKEW + 1), Timestamp::MAX));
        for subject in subjects {
            each_event_between(self.view(), kind, subject, span, Order::Ascending, &mut |indexed| {
                FutureEvents::add(&mut first, indexed.position, indexed.event.occurred_at);
                GO_ON
            })?;
        }
        Ok(first)
    }

    /// The earliest time more than a minute after `now` that a call of accounts states.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn first_call_ahead(&self, subjects: &[Subject<'_>], now: Timestamp) -> Result<Option<Timestamp>> {
        let mut first: Option<Timestamp> = None;
        for subject in subjects {
            let Subject::Account(account) = subject else { continue };
            let found = first_from(self.view(), &account.key(), now.plus(SKEW + 1))?;
            first = first.into_iter().chain(found).min();
        }
        Ok(first)
    }

    /// The events that state a time more than a minute after `now`: calls, switches, pauses, limits and readings.
    ///
    /// # Errors
    /// The store's own errors.
    #[cfg(feature = "cli")]
    pub(crate) fn occurred_ahead_of(&self, now: impl Into<Timestamp>) -> Result<Option<FutureEvents>> {
        let now = now.into();
        let accounts: Vec<Subject<'_>> = accounts(self.view())?.into_iter().map(Subject::Account).collect();
        let mut first: Option<FutureEvents> = None;
        let of_accounts = KINDS_OF_ACCOUNTS.into_iter().map(|kind| (kind, &accounts[..]));
        for (kind, subjects) in of_accounts.chain(OF_LEDGER.into_iter().map(|kind| (kind, &[Subject::Ledger][..]))) {
            let Some(found) = self.ahead(kind, subjects, now)? else { continue };
            let events = first.as_ref().map_or(0, |known| known.events) + found.events;
            let earlier = first.filter(|known| known.position < found.position).unwrap_or(found);
            first = Some(FutureEvents { events, ..earlier });
        }
        if self.first_call_ahead(&accounts, now)?.is_some() {
            self.each_call_between(now.plus(SKEW + 1), Timestamp::MAX, &mut |call| {
                FutureEvents::add(&mut first, call.evidence, call.at);
                Ok(())
            })?;
        }
        Ok(first)
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;
    use crate::{Ledger, TokenRecord};

    #[test]
    fn events_after_the_clock_are_counted_and_the_first_is_named() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        let ahead = |ledger: &Ledger, now: Timestamp| {
            let found = ledger.snapshot().unwrap().occurred_ahead_of(now).unwrap();
            found.map(|one| (one.position.get(), one.occurred_at, one.events))
        };
        let record = |at: Timestamp| {
            let call = TokenRecord::new("openai", "gpt-5").input(1);
            ledger.append([crate::model::event::NewEvent::new(call, at)], now).unwrap();
        };
        record(now);
        record(now.plus(MINUTE));
        assert_eq!(ahead(&ledger, now), None);
        let late = now.plus(MINUTE + 1);
        record(late);
        ledger.switch_provider_at("anthropic", "", now.plus(9 * MINUTE), now).unwrap();
        assert_eq!(ahead(&ledger, now), Some((3, late, 2)));
        ledger.void(ledger.event(3).unwrap().id, "a typing error", now).unwrap();
        assert_eq!(ahead(&ledger, now), Some((4, now.plus(9 * MINUTE), 1)));
        assert_eq!(ahead(&ledger, now.plus(8 * MINUTE)), None);
    }
}
