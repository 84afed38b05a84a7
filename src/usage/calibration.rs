//! Estimates a provider's hidden limit from its percentages.
//!
//! Within a window, percent = level + tokens × slope. Every observation gives one equation. Windows share the slope but
//! not the level, because the account may have been used elsewhere before. Least squares over the differences from each
//! window's mean give the slope; the limit is 100 % divided by the slope. A whole number may be off by half a point,
//! which determines the minimal error.

use serde::Serialize;

use super::account_sums::sum_between;
use super::{AccountAt, Limits, is_metered};
use crate::model::error::Result;
use crate::model::event::{EventKind, Payload, Position, Subject, WindowKind};
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::model::tokens::TokenClass;
use crate::model::window::{believed_reset, kind_of};
use crate::projection::{Totals, each_event_between};
use crate::store::{GO_ON, Order};

/// The age of the oldest observation that counts, in milliseconds.
const LOOK_BACK: i64 = 30 * DAY;
/// The maximal number of observations; the latest count.
const MOST: usize = 400;
/// Observations whose ends differ by at most this, in milliseconds, belong to one window.
const JITTER: i64 = 2 * MINUTE;
/// The minimal number of observations for a slope.
const FEWEST: usize = 3;
/// The minimal number of additional observations for class weights.
const SPARE: usize = 3;
/// The variance of a rounded whole number.
const ROUNDING: f64 = 1.0 / 12.0;
/// The number of standard errors that contain 95 % of a normal distribution.
const ERRORS: f64 = 1.96;

/// A fitted limit.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, TokenRecord, event::{NewEvent, QuotaObserved, WindowKind}, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// for step in 1..=5 {
///     let at = now.plus(step * 10 * MINUTE);
///     ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(40_000), at)?;
///     let used = format!("{}", 20 + 4 * step).parse()?; // 20 % were used elsewhere
///     let seen = QuotaObserved::new(ProviderId::new("anthropic")?, 300, "statusline").used(used);
///     let seen = seen.resets_at(now.plus(300 * MINUTE));
///     ledger.append([NewEvent::new(seen, at)], at)?;
/// }
/// let fit = ledger.snapshot()?.calibration("anthropic", None, WindowKind::Session, now.plus(60 * MINUTE))?.unwrap();
/// assert_eq!(fit.limit, 1_000_000); // 40 000 tokens are 4 %
/// assert!(fit.low < 1_000_000 && 1_000_000 < fit.high);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Calibration {
    /// The limit in limit tokens, under the current weights.
    pub limit: u64,
    /// The lower bound of the 95 % confidence interval.
    pub low: u64,
    /// The upper bound of the 95 % confidence interval.
    pub high: u64,
    /// The number of observations.
    pub observations: usize,
    /// The number of their windows.
    pub windows: usize,
    /// The fitted weight of each class relative to an input token, if the observations determine it, with its standard
    /// error. A class without usage, or only used together with another, is omitted.
    pub weights: Vec<ClassWeight>,
    /// Positions of the observations.
    pub evidence: Vec<Position>,
}

/// The fitted weight of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassWeight {
    /// The class.
    #[serde(serialize_with = "by_name")]
    pub class: TokenClass,
    /// Its weight; an input token counts 1.
    pub weight: f64,
    /// Its standard error.
    pub error: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn by_name<S: serde::Serializer>(class: &TokenClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.name())
}

/// One observation: its window, the usage in it so far, and the reported percentage.
struct CalibrationPoint {
    window: usize,
    weighted: f64,
    classes: [f64; 7],
    percent: f64,
    whole: bool,
    position: Position,
}

fn readings(
    AccountAt { view, account, now }: AccountAt<'_>,
    limits: &Limits,
    kind: WindowKind,
) -> Result<Vec<CalibrationPoint>> {
    let mut seen = Vec::new();
    let span = (now.plus(-LOOK_BACK), now);
    each_event_between(
        view,
        EventKind::QuotaObserved,
        &Subject::Account(account.clone()),
        span,
        Order::Ascending,
        &mut |indexed| {
            if let Payload::QuotaObserved(observed) = indexed.event.payload
                && kind_of(observed.window_minutes) == Some(kind)
                && observed.scope.is_none()
                && limits.trusts(&observed.feed)
                && let (Some(used), Some(end)) = (observed.used_percent, observed.resets_at)
            {
                let end = believed_reset(indexed.event.occurred_at, observed.window_minutes, end);
                let start = end.plus(-i64::from(observed.window_minutes) * MINUTE);
                seen.push((indexed.event.occurred_at, start, end, used, indexed.position));
            }
            GO_ON
        },
    )?;
    let skip = seen.len().saturating_sub(MOST);
    let (mut readings, mut window, mut open): (Vec<CalibrationPoint>, usize, Option<(Timestamp, Timestamp)>) =
        (Vec::new(), 0, None);
    // The usage of the window up to an instant. The next reading adds the usage since.
    let (mut counted, mut totals) = (Timestamp::MIN, Totals::default());
    for (at, start, end, used, position) in seen.into_iter().skip(skip) {
        let known = open.filter(|(_, known)| (known.millis() - end.millis()).abs() <= JITTER);
        let (start, _) = known.unwrap_or_else(|| {
            window += 1;
            (counted, totals) = (start, Totals::default());
            (start, end)
        });
        open = Some((start, known.map_or(end, |(_, end)| end)));
        if at >= counted {
            totals.add(&sum_between(view, account, counted, at.plus(1))?)?;
            counted = at.plus(1);
        }
        let counts = totals.counts()?;
        readings.push(CalibrationPoint {
            window,
            weighted: limits.weights.weigh(counts) as f64,
            classes: counts.map(|count| count as f64),
            percent: f64::from(used.hundredths()) / 100.0,
            whole: used.hundredths() % 100 == 0,
            position,
        });
    }
    Ok(readings)
}

/// Subtracts each window's mean, so that only changes within a window count.
fn centred(readings: &[CalibrationPoint], value: impl Fn(&CalibrationPoint) -> f64) -> Vec<f64> {
    let mut sums: std::collections::BTreeMap<usize, (f64, f64)> = std::collections::BTreeMap::new();
    for reading in readings {
        let sum = sums.entry(reading.window).or_default();
        *sum = (sum.0 + value(reading), sum.1 + 1.0);
    }
    let mean = |window: usize| sums.get(&window).map_or(0.0, |(sum, count)| sum / count);
    readings.iter().map(|reading| value(reading) - mean(reading.window)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves `matrix · x = right`, and also returns the diagonal of the inverse; `None` if the solution is not unique.
fn solve(matrix: &[Vec<f64>], right: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let size = right.len();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
    for (number, (row, value)) in matrix.iter().zip(right).enumerate() {
        let unit = (0..size).map(|column| if column == number { 1.0 } else { 0.0 });
        rows.push(row.iter().copied().chain([*value]).chain(unit).collect());
    }
    for pivot in 0..size {
        let scale = matrix.get(pivot)?.get(pivot)?.abs();
        let best = (pivot..size).max_by(|a, b| {
            let at = |row: usize| rows.get(row).and_then(|row| row.get(pivot)).map_or(0.0, |value| value.abs());
            at(*a).total_cmp(&at(*b))
        })?;
        rows.swap(pivot, best);
        let head = rows.get(pivot)?.clone();
        let lead = *head.get(pivot)?;
        if lead.abs() <= 1e-9 * scale {
            return None;
        }
        for (number, row) in rows.iter_mut().enumerate() {
            let factor = if number == pivot { 1.0 - 1.0 / lead } else { row.get(pivot)? / lead };
            for (value, head) in row.iter_mut().zip(&head) {
                *value -= factor * head;
            }
        }
    }
    let column = |row: &Vec<f64>, at: usize| row.get(at).copied();
    let solution = rows.iter().map(|row| column(row, size)).collect::<Option<Vec<f64>>>()?;
    let diagonal = rows.iter().enumerate().map(|(n, row)| column(row, size + 1 + n)).collect::<Option<Vec<f64>>>()?;
    Some((solution, diagonal))
}

/// The variance of a reading: that of the residuals, but not less than that of rounding.
fn variance(readings: &[CalibrationPoint], residual: f64, parameters: usize, windows: usize) -> f64 {
    let spare = readings.len().saturating_sub(parameters + windows);
    let left = if spare > 0 { residual / spare as f64 } else { 0.0 };
    let least = if readings.iter().all(|reading| reading.whole) { ROUNDING } else { ROUNDING / 10_000.0 };
    left.max(least)
}

/// The weight of each class, from least squares over all classes at once; classes with a negative weight are omitted.
fn class_weights(readings: &[CalibrationPoint], percent: &[f64], windows: usize) -> Vec<ClassWeight> {
    let columns = |class: usize| centred(readings, |r| r.classes.get(class).copied().unwrap_or(0.0));
    let mut used: Vec<(usize, Vec<f64>)> =
        (0..7).map(|class| (class, columns(class))).filter(|(_, column)| dot(column, column) > 0.0).collect();
    loop {
        if used.len() < 2 || readings.len() < used.len() + windows + SPARE {
            return Vec::new();
        }
        let matrix: Vec<Vec<f64>> = used.iter().map(|(_, a)| used.iter().map(|(_, b)| dot(a, b)).collect()).collect();
        let right: Vec<f64> = used.iter().map(|(_, column)| dot(column, percent)).collect();
        let Some((slopes, diagonal)) = solve(&matrix, &right) else { return Vec::new() };
        let negative = slopes.iter().enumerate().filter(|(_, slope)| **slope < 0.0).min_by(|a, b| a.1.total_cmp(b.1));
        if let Some((worst, _)) = negative {
            used.remove(worst);
            continue;
        }
        let residual: f64 = (0..readings.len())
            .map(|n| {
                let fitted: f64 =
                    used.iter().zip(&slopes).map(|((_, c), slope)| c.get(n).copied().unwrap_or(0.0) * slope).sum();
                (percent.get(n).copied().unwrap_or(0.0) - fitted).powi(2)
            })
            .sum();
        let variance = variance(readings, residual, used.len(), windows);
        let fitted: Vec<(usize, f64, f64)> = used
            .iter()
            .zip(slopes.iter().zip(&diagonal))
            .map(|((class, _), (slope, diagonal))| (*class, *slope, (variance * diagonal.max(0.0)).sqrt()))
            .collect();
        let input = fitted.iter().find(|(class, ..)| TokenClass::ALL.get(*class) == Some(&TokenClass::Input));
        let Some((_, unit, _)) = input.copied().filter(|(_, slope, error)| *slope > *error) else { return Vec::new() };
        return fitted
            .into_iter()
            .filter_map(|(class, slope, error)| {
                Some(ClassWeight { class: *TokenClass::ALL.get(class)?, weight: slope / unit, error: error / unit })
            })
            .collect();
    }
}

/// The limit that fits the observations of the last 30 days; `None` if they are too few or inconclusive.
pub(crate) fn calibration(at: AccountAt<'_>, kind: WindowKind) -> Result<Option<Calibration>> {
    if !is_metered(at)?.0 {
        return Ok(None);
    }
    let limits = Limits::at(at)?;
    let readings = readings(at, &limits, kind)?;
    let windows = readings.last().map_or(0, |reading| reading.window);
    if readings.len() < FEWEST.max(windows + 1) {
        return Ok(None);
    }
    let weighted = centred(&readings, |reading| reading.weighted);
    let percent = centred(&readings, |reading| reading.percent);
    let spread = dot(&weighted, &weighted);
    let slope = dot(&weighted, &percent) / spread;
    if !(slope > 0.0 && slope.is_finite()) {
        return Ok(None);
    }
    let residual: f64 = percent.iter().zip(&weighted).map(|(p, w)| (p - slope * w).powi(2)).sum();
    let error = (variance(&readings, residual, 1, windows) / spread).sqrt();
    let tokens = |slope: f64| if slope > 0.0 { (100.0 / slope).round().min(9e15) as u64 } else { u64::MAX };
    Ok(Some(Calibration {
        limit: tokens(slope),
        low: tokens(slope + ERRORS * error),
        high: tokens(slope - ERRORS * error),
        observations: readings.len(),
        windows,
        weights: class_weights(&readings, &percent, windows),
        evidence: readings.iter().map(|reading| reading.position).collect(),
    }))
}
