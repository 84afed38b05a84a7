//! What tokens cost by somebody's own price list.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::tokens::{TokenClass, Tokens, Usd};
use crate::usage::TokenSums;

/// Prices of models, in US dollars for a million tokens.
///
/// A price is of every model whose name contains its fragment; of several the longest holds. A model without one has
/// no known cost. Cached tokens are free where the price says nothing about them: whoever leaves that out asks for
/// input and output alone.
///
/// ```
/// use usage_ledger::{Tokens, price::Prices};
/// let prices = Prices::from_json(r#"{"gpt-5": {"input": 1, "output": 8}, "gpt-5-mini": {"input": 0.1, "output": 1}}"#)?;
/// let tokens = Tokens { input: Some(1_000_000), output: Some(0), ..Tokens::default() };
/// assert_eq!(prices.cost("gpt-5-mini-2026", tokens), Some("0.1".parse()?));
/// assert_eq!(prices.cost("qwen3", tokens), None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// By fragment in lower case, the longest first.
    of: Vec<(String, Price)>,
}

/// The price of a million tokens of each class.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Price {
    input: Usd,
    output: Usd,
    #[serde(default)]
    cache_read: Option<Usd>,
    #[serde(default)]
    cache_write_5m: Option<Usd>,
    #[serde(default)]
    cache_write_1h: Option<Usd>,
}

/// A price is of so many tokens.
const MILLION: i128 = 1_000_000;

impl Price {
    const fn of(self, class: TokenClass) -> Option<Usd> {
        match class {
            TokenClass::Input => Some(self.input),
            TokenClass::CacheRead => self.cache_read,
            // The shorter life is what APIs write when they are not asked for another.
            TokenClass::CacheWrite5m | TokenClass::CacheWrite => self.cache_write_5m,
            TokenClass::CacheWrite1h => self.cache_write_1h,
            TokenClass::Output | TokenClass::Reasoning => Some(self.output),
        }
    }
}

impl Prices {
    /// Reads a price list: an object of fragments, each with `input`, `output` and, if they are known, `cache_read`,
    /// `cache_write_5m` and `cache_write_1h`. `null` is an empty list.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another shape and for negative prices.
    ///
    /// ```
    /// use usage_ledger::price::Prices;
    /// assert!(Prices::from_json(r#"{"opus": {"input": 15, "output": "75.00"}}"#).is_ok());
    /// assert!(Prices::from_json(r#"{"opus": {"input": -1, "output": 75}}"#).is_err());
    /// assert!(Prices::from_json(r#"{"opus": {"in": 15, "output": 75}}"#).is_err());
    /// ```
    pub fn from_json(json: &str) -> Result<Self> {
        let bad = |why: &dyn std::fmt::Display| {
            Error::invalid(format!(
                "the price list cannot be read ({why}): give an object such as \
                 {{\"opus\": {{\"input\": 15, \"output\": 75}}}}, in US dollars for a million tokens"
            ))
        };
        let list: Option<BTreeMap<String, Price>> = serde_json::from_str(json).map_err(|error| bad(&error))?;
        let mut of: Vec<_> =
            list.unwrap_or_default().into_iter().map(|(name, price)| (name.to_lowercase(), price)).collect();
        for (name, price) in &of {
            if name.is_empty() {
                return Err(bad(&"a fragment is empty"));
            }
            if TokenClass::ALL.iter().filter_map(|class| price.of(*class)).any(|usd| usd < Usd::default()) {
                return Err(bad(&format!("a price of `{name}` is negative")));
            }
        }
        of.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Ok(Self { of })
    }

    fn price(&self, model: &str) -> Option<Price> {
        let model = model.to_lowercase();
        self.of.iter().find(|(fragment, _)| model.contains(fragment)).map(|(_, price)| *price)
    }

    /// What tokens of a model cost, if its price is known. What is finer than 10^-12 dollars is cut off.
    ///
    /// ```
    /// use usage_ledger::{Tokens, price::Prices};
    /// let prices = Prices::from_json(r#"{"sonnet": {"input": 3, "output": 15, "cache_read": 0.3}}"#)?;
    /// let tokens = Tokens { input: Some(1_000), output: Some(200), cache_read: Some(10_000), ..Tokens::default() };
    /// assert_eq!(prices.cost("claude-sonnet-4-20250514", tokens), Some("0.009".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn cost(&self, model: &str, tokens: impl Into<Tokens>) -> Option<Usd> {
        let (price, tokens) = (self.price(model)?, tokens.into());
        let picos = TokenClass::ALL.iter().try_fold(0_i128, |sum, class| {
            let picos = price.of(*class).map_or(Some(0), |usd| usd.picos().ok())?;
            sum.checked_add(picos.checked_mul(i128::from(tokens.get(*class).unwrap_or(0)))?)
        })?;
        Usd::from_picos(picos / MILLION).ok()
    }

    /// What reading from the cache saved: nine tenths of the input price, which is what providers commonly take off.
    ///
    /// ```
    /// use usage_ledger::{Tokens, price::Prices};
    /// let prices = Prices::from_json(r#"{"sonnet": {"input": 3, "output": 15}}"#)?;
    /// let tokens = Tokens { cache_read: Some(7_500), ..Tokens::default() };
    /// assert_eq!(prices.cache_savings("claude-sonnet-4", tokens), Some("0.02025".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn cache_savings(&self, model: &str, tokens: impl Into<Tokens>) -> Option<Usd> {
        let input = self.price(model)?.input.picos().ok()?;
        let reads = i128::from(tokens.into().cache_read.unwrap_or(0));
        Usd::from_picos(input.checked_mul(reads)?.checked_mul(9)? / (10 * MILLION)).ok()
    }
}

impl From<TokenSums> for Tokens {
    fn from(sums: TokenSums) -> Self {
        let mut tokens = Self::default();
        for class in TokenClass::ALL {
            tokens.set(class, Some(sums.get(class)));
        }
        tokens
    }
}
