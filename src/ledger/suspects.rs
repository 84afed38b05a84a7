//! Finds records with implausible counts or times, which are stored because their source states them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::future::SKEW;
use super::{Snapshot, as_of};
use crate::model::error::Result;
use crate::model::event::{Envelope, Event, EventKind, Payload, Position, TokenView};
use crate::model::time::Timestamp;
use crate::model::tokens::{IMPLAUSIBLE_COUNT, TokenClass};
use crate::projection::{Level, effective, first_from, last_before, scan_days};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::accounts;

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

impl Snapshot<'_> {
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
