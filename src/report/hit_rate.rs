//! The share of the input that was read from a cache.

use crate::model::tokens::{TokenClass, Tokens};
use crate::usage::TokenSums;

/// Cache reads divided by all input; 0 without input.
fn rate(read: u128, input: u128, write: u128) -> f64 {
    let all = read.saturating_add(input).saturating_add(write);
    if all == 0 { 0.0 } else { read as f64 / all as f64 }
}

impl TokenSums {
    /// The share of the input that was read from a cache, from 0 to 1: reads among reads, writes and uncached input.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(200).cache_read(800), now)?;
    /// assert_eq!(ledger.provider("openai", now)?.all_time.tokens.cache_hit_rate(), 0.8);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn cache_hit_rate(&self) -> f64 {
        rate(self.get(TokenClass::CacheRead), self.get(TokenClass::Input), self.cache_write())
    }
}

impl Tokens {
    /// The share of the input that was read from a cache, from 0 to 1; an unknown count is 0.
    ///
    /// ```
    /// use usage_ledger::Tokens;
    /// let tokens = Tokens { input: Some(100), cache_read: Some(800), cache_write: Some(100), ..Tokens::default() };
    /// assert_eq!(tokens.cache_hit_rate(), 0.8);
    /// ```
    pub fn cache_hit_rate(&self) -> f64 {
        let count = |class| u128::from(self.get(class).unwrap_or(0));
        let writes = [TokenClass::CacheWrite5m, TokenClass::CacheWrite1h, TokenClass::CacheWrite];
        let write = writes.into_iter().map(count).sum();
        rate(count(TokenClass::CacheRead), count(TokenClass::Input), write)
    }
}
