//! Sorts and limits the rows of a report.

use std::cmp::Reverse;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::tokens::Usd;
use crate::report::{ReportRow, ReportTable};
use crate::usage::Usage;

/// Sort order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowOrder {
    /// The keys, ascending
    Key,
    /// Tokens, the largest first
    Tokens,
    /// Cost, the largest first
    Cost,
    /// Requests, the most first
    Requests,
}

/// Sorts and limits the rows as the user asks. By default the first rows are those with the largest cost, or the most
/// tokens if a call has no price. Returns how many rows are left out.
pub(crate) fn arrange_asked(table: &mut ReportTable, sort: Option<RowOrder>, top: Option<u32>) -> usize {
    let by_size = if shares_are_of_cost(table) { RowOrder::Cost } else { RowOrder::Tokens };
    let sort = sort.unwrap_or(if top.is_some() { by_size } else { RowOrder::Key });
    arrange(table, sort, top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)))
}

/// Sorts the rows and keeps the first `top` of them. Returns how many rows are left out.
fn arrange(table: &mut ReportTable, sort: RowOrder, top: Option<usize>) -> usize {
    match sort {
        RowOrder::Key => {}
        RowOrder::Tokens => table.rows.sort_by_key(|row| Reverse(row.usage.tokens.total())),
        RowOrder::Cost => table.rows.sort_by_key(|row| Reverse(amount(&row.usage))),
        RowOrder::Requests => table.rows.sort_by_key(|row| Reverse(row.usage.requests)),
    }
    let all = table.rows.len();
    table.rows.truncate(top.unwrap_or(all));
    all - table.rows.len()
}

/// Returns the computed cost, or the reported one if there is none. Rows without a cost come last.
fn amount(usage: &Usage) -> Option<Usd> {
    usage.cost.usd.or(usage.cost.reported_usd)
}

/// Returns whether shares are computed from cost (if every call has a price) or from tokens.
pub(crate) fn shares_are_of_cost(table: &ReportTable) -> bool {
    table.total.cost.unpriced_requests == 0 && table.total.cost.usd.is_some_and(|usd| usd > Usd::default())
}

/// Returns the share of a row in the total, in thousandths, rounded half up. `None` if the total is zero.
pub(crate) fn share(table: &ReportTable, row: &ReportRow) -> Option<u32> {
    if shares_are_of_cost(table) {
        let (part, whole) = (amount(&row.usage)?, amount(&table.total)?);
        return thousandths(part.picos().try_into().ok()?, whole.picos().try_into().ok()?);
    }
    thousandths(row.usage.tokens.total(), table.total.tokens.total())
}

fn thousandths(part: u128, whole: u128) -> Option<u32> {
    let share = part.checked_mul(2_000)?.checked_add(whole)?.checked_div(whole.checked_mul(2)?)?;
    u32::try_from(share).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_half_up() {
        let shares = [(1, 3), (2, 3), (1, 2_000), (0, 5), (5, 5)].map(|(part, whole)| thousandths(part, whole));
        assert_eq!(shares, [333, 667, 1, 0, 1_000].map(Some));
        assert_eq!(thousandths(0, 0), None);
    }
}
