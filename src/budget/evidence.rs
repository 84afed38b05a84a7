//! Collects the evidence of a decision from the projections.

use super::run_cost::{RunCosts, run_costs};
use super::{MoneyWindow, Rate, Uses, burn, burn_rate};
use crate::model::error::Result;
use crate::model::event::{BudgetMode, Position, Thresholds};
use crate::model::time::Timestamp;
use crate::projection::{first_from, last_before};
use crate::usage::{
    AccountAt, Exhausted, ForecastBasis, Limits, Pause, ProviderUsage, Switch, UnnamedRefusal, WindowUsage,
    cloud_refusal, paused, sum_between, unnamed_refusal, usage_now,
};

/// Everything that a decision about one account depends on.
pub(super) struct Evidence {
    /// The usage, without the sums of all time, which no decision needs.
    pub usage: ProviderUsage,
    pub budget_mode: Option<(BudgetMode, Position)>,
    pub thresholds: Option<(Thresholds, Position)>,
    pub paused: Option<Pause>,
    /// The rate at which the session is used.
    pub rate: Option<Rate>,
    pub costs: Option<RunCosts>,
    /// The refusal of a local program's paid cloud.
    pub cloud: Option<Exhausted>,
    /// The refusal without an account that may be of this one.
    pub unnamed: Option<UnnamedRefusal>,
    /// The amounts spent of money limits. A caller with a snapshot sets them.
    pub money: Vec<MoneyWindow>,
    pub now: Timestamp,
}

impl Evidence {
    pub fn gather(at: AccountAt<'_>, timeline: &[Switch]) -> Result<Self> {
        let limits = Limits::at(at)?;
        let usage = usage_now(at, timeline)?;
        let (mut rate, mut costs) = (None, None);
        if usage.metered
            && let Some(limit) = usage.session.limit
        {
            rate = session_rate(at, &limits, &usage.session, limit)?;
            costs = run_costs(at, &limits, &usage.session)?;
        }
        // The provider's own readings know of uses that were not recorded.
        if let Some(forecast) = usage.session.forecast.filter(|forecast| forecast.basis != ForecastBasis::Records) {
            let per_minute = f64::from(forecast.percent_per_hour.hundredths()) / 6_000.0;
            rate = Some(Rate { per_minute, idle: forecast.idle });
        }
        let paused = paused(at.view, at.now)?;
        let cloud = cloud_refusal(at)?;
        let unnamed = if usage.metered { unnamed_refusal(at)? } else { None };
        let (budget_mode, thresholds) = (limits.budget_mode, limits.thresholds);
        let (money, now) = (Vec::new(), at.now);
        Ok(Self { usage, budget_mode, thresholds, paused, rate, costs, cloud, unnamed, money, now })
    }
}

/// The share of a limit, in percentage points.
fn points(weighted: u128, limit: u64) -> f64 {
    weighted as f64 / limit.max(1) as f64 * 100.0
}

/// The rate at which the session's window is used, from the last five hours.
fn session_rate(
    AccountAt { view, account, now }: AccountAt<'_>,
    limits: &Limits,
    session: &WindowUsage,
    limit: u64,
) -> Result<Option<Rate>> {
    let Some(opened) = session.started_at else { return Ok(None) };
    let key = account.key();
    let from = opened.max(now.plus(-burn::LOOK_BACK));
    let until = now.plus(1);
    let Some(first) = first_from(view, &key, from)?.filter(|first| *first < until) else { return Ok(None) };
    let Some(last) = last_before(view, &key, until)? else { return Ok(None) };
    let sum = sum_between(view, account, first, until)?;
    let count = sum.request_count()?;
    let used = points(limits.weights.weigh(sum.counts()?), limit);
    Ok(burn_rate(&Uses::new(count, used, first, last), now))
}
