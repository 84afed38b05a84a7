//! Computes how fast a window is used, and how long it lasts.
//!
//! The rate includes idle time, so it decreases when work stops.

use serde::Serialize;

use super::Mode;
use crate::model::event::Percent;
use crate::model::time::{HOUR, MINUTE, Timestamp};

/// Older uses than a session window do not count, in milliseconds.
pub(super) const LOOK_BACK: i64 = 5 * HOUR;
/// The minimal number of uses for a rate.
const FEWEST: u64 = 5;
/// The minimal time span of a rate, in milliseconds, because a short busy period is not representative.
const SHORTEST: i64 = 15 * MINUTE;
/// Without a use for this long, in milliseconds, work counts as idle.
const IDLE: i64 = 30 * MINUTE;
/// A mode that would exhaust the window sooner is lowered, in minutes.
const TOO_SOON: f64 = 30.0;
/// A window that lasts at most this long causes a warning, in minutes, …
const WARN_LEFT: f64 = 60.0;
/// … unless it resets this soon, in minutes.
const WARN_RESET: f64 = 120.0;

/// The rate at which a window is used.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Percentage points per minute.
    pub per_minute: f64,
    /// Whether there was no use for half an hour. The rate then mostly reflects idle time, and does not predict the
    /// cost of a mode.
    pub idle: bool,
}

/// The uses of a window in a period.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Uses {
    /// The number of uses.
    pub count: u64,
    /// The sum of their usage, in percentage points.
    pub points: f64,
    /// The time of the first one.
    pub first: Timestamp,
    /// The time of the last one.
    pub last: Timestamp,
}

impl Uses {
    /// Uses between two instants, with their number and their sum in percentage points.
    pub const fn new(count: u64, points: f64, first: Timestamp, last: Timestamp) -> Self {
        Self { count, points, first, last }
    }
}

/// The rate of uses, including idle time until now. `None` for fewer than five uses, or for less than a quarter of an
/// hour.
pub fn burn_rate(uses: &Uses, now: Timestamp) -> Option<Rate> {
    let Uses { count, points, first, last } = *uses;
    let enough = count >= FEWEST && last.millis() - first.millis() >= SHORTEST;
    let minutes = (now.millis() - first.millis()) as f64 / MINUTE as f64;
    enough.then(|| Rate { per_minute: points / minutes, idle: now.millis() - last.millis() > IDLE })
}

/// The number of minutes until a window is exhausted at a rate, if work continues as observed (`None`) or in a mode. 0
/// if it is exhausted; `None` if nothing is used.
pub fn minutes_left(used: f64, rate: Rate, mode: Option<Mode>) -> Option<f64> {
    let mode = mode.filter(|_| !rate.idle);
    let rate = rate.per_minute * mode.map_or(1.0, |mode| f64::from(mode.cost_percent()) / 100.0);
    (rate > 0.0).then(|| (100.0 - used).max(0.0) / rate)
}

/// The next lower mode, if this one would exhaust the window within half an hour. Never `wait`, which depends on actual
/// usage and not on a prediction.
pub fn slowed(mode: Mode, used: f64, rate: Option<Rate>) -> Mode {
    let left = rate.and_then(|rate| minutes_left(used, rate, Some(mode)));
    if mode > Mode::Review && left.is_some_and(|left| left < TOO_SOON) { mode.lower() } else { mode }
}

/// Whether exhaustion causes a warning: within the hour, and more than two hours before the reset.
pub fn runs_out(minutes_left: f64, minutes_to_reset: f64) -> bool {
    minutes_left < WARN_LEFT && minutes_to_reset > WARN_RESET
}

/// The rate at which a session window is used.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::LimitSet, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
/// for minute in [0, 5, 10, 15, 20] {
///     ledger.record(TokenRecord::new("openai", "gpt-5").input(10), now.plus(minute * MINUTE))?;
/// }
/// let burn = ledger.budget("openai", now.plus(20 * MINUTE))?.burn.unwrap();
/// assert_eq!((burn.percent_per_hour, burn.minutes_left), ("15".parse()?, Some(380)));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Burn {
    /// Percentage points per hour, over the last five hours including idle time.
    pub percent_per_hour: Percent,
    /// The remaining time of the session at that rate; `None` if nothing is used.
    pub minutes_left: Option<u64>,
}

impl Burn {
    pub(super) fn new(used: Percent, rate: Rate) -> Self {
        let whole = |value: f64| value.clamp(0.0, f64::from(u32::MAX)) as u32;
        let left = minutes_left(f64::from(used.hundredths()) / 100.0, rate, None);
        Self {
            percent_per_hour: Percent::from_hundredths(whole((rate.per_minute * 60.0 * 100.0).round())),
            minutes_left: left.map(|left| u64::from(whole(left))),
        }
    }
}
