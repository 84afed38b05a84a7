//! Numbers as APIs state them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::error::{Error, Result};
use crate::model::secrets;
use crate::model::tokens::MAX_COUNT;

/// The value of a count field.
///
/// An invalid value is stored until it is used, because only there the name of its field is known. serde's own error
/// would name a line and a column.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Count {
    /// Nothing, or `null`.
    #[default]
    Absent,
    /// A whole number from 0, written with or without a fraction of zero.
    Is(u64),
    /// A negative whole number, which is not a count: the class becomes unknown, and the rest of the reply counts.
    Negative(i64),
    /// Any other value, as text.
    Not(String),
}

impl Count {
    /// The count, with the name of its field.
    pub(super) fn named(&self, name: &'static str) -> Result<StatedCount> {
        let wrong = |what: &dyn fmt::Display| {
            Error::invalid(format!("`{name}` is {what}: a token count is a whole number from 0 to {MAX_COUNT}"))
        };
        match self {
            Self::Absent => Ok(StatedCount { name, ..StatedCount::NONE }),
            Self::Is(count) if *count <= MAX_COUNT => Ok(StatedCount { name, count: Some(*count), negative: None }),
            Self::Negative(number) => Ok(StatedCount { name, count: None, negative: Some((name, *number)) }),
            Self::Is(count) => Err(wrong(count)),
            Self::Not(what) => Err(wrong(what)),
        }
    }

    /// The number, for values that are not token counts and must not fail a record.
    pub(super) const fn whole(&self) -> Option<u64> {
        match self {
            Self::Is(number) => Some(*number),
            Self::Absent | Self::Negative(_) | Self::Not(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token count")
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Count, E> {
        Ok(Count::Is(number))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Count, E> {
        Ok(u64::try_from(number).map_or(Count::Negative(number), Count::Is))
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Count, E> {
        // Above the largest count a float cannot represent every whole number.
        if number.fract() != 0.0 || number.abs() > MAX_COUNT as f64 {
            return Ok(Count::Not(format!("{number:?}")));
        }
        Ok(if number < 0.0 { Count::Negative(number as i64) } else { Count::Is(number as u64) })
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Count, E> {
        // An error does not repeat a long text.
        Ok(Count::Not(format!("the string {:?}", secrets::text(text).chars().take(40).collect::<String>())))
    }

    fn visit_bool<E>(self, truth: bool) -> std::result::Result<Count, E> {
        Ok(Count::Not(truth.to_string()))
    }

    fn visit_unit<E>(self) -> std::result::Result<Count, E> {
        Ok(Count::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Count, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::Not("a list".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> std::result::Result<Count, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::Not("an object".to_owned()))
    }
}

/// A field's name, and its count if it was reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatedCount {
    pub name: &'static str,
    pub count: Option<u64>,
    /// A negative number in its place, with its field.
    pub negative: Option<(&'static str, i64)>,
}

impl StatedCount {
    /// A field that this API does not have.
    pub(super) const NONE: Self = Self { name: "", count: None, negative: None };

    /// This count, or the other one if this one is missing, or is 0 where the other is larger. Servers that imitate an
    /// API fill its fields with zeros and state the count in their own field.
    pub(super) const fn or(self, other: Self) -> Self {
        match (self.count, other.count) {
            (None | Some(0), Some(1..)) | (None, Some(0)) => other,
            _ => self,
        }
    }
}

/// The sum of the reported counts; absent if none is reported.
pub(super) fn sum(counts: impl IntoIterator<Item = Option<u64>>) -> Result<Option<u64>> {
    let mut counts = counts.into_iter().flatten();
    let Some(first) = counts.next() else { return Ok(None) };
    counts.try_fold(first, u64::checked_add).map(Some).ok_or(Error::Overflow { what: "token sum" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(json: &str) -> Count {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn only_whole_numbers_are_counts_and_null_is_absent() {
        assert_eq!(count("0"), Count::Is(0));
        assert_eq!(count("null"), Count::Absent);
        for (json, shown) in [
            ("1.5", "`n` is 1.5"),
            ("-1.5", "`n` is -1.5"),
            ("9007199254740994.0", "`n` is 9007199254740994.0"),
            ("99999999999999999999", "`n` is 1e20"),
            ("9007199254740992", "`n` is 9007199254740992"),
            ("\"12\"", "`n` is the string \"12\""),
            (
                "\"a text before https://bob:Hunter2hunt3r2@h/ and behind\"",
                "`n` is the string \"a text before [redacted]h/",
            ),
            ("true", "`n` is true"),
            ("[1,[2]]", "`n` is a list"),
            ("{\"a\":{}}", "`n` is an object"),
        ] {
            let error = count(json).named("n").unwrap_err().to_string();
            assert!(error.starts_with(shown), "{json}: {error}");
        }
        assert_eq!(count("9007199254740991").named("n").unwrap().count, Some(MAX_COUNT));
        for (json, is) in
            [("1234.0", 1234), ("1e3", 1000), ("-0", 0), ("-0.0", 0), ("4503599627370495.0", 4_503_599_627_370_495)]
        {
            assert_eq!(count(json), Count::Is(is), "{json}");
        }
        for json in ["-3", "-3.0"] {
            let stated = count(json).named("n").unwrap();
            assert_eq!((stated.count, stated.negative), (None, Some(("n", -3))), "{json}");
        }
    }

    #[test]
    fn a_zero_does_not_hide_a_count_in_another_field() {
        let of = |count| StatedCount { name: "n", count, negative: None };
        for (a, b, either) in [
            (Some(0), Some(7), Some(7)),
            (Some(3), Some(7), Some(3)),
            (Some(0), None, Some(0)),
            (None, Some(0), Some(0)),
            (None, None, None),
        ] {
            assert_eq!(of(a).or(of(b)).count, either, "{a:?} {b:?}");
        }
    }

    #[test]
    fn an_empty_sum_is_zero() {
        assert_eq!(sum([None, None]).unwrap(), None);
        assert_eq!(sum([None, Some(0)]).unwrap(), Some(0));
        assert!(sum([Some(u64::MAX), Some(1)]).is_err());
    }
}
