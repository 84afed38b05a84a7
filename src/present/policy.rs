//! Parses and formats window policies.

use std::str::FromStr;

use chrono::{NaiveTime, Timelike, Weekday};
use clap::ValueEnum;

use crate::model::error::{Error, Result};
use crate::model::event::{LimitSetting, SessionPolicy, WeeklyPolicy};
use crate::model::invariant::bug;
use crate::model::time::Zone;

/// How session windows open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionOpens {
    /// At the first use
    FirstUse,
    /// At the full UTC hour of the first use
    HourFloor,
    /// At each multiple of its length since 1970
    Epoch,
}

impl SessionOpens {
    pub const fn policy(self, minutes: u32) -> SessionPolicy {
        match self {
            Self::FirstUse => SessionPolicy::FirstUse { minutes },
            Self::HourFloor => SessionPolicy::HourFloor { minutes },
            Self::Epoch => SessionPolicy::Epoch { minutes },
        }
    }
}

/// How weekly windows open: `first-use`, or `mon 09:00 Europe/Paris`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeeklyOpens {
    FirstUse,
    Calendar { weekday: Weekday, time: NaiveTime, zone: Option<Zone> },
}

impl WeeklyOpens {
    /// Returns the policy. A time without a zone is in `local`.
    ///
    /// # Errors
    /// [`Error::Bug`](crate::Error::Bug) if a weekday or a time of day is outside its range.
    pub fn policy(self, local: impl FnOnce() -> Zone) -> Result<WeeklyPolicy> {
        Ok(match self {
            Self::FirstUse => WeeklyPolicy::FirstUse,
            Self::Calendar { weekday, time, zone } => WeeklyPolicy::Calendar {
                weekday: u8::try_from(weekday.num_days_from_monday())
                    .map_err(|_| bug!("{weekday} is no day of the week"))?,
                minute: u16::try_from(time.num_seconds_from_midnight() / 60)
                    .map_err(|_| bug!("{time} is no time of day"))?,
                zone: zone.unwrap_or_else(local),
            },
        })
    }
}

impl FromStr for WeeklyOpens {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "first-use" {
            return Ok(Self::FirstUse);
        }
        let bad = || {
            Error::invalid(format!(
                "`{text}` is not when a week opens: write first-use, or a weekday, a time and a zone such as \
                 \"mon 09:00 Europe/Paris\""
            ))
        };
        let mut parts = text.split_whitespace();
        let weekday = parts.next().and_then(|part| part.parse().ok()).ok_or_else(bad)?;
        let time = match parts.next() {
            None => NaiveTime::MIN,
            Some(part) => NaiveTime::parse_from_str(part, "%H:%M").map_err(|_| bad())?,
        };
        let zone = parts.next().map(str::parse).transpose()?;
        if parts.next().is_some() { Err(bad()) } else { Ok(Self::Calendar { weekday, time, zone }) }
    }
}

/// A setting that can be restored to its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResettableSetting {
    /// The session limit
    Session,
    /// The weekly limit
    Weekly,
    /// The class weights
    Weights,
    /// How session windows open
    SessionPolicy,
    /// How weekly windows open
    WeeklyPolicy,
    /// Which windows can close the gate
    BudgetMode,
    /// The percentages at which modes begin
    Thresholds,
    /// How long an observation is fresh
    StaleAfter,
    /// Which feeds count
    Feeds,
    /// The money limit of a day
    UsdDay,
    /// The money limit of a week
    UsdWeek,
    /// The money limit of a month
    UsdMonth,
}

impl From<ResettableSetting> for LimitSetting {
    fn from(setting: ResettableSetting) -> Self {
        match setting {
            ResettableSetting::Session => Self::Session,
            ResettableSetting::Weekly => Self::Weekly,
            ResettableSetting::Weights => Self::Weights,
            ResettableSetting::SessionPolicy => Self::SessionPolicy,
            ResettableSetting::WeeklyPolicy => Self::WeeklyPolicy,
            ResettableSetting::BudgetMode => Self::BudgetMode,
            ResettableSetting::Thresholds => Self::Thresholds,
            ResettableSetting::StaleAfter => Self::StaleAfter,
            ResettableSetting::Feeds => Self::Feeds,
            ResettableSetting::UsdDay => Self::UsdDay,
            ResettableSetting::UsdWeek => Self::UsdWeek,
            ResettableSetting::UsdMonth => Self::UsdMonth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_opens_as_written() {
        let policy = |text: &str| text.parse::<WeeklyOpens>().unwrap().policy(|| Zone::UTC).unwrap();
        assert_eq!(policy("mon 09:00 Europe/Paris").to_string(), "weeks open Mon 09:00 Europe/Paris");
        assert_eq!(policy("Sunday").to_string(), "weeks open Sun 00:00 UTC");
        assert_eq!(policy("first-use"), WeeklyPolicy::FirstUse);
        for bad in ["", "someday", "mon 25:00", "mon 09:00 Mars/Olympus", "mon 09:00 UTC now"] {
            assert!(bad.parse::<WeeklyOpens>().is_err(), "{bad}");
        }
    }
}
