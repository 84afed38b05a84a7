use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};

/// A percentage in hundredths of a percent; may exceed 100.
///
/// ```
/// use usage_ledger::event::Percent;
/// assert_eq!("23.5".parse::<Percent>()?, Percent::from_hundredths(2350));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// Makes a percentage from hundredths of a percent.
    ///
    /// ```
    /// # use usage_ledger::event::Percent;
    /// assert_eq!(Percent::from_hundredths(1250).to_string(), "12.5");
    /// ```
    pub const fn from_hundredths(hundredths: u32) -> Self {
        Self(hundredths)
    }

    /// The percentage in hundredths of a percent.
    ///
    /// ```
    /// # use usage_ledger::event::Percent;
    /// assert_eq!("12.5".parse::<Percent>()?.hundredths(), 1250);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn hundredths(self) -> u32 {
        self.0
    }

    /// The whole percent, truncated.
    ///
    /// ```
    /// # use usage_ledger::event::Percent;
    /// assert_eq!(Percent::from_hundredths(9999).whole(), 99);
    /// ```
    pub const fn whole(self) -> u32 {
        self.0 / 100
    }

    /// The nearest whole percent.
    #[cfg(feature = "cli")]
    pub(crate) const fn rounded(self) -> u32 {
        self.0.saturating_add(50) / 100
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal::new(i64::from(self.0), 2).normalize().fmt(f)
    }
}

impl FromStr for Percent {
    type Err = Error;
    /// Parses a decimal number from 0 up, and rounds it to hundredths, half to even.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative number or another text.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("`{text}` is not a percentage: write a number from 0 up, such as 23.5"));
        let value = Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).map_err(|_| bad())?;
        // A decimal of 28 digits cannot be multiplied by 100.
        value.checked_mul(Decimal::ONE_HUNDRED).and_then(|it| it.round().to_u32()).map(Self).ok_or_else(bad)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(100) {
            serializer.serialize_u32(self.0 / 100)
        } else {
            // The shortest form of a double preserves two decimals exactly.
            serializer.serialize_f64(f64::from(self.0) / 100.0)
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        raw.get().parse().map_err(serde::de::Error::custom)
    }
}
