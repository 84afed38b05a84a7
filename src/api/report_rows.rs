//! Sorts and limits the rows of a report.

use std::cmp::Reverse;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::tokens::Usd;
use crate::present::chart::Unit;
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

/// Sorts the rows and keeps the first `top` of them. Returns how many rows are left out. Without `sort`, the first rows
/// are those with the largest cost, or the most tokens if a call has no price; without `top` the order is that of the keys.
pub(crate) fn arrange(table: &mut ReportTable, sort: Option<RowOrder>, top: Option<u32>) -> usize {
    let sort = match (sort, top) {
        (Some(sort), _) => sort,
        (None, None) => RowOrder::Key,
        (None, Some(_)) => match Unit::of(table) {
            Unit::Cost => RowOrder::Cost,
            Unit::Tokens => RowOrder::Tokens,
        },
    };
    match sort {
        RowOrder::Key => {}
        RowOrder::Tokens => table.rows.sort_by_key(|row| Reverse(row.usage.tokens.total())),
        RowOrder::Cost => table.rows.sort_by_key(|row| Reverse(amount(&row.usage))),
        RowOrder::Requests => table.rows.sort_by_key(|row| Reverse(row.usage.requests)),
    }
    let all = table.rows.len();
    if let Some(top) = top {
        table.rows.truncate(top as usize);
    }
    all - table.rows.len()
}

/// Returns the computed cost, or the reported one if there is none. Rows without a cost come last.
fn amount(usage: &Usage) -> Option<Usd> {
    usage.cost.usd.or(usage.cost.reported_usd)
}

/// Returns the share of a row in the total, in thousandths, rounded half up: of the cost if every call has a price,
/// otherwise of the tokens. `None` if the total is zero.
pub(crate) fn share(table: &ReportTable, row: &ReportRow) -> Option<u32> {
    if Unit::of(table) == Unit::Cost {
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
