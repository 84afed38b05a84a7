//! Money budgets: what was spent of each money limit in its calendar period.

use serde::Serialize;

use super::RunRequest;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{AccountRef, Percent, Position};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::report::names::is_same_project;
use crate::report::{Report, ReportKey};
use crate::usage::{AccountAt, Cost, MoneyLimit, MoneyPeriod, Usage, exact_share, money_limits};

/// A money limit, and what was spent of it in the period that is open.
///
/// Costs are those of the price list, as [`Report`] computes them. A call without a known price counts nothing, and
/// [`Cost::unpriced_requests`] says how many those are.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::LimitSet, event::PriceSet, usage::MoneyPeriod};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.set_price(PriceSet::new("openai", "", "1".parse()?, "10".parse()?)?, now)?;
/// ledger.set_limit(LimitSet::new("openai")?.usd_day("20".parse()?), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(5_000_000), now)?;
/// let day = &ledger.budget("openai", now)?.money[0];
/// assert_eq!((day.period, day.cost.usd, day.percent), (MoneyPeriod::Day, Some("5".parse()?), "25".parse()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MoneyWindow {
    /// The calendar period.
    pub period: MoneyPeriod,
    /// The project that the limit is of; all of the account's calls without one.
    pub project: Option<String>,
    /// The limit, in US dollars.
    pub limit_usd: Usd,
    /// What the calls of the period cost.
    pub cost: Cost,
    /// The share of the limit that is spent; may exceed 100.
    pub percent: Percent,
    /// When the period began.
    pub started_at: Timestamp,
    /// When the next one begins.
    pub resets_at: Timestamp,
    /// The event that set the limit.
    pub position: Position,
}

impl MoneyWindow {
    /// `day budget`, `month budget of acme`.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::LimitSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.usd_day("20".parse()?), now)?;
    /// assert_eq!(ledger.budget("openai", now)?.money[0].name(), "day budget");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn name(&self) -> String {
        let project = self.project.as_ref().map(|project| format!(" of {project}")).unwrap_or_default();
        format!("{} budget{project}", self.period.name())
    }

    /// The amount spent: zero without a priced call. [`cost`](Self::cost) counts the calls without a price.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Usd, event::LimitSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.usd_day("20".parse()?), now)?;
    /// assert_eq!(ledger.budget("openai", now)?.money[0].spent(), Usd::default());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn spent(&self) -> Usd {
        self.cost.usd.unwrap_or_default()
    }

    /// Whether it concerns a run.
    pub(super) fn concerns(&self, request: &RunRequest) -> bool {
        let is_of = |project: &String| request.project.as_ref().is_some_and(|of| is_same_project(project, of));
        self.project.as_ref().is_none_or(is_of)
    }
}

/// The money budgets of an account at a time.
pub(crate) fn money_windows(
    snapshot: &Snapshot<'_>,
    account: &AccountRef<'_>,
    now: Timestamp,
) -> Result<Vec<MoneyWindow>> {
    let at = AccountAt::new(snapshot.view(), account, now);
    money_limits(at)?.into_iter().map(|limit| spent(snapshot, account, limit, now)).collect()
}

fn spent(snapshot: &Snapshot<'_>, account: &AccountRef<'_>, limit: MoneyLimit, now: Timestamp) -> Result<MoneyWindow> {
    let (started_at, resets_at) = limit.period.bounds(limit.zone, now)?;
    let mut report = Report::by(ReportKey::Account)
        .since(started_at)
        .until(resets_at.min(now.plus(1)))
        .only(ReportKey::Provider, account.provider.as_ref())?;
    if let Some(project) = &limit.project {
        report = report.only(ReportKey::Project, project)?;
    }
    let table = snapshot.report(&report)?;
    let own =
        table.rows.iter().find(|row| row.keys.first().is_some_and(|key| key.as_deref() == account.account.as_deref()));
    // An account without a call has no row.
    let cost = own.map_or_else(|| Usage::default().cost, |row| row.usage.cost);
    Ok(MoneyWindow {
        period: limit.period,
        project: limit.project,
        limit_usd: limit.usd,
        percent: spent_share(cost.usd, limit.usd),
        cost,
        started_at,
        resets_at,
        position: limit.position,
    })
}

/// The share of a limit that is spent. Without a priced call nothing is spent, and a refund spends nothing.
fn spent_share(spent: Option<Usd>, limit: Usd) -> Percent {
    let spent = spent.map_or(0, |usd| usd.picos().max(0));
    exact_share(spent.unsigned_abs(), limit.picos().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::spent_share;

    #[test]
    fn a_share_of_money_is_exact() {
        let of =
            |spent: &str, limit: &str| spent_share(Some(spent.parse().unwrap()), limit.parse().unwrap()).to_string();
        assert_eq!(of("19.999999999999", "20"), "99.99");
        assert_eq!(of("20", "20"), "100");
        assert_eq!(of("0.1", "0.3"), "33.33");
        assert_eq!(of("-1", "20"), "0"); // a refund spends nothing
        assert_eq!(spent_share(None, "20".parse().unwrap()).to_string(), "0");
        assert_eq!(
            spent_share(Some("1e14".parse().unwrap()), "0.000000000001".parse().unwrap()).hundredths(),
            u32::MAX
        );
    }
}
