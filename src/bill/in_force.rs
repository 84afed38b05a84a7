//! Statements compared with the calls that the ledger has now.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calls::{BEFORE, calls};
use super::received::statement;
use super::{ComparisonOptions, Reconciliation, Spend, compare, period};
use crate::ledger::{ReceivedStatement, Snapshot};
use crate::model::error::Result;
use crate::model::time::{DAY, Timestamp};
use crate::readers::price::Prices;
use crate::readers::statement::Statement;

/// What was spent on a UTC day, by how well statements confirm it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BilledDay {
    /// The day as `2026-05-01`.
    pub day: String,
    #[serde(flatten)]
    pub spend: Spend,
}

/// Compares a statement with the calls of an account, or of all accounts.
///
/// # Errors
/// Those of [`compare`], and the store's own errors.
pub(crate) fn compare_with_ledger(
    snapshot: &Snapshot<'_>,
    (name, statement): (&str, &Statement),
    account: Option<&str>,
    prices: &Prices,
    (now, tolerance_ppm): (Timestamp, u32),
) -> Result<Reconciliation> {
    let (since, until) = period(name, statement)?;
    let span = (since.plus(-BEFORE), until.plus(DAY));
    let around = calls(snapshot, span, account, prices, statement.measures.has_web_searches)?;
    compare(name, statement, &around, &ComparisonOptions { now, tolerance_ppm, prices: Some(prices) })
}

/// Compares a recorded statement with the calls of its account.
///
/// # Errors
/// Those of [`compare_with_ledger`], and [`Error::Damaged`](crate::Error::Damaged) for a statement of a newer build.
pub(crate) fn compare_received(
    snapshot: &Snapshot<'_>,
    received: &ReceivedStatement,
    prices: &Prices,
    (now, tolerance_ppm): (Timestamp, u32),
) -> Result<Reconciliation> {
    let name = format!("position {}", received.position()?);
    let account = received.content.account.as_deref();
    compare_with_ledger(snapshot, (&name, &statement(received)?), account, prices, (now, tolerance_ppm))
}

/// The spend of the days that statements cover, from one time up to another.
///
/// Where a statement of tokens and one of money cover the same day of an account, the one of money counts.
pub(crate) fn billed_days(
    snapshot: &Snapshot<'_>,
    statements: &[ReceivedStatement],
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<Vec<BilledDay>> {
    let (since, until) = (since.unwrap_or(Timestamp::MIN), until.unwrap_or(Timestamp::MAX));
    let prices = snapshot.prices()?;
    let mut statements: Vec<_> = statements.iter().filter(|one| one.holds_between(since, until)).collect();
    // Statements of money come last, so they replace what statements of tokens show.
    statements.sort_by_key(|one| one.content.has_money());
    let mut spend: BTreeMap<(String, String, Option<String>), (bool, Spend)> = BTreeMap::new();
    for received in statements {
        let is_money = received.content.has_money();
        for (day, of_day) in compare_received(snapshot, received, &prices, (now, 0))?.days {
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
