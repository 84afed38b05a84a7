//! Requests, tokens and cost of many records.

use serde::{Serialize, Serializer};

use crate::model::error::Result;
use crate::model::tokens::{TokenClass, Usd};
use crate::projection::Totals;

/// Tokens of many records, by class.
///
/// In JSON the three write classes are one: `{"input","cache_read","cache_write","output","reasoning","total"}`. Sums
/// are exact integers of up to 128 bits; a reader that uses doubles loses digits above 2^53.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(30), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(10).output(2), now)?;
/// let sums = ledger.provider("openai", now)?.all_time.tokens;
/// assert_eq!(sums.total(), 42);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSums {
    counts: [u128; 7],
}

impl TokenSums {
    /// The sum of one class, in tokens.
    ///
    /// ```
    /// use usage_ledger::{TokenClass, usage::TokenSums};
    /// assert_eq!(TokenSums::default().get(TokenClass::Input), 0);
    /// ```
    pub fn get(&self, class: TokenClass) -> u128 {
        TokenClass::ALL.iter().zip(self.counts).find(|(c, _)| **c == class).map_or(0, |(_, count)| count)
    }

    /// The three cache write classes together, in tokens.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenClass, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let call = TokenRecord::new("anthropic", "claude-opus-4-5");
    /// ledger.record(call.count(TokenClass::CacheWrite5m, 7).count(TokenClass::CacheWrite1h, 3), now)?;
    /// assert_eq!(ledger.provider("anthropic", now)?.all_time.tokens.cache_write(), 10);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn cache_write(&self) -> u128 {
        [TokenClass::CacheWrite5m, TokenClass::CacheWrite1h, TokenClass::CacheWrite]
            .iter()
            .fold(0, |sum, class| sum.saturating_add(self.get(*class)))
    }

    /// All classes together, in tokens.
    ///
    /// ```
    /// # use usage_ledger::usage::TokenSums;
    /// assert_eq!(TokenSums::default().total(), 0);
    /// ```
    pub fn total(&self) -> u128 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Serialize for TokenSums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut sums = serializer.serialize_struct("TokenSums", 9)?;
        sums.serialize_field("input", &self.get(TokenClass::Input))?;
        sums.serialize_field("cache_read", &self.get(TokenClass::CacheRead))?;
        sums.serialize_field("cache_write", &self.cache_write())?;
        sums.serialize_field("output", &self.get(TokenClass::Output))?;
        sums.serialize_field("reasoning", &self.get(TokenClass::Reasoning))?;
        sums.serialize_field("total", &self.total())?;
        sums.serialize_field("cache_write_5m", &self.get(TokenClass::CacheWrite5m))?;
        sums.serialize_field("cache_write_1h", &self.get(TokenClass::CacheWrite1h))?;
        sums.end()
    }
}

/// Cost of many records. An unknown price is never 0.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(1).cost("0.25".parse()?), now)?;
/// let cost = ledger.provider("anthropic", now)?.all_time.cost;
/// assert_eq!(cost.reported_usd, Some("0.25".parse()?));
/// assert_eq!(cost.usd, None); // no price table: unknown, not zero
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// Computed from a price table; `None` if no record has a known price.
    pub usd: Option<Usd>,
    /// The reported cost of agents and providers; `None` if none was reported.
    pub reported_usd: Option<Usd>,
    /// Requests without a known price.
    pub unpriced_requests: u64,
}

/// Requests, tokens and cost of many records.
///
/// ```
/// use usage_ledger::usage::Usage;
/// assert_eq!(Usage::default().requests, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Calls.
    pub requests: u64,
    /// Their tokens.
    pub tokens: TokenSums,
    /// Their cost.
    pub cost: Cost,
}

impl Usage {
    pub(crate) fn from_totals(totals: &Totals) -> Result<Self> {
        let requests = totals.request_count()?;
        Ok(Self {
            requests,
            tokens: TokenSums { counts: totals.counts()? },
            cost: Cost {
                usd: None,
                reported_usd: if totals.priced > 0 { Some(Usd::from_picos(totals.reported)) } else { None },
                unpriced_requests: requests,
            },
        })
    }
}
