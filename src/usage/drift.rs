//! The difference between an estimate and the provider's reading.

use serde::Serialize;

use super::account_sums::sum_between;
use super::windows::{AccountWindows, whole_share};
use super::{AccountAt, Calibration, Limits, ProviderSignal, calibration};
use crate::model::error::Result;
use crate::model::event::{Percent, WindowKind};

/// The difference that needs attention, in percentage points.
const FAR: f64 = 10.0;

/// An estimate and a provider's reading at the same moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// The window.
    pub window: WindowKind,
    /// The provider's last reading.
    pub observed: ProviderSignal,
    /// The estimate from recorded tokens and the limit at that moment; `None` without a limit.
    pub estimated: Option<Percent>,
    /// The estimate minus the observation, in percentage points.
    pub points: Option<f64>,
    /// The limit at which the estimate would equal the observation, in limit tokens.
    pub implied: Option<u64>,
    /// The limit that is set, in limit tokens.
    pub limit: Option<u64>,
    /// The limit that fits the provider's own percentages.
    pub calibration: Option<Calibration>,
}

impl Drift {
    /// Whether the set limit is outside the fitted interval. Without a fit: whether the estimate differs by ten points.
    pub fn is_off(&self) -> bool {
        match (self.limit, &self.calibration) {
            (Some(limit), Some(fit)) => limit < fit.low || limit > fit.high,
            _ => self.points.is_some_and(|points| points.abs() >= FAR),
        }
    }
}

/// The drift of a window at its last reading; `None` without a reading.
pub(crate) fn drift(at: AccountAt<'_>, kind: WindowKind) -> Result<Option<Drift>> {
    let Some(observed) = AccountWindows::new(at)?.now(kind)?.observed else { return Ok(None) };
    let at_reading = at.with_now(observed.at);
    let limits = Limits::at(at_reading)?;
    let limit = limits.of(kind).map(|(tokens, _)| tokens);
    let then = AccountWindows::new(at_reading)?.now(kind)?;
    let used = match then.started_at {
        Some(start) => limits.weights.weigh(sum_between(at.view, at.account, start, observed.at.plus(1))?.counts()?),
        None => 0,
    };
    let estimated = limit.map(|limit| whole_share(used, limit));
    let points = estimated
        .zip(observed.percent)
        .map(|(estimated, observed)| (f64::from(estimated.hundredths()) - f64::from(observed.hundredths())) / 100.0);
    let implied = observed.percent.filter(|percent| percent.hundredths() > 0 && used > 0).map(|percent| {
        u64::try_from(used.saturating_mul(10_000) / u128::from(percent.hundredths())).unwrap_or(u64::MAX)
    });
    let limit = Limits::at(at)?.of(kind).map(|(tokens, _)| tokens);
    let calibration = calibration(at, kind)?;
    Ok(Some(Drift { window: kind, observed, estimated, points, implied, limit, calibration }))
}
