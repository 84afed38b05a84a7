//! Finds records with implausible counts or times, which are stored because their source states them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Snapshot;
use super::as_of;
use crate::model::error::Result;
use crate::model::event::{Envelope, Event, EventKind, Payload, Position, Subject, TokenView};
use crate::model::time::{MINUTE, Timestamp};
use crate::model::tokens::{IMPLAUSIBLE_COUNT, TokenClass};
use crate::projection::{Level, each_event_between, effective, first_from, last_before, scan_days};
use crate::store::{GO_ON, Order, ReadView, STOP};
use crate::usage::accounts;

/// The accepted difference between the clocks of machines, in milliseconds.
const SKEW: i64 = MINUTE;

/// A token record with an implausible value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Suspect {
    /// The position of the record.
    pub position: Position,
    /// When the call happened, according to the record or its amendment.
    pub occurred_at: Timestamp,
    /// The source.
    pub source: String,
    /// The implausible value.
    #[serde(flatten)]
    pub why: Suspicion,
}

/// The kind of an implausible value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum Suspicion {
    /// A count above [`IMPLAUSIBLE_COUNT`](crate::IMPLAUSIBLE_COUNT), in tokens.
    Count {
        /// The class of tokens.
        #[serde(serialize_with = "by_name")]
        class: TokenClass,
        /// The count.
        count: u64,
    },
    /// A time outside the years 2000 to 2199.
    Time,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn by_name<S: serde::Serializer>(class: &TokenClass, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(class.name())
}

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

/// Kinds of events about an account whose time decides when they count.
const OF_ACCOUNTS: [EventKind; 5] = [
    EventKind::LimitSet,
    EventKind::ProviderDeclared,
    EventKind::QuotaExhausted,
    EventKind::QuotaObserved,
    EventKind::UsageOverridden,
];
/// The same about the whole ledger.
const OF_LEDGER: [EventKind; 3] = [EventKind::Paused, EventKind::ProviderSwitched, EventKind::Resumed];

/// Whether a time is after the clock, by more than clocks differ.
pub(crate) fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now.plus(SKEW)
}

impl Snapshot<'_> {
    /// The events that state a time more than a minute after `now`: calls, switches, pauses, limits and readings.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn occurred_ahead_of(&self, now: impl Into<Timestamp>) -> Result<Option<FutureEvents>> {
        let (view, from) = (self.view(), now.into().plus(SKEW + 1));
        let mut first: Option<FutureEvents> = None;
        let mut add = |position: Position, occurred_at: Timestamp| {
            let known = first.get_or_insert(FutureEvents { position, occurred_at, events: 0 });
            known.events += 1;
            if position < known.position {
                (known.position, known.occurred_at) = (position, occurred_at);
            }
        };
        let mut has_calls = false;
        let span = (from, Timestamp::MAX);
        for account in accounts(view)? {
            has_calls |= first_from(view, &account.key(), from)?.is_some();
            let subject = Subject::Account(account);
            for kind in OF_ACCOUNTS {
                each_event_between(view, kind, &subject, span, Order::Ascending, &mut |indexed| {
                    add(indexed.position, indexed.event.occurred_at);
                    GO_ON
                })?;
            }
        }
        for kind in OF_LEDGER {
            each_event_between(view, kind, &Subject::Ledger, span, Order::Ascending, &mut |indexed| {
                add(indexed.position, indexed.event.occurred_at);
                GO_ON
            })?;
        }
        if has_calls {
            self.each_call_between(from, Timestamp::MAX, &mut |call| {
                add(call.evidence, call.at);
                Ok(())
            })?;
        }
        Ok(first)
    }

    /// The records with implausible counts or times after corrections, by position.
    ///
    /// The projections show whether there are any; only then the log is read.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn suspects(&self) -> Result<Vec<Suspect>> {
        let view = self.view();
        if !any_count(view)? && !any_time(view)? {
            return Ok(Vec::new());
        }
        let mut suspects = Vec::new();
        for position in candidates(view)? {
            let Some(now) = effective(view, position, None)? else { continue };
            let why = match now.record.tokens.implausible() {
                Some((class, count)) => Suspicion::Count { class, count },
                None if !now.at.is_plausible() => Suspicion::Time,
                None => continue,
            };
            suspects.push(Suspect { position, occurred_at: now.at, source: now.source, why });
        }
        Ok(suspects)
    }

    /// The first event that was recorded more than a minute after `now`, and when. A clock was then ahead.
    ///
    /// `recorded_at` never decreases, so every later event has at least that time.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn recorded_ahead_of(&self, now: impl Into<Timestamp>) -> Result<Option<(Position, Timestamp)>> {
        as_of::first_after(self.view(), now.into().plus(SKEW))
    }

    /// The last position that was recorded up to a time.
    #[cfg(feature = "cli")]
    pub(crate) fn position_at(&self, time: Timestamp) -> Result<Position> {
        as_of::position(self.view(), crate::AsOf::Time(time))
    }
}

/// Whether a day's sum of one series and class is large enough to contain an implausible count.
fn any_count(view: &dyn ReadView) -> Result<bool> {
    let mut any = false;
    scan_days(view, Level::Model, None, None, &mut |row| {
        any = row.sum()?.tokens.iter().any(|count| *count > i128::from(IMPLAUSIBLE_COUNT));
        if any { STOP } else { GO_ON }
    })?;
    Ok(any)
}

/// Whether a usage instant is outside the plausible years.
fn any_time(view: &dyn ReadView) -> Result<bool> {
    for account in accounts(view)? {
        let key = account.key();
        let ends = [first_from(view, &key, Timestamp::MIN)?, last_before(view, &key, Timestamp::MAX)?];
        if ends.into_iter().flatten().any(|at| !at.is_plausible()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The positions of records that state something implausible, or whose amendment does.
fn candidates(view: &dyn ReadView) -> Result<BTreeSet<Position>> {
    let (mut suspects, mut targets) = (BTreeSet::new(), Vec::new());
    view.rows(Position::START.next(), &mut |position, row| {
        if row.is_kind(EventKind::TokensRecorded) {
            let envelope = Envelope::parse(position, row.body)?;
            let implausible = serde_json::from_str::<TokenView<'_>>(envelope.data.get())
                .map_err(|e| crate::Error::damaged(position, format!("the data of this record is unreadable ({e})")))?
                .tokens
                .implausible();
            if implausible.is_some() || !row.occurred_at.is_plausible() {
                suspects.insert(position);
            }
        } else if row.is_kind(EventKind::TokensAmended)
            && let Payload::TokensAmended(amend) = Event::from_line(position, row.body)?.payload
            && (amend.replacement.tokens.implausible().is_some() || amend.at.is_some_and(|at| !at.is_plausible()))
        {
            targets.push(amend.target);
        }
        GO_ON
    })?;
    for target in targets {
        suspects.extend(view.position_of(target)?);
    }
    Ok(suspects)
}

#[cfg(test)]
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

    #[test]
    fn suspects_are_listed_until_they_are_amended_or_voided() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        let call = |count: u64| TokenRecord::new("openai", "gpt-5").input(count);
        for (count, at) in
            [(IMPLAUSIBLE_COUNT, now), (IMPLAUSIBLE_COUNT + 1, now), (7, Timestamp::from_millis(5)), (8, now)]
        {
            ledger.append([crate::model::event::NewEvent::new(call(count), at)], now).unwrap();
        }
        let named = |ledger: &Ledger| -> Vec<(u64, Suspicion)> {
            let suspects = ledger.snapshot().unwrap().suspects().unwrap();
            suspects.into_iter().map(|one| (one.position.get(), one.why)).collect()
        };
        let count = |count| Suspicion::Count { class: TokenClass::Input, count };
        assert_eq!(named(&ledger), [(2, count(IMPLAUSIBLE_COUNT + 1)), (3, Suspicion::Time)]);
        let ids: Vec<_> = [2, 3, 4].into_iter().map(|position| ledger.event(position).unwrap().id).collect();
        ledger.amend(ids[0], call(10), "a typing error", now.plus(1)).unwrap();
        ledger.void(ids[1], "no such call", now.plus(1)).unwrap();
        assert_eq!(named(&ledger), []);
        ledger.amend(ids[2], call(IMPLAUSIBLE_COUNT * 2), "a typing error", now.plus(1)).unwrap();
        assert_eq!(named(&ledger), [(4, count(IMPLAUSIBLE_COUNT * 2))]);
    }
}
