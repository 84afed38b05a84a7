//! Splits a whole number exactly: the largest-remainder method with integers.

use crate::model::error::{Error, Result};

/// Splits an amount in proportion to weights. The parts sum to the amount.
///
/// Each part is first the whole units of its exact share. The units that are left go to the largest remainders, one
/// each; of equal remainders the earlier part is first. No part differs from its exact share by a unit or more.
///
/// # Errors
/// [`Error::Invalid`] if no weight is above zero.
pub(super) fn split(amount: i128, weights: &[u128]) -> Result<Vec<i128>> {
    let none = || Error::invalid("nothing to split by: no part has a weight above zero");
    let over = || Error::Overflow { what: "sum of the weights of a split" };
    let total = weights.iter().try_fold(0_u128, |sum, weight| sum.checked_add(*weight)).ok_or_else(over)?;
    if total == 0 {
        return Err(none());
    }
    let whole = amount.unsigned_abs();
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    let mut given = 0_u128;
    for (index, weight) in weights.iter().enumerate() {
        // The weight is at most the total, so the part is at most the amount.
        let (part, remainder) = multiply_divide(whole, *weight, total);
        given += part;
        parts.push(part);
        remainders.push((std::cmp::Reverse(remainder), index));
    }
    remainders.sort_unstable();
    // Fewer units are left than there are parts with a remainder.
    for (_, index) in remainders.into_iter().take((whole - given) as usize) {
        if let Some(part) = parts.get_mut(index) {
            *part += 1;
        }
    }
    let signed = |part: u128| i128::try_from(part).map(|part| if amount < 0 { -part } else { part });
    parts.into_iter().map(|part| signed(part).map_err(|_| over())).collect()
}

/// `number * factor / divisor` and its remainder, for `factor` ≤ `divisor`. The product may exceed 128 bits.
fn multiply_divide(number: u128, factor: u128, divisor: u128) -> (u128, u128) {
    if let Some(product) = number.checked_mul(factor) {
        return (product / divisor, product % divisor);
    }
    // Horner's scheme over the bits of the number. Quotient and remainder stay within 128 bits, because the factor is
    // at most the divisor.
    let (mut quotient, mut remainder) = (0_u128, 0_u128);
    for bit in (0..128 - number.leading_zeros()).rev() {
        let (doubled, carry) = add_below(remainder, remainder, divisor);
        quotient = 2 * quotient + u128::from(carry);
        remainder = doubled;
        if number >> bit & 1 == 1 {
            let (sum, carry) = add_below(remainder, factor % divisor, divisor);
            quotient += u128::from(carry) + factor / divisor;
            remainder = sum;
        }
    }
    (quotient, remainder)
}

/// The sum of two numbers below a limit, reduced below the limit, and whether it was reduced.
const fn add_below(one: u128, other: u128, limit: u128) -> (u128, bool) {
    if one >= limit - other { (one - (limit - other), true) } else { (one + other, false) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_remainders_get_the_units_that_are_left() {
        assert_eq!(split(100, &[1, 1, 1]).unwrap(), [34, 33, 33]);
        assert_eq!(split(-100, &[1, 1, 1]).unwrap(), [-34, -33, -33]);
        assert_eq!(split(10, &[1, 2, 4]).unwrap(), [1, 3, 6]);
        assert_eq!(split(2, &[0, 1, 1, 1]).unwrap(), [0, 1, 1, 0]);
        assert_eq!(split(0, &[3, 5]).unwrap(), [0, 0]);
        assert_eq!(split(7, &[9]).unwrap(), [7]);
        assert!(split(7, &[0, 0]).is_err() && split(7, &[]).is_err());
        assert!(split(1, &[u128::MAX, 1]).is_err());
    }

    #[test]
    fn products_beyond_128_bits_are_exact() {
        let most = i128::MAX as u128;
        assert_eq!(multiply_divide(most, most, most), (most, 0));
        assert_eq!(multiply_divide(most, 1 << 100, 1 << 101), (most / 2, 1 << 100));
        assert_eq!(split(i128::MAX, &[u128::MAX / 2, u128::MAX / 2]).unwrap(), [i128::MAX / 2 + 1, i128::MAX / 2]);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_amount_and_stay_within_a_unit(
            amount in prop_oneof![-1_000_i128..1_000, any::<i64>().prop_map(i128::from), -(1_i128 << 100)..1_i128 << 100],
            weights in prop::collection::vec(
                prop_oneof![Just(0_u128), 1..10_u128, any::<u64>().prop_map(u128::from), 0..1_u128 << 90], 1..12),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let parts = split(amount, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<i128>(), amount);
            let total: u128 = weights.iter().sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let (floor, remainder) = multiply_divide(amount.unsigned_abs(), *weight, total);
                let size = part.unsigned_abs();
                prop_assert!(size == floor || (size == floor + 1 && remainder > 0), "{} of {}", part, amount);
                prop_assert!(*weight > 0 || *part == 0);
                prop_assert!(part.signum() == 0 || part.signum() == amount.signum());
            }
            prop_assert_eq!(&parts, &split(amount, &weights).unwrap());
        }

        #[test]
        fn long_products_agree_with_short_ones(number in any::<u64>(), factor in any::<u32>(), more in any::<u32>()) {
            // The same quotient, scaled so that the product exceeds 128 bits.
            let (factor, divisor) = (u128::from(factor), u128::from(factor) + u128::from(more) + 1);
            let number = u128::from(number);
            let (quotient, remainder) = (number * factor / divisor, number * factor % divisor);
            prop_assert_eq!(multiply_divide(number, factor << 90, divisor << 90), (quotient, remainder << 90));
        }
    }
}
