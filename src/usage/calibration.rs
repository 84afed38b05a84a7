//! What a provider's percentages say about its hidden limit.
//!
//! Within a window, percent = level + tokens × slope: every observation gives one equation, and windows share the slope
//! but not the level (somebody else may have used the account before). The slope is fitted by least squares over the
//! differences from each window's mean; 100 % over the slope is the limit. A reading that is a whole number may be off by
//! half a point, which sets the least error that is believed.

use serde::Serialize;

use super::windows::sum_between;
use super::{Limits, is_metered};
use crate::model::error::Result;
use crate::model::event::{EventKind, Payload, Position, WindowKind};
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::model::tokens::TokenClass;
use crate::model::window::kind_of;
use crate::projection::{AccountRef, Subject, facts_between};
use crate::store::{GO_ON, Order, ReadView};

/// How far back observations are looked at.
const LOOK_BACK: i64 = 30 * DAY;
/// So many are enough; the latest count.
const MOST: usize = 400;
/// Observations of one window are those whose ends differ by no more than this.
const JITTER: i64 = 2 * MINUTE;
/// Fewer observations fit no slope.
const FEWEST: usize = 3;
/// Fewer spare observations fit no weights of classes.
const SPARE: usize = 3;
/// Variance of a whole number that stands for anything within half a point of it.
const ROUNDING: f64 = 1.0 / 12.0;
/// 95 % of a normal distribution lie within so many standard errors.
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
///     let seen = QuotaObserved {
///         provider: ProviderId::new("anthropic")?,
///         account: None,
///         window_minutes: 300,
///         scope: None,
///         used_percent: Some(format!("{}", 20 + 4 * step).parse()?), // 20 % were used elsewhere
///         resets_at: Some(now.plus(300 * MINUTE)),
///         status: None,
///         feed: "statusline".to_owned(),
///     };
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
    /// The limit in limit tokens, under the weights that hold.
    pub limit: u64,
    /// With 95 % confidence it is no less than this …
    pub low: u64,
    /// … and no more than this.
    pub high: u64,
    /// Observations that went into it.
    pub observations: usize,
    /// Windows that they are of.
    pub windows: usize,
    /// What a token of each class seems to count beside an input token, where the observations can tell; with the
    /// standard error. A class that was not used, or only along with another, is left out.
    pub weights: Vec<ClassWeight>,
    /// Positions of the observations.
    pub evidence: Vec<Position>,
}

/// What a token of a class seems to count.
///
/// ```
/// use usage_ledger::{TokenClass, usage::ClassWeight};
/// let weight = ClassWeight { class: TokenClass::Output, weight: 5.0, error: 0.4 };
/// assert!(weight.error < weight.weight);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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

/// One observation: which window it is of, what was used in it by then, and what the provider said.
struct CalibrationPoint {
    window: usize,
    weighted: f64,
    classes: [f64; 7],
    percent: f64,
    whole: bool,
    position: Position,
}

fn readings(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    limits: &Limits,
    kind: WindowKind,
    now: Timestamp,
) -> Result<Vec<CalibrationPoint>> {
    let mut seen = Vec::new();
    let span = (now.plus(-LOOK_BACK), now);
    facts_between(
        view,
        EventKind::QuotaObserved,
        &Subject::Account(account.clone()),
        span,
        Order::Ascending,
        &mut |fact| {
            if let Payload::QuotaObserved(word) = fact.event.payload
                && kind_of(word.window_minutes) == Some(kind)
                && word.scope.is_none()
                && limits.trusts(&word.feed)
                && let (Some(used), Some(end)) = (word.used_percent, word.resets_at)
            {
                let start = end.plus(-i64::from(word.window_minutes) * MINUTE);
                seen.push((fact.event.occurred_at, start, end, used, fact.position));
            }
            GO_ON
        },
    )?;
    let skip = seen.len().saturating_sub(MOST);
    let (mut readings, mut window, mut open): (Vec<CalibrationPoint>, usize, Option<(Timestamp, Timestamp)>) =
        (Vec::new(), 0, None);
    for (at, start, end, used, position) in seen.into_iter().skip(skip) {
        let known = open.filter(|(_, known)| (known.millis() - end.millis()).abs() <= JITTER);
        let (start, _) = known.unwrap_or_else(|| {
            window += 1;
            (start, end)
        });
        open = Some((start, known.map_or(end, |(_, end)| end)));
        let totals = sum_between(view, account, start, at.plus(1))?;
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

/// Takes each window's mean away, so that only what happened within a window counts.
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

/// Solves `matrix · x = right` and gives the inverse's diagonal with it; `None` when it cannot be told apart.
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

/// Variance of a reading: what the fit leaves over, but no less than rounding makes.
fn variance(readings: &[CalibrationPoint], residual: f64, parameters: usize, windows: usize) -> f64 {
    let spare = readings.len().saturating_sub(parameters + windows);
    let left = if spare > 0 { residual / spare as f64 } else { 0.0 };
    let least = if readings.iter().all(|reading| reading.whole) { ROUNDING } else { ROUNDING / 10_000.0 };
    left.max(least)
}

/// What each class counts, by least squares over all classes at once; classes that come out negative are left out.
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

/// The limit that the observations of the last 30 days speak for; `None` when they are too few or say nothing.
pub(crate) fn calibration(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    kind: WindowKind,
    now: Timestamp,
) -> Result<Option<Calibration>> {
    if !is_metered(view, account, now)?.0 {
        return Ok(None);
    }
    let limits = Limits::at(view, account, now)?;
    let readings = readings(view, account, &limits, kind, now)?;
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
