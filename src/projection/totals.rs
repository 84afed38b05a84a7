//! Sums: how many requests, how many tokens of each class, how much reported cost.

use super::varint;
use crate::model::error::{Error, Result};
use crate::model::tokens::{Tokens, Usd};

/// A sum over records, or a change of one. A stored sum has no negative number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub requests: i64,
    /// In the order of [`TokenClass::ALL`](crate::TokenClass::ALL).
    pub tokens: [i128; 7],
    /// Reported cost in 10^-12 US dollars.
    pub reported: i128,
    /// Requests that reported a cost.
    pub priced: i64,
}

impl Totals {
    /// One request.
    pub fn one(tokens: &Tokens, cost: Option<Usd>) -> Self {
        let mut totals = Self { requests: 1, ..Self::default() };
        for (slot, count) in totals.tokens.iter_mut().zip(tokens.counts()) {
            *slot = i128::from(count);
        }
        if let Some(cost) = cost {
            totals.reported = cost.picos();
            totals.priced = 1;
        }
        totals
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub fn add(&mut self, other: &Self) -> Result<()> {
        let over = || Error::Overflow { what: "sum of tokens" };
        self.requests = self.requests.checked_add(other.requests).ok_or_else(over)?;
        self.priced = self.priced.checked_add(other.priced).ok_or_else(over)?;
        self.reported = self.reported.checked_add(other.reported).ok_or_else(over)?;
        for (slot, count) in self.tokens.iter_mut().zip(other.tokens) {
            *slot = slot.checked_add(count).ok_or_else(over)?;
        }
        Ok(())
    }

    /// The same with opposite signs.
    pub fn negated(mut self) -> Self {
        self.requests = -self.requests;
        self.priced = -self.priced;
        self.reported = -self.reported;
        for slot in &mut self.tokens {
            *slot = -*slot;
        }
        self
    }

    /// The counts as unsigned numbers, for complete sums.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a negative count: a record was removed from a stored counter that did not contain it.
    pub fn counts(&self) -> Result<[u128; 7]> {
        let mut counts = [0; 7];
        for (slot, count) in counts.iter_mut().zip(self.tokens) {
            *slot = u128::try_from(count).map_err(|_| negative())?;
        }
        Ok(counts)
    }

    /// The number of requests, for complete sums.
    ///
    /// # Errors
    /// As [`counts`](Self::counts).
    pub fn request_count(&self) -> Result<u64> {
        u64::try_from(self.requests).map_err(|_| negative())
    }

    /// Encodes a stored sum: requests, a bit mask of the non-zero numbers, then these numbers.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let unsigned = |count: i64| u64::try_from(count).map_err(|_| negative());
        varint::put(out, unsigned(self.requests)?);
        let mut mask = u8::from(self.priced != 0 || self.reported != 0) << 7;
        for (bit, count) in self.tokens.iter().enumerate() {
            mask |= u8::from(*count != 0) << bit;
        }
        out.push(mask);
        for count in self.tokens.iter().filter(|count| **count != 0) {
            varint::put_u128(out, u128::try_from(*count).map_err(|_| negative())?);
        }
        if mask & 0x80 != 0 {
            varint::put(out, unsigned(self.priced)?);
            varint::put_wide(out, self.reported);
        }
        Ok(())
    }

    /// Writes a change, whose numbers can be negative: requests, a bit mask of what is not zero, then those numbers.
    pub fn encode_change(&self, out: &mut Vec<u8>) {
        let put = |count: i128, out: &mut Vec<u8>| varint::put_u128(out, ((count << 1) ^ (count >> 127)) as u128);
        put(self.requests.into(), out);
        let mut mask = u8::from(self.priced != 0 || self.reported != 0) << 7;
        for (bit, count) in self.tokens.iter().enumerate() {
            mask |= u8::from(*count != 0) << bit;
        }
        out.push(mask);
        self.tokens.iter().filter(|count| **count != 0).for_each(|count| put(*count, out));
        if mask & 0x80 != 0 {
            put(self.priced.into(), out);
            put(self.reported, out);
        }
    }

    pub fn decode_change(bytes: &mut &[u8]) -> Option<Self> {
        let take = |bytes: &mut &[u8]| {
            let zigzag = varint::take_u128(bytes)?;
            Some(((zigzag >> 1) as i128) ^ -((zigzag & 1) as i128))
        };
        let mut totals = Self { requests: i64::try_from(take(bytes)?).ok()?, ..Self::default() };
        let (mask, rest) = bytes.split_first()?;
        *bytes = rest;
        for (bit, slot) in totals.tokens.iter_mut().enumerate() {
            if mask & (1 << bit) != 0 {
                *slot = take(bytes)?;
            }
        }
        if mask & 0x80 != 0 {
            totals.priced = i64::try_from(take(bytes)?).ok()?;
            totals.reported = take(bytes)?;
        }
        Some(totals)
    }

    /// Passes over a stored sum.
    pub fn skip(bytes: &mut &[u8]) -> Option<()> {
        varint::skip(bytes)?;
        let (mask, rest) = bytes.split_first()?;
        *bytes = rest;
        // The reported cost has three numbers.
        let numbers = (mask & 0x7f).count_ones() + 3 * u32::from(mask >> 7);
        (0..numbers).try_for_each(|_| varint::skip(bytes))
    }

    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let signed = |value: u64| i64::try_from(value).ok();
        let mut totals = Self { requests: signed(varint::take(bytes)?)?, ..Self::default() };
        let (mask, rest) = bytes.split_first()?;
        *bytes = rest;
        for (bit, slot) in totals.tokens.iter_mut().enumerate() {
            if mask & (1 << bit) != 0 {
                *slot = i128::try_from(varint::take_u128(bytes)?).ok()?;
            }
        }
        if mask & 0x80 != 0 {
            totals.priced = signed(varint::take(bytes)?)?;
            totals.reported = varint::take_wide(bytes)?;
        }
        Some(totals)
    }
}

fn negative() -> Error {
    Error::damaged(None, "a counter is negative: a correction was folded twice; run `usage-ledger replay --write`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_round_trips_in_few_bytes() {
        let tokens = Tokens { input: Some(3), output: Some(40), ..Tokens::default() };
        let mut one = Totals::one(&tokens, Some("0.25".parse().unwrap()));
        let mut out = Vec::new();
        one.encode(&mut out).unwrap();
        assert_eq!(Totals::decode(&mut out.as_slice()), Some(one));
        let mut rest = out.as_slice();
        assert_eq!((Totals::skip(&mut rest), rest), (Some(()), &[][..]));
        assert!(out.len() < 16, "{} bytes", out.len());
        for change in [one, one.negated(), Totals { tokens: [i128::MIN; 7], requests: i64::MIN, ..one }] {
            let mut out = Vec::new();
            change.encode_change(&mut out);
            assert_eq!(Totals::decode_change(&mut out.as_slice()), Some(change));
        }
        one.add(&one.negated()).unwrap();
        assert!(one.is_zero());
    }

    #[test]
    fn small_sums_keep_their_bytes_and_sums_beyond_64_bits_round_trip() {
        // The bytes that the first builds stored.
        let small = Totals { requests: 2, tokens: [300, 0, 0, 0, 0, 1, 0], ..Totals::default() };
        let mut out = Vec::new();
        small.encode(&mut out).unwrap();
        assert_eq!(out, [2, 0b10_0001, 0xac, 0x02, 1]);
        let mut most = Totals { requests: 1, tokens: [i128::from(crate::MAX_COUNT); 7], ..Totals::default() };
        for _ in 0..40 {
            let same = most;
            most.add(&same).unwrap();
        }
        let mut out = Vec::new();
        most.encode(&mut out).unwrap();
        assert_eq!(Totals::decode(&mut out.as_slice()), Some(most));
        assert_eq!(most.counts().unwrap()[0], u128::from(crate::MAX_COUNT) << 40);
        assert!(Totals { tokens: [-1; 7], ..Totals::default() }.counts().is_err());
    }

    #[test]
    fn overflow_is_an_error_and_a_negative_sum_is_not_stored() {
        let mut most = Totals { requests: i64::MAX, ..Totals::default() };
        assert!(most.add(&Totals { requests: 1, ..Totals::default() }).is_err());
        assert!(Totals { requests: -1, ..Totals::default() }.encode(&mut Vec::new()).is_err());
    }
}
