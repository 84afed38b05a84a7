//! How fast a window is used up, and how long it lasts.
//!
//! The rate is taken over time, idle time included: who stops working slows down.

use serde::Serialize;

use super::Mode;
use crate::model::event::Percent;
use crate::model::time::{HOUR, MINUTE, Timestamp};

/// Uses older than a session window say nothing about this one.
pub(super) const LOOK_BACK: i64 = 5 * HOUR;
/// Fewer uses make no rate.
const FEWEST: u64 = 5;
/// Uses closer together make no rate: eleven busy minutes are not an hour.
const SHORTEST: i64 = 15 * MINUTE;
/// Without a use for this long, nobody is working.
const IDLE: i64 = 30 * MINUTE;
/// A mode that would use the window up sooner is lowered, in minutes.
const TOO_SOON: f64 = 30.0;
/// A window that lasts no longer is worth a warning, in minutes …
const WARN_LEFT: f64 = 60.0;
/// … unless it resets this soon, in minutes.
const WARN_RESET: f64 = 120.0;

/// How fast a window is being used.
///
/// ```
/// use usage_ledger::budget::{Mode, Rate, minutes_left};
/// let busy = Rate { per_minute: 0.25, idle: false };
/// assert_eq!(minutes_left(40.0, busy, Some(Mode::Deep)), Some(120.0));
/// let idle = Rate { per_minute: 0.25, idle: true };
/// assert_eq!(minutes_left(40.0, idle, Some(Mode::Deep)), Some(240.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Percentage points a minute.
    pub per_minute: f64,
    /// Whether nothing was used for half an hour: then the rate is mostly of rest, and says nothing about what a mode
    /// would cost.
    pub idle: bool,
}

/// What was used of a window in a time.
///
/// ```
/// use usage_ledger::{budget::Uses, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let uses = Uses::new(5, 5.0, now.plus(-20 * MINUTE), now);
/// assert_eq!(uses.count, 5);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Uses {
    /// How many there were.
    pub count: u64,
    /// What they used together, in percentage points.
    pub points: f64,
    /// When the first one was.
    pub first: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
}

impl Uses {
    /// So many uses between two instants, which used so many percentage points together.
    ///
    /// ```
    /// # use usage_ledger::{Timestamp, budget::Uses};
    /// assert_eq!(Uses::new(1, 2.5, Timestamp::MIN, Timestamp::MAX).points, 2.5);
    /// ```
    pub const fn new(count: u64, points: f64, first: Timestamp, last: Timestamp) -> Self {
        Self { count, points, first, last }
    }
}

/// The rate of uses, idle time until now included. `None` for fewer than five uses, or for uses that lie less than a quarter
/// of an hour apart.
///
/// ```
/// use usage_ledger::{budget::{Uses, burn_rate}, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let uses = Uses::new(5, 5.0, now.plus(-20 * MINUTE), now);
/// assert_eq!(burn_rate(&uses, now).unwrap().per_minute, 0.25);
/// assert_eq!(burn_rate(&uses, now.plus(80 * MINUTE)).unwrap().per_minute, 0.05); // idle since
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn burn_rate(uses: &Uses, now: Timestamp) -> Option<Rate> {
    let Uses { count, points, first, last } = *uses;
    let enough = count >= FEWEST && last.millis() - first.millis() >= SHORTEST;
    let minutes = (now.millis() - first.millis()) as f64 / MINUTE as f64;
    enough.then(|| Rate { per_minute: points / minutes, idle: now.millis() - last.millis() > IDLE })
}

/// How many minutes a window lasts at a rate, if work goes on as observed (`None`) or in a mode. 0 when it is used up;
/// `None` when nothing is used.
///
/// ```
/// use usage_ledger::budget::{Mode, Rate, minutes_left};
/// let rate = |per_minute| Rate { per_minute, idle: false };
/// assert_eq!(minutes_left(40.0, rate(0.25), None), Some(240.0));
/// assert_eq!(minutes_left(40.0, rate(0.25), Some(Mode::Review)), Some(480.0));
/// assert_eq!(minutes_left(40.0, rate(0.0), None), None);
/// ```
pub fn minutes_left(used: f64, rate: Rate, mode: Option<Mode>) -> Option<f64> {
    let mode = mode.filter(|_| !rate.idle);
    let rate = rate.per_minute * mode.map_or(1.0, |mode| f64::from(mode.cost_percent()) / 100.0);
    (rate > 0.0).then(|| (100.0 - used).max(0.0) / rate)
}

/// One mode lower when this one would use the window up within half an hour. Never down to `wait`: that is for what
/// is used, not for a guess of what will be.
///
/// ```
/// use usage_ledger::budget::{Mode, Rate, slowed};
/// let fast = Some(Rate { per_minute: 5.0, idle: false });
/// assert_eq!(slowed(Mode::Deep, 50.0, fast), Mode::Implement);
/// assert_eq!(slowed(Mode::Review, 50.0, fast), Mode::Review);
/// assert_eq!(slowed(Mode::Deep, 50.0, None), Mode::Deep);
/// ```
pub fn slowed(mode: Mode, used: f64, rate: Option<Rate>) -> Mode {
    let left = rate.and_then(|rate| minutes_left(used, rate, Some(mode)));
    if mode > Mode::Review && left.is_some_and(|left| left < TOO_SOON) { mode.lower() } else { mode }
}

/// Whether running out is worth a warning: within the hour, and the reset is over two hours away.
///
/// ```
/// use usage_ledger::budget::runs_out;
/// assert!(runs_out(59.0, 121.0));
/// assert!(!runs_out(10.0, 120.0)); // the reset comes soon enough
/// ```
pub fn runs_out(minutes_left: f64, minutes_to_reset: f64) -> bool {
    minutes_left < WARN_LEFT && minutes_to_reset > WARN_RESET
}

/// How fast a session window is being used.
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
    /// Percentage points an hour, over the uses of the last five hours and the idle time between and since.
    pub percent_per_hour: Percent,
    /// How long the session lasts at that rate; `None` when nothing is used.
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
