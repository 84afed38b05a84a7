//! Collects the evidence of a decision from the projections.

use super::run_cost::{RunCosts, run_costs};
use super::{MoneyWindow, Rate, RunRequest, Uses, burn, burn_rate};
use crate::model::error::Result;
use crate::model::event::{BudgetMode, Event, EventKind, Payload, Position, Thresholds};
use crate::model::time::Timestamp;
use crate::projection::{first_from, last_before};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::{
    AccountAt, Exhausted, ForecastBasis, Limits, Pause, ProviderUsage, Switch, WindowUsage, cloud_refusal, paused,
    sum_between, usage_now,
};

/// The maximal number of records that a decision names: those with the most tokens.
const RECORDS_NAMED: usize = 32;
/// The maximal number of records that are examined for that.
const RECORDS_SEEN: usize = 5_000;

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
        let (budget_mode, thresholds) = (limits.budget_mode, limits.thresholds);
        Ok(Self { usage, budget_mode, thresholds, paused, rate, costs, cloud, money: Vec::new(), now: at.now })
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

/// The records that determine the estimate of a window: those with the most tokens, by position.
pub(super) fn records(
    view: &dyn ReadView,
    request: &RunRequest,
    window: &WindowUsage,
    now: Timestamp,
) -> Result<Vec<Position>> {
    let Some(start) = window.started_at else { return Ok(Vec::new()) };
    let mut heaviest: Vec<(u64, Position)> = Vec::new();
    let mut seen = 0_usize;
    view.rows(recorded_from(view, start)?, &mut |position, row| {
        seen += 1;
        if row.occurred_at >= start
            && row.occurred_at <= now
            && (row.is_kind(EventKind::TokensRecorded) || row.is_kind(EventKind::TokensAmended))
        {
            let record = match Event::from_line(position, row.body)?.payload {
                Payload::TokensRecorded(record) => record,
                Payload::TokensAmended(amend) => amend.replacement,
                _ => return GO_ON,
            };
            if record.provider == request.provider.as_str() && record.account == request.account {
                heaviest.push((record.tokens.total()?, position));
            }
        }
        if seen < RECORDS_SEEN { GO_ON } else { STOP }
    })?;
    heaviest.sort_unstable_by_key(|(tokens, position)| (std::cmp::Reverse(*tokens), *position));
    let mut positions: Vec<Position> = heaviest.into_iter().take(RECORDS_NAMED).map(|(_, position)| position).collect();
    positions.sort_unstable();
    Ok(positions)
}

/// The first position that was recorded at a time or later, because `recorded_at` never decreases.
fn recorded_from(view: &dyn ReadView, at: Timestamp) -> Result<Position> {
    let (mut low, mut high) = (1, view.head()?.position.get() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut earlier = false;
        view.rows(Position::new(middle), &mut |_, row| {
            earlier = row.recorded_at < at;
            STOP
        })?;
        if earlier {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(Position::new(low))
}
