//! Formats amounts of money.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::model::tokens::Usd;
use crate::present::output::grouped;
use crate::usage::Cost;

/// Converts an amount to a decimal without trailing zeros.
pub(crate) fn decimal(usd: Usd) -> Decimal {
    usd.to_decimal()
}

/// Formats `$1,234.50`. Amounts below a dollar have four decimals, because a call may cost less than a cent.
pub(crate) fn dollars(usd: Usd) -> String {
    let amount = decimal(usd);
    let sign = if usd < Usd::default() { "-" } else { "" };
    let amount = amount.abs();
    let digits = if amount < Decimal::ONE && !amount.is_zero() { 4 } else { 2 };
    let mut rounded = amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(digits);
    let text = rounded.to_string();
    let (whole, rest) = text.split_once('.').unwrap_or((&text, "00"));
    let whole = whole.parse::<u128>().map_or_else(|_| whole.to_owned(), grouped);
    format!("{sign}${whole}.{rest}")
}

/// Formats `$1234.5` without rounding.
pub(crate) fn exact_dollars(usd: Usd) -> String {
    let sign = if usd < Usd::default() { "-" } else { "" };
    format!("{sign}${}", decimal(usd).abs())
}

/// Formats a computed cost: `$12.30`, `$12.30 + 2 unpriced` if calls lack a price, `unpriced` if all do, `-` without
/// calls.
pub(crate) fn cost(cost: &Cost) -> String {
    match (cost.usd, cost.unpriced_requests) {
        (Some(usd), 0) => dollars(usd),
        (Some(usd), calls) => format!("{} + {} unpriced", dollars(usd), grouped(calls)),
        (None, 0) => "-".to_owned(),
        (None, _) => "unpriced".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_and_grouped() {
        for (usd, text) in [
            ("0", "$0.00"),
            ("0.00004", "$0.0000"),
            ("0.01236", "$0.0124"),
            ("1.005", "$1.01"),
            ("12.3", "$12.30"),
            ("1234567.899", "$1,234,567.90"),
            ("900719916466900345.259004", "$900,719,916,466,900,345.26"),
            ("100000000000000000000000000.25", "$100,000,000,000,000,000,000,000,000.00"),
        ] {
            assert_eq!(dollars(usd.parse().unwrap()), text, "{usd}");
        }
        assert_eq!(exact_dollars("1234.50".parse().unwrap()), "$1234.5");
        assert_eq!(exact_dollars(Usd::exact("-0.000000000001").unwrap()), "-$0.000000000001");
    }
}
