use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::tokens::TokenClass;

/// How many limit tokens one token of each class counts.
///
/// The default is input, output and reasoning 1, the cache classes 0.
///
/// ```
/// use usage_ledger::{TokenClass, event::Weights};
/// let weights = Weights::default();
/// assert_eq!(weights.get(TokenClass::Output).to_string(), "1");
/// assert_eq!(weights.get(TokenClass::CacheRead).to_string(), "0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    #[serde(with = "text")]
    input: Decimal,
    #[serde(with = "text")]
    cache_read: Decimal,
    #[serde(with = "text")]
    cache_write_5m: Decimal,
    #[serde(with = "text")]
    cache_write_1h: Decimal,
    #[serde(with = "text")]
    cache_write: Decimal,
    #[serde(with = "text")]
    output: Decimal,
    #[serde(with = "text")]
    reasoning: Decimal,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            input: Decimal::ONE,
            cache_read: Decimal::ZERO,
            cache_write_5m: Decimal::ZERO,
            cache_write_1h: Decimal::ZERO,
            cache_write: Decimal::ZERO,
            output: Decimal::ONE,
            reasoning: Decimal::ONE,
        }
    }
}

impl Weights {
    /// The weight of a class.
    ///
    /// ```
    /// use usage_ledger::{TokenClass, event::Weights};
    /// assert_eq!(Weights::default().get(TokenClass::CacheRead).to_string(), "0");
    /// ```
    pub const fn get(&self, class: TokenClass) -> Decimal {
        match class {
            TokenClass::Input => self.input,
            TokenClass::CacheRead => self.cache_read,
            TokenClass::CacheWrite5m => self.cache_write_5m,
            TokenClass::CacheWrite1h => self.cache_write_1h,
            TokenClass::CacheWrite => self.cache_write,
            TokenClass::Output => self.output,
            TokenClass::Reasoning => self.reasoning,
        }
    }

    /// Reads `class=weight` pairs such as `cache_read=0.1` over the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the pair that is wrong.
    ///
    /// ```
    /// use usage_ledger::{TokenClass, event::Weights};
    /// let weights = Weights::parse(["cache_read=0.1"])?;
    /// assert_eq!(weights.get(TokenClass::CacheRead).to_string(), "0.1");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut weights = Self::default();
        for pair in pairs {
            let bad = || {
                let names: Vec<_> = TokenClass::ALL.iter().map(|class| class.name()).collect();
                Error::invalid(format!(
                    "`{pair}` is not a weight: write CLASS=NUMBER with a class of {}",
                    names.join(", ")
                ))
            };
            let (name, value) = pair.split_once('=').ok_or_else(bad)?;
            let value: Decimal = value.parse().ok().filter(|v: &Decimal| *v >= Decimal::ZERO).ok_or_else(bad)?;
            let slot = match name {
                "input" => &mut weights.input,
                "cache_read" => &mut weights.cache_read,
                "cache_write_5m" => &mut weights.cache_write_5m,
                "cache_write_1h" => &mut weights.cache_write_1h,
                "cache_write" => &mut weights.cache_write,
                "output" => &mut weights.output,
                "reasoning" => &mut weights.reasoning,
                _ => return Err(bad()),
            };
            *slot = value;
        }
        Ok(weights)
    }

    /// The weighted sum of counts in the order of [`TokenClass::ALL`], rounded down to whole tokens.
    pub(crate) fn weigh(&self, counts: [u128; 7]) -> u128 {
        use rust_decimal::prelude::ToPrimitive;
        let exact = TokenClass::ALL.iter().zip(counts).try_fold(Decimal::ZERO, |sum, (class, count)| {
            let count = Decimal::try_from_i128_with_scale(i128::try_from(count).ok()?, 0).ok()?;
            sum.checked_add(self.get(*class).checked_mul(count)?)
        });
        exact.and_then(|sum| sum.trunc().to_u128()).unwrap_or_else(|| {
            let parts = TokenClass::ALL.iter().zip(counts).map(|(class, count)| weigh_wide(self.get(*class), count));
            parts.fold(0, u128::saturating_add)
        })
    }
}

/// A weighted count with more digits than a decimal; exact for weights of up to nine decimals.
fn weigh_wide(weight: Decimal, count: u128) -> u128 {
    const BILLION: u128 = 1_000_000_000;
    let whole = weight.trunc();
    let mut rest = (weight - whole).trunc_with_scale(9);
    rest.rescale(9);
    let (whole, rest) = (whole.mantissa().unsigned_abs(), rest.mantissa().unsigned_abs());
    let part = (count / BILLION).saturating_mul(rest).saturating_add(count % BILLION * rest / BILLION);
    count.saturating_mul(whole).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_beyond_a_decimal_are_weighted() {
        let weights = Weights::parse(["cache_read=0.125", "output=2.5"]).unwrap();
        assert_eq!(weights.weigh([7, 80, 0, 0, 0, 3, 0]), 7 + 10 + 7);
        let wide = 8_u128 << 100;
        assert_eq!(weights.weigh([wide, wide, 0, 0, 0, wide, 0]), wide + (1 << 100) + wide * 2 + wide / 2);
        assert_eq!(weights.weigh([u128::MAX; 7]), u128::MAX);
    }
}

mod text {
    use super::{Decimal, Deserialize, Deserializer, RawValue, Serializer};

    pub fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().trim_matches('"').parse().map_err(serde::de::Error::custom)
    }
}
