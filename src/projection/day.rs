//! One stored row of a rollup: a UTC day of one series, split by quarter of an hour.

use std::collections::BTreeMap;

use super::totals::Totals;
use crate::model::error::Result;
use crate::model::invariant::bug;

/// Sums by quarter of an hour (0 to 95) of one UTC day.
pub(crate) type Quarters = BTreeMap<u8, Totals>;

/// Layout: the number of quarters; the day's sum if there are several; then each quarter and its sum. A report about
/// whole days reads only the sum in front.
pub(crate) fn encode(quarters: &Quarters) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(16 * quarters.len() + 8);
    let count = u8::try_from(quarters.len());
    out.push(count.map_err(|_| bug!("{} quarters of an hour in one day", quarters.len()))?);
    if quarters.len() > 1 {
        let mut sum = Totals::default();
        for totals in quarters.values() {
            sum.add(totals)?;
        }
        sum.encode(&mut out)?;
    }
    for (quarter, totals) in quarters {
        out.push(*quarter);
        totals.encode(&mut out)?;
    }
    Ok(out)
}

/// The whole day's sum.
pub(crate) fn sum(mut bytes: &[u8]) -> Option<Totals> {
    let (count, rest) = bytes.split_first()?;
    bytes = rest;
    if *count == 1 {
        let (_quarter, rest) = bytes.split_first()?;
        bytes = rest;
    }
    Totals::decode(&mut bytes)
}

/// Visits the number of each quarter.
#[cfg(feature = "cli")]
pub(crate) fn numbers(mut bytes: &[u8], visit: &mut dyn FnMut(u8)) -> Option<()> {
    let (count, rest) = bytes.split_first()?;
    bytes = rest;
    if *count > 1 {
        Totals::skip(&mut bytes)?;
    }
    for _ in 0..*count {
        let (quarter, rest) = bytes.split_first()?;
        bytes = rest;
        visit(*quarter);
        Totals::skip(&mut bytes)?;
    }
    bytes.is_empty().then_some(())
}

/// Every quarter.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Quarters> {
    let (count, rest) = bytes.split_first()?;
    bytes = rest;
    if *count > 1 {
        Totals::decode(&mut bytes)?;
    }
    let mut quarters = Quarters::new();
    for _ in 0..*count {
        let (quarter, rest) = bytes.split_first()?;
        bytes = rest;
        quarters.insert(*quarter, Totals::decode(&mut bytes)?);
    }
    bytes.is_empty().then_some(quarters)
}

/// Whether a row has exactly the bytes that encode its quarters.
pub(crate) fn is_canonical(quarters: &Quarters, value: &[u8]) -> bool {
    let counts = !quarters.is_empty() && !quarters.values().any(Totals::is_zero);
    counts && encode(quarters).is_ok_and(|bytes| bytes == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_trip_with_their_sum() {
        for picks in [vec![5_u8], vec![0, 95], (0..96).collect()] {
            let quarters: Quarters =
                picks.iter().map(|q| (*q, Totals { requests: i64::from(*q) + 1, ..Totals::default() })).collect();
            let bytes = encode(&quarters).unwrap();
            assert_eq!(decode(&bytes).unwrap(), quarters);
            #[cfg(feature = "cli")]
            {
                let mut seen = Vec::new();
                numbers(&bytes, &mut |quarter| seen.push(quarter)).unwrap();
                assert_eq!(seen, picks);
            }
            let total: i64 = quarters.values().map(|t| t.requests).sum();
            assert_eq!(sum(&bytes).unwrap().requests, total);
        }
    }

    #[test]
    fn more_quarters_than_the_count_can_hold_are_an_error() {
        let quarters: Quarters = (0..=255).map(|quarter| (quarter, Totals::default())).collect();
        assert!(encode(&quarters).unwrap_err().to_string().contains("256 quarters"));
    }
}
