//! The changes to a sealed period since its seal, and the events that caused them.

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, Payload, PeriodSealed, Position};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use crate::projection::{corrections_of, root};
use crate::store::{GO_ON, ReadView};
use crate::usage::Usage;

/// The maximal number of listed events per restatement.
const NAMED: usize = 1_000;

/// The differences between a period now and when it was sealed.
///
/// Equal sums do not imply an unchanged period: an event that moves a call to another model, project or hour of the
/// period is a restatement too. A restatement therefore exists if any event about the period came after the seal.
///
/// ```
/// use usage_ledger::report::Restatement;
/// assert_eq!(Restatement::default().requests, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Restatement {
    /// Additional calls; negative for fewer.
    pub requests: i64,
    /// Additional tokens in the order of [`TokenClass::ALL`]; negative for fewer.
    pub tokens: [i128; 7],
    /// Additional reported cost; negative for less.
    #[serde(rename = "cost", serialize_with = "as_cost")]
    pub reported_usd: Usd,
    /// The positions of events after the seal that concern calls of the period, late calls and corrections; at most the
    /// first thousand.
    pub events: Vec<Position>,
    /// The number of such events.
    pub events_total: u64,
}

fn as_cost<S: Serializer>(usd: &Usd, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let mut cost = serializer.serialize_map(Some(1))?;
    cost.serialize_entry("reported_usd", usd)?;
    cost.end()
}

impl Restatement {
    /// Whether the period is unchanged since the seal.
    #[cfg(feature = "cli")]
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the differences of the sums.
    pub(super) fn count(&mut self, sealed: &PeriodSealed, now: &Usage) -> Result<()> {
        let over = || Error::Overflow { what: "difference from a sealed sum" };
        let less = |now: u128, then: u128| {
            i128::try_from(now).ok().zip(i128::try_from(then).ok()).map(|(now, then)| now - then).ok_or_else(over)
        };
        for ((slot, class), then) in self.tokens.iter_mut().zip(TokenClass::ALL).zip(sealed.tokens) {
            *slot = less(now.tokens.get(class), then)?;
        }
        self.requests = i64::try_from(i128::from(now.requests) - i128::from(sealed.requests)).map_err(|_| over())?;
        let picos = |usd: Option<Usd>| usd.unwrap_or_default().picos();
        self.reported_usd =
            Usd::from_picos(picos(now.cost.reported_usd).checked_sub(picos(sealed.reported_usd)).ok_or_else(over)?);
        Ok(())
    }

    fn name(&mut self, position: Position) {
        self.events_total += 1;
        if self.events.len() < NAMED {
            self.events.push(position);
        }
    }
}

fn is_in(sealed: &PeriodSealed, at: Timestamp) -> bool {
    sealed.since.is_none_or(|since| since <= at) && at < sealed.until
}

/// The events that restate each seal, from one pass over the events after the first of them.
pub(super) fn events(view: &dyn ReadView, seals: &[&PeriodSealed]) -> Result<Vec<Restatement>> {
    let mut restatements = vec![Restatement::default(); seals.len()];
    let Some(first) = seals.iter().map(|sealed| sealed.size).min() else { return Ok(restatements) };
    view.rows(first.next(), &mut |position, row| {
        let times = if row.is_kind(EventKind::TokensRecorded) {
            vec![row.occurred_at]
        } else if row.is_kind(EventKind::TokensAmended) || row.is_kind(EventKind::EventVoided) {
            times_of(view, &Event::from_line(position, row.body)?)?
        } else {
            return GO_ON;
        };
        for (sealed, restatement) in seals.iter().zip(&mut restatements) {
            if position > sealed.size && times.iter().any(|at| is_in(sealed, *at)) {
                restatement.name(position);
            }
        }
        GO_ON
    })?;
    Ok(restatements)
}

/// Every time that any event states for the call of a correction; empty if there is no such call.
fn times_of(view: &dyn ReadView, correction: &Event) -> Result<Vec<Timestamp>> {
    let Some(root) = root(view, correction, Position::new(u64::MAX))? else { return Ok(Vec::new()) };
    let record = Event::from_line(root, &view.expect_line(root)?)?;
    let mut times = vec![record.occurred_at];
    for position in corrections_of(view, record.id)? {
        if let Payload::TokensAmended(amend) = Event::from_line(position, &view.expect_line(position)?)?.payload {
            times.extend(amend.at);
        }
    }
    Ok(times)
}
