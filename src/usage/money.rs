//! Money limits of a provider account, and of a project on it.

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::Serialize;

use super::AccountAt;
use super::limits::settings;
use crate::model::error::{Error, Result};
use crate::model::event::{EventKind, LimitSetting, Payload, Position};
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;

/// The calendar period of a money limit.
///
/// ```
/// use usage_ledger::usage::MoneyPeriod;
/// assert_eq!(MoneyPeriod::Week.name(), "week");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoneyPeriod {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

impl MoneyPeriod {
    /// `day`, `week` or `month`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The start of the period that contains an instant, and the start of the next one.
    pub(crate) fn bounds(self, zone: Zone, at: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let today = zone.day(at);
        let (first, next) = match self {
            Self::Day => (Some(today), today.checked_add_days(Days::new(1))),
            Self::Week => {
                let monday = Zone::monday(today);
                (Some(monday), monday.checked_add_days(Days::new(7)))
            }
            Self::Month => {
                let first = today.with_day(1);
                (first, first.and_then(|first| first.checked_add_months(Months::new(1))))
            }
        };
        let end = |day: Option<NaiveDate>| {
            day.map(|day| zone.start_of_day(day))
                .ok_or_else(|| Error::invalid(format!("the calendar ends near {today}: check the clock")))
        };
        Ok((end(first)?, end(next)?))
    }
}

/// A money limit in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoneyLimit {
    pub period: MoneyPeriod,
    /// The project that it limits; `None` for all calls of the account.
    pub project: Option<String>,
    pub usd: Usd,
    /// The zone of the days.
    pub zone: Zone,
    pub position: Position,
}

/// The money limits of an account at `now`: for each project and period the latest event that sets it. The account's own
/// events precede those of the provider. Limits of the account come first, then those of projects by name.
pub(crate) fn money_limits(at: AccountAt<'_>) -> Result<Vec<MoneyLimit>> {
    let mut settled: Vec<(Option<String>, MoneyPeriod)> = Vec::new();
    let mut found = Vec::new();
    for indexed in settings(at, EventKind::LimitSet)? {
        let Payload::LimitSet(set) = indexed.event.payload else { continue };
        for (period, usd, setting) in [
            (MoneyPeriod::Day, set.usd_day, LimitSetting::UsdDay),
            (MoneyPeriod::Week, set.usd_week, LimitSetting::UsdWeek),
            (MoneyPeriod::Month, set.usd_month, LimitSetting::UsdMonth),
        ] {
            let of = (set.project.clone(), period);
            if (usd.is_none() && !set.unset.contains(&setting)) || settled.contains(&of) {
                continue;
            }
            settled.push(of);
            if let Some(usd) = usd {
                let zone = set.usd_zone.unwrap_or(Zone::UTC);
                found.push(MoneyLimit { period, project: set.project.clone(), usd, zone, position: indexed.position });
            }
        }
    }
    found.sort_by(|one, other| (&one.project, one.period).cmp(&(&other.project, other.period)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_of_the_zone() {
        let paris: Zone = "Europe/Paris".parse().unwrap();
        // Wednesday, the 1st of July in Paris, still the 30th of June in London.
        let at: Timestamp = "2026-06-30T22:30:00Z".parse().unwrap();
        let bounds = |period: MoneyPeriod| {
            let (from, to) = period.bounds(paris, at).unwrap();
            [from.to_string(), to.to_string()]
        };
        assert_eq!(bounds(MoneyPeriod::Day), ["2026-06-30T22:00:00.000Z", "2026-07-01T22:00:00.000Z"]);
        assert_eq!(bounds(MoneyPeriod::Week), ["2026-06-28T22:00:00.000Z", "2026-07-05T22:00:00.000Z"]);
        assert_eq!(bounds(MoneyPeriod::Month), ["2026-06-30T22:00:00.000Z", "2026-07-31T22:00:00.000Z"]);
    }
}
