//! Predicts when a window is used up at the present rate, with a confidence interval.
//!
//! The measured time is divided into steps. A step has the percentage points that were used in it. The rate `r` is the
//! sum of the points divided by the measured time `t`, idle time included. The spread of the steps around that rate gives
//! the variance `v` of one minute. The usage of the next `h` minutes then has the mean `r · h` and the variance
//! `v · h + (v / t + rounding / t²) · h²`. The first term is the randomness of future usage, the second one is the error
//! of the measured rate. The ends of the interval are the times at which the remaining percentage is at the border of the
//! central 95 % of that distribution.

use serde::Serialize;

use crate::model::event::Percent;
use crate::model::time::{MINUTE, Timestamp};

/// Variance of the difference of two readings, if each is rounded to a whole percent.
const ROUNDING: f64 = 1.0 / 6.0;
/// A window without growth for this long, in milliseconds, is idle.
const IDLE: i64 = 30 * MINUTE;
/// The largest rate of an answer, in hundredths of a percent per hour.
const LARGEST: f64 = 1e9;

/// The data that a forecast is computed from.
///
/// ```
/// use usage_ledger::usage::ForecastBasis;
/// assert_eq!(ForecastBasis::Both.name(), "observations + records");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum ForecastBasis {
    /// Percentages that the provider reported.
    #[serde(rename = "observations")]
    Observations,
    /// Recorded tokens and a limit.
    #[serde(rename = "records")]
    Records,
    /// Percentages that the provider reported, and the tokens recorded since.
    #[serde(rename = "observations + records")]
    Both,
}

impl ForecastBasis {
    /// The name in JSON.
    ///
    /// ```
    /// # use usage_ledger::usage::ForecastBasis;
    /// assert_eq!(ForecastBasis::Records.name(), "records");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observations => "observations",
            Self::Records => "records",
            Self::Both => "observations + records",
        }
    }
}

/// The rate at which a window is used, and the time at which it is used up at that rate.
///
/// Bounds are those of a 95 % confidence interval, if work continues as in the measured time. They are absent if only one
/// step was measured.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaObserved}, time::{HOUR, MINUTE}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// for (minutes, used) in [(0, "10"), (10, "20"), (20, "30"), (30, "42")] {
///     let seen = QuotaObserved::new(ProviderId::new("anthropic")?, 300, "statusline").used(used.parse()?);
///     let seen = seen.resets_at(now.plus(4 * HOUR));
///     ledger.append([NewEvent::new(seen, now.plus(minutes * MINUTE))], now.plus(minutes * MINUTE))?;
/// }
/// let session = ledger.provider("anthropic", now.plus(30 * MINUTE))?.session; // no limit is set
/// let forecast = session.forecast.unwrap();
/// assert_eq!(forecast.percent_per_hour, "64".parse()?); // 32 points in half an hour
/// assert_eq!(forecast.before_reset, Some(true));
/// assert!(forecast.earliest_at < forecast.used_up_at && forecast.used_up_at < forecast.latest_at);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// Percentage points per hour, idle time included.
    pub percent_per_hour: Percent,
    /// The lower bound of the rate.
    pub low_percent_per_hour: Option<Percent>,
    /// The upper bound of the rate.
    pub high_percent_per_hour: Option<Percent>,
    /// The percentage used now: the last reading, and the tokens recorded since.
    pub percent: Percent,
    /// When the window is used up at that rate, if it does not reset before; `None` if the rate is zero.
    pub used_up_at: Option<Timestamp>,
    /// The earliest time at which it may be used up.
    pub earliest_at: Option<Timestamp>,
    /// The latest time at which it may be used up; `None` if it may never be.
    pub latest_at: Option<Timestamp>,
    /// Whether it is used up before it resets; `None` if either time is unknown.
    pub before_reset: Option<bool>,
    /// The percentage used when it resets, from 0 to 100; `None` if the reset is unknown.
    pub percent_at_reset: Option<Percent>,
    /// The data that the rate is computed from.
    pub basis: ForecastBasis,
    /// The start of the measured time.
    pub since: Timestamp,
    /// Whether nothing was used in the last half hour.
    pub idle: bool,
}

/// A part of the measured time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TimeStep {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Percentage points used in it.
    pub points: f64,
}

impl TimeStep {
    fn minutes(&self) -> f64 {
        (self.to.millis() - self.from.millis()) as f64 / MINUTE as f64
    }
}

/// The input of a forecast.
pub(super) struct Measured {
    /// The steps, earliest first, without gaps.
    pub steps: Vec<TimeStep>,
    /// The percentage used now.
    pub used: f64,
    pub basis: ForecastBasis,
    /// Whether the points are differences of readings that are whole numbers.
    pub whole: bool,
    pub resets_at: Option<Timestamp>,
}

/// The 97.5 % quantile of the t distribution, by degrees of freedom.
fn errors(freedom: usize) -> f64 {
    const T: [(usize, f64); 12] = [
        (1, 12.71),
        (2, 4.30),
        (3, 3.18),
        (4, 2.78),
        (5, 2.57),
        (6, 2.45),
        (7, 2.36),
        (8, 2.31),
        (10, 2.23),
        (15, 2.13),
        (20, 2.09),
        (30, 2.04),
    ];
    let found = T.iter().rev().find(|(least, _)| freedom >= *least);
    found.map_or(f64::INFINITY, |(_, errors)| *errors)
}

fn percent(value: f64) -> Percent {
    Percent::from_hundredths((value * 100.0).round().clamp(0.0, LARGEST) as u32)
}

fn after(now: Timestamp, minutes: f64) -> Option<Timestamp> {
    // A time more than a thousand years away counts as never.
    (minutes.is_finite() && minutes < 5e8).then(|| now.plus((minutes.max(0.0) * MINUTE as f64).round() as i64))
}

/// The minimal and the maximal number of minutes until the rest is used up.
fn bounds(rest: f64, rate: f64, chance: f64, error: f64, k: f64) -> (Option<f64>, Option<f64>) {
    // (rest − rate · h)² = k² (chance · h + error · h²)
    let (a, b, c) = (rate * rate - k * k * error, 2.0 * rest * rate + k * k * chance, rest * rest);
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    // The numerically stable forms of the two roots.
    let earliest = 2.0 * c / (b + root);
    let latest = (a > 0.0).then(|| (b + root) / (2.0 * a));
    (earliest.is_finite().then_some(earliest), latest)
}

/// The forecast of a window; `None` if the measured time is empty.
pub(super) fn forecast(measured: &Measured, now: Timestamp) -> Option<Forecast> {
    let Measured { steps, used, basis, whole, resets_at } = measured;
    let (first, last) = (steps.first()?, steps.last()?);
    let minutes: f64 = steps.iter().map(TimeStep::minutes).sum();
    if minutes <= 0.0 {
        return None;
    }
    let rate = steps.iter().map(|step| step.points).sum::<f64>() / minutes;
    let grown = steps.iter().rfind(|step| step.points > 0.0).map_or(first.from, |step| step.to);
    let spread: f64 = steps.iter().map(|step| (step.points - rate * step.minutes()).powi(2)).sum();
    let freedom = steps.len() - 1;
    let chance = if freedom > 0 { spread / minutes * steps.len() as f64 / freedom as f64 } else { 0.0 };
    let error = chance / minutes + if *whole { ROUNDING / (minutes * minutes) } else { 0.0 };
    let rest = (100.0 - used).max(0.0);
    let left = (rate > 0.0 || rest <= 0.0).then(|| if rest <= 0.0 { 0.0 } else { rest / rate });
    let (mut earliest, mut latest, mut low, mut high) = (None, None, None, None);
    if freedom > 0 {
        let k = errors(freedom);
        low = Some(percent(60.0 * (rate - k * error.sqrt())));
        high = Some(percent(60.0 * (rate + k * error.sqrt())));
        if left.is_some() {
            (earliest, latest) = bounds(rest, rate, chance, error, k);
        }
    }
    let used_up_at = left.and_then(|left| after(now, left));
    let to_reset = resets_at.map(|reset| (reset.millis() - now.millis()) as f64 / MINUTE as f64);
    Some(Forecast {
        percent_per_hour: percent(60.0 * rate),
        low_percent_per_hour: low,
        high_percent_per_hour: high,
        percent: percent(*used),
        used_up_at,
        earliest_at: earliest.and_then(|minutes| after(now, minutes)),
        latest_at: latest.and_then(|minutes| after(now, minutes)),
        before_reset: to_reset.map(|reset| left.is_some_and(|left| left < reset)),
        percent_at_reset: to_reset.map(|reset| percent((used + rate * reset.max(0.0)).min(100.0))),
        basis: *basis,
        since: first.from,
        idle: last.to.millis() - grown.millis() > IDLE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * MINUTE)
    }

    fn measured(points: &[(i64, f64)], used: f64, reset: i64) -> Measured {
        let mut from = 0;
        let mut steps = Vec::new();
        for (minutes, points) in points {
            steps.push(TimeStep { from: at(from), to: at(from + minutes), points: *points });
            from += minutes;
        }
        let basis = ForecastBasis::Observations;
        Measured { steps, used, basis, whole: true, resets_at: Some(at(reset)) }
    }

    #[test]
    fn the_rate_is_the_points_divided_by_the_time() {
        let outcome = forecast(&measured(&[(10, 10.0), (10, 10.0), (10, 12.0)], 42.0, 300), at(30)).unwrap();
        assert_eq!((outcome.percent_per_hour, outcome.percent), ("64".parse().unwrap(), "42".parse().unwrap()));
        // 58 points at 32 / 30 a minute.
        assert_eq!(outcome.used_up_at, Some(Timestamp::from_millis(30 * MINUTE + 3_262_500)));
        assert_eq!((outcome.before_reset, outcome.percent_at_reset), (Some(true), Some("100".parse().unwrap())));
        let (earliest, latest) = (outcome.earliest_at.unwrap(), outcome.latest_at.unwrap());
        assert!(at(30 + 30) < earliest && earliest < at(30 + 45), "{earliest}");
        assert!(at(30 + 65) < latest && latest < at(30 + 100), "{latest}");
    }

    #[test]
    fn steadier_work_gives_a_narrower_interval() {
        let steady = forecast(&measured(&[(10, 5.0); 12], 60.0, 400), at(120)).unwrap();
        let bursts: Vec<(i64, f64)> = (0..12).map(|step| (10, if step % 4 == 0 { 20.0 } else { 0.0 })).collect();
        let bursts = forecast(&measured(&bursts, 60.0, 400), at(120)).unwrap();
        assert_eq!(steady.percent_per_hour, bursts.percent_per_hour);
        let width =
            |one: &Forecast| one.latest_at.map_or(i64::MAX, Timestamp::millis) - one.earliest_at.unwrap().millis();
        assert!(width(&steady) < width(&bursts) / 4, "{steady:?} {bursts:?}");
    }

    #[test]
    fn the_interval_contains_the_outcome_about_as_often_as_stated() {
        // Use comes in bursts of 0 to 4 points a step of ten minutes, from a seeded generator.
        let mut state = 7_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % 5) as f64
        };
        let (mut held, rounds) = (0, 400);
        for _ in 0..rounds {
            let past: Vec<(i64, f64)> = (0..12).map(|_| (10, draw())).collect();
            let used: f64 = past.iter().map(|(_, points)| points).sum();
            let Some(outcome) = forecast(&measured(&past, used, 10_000), at(120)) else { continue };
            let (mut now, mut sum) = (120, used);
            while sum < 100.0 {
                let points = draw();
                now += 10;
                sum += points;
            }
            let fits = outcome.earliest_at.is_none_or(|earliest| earliest <= at(now))
                && outcome.latest_at.is_none_or(|latest| at(now - 10) <= latest);
            held += i32::from(fits);
        }
        assert!(held > rounds * 92 / 100, "{held} of {rounds} (seed 7)");
    }

    #[test]
    fn idle_use_is_marked_and_zero_use_has_no_end() {
        let idle = forecast(&measured(&[(10, 5.0), (31, 0.0)], 5.0, 300), at(41)).unwrap();
        assert!(idle.idle && idle.used_up_at.is_some());
        let nothing = forecast(&measured(&[(10, 0.0), (10, 0.0)], 5.0, 300), at(20)).unwrap();
        assert_eq!((nothing.used_up_at, nothing.latest_at, nothing.before_reset), (None, None, Some(false)));
        let full = forecast(&measured(&[(10, 50.0), (10, 50.0)], 100.0, 300), at(20)).unwrap();
        assert_eq!((full.used_up_at, full.before_reset), (Some(at(20)), Some(true)));
        assert_eq!(forecast(&measured(&[], 5.0, 300), at(20)), None);
    }

    #[test]
    fn a_single_step_has_no_interval() {
        let outcome = forecast(&measured(&[(60, 30.0)], 30.0, 300), at(60)).unwrap();
        assert_eq!(
            (outcome.percent_per_hour, outcome.earliest_at, outcome.latest_at),
            ("30".parse().unwrap(), None, None)
        );
        assert_eq!((outcome.before_reset, outcome.percent_at_reset), (Some(true), Some("100".parse().unwrap())));
    }
}
