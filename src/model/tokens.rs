//! Token counts by class, and money.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::error::{Error, Result};

/// The largest count one record may carry, 2^53 − 1: every JSON reader keeps it exact.
///
/// Source: RFC 8259 §6, on interoperable numbers.
///
/// ```
/// use usage_ledger::{Ledger, MAX_COUNT, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// assert!(ledger.record(TokenRecord::new("openai", "gpt-5").input(MAX_COUNT), now).is_ok());
/// assert!(ledger.record(TokenRecord::new("openai", "gpt-5").input(MAX_COUNT + 1), now).is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// A count above this is implausible: no call uses ten billion tokens.
///
/// A record with such a count is stored, because its source states it; `doctor` reports it.
///
/// ```
/// use usage_ledger::{IMPLAUSIBLE_COUNT, MAX_COUNT};
/// assert!(IMPLAUSIBLE_COUNT < MAX_COUNT);
/// ```
pub const IMPLAUSIBLE_COUNT: u64 = 10_000_000_000;

/// One of the disjoint classes of tokens.
///
/// ```
/// use usage_ledger::TokenClass;
/// assert_eq!(TokenClass::CacheWrite1h.name(), "cache_write_1h");
/// assert_eq!(TokenClass::ALL.len(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenClass {
    /// Input that was neither read from a cache nor written to one.
    Input,
    /// Input read from a prompt cache.
    CacheRead,
    /// Input written to a cache that lives five minutes.
    CacheWrite5m,
    /// Input written to a cache that lives one hour.
    CacheWrite1h,
    /// Input written to a cache of another or unknown lifetime.
    CacheWrite,
    /// Visible output.
    Output,
    /// Reasoning output.
    Reasoning,
}

impl TokenClass {
    /// Every class, in storage and print order.
    ///
    /// ```
    /// # use usage_ledger::TokenClass;
    /// let names = TokenClass::ALL.map(TokenClass::name);
    /// assert_eq!((names[0], names[6]), ("input", "reasoning"));
    /// ```
    pub const ALL: [Self; 7] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::CacheWrite,
        Self::Output,
        Self::Reasoning,
    ];

    /// The name used in events, flags and JSON.
    ///
    /// ```
    /// # use usage_ledger::TokenClass;
    /// assert_eq!(TokenClass::CacheRead.name(), "cache_read");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::CacheWrite => "cache_write",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
        }
    }
}

/// The token counts of one call. A count that the provider did not report is absent, not zero.
///
/// ```
/// use usage_ledger::{TokenClass, Tokens};
/// let tokens = Tokens { input: Some(120), output: Some(40), ..Tokens::default() };
/// assert_eq!(tokens.total()?, 160);
/// assert_eq!(tokens.get(TokenClass::CacheRead), None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Uncached input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Input read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Input written to a five-minute cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<u64>,
    /// Input written to a one-hour cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Input written to a cache of unknown or other lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Visible output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Reasoning output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl Tokens {
    /// The count of one class in tokens, if it was reported.
    ///
    /// ```
    /// # use usage_ledger::{TokenClass, Tokens};
    /// let tokens = Tokens { output: Some(0), ..Tokens::default() };
    /// assert_eq!(tokens.get(TokenClass::Output), Some(0)); // reported as zero
    /// assert_eq!(tokens.get(TokenClass::Input), None); // not reported
    /// ```
    pub const fn get(&self, class: TokenClass) -> Option<u64> {
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

    /// Sets the count of one class.
    ///
    /// ```
    /// # use usage_ledger::{TokenClass, Tokens};
    /// let mut tokens = Tokens::default();
    /// tokens.set(TokenClass::CacheRead, Some(80));
    /// assert_eq!(tokens.cache_read, Some(80));
    /// ```
    pub const fn set(&mut self, class: TokenClass, count: Option<u64>) {
        match class {
            TokenClass::Input => self.input = count,
            TokenClass::CacheRead => self.cache_read = count,
            TokenClass::CacheWrite5m => self.cache_write_5m = count,
            TokenClass::CacheWrite1h => self.cache_write_1h = count,
            TokenClass::CacheWrite => self.cache_write = count,
            TokenClass::Output => self.output = count,
            TokenClass::Reasoning => self.reasoning = count,
        }
    }

    /// The counts in the order of [`TokenClass::ALL`], with 0 for unknown; for sums only.
    pub(crate) const fn counts(&self) -> [u64; 7] {
        const fn or0(count: Option<u64>) -> u64 {
            match count {
                Some(n) => n,
                None => 0,
            }
        }
        [
            or0(self.input),
            or0(self.cache_read),
            or0(self.cache_write_5m),
            or0(self.cache_write_1h),
            or0(self.cache_write),
            or0(self.output),
            or0(self.reasoning),
        ]
    }

    /// The first class whose count is implausible, with that count in tokens.
    pub(crate) fn implausible(&self) -> Option<(TokenClass, u64)> {
        TokenClass::ALL
            .into_iter()
            .filter_map(|class| Some((class, self.get(class)?)))
            .find(|(_, count)| *count > IMPLAUSIBLE_COUNT)
    }

    /// The sum of all classes, in tokens.
    ///
    /// # Errors
    /// [`Error::Overflow`] when the sum does not fit into 64 bits.
    ///
    /// ```
    /// # use usage_ledger::Tokens;
    /// let tokens = Tokens { input: Some(20), cache_read: Some(80), output: Some(5), ..Tokens::default() };
    /// assert_eq!(tokens.total()?, 105);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn total(&self) -> Result<u64> {
        self.counts().iter().try_fold(0_u64, |sum, n| sum.checked_add(*n)).ok_or(Error::Overflow { what: "token sum" })
    }

    /// Checks that at least one class is present and none is larger than [`MAX_COUNT`].
    pub(crate) fn validate(&self) -> Result<()> {
        let mut known = false;
        for class in TokenClass::ALL {
            if let Some(count) = self.get(class) {
                known = true;
                if count > MAX_COUNT {
                    return Err(Error::invalid(format!(
                        "`{}` is {count}, above the largest count a record can carry ({MAX_COUNT})",
                        class.name()
                    )));
                }
            }
        }
        if known {
            Ok(())
        } else {
            Err(Error::invalid(
                "a record needs at least one token count: input, cache_read, cache_write_5m, cache_write_1h, \
                 cache_write, output or reasoning",
            ))
        }
    }
}

/// An amount in US dollars with 12 decimals. Parsing rounds further decimals half to even.
///
/// ```
/// use usage_ledger::Usd;
/// let a: Usd = "0.1".parse()?;
/// let b: Usd = "0.2".parse()?;
/// assert_eq!((a.checked_add(b)?).to_string(), "0.3");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(
    /// In 10^-12 dollars.
    i128,
);

impl Usd {
    /// The number of decimals.
    const SCALE: u32 = 12;

    /// The sum of two amounts.
    ///
    /// # Errors
    /// [`Error::Overflow`] beyond 10^26 dollars.
    ///
    /// ```
    /// # use usage_ledger::Usd;
    /// let cent: Usd = "0.01".parse()?;
    /// assert_eq!(cent.checked_add("0.00000001".parse()?)?.to_string(), "0.01000001"); // exact
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn checked_add(self, other: Self) -> Result<Self> {
        self.0.checked_add(other.0).map(Self).ok_or(Error::Overflow { what: "cost" })
    }

    /// Parses an amount without rounding.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 12 decimals or another text, [`Error::Overflow`] for too many digits.
    #[cfg(feature = "cli")]
    pub(crate) fn exact(text: &str) -> Result<Self> {
        let rounded: Self = text.parse()?;
        let whole =
            if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str_exact(text) };
        if whole.is_ok_and(|whole| rounded.decimal().is_ok_and(|kept| kept == whole)) {
            return Ok(rounded);
        }
        Err(Error::invalid(format!("`{text}` cannot be kept exactly: write at most {} decimals", Self::SCALE)))
    }

    /// The amount as a whole number of 10^-12 dollars.
    pub(crate) const fn picos(self) -> i128 {
        self.0
    }

    /// The amount as a decimal number. Beyond 7.9 × 10^16 dollars it has fewer decimals, because a decimal number has 28
    /// digits.
    pub(crate) fn to_decimal(self) -> Decimal {
        let with = |divisor: i128, scale: u32| Decimal::try_from_i128_with_scale(self.0 / divisor, scale).ok();
        // The largest amount is 1.7 × 10^26 dollars, so whole dollars always fit.
        with(1, Self::SCALE)
            .or_else(|| with(1_000_000, Self::SCALE - 6))
            .unwrap_or_else(|| Decimal::from_i128_with_scale(self.0 / 10_i128.pow(Self::SCALE), 0))
            .normalize()
    }

    /// The amount of a whole number of 10^-12 dollars.
    pub(crate) const fn from_picos(picos: i128) -> Self {
        Self(picos)
    }

    /// Parses a sum with more digits than a decimal, as [`Display`](fmt::Display) writes it.
    fn sum_from_str(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let is_sum = digits.len() > 28 && rest.len() <= Self::SCALE as usize && !whole.is_empty();
        if !is_sum || !whole.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let picos: i128 = format!("{whole}{rest:0<12}").parse().ok()?;
        Some(Self(if text.starts_with('-') { -picos } else { picos }))
    }

    /// The same amount with the other sign.
    pub(crate) const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The largest amount of one record. It ensures that no sum of records overflows.
    pub(crate) const MOST: Self = Self(1 << 96);

    /// The amount as a decimal.
    fn decimal(self) -> Result<Decimal> {
        Decimal::try_from_i128_with_scale(self.0, Self::SCALE)
            .map(|decimal| decimal.normalize())
            .map_err(|_| Error::Overflow { what: "cost" })
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(decimal) = self.decimal() {
            return decimal.fmt(f);
        }
        // Sums may have more digits than a decimal.
        let one = 10_u128.pow(Self::SCALE);
        let (whole, rest) = (self.0.unsigned_abs() / one, self.0.unsigned_abs() % one);
        let mut text = format!("{whole}.{rest:012}");
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

impl FromStr for Usd {
    type Err = Error;

    /// Parses plain (`0.33`) and scientific (`3.3e-1`) decimals, in US dollars.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other text, [`Error::Overflow`] for too many digits.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(sum) = Self::sum_from_str(text) {
            return Ok(sum);
        }
        let parsed = if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { Decimal::from_str(text) };
        let value = parsed.map_err(|e| {
            Error::invalid(format!("`{text}` is not an amount of US dollars ({e}): write one such as 0.33"))
        })?;
        let mut scaled = value.round_dp(Self::SCALE);
        scaled.rescale(Self::SCALE);
        if scaled.scale() == Self::SCALE {
            return Ok(Self(scaled.mantissa()));
        }
        // A whole number of dollars with more digits than a decimal has at this scale.
        let picos = scaled.mantissa().checked_mul(10_i128.pow(Self::SCALE - scaled.scale()));
        picos.map(Self).ok_or(Error::Overflow { what: "cost" })
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    /// Accepts a decimal string or a JSON number, whose literal digits count.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        raw.get().trim_matches('"').parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_and_overflowing_counts_are_refused() {
        assert!(serde_json::from_str::<Tokens>(r#"{"input":-1}"#).is_err());
        assert!(serde_json::from_str::<Tokens>(r#"{"input":1.5}"#).is_err());
        assert!(serde_json::from_str::<Tokens>(r#"{"input":99999999999999999999}"#).is_err());
        let huge = Tokens { input: Some(MAX_COUNT + 1), ..Tokens::default() };
        assert!(huge.validate().is_err());
        assert!(Tokens::default().validate().is_err());
    }

    #[test]
    fn money_is_exact() {
        let mut sum = Usd::default();
        for _ in 0..10 {
            sum = sum.checked_add("0.1".parse().unwrap()).unwrap();
        }
        assert_eq!(sum.to_string(), "1");
        let odd: Usd = "0.32999999999999996".parse().unwrap();
        assert_eq!(odd.to_string(), "0.33");
        assert_eq!(Usd::from_picos(odd.picos()), odd);
        // The largest amount of a record, and a sum of many.
        let most: Usd = "79228162514264337.593543950335".parse().unwrap();
        assert_eq!(most.to_string(), "79228162514264337.593543950335");
        let mut sum = most;
        for _ in 0..10 {
            sum = sum.checked_add(sum).unwrap();
        }
        assert_eq!(sum.to_string(), "81129638414606681695.78900514304");
        assert_eq!(Usd::from_picos(-(1_i128 << 100)).to_string(), "-1267650600228229401.496703205376");
        for sum in [sum, Usd::from_picos(-(1_i128 << 100)), Usd::from_picos(i128::MAX), Usd::from_picos(123 << 96)] {
            assert_eq!(sum.to_string().parse::<Usd>().unwrap(), sum);
        }
        assert!("170141183460469231731687304".parse::<Usd>().is_err());
        assert_eq!("1.5e-3".parse::<Usd>().unwrap().to_string(), "0.0015");
    }
}
