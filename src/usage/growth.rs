//! Measures the growth of a window, from readings and records, for a forecast.

use super::WindowUsage;
use super::account_sums::sum_between;
use super::forecast::{Forecast, ForecastBasis, Measured, TimeStep, forecast};
use super::windows::AccountWindows;
use crate::model::error::Result;
use crate::model::event::{Percent, WindowKind};
use crate::model::time::{DAY, HOUR, MINUTE, QUARTER, Timestamp};
use crate::projection::{Level, Totals, first_from, last_before, scan_days, sum_uses};
use crate::store::GO_ON;

/// Maximal age of the usage that a session's rate is measured from, in milliseconds.
const LOOK_BACK: i64 = 5 * HOUR;
/// The minimal measured time of a rate, in milliseconds.
const SHORTEST: i64 = 15 * MINUTE;
/// The minimal number of uses for a rate.
const FEWEST: u64 = 5;
/// Maximal age of the last reading for a rate without later records, in milliseconds.
const SILENT: i64 = 30 * MINUTE;
/// Length of the steps of a week, in milliseconds. Shorter steps would measure bursts of minutes instead of days.
const WEEKLY_STEP: i64 = 6 * HOUR;

/// A reading, in percent.
#[derive(Clone, Copy)]
struct PercentReading {
    at: Timestamp,
    used: Percent,
}

impl PercentReading {
    fn points(self) -> f64 {
        f64::from(self.used.hundredths()) / 100.0
    }
}

/// Returns whether the readings alone are enough for a rate.
fn are_apart(readings: &[PercentReading]) -> bool {
    readings.first().zip(readings.last()).is_some_and(|(first, last)| last.at.millis() - first.at.millis() >= SHORTEST)
}

/// Percentage points per limit token.
type Slope = f64;

impl AccountWindows<'_> {
    /// The forecast of a window; `None` if there is too little data.
    pub(super) fn forecast(&self, kind: WindowKind, window: &WindowUsage) -> Result<Option<Forecast>> {
        let Some(opened) = window.started_at.or_else(|| window.observed.as_ref().map(|reading| reading.at)) else {
            return Ok(None);
        };
        let readings = self.grown(kind, opened);
        // One reading gives only the mean since the window opened. Records and a limit give the growth over time.
        let mut measured = None;
        if let Some(limit) = window.limit.filter(|_| !are_apart(&readings)) {
            measured = self.by_records(kind, window, opened, 100.0 / limit.max(1) as f64)?;
        }
        if measured.is_none() {
            measured = self.by_readings(kind, window, opened, &readings)?;
        }
        Ok(measured.and_then(|measured| forecast(&measured, self.at())))
    }

    /// The readings of a window since a person or the provider last stated that less is used, earliest first.
    fn grown(&self, kind: WindowKind, opened: Timestamp) -> Vec<PercentReading> {
        let mut readings: Vec<PercentReading> = Vec::new();
        for (at, used) in self.readings(kind, opened) {
            if readings.last().is_some_and(|last| used < last.used) {
                readings.clear();
            }
            // A second reading at the same instant adds no step.
            if readings.last().is_none_or(|last| last.at < at) {
                readings.push(PercentReading { at, used });
            } else if let Some(last) = readings.last_mut() {
                last.used = used;
            }
        }
        readings
    }

    fn by_readings(
        &self,
        kind: WindowKind,
        window: &WindowUsage,
        opened: Timestamp,
        readings: &[PercentReading],
    ) -> Result<Option<Measured>> {
        let (Some(first), Some(last)) = (readings.first().copied(), readings.last().copied()) else { return Ok(None) };
        let apart = are_apart(readings);
        // A window begins at 0 %. A week's rate includes that reading, because it is a mean over days and nights.
        let mut knots = readings.to_vec();
        if (!apart || kind == WindowKind::Weekly) && window.started_at.is_some() && opened < first.at {
            knots.insert(0, PercentReading { at: opened, used: Percent::default() });
        }
        let from = self.at().plus(-LOOK_BACK);
        if kind == WindowKind::Session && apart {
            let recent = knots.iter().position(|knot| knot.at >= from).unwrap_or(0);
            // The last reading before the measured time is the start of the first step.
            knots.drain(..recent.saturating_sub(1).min(knots.len().saturating_sub(2)));
        }
        let Some(base) = knots.first().copied().filter(|base| last.at.millis() - base.at.millis() >= SHORTEST) else {
            return Ok(None);
        };
        let slope = self.slope(window, base, last)?;
        let tail = match slope {
            // The reading contains the uses of its own instant.
            Some(slope) => self.steps(kind, last.at.plus(1), self.at().plus(1), slope)?,
            None if self.at().millis() - last.at.millis() > SILENT => return Ok(None),
            None => Vec::new(),
        };
        let added: f64 = tail.iter().map(|step| step.points).sum();
        let basis = if added > 0.0 { ForecastBasis::Both } else { ForecastBasis::Observations };
        let mut steps: Vec<TimeStep> = knots
            .iter()
            .zip(knots.iter().skip(1))
            .map(|(one, next)| TimeStep { from: one.at, to: next.at, points: next.points() - one.points() })
            .collect();
        steps.extend(tail);
        let whole = readings.iter().all(|reading| reading.used.hundredths().is_multiple_of(100));
        Ok(Some(Measured { steps, used: last.points() + added, basis, whole, resets_at: window.resets_at }))
    }

    /// Percentage points of this window per limit token: from the limit, or from the readings and the tokens between them.
    fn slope(&self, window: &WindowUsage, base: PercentReading, last: PercentReading) -> Result<Option<Slope>> {
        if let Some(limit) = window.limit {
            return Ok(Some(100.0 / limit.max(1) as f64));
        }
        let tokens = self.weighted(base.at.plus(1), last.at.plus(1))?;
        let points = last.points() - base.points();
        Ok((tokens > 0 && points > 0.0).then(|| points / tokens as f64))
    }

    fn by_records(
        &self,
        kind: WindowKind,
        window: &WindowUsage,
        opened: Timestamp,
        slope: Slope,
    ) -> Result<Option<Measured>> {
        let (view, key, until) = (self.view(), self.key(), self.at().plus(1));
        let from = if kind == WindowKind::Session { opened.max(self.at().plus(-LOOK_BACK)) } else { opened };
        let Some(first) = first_from(view, key, from)?.filter(|first| *first < until) else { return Ok(None) };
        let Some(last) = last_before(view, key, until)? else { return Ok(None) };
        let requests = sum_between(view, self.account(), first, until)?.request_count()?;
        if requests < FEWEST || last.millis() - first.millis() < SHORTEST {
            return Ok(None);
        }
        let steps = self.steps(kind, first, until, slope)?;
        let used = f64::from(window.used().unwrap_or_default().hundredths()) / 100.0;
        Ok(Some(Measured { steps, used, basis: ForecastBasis::Records, whole: false, resets_at: window.resets_at }))
    }

    fn weighted(&self, from: Timestamp, to: Timestamp) -> Result<u128> {
        Ok(self.limits().weights.weigh(sum_between(self.view(), self.account(), from, to)?.counts()?))
    }

    /// The usage of a span in steps that begin at whole quarters of an hour, or at whole quarters of a day.
    fn steps(&self, kind: WindowKind, from: Timestamp, to: Timestamp, slope: Slope) -> Result<Vec<TimeStep>> {
        let length = if kind == WindowKind::Session { QUARTER } else { WEEKLY_STEP };
        let mut steps: Vec<(Timestamp, Timestamp, Totals)> = Vec::new();
        let mut at = from;
        while at < to {
            let next = Timestamp::from_millis((at.millis().div_euclid(length) + 1) * length).min(to);
            steps.push((at, next, Totals::default()));
            at = next;
        }
        for (at, totals) in self.quarters(from, to)? {
            let number = (at.millis().div_euclid(length) - from.millis().div_euclid(length)).max(0);
            if let Some((.., sum)) = usize::try_from(number).ok().and_then(|number| steps.get_mut(number)) {
                sum.add(&totals)?;
            }
        }
        let weigh = |(from, to, totals): (Timestamp, Timestamp, Totals)| {
            let points = self.limits().weights.weigh(totals.counts()?) as f64 * slope;
            Ok(TimeStep { from, to, points })
        };
        steps.into_iter().map(weigh).collect()
    }

    /// The usage of a span by quarters of an hour: whole ones from the rollup, the edges from single instants.
    fn quarters(&self, from: Timestamp, to: Timestamp) -> Result<Vec<(Timestamp, Totals)>> {
        let (view, key) = (self.view(), self.key());
        let first = from.millis().div_euclid(QUARTER) + i64::from(from.millis().rem_euclid(QUARTER) != 0);
        let last = to.millis().div_euclid(QUARTER);
        if first >= last {
            return Ok(vec![(from, sum_uses(view, key, from, to)?)]);
        }
        let border = |quarter: i64| Timestamp::from_millis(quarter * QUARTER);
        let mut found = vec![
            (from, sum_uses(view, key, from, border(first))?),
            (border(last), sum_uses(view, key, border(last), to)?),
        ];
        let days = (border(first).millis().div_euclid(DAY), border(last - 1).millis().div_euclid(DAY));
        let account = self.account();
        scan_days(view, Level::Model, Some(days.0), Some(days.1), &mut |row| {
            if row.series.provider == account.provider && row.series.account == account.account.as_deref() {
                for (quarter, totals) in row.quarters()? {
                    let quarter = row.day * (DAY / QUARTER) + i64::from(quarter);
                    if (first..last).contains(&quarter) {
                        found.push((border(quarter), totals));
                    }
                }
            }
            GO_ON
        })?;
        Ok(found)
    }
}
