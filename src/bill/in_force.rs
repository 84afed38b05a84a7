//! The recorded statements that hold, compared with the ledger as it is.

use std::collections::BTreeMap;

use super::{BEFORE, ComparisonOptions, Reconciliation, Spend, calls, compare, statement};
use crate::ledger::{ReceivedStatement, Snapshot};
use crate::model::error::Result;
use crate::model::time::{DAY, Timestamp};

/// What was spent on a UTC day, by how well statements confirm it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BilledDay {
    /// The day as `2026-05-01`.
    pub day: String,
    pub spend: Spend,
}

/// Compares a recorded statement with the ledger.
pub(crate) fn compare_received(
    snapshot: &Snapshot<'_>,
    received: &ReceivedStatement,
    now: Timestamp,
    tolerance_ppm: u32,
) -> Result<Reconciliation> {
    let prices = snapshot.prices()?;
    let statement = statement(received)?;
    let name = format!("position {}", received.positions.first().copied().unwrap_or_default());
    let (since, until) = super::period(&name, &statement)?;
    let around = calls(snapshot, (since.plus(-BEFORE), until.plus(DAY)), received.content.account.as_deref(), &prices)?;
    compare(&name, &statement, &around, &ComparisonOptions { now, tolerance_ppm, prices: Some(&prices) })
}

/// The spend of the days that recorded statements cover, from one time up to another.
///
/// Where a statement of tokens and one of money cover the same day of an account, the one of money counts.
pub(crate) fn billed_days(
    snapshot: &Snapshot<'_>,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    provider: Option<&str>,
    now: Timestamp,
) -> Result<Vec<BilledDay>> {
    let (since, until) = (since.unwrap_or(Timestamp::MIN), until.unwrap_or(Timestamp::MAX));
    let mut statements = snapshot.statements(now)?;
    statements.retain(|one| {
        provider.is_none_or(|provider| one.content.provider == provider) && one.holds_between(since, until)
    });
    // Those of money come last, and replace what those of tokens stated.
    statements.sort_by_key(|one| one.content.has_money());
    let mut spend: BTreeMap<(String, String, Option<String>), (bool, Spend)> = BTreeMap::new();
    for received in &statements {
        let is_money = received.content.has_money();
        for (day, of_day) in compare_received(snapshot, received, now, 0)?.days {
            let key = (day, received.content.provider.clone(), received.content.account.clone());
            let sum = match spend.get(&key) {
                Some((kind, sum)) if *kind == is_money => sum.plus(&of_day)?,
                _ => of_day,
            };
            spend.insert(key, (is_money, sum));
        }
    }
    let mut days: BTreeMap<String, Spend> = BTreeMap::new();
    for ((day, ..), (_, of_account)) in spend {
        let start: Timestamp = format!("{day}T00:00:00Z").parse()?;
        if start.plus(DAY) > since && start < until {
            let sum = days.entry(day).or_default();
            *sum = sum.plus(&of_account)?;
        }
    }
    Ok(days.into_iter().map(|(day, spend)| BilledDay { day, spend }).collect())
}
