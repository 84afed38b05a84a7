use rust_decimal::Decimal;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::tokens::Usd;

/// An exact decimal that is a number in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(pub Decimal);

impl Number {
    /// Converts an amount in US dollars.
    pub fn usd(amount: Usd) -> Result<Self> {
        Ok(Self(decimal(amount)?))
    }
}

/// Converts an amount in US dollars for calculations.
pub(super) fn decimal(amount: Usd) -> Result<Decimal> {
    amount.to_string().parse().map_err(|_| Error::Overflow { what: "cost" })
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.normalize().to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_digits() {
        let json = |usd: &str| serde_json::to_string(&Number::usd(usd.parse().unwrap()).unwrap()).unwrap();
        assert_eq!(json("0.1"), "0.1");
        assert_eq!(json("1234567890.123456789012"), "1234567890.123456789012"); // more than a float holds
        assert_eq!(json("0.000000000001"), "0.000000000001"); // and no exponent
        assert_eq!(json("0"), "0");
    }
}
