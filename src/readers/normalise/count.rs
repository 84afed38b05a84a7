//! Numbers as an API states them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::error::{Error, Result};
use crate::model::tokens::MAX_COUNT;

/// What stands where a count should stand.
///
/// A wrong value is kept until it is asked for, because only there is the name of its field known: serde's own
/// error would give a line and a column.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Count {
    /// Nothing, or `null`.
    #[default]
    Absent,
    /// A whole number.
    Is(u64),
    /// Something else, as text.
    Not(String),
}

impl Count {
    /// The count of the field of that name.
    pub(super) fn named(&self, name: &'static str) -> Result<Stated> {
        let wrong = |what: &dyn fmt::Display| {
            Error::invalid(format!("`{name}` is {what}: a token count is a whole number from 0 to {MAX_COUNT}"))
        };
        match self {
            Self::Absent => Ok(Stated { name, count: None }),
            Self::Is(count) if *count <= MAX_COUNT => Ok(Stated { name, count: Some(*count) }),
            Self::Is(count) => Err(wrong(count)),
            Self::Not(what) => Err(wrong(what)),
        }
    }

    /// The number, when it is one: for what is no token count and need not fail a record.
    pub(super) const fn whole(&self) -> Option<u64> {
        match self {
            Self::Is(number) => Some(*number),
            Self::Absent | Self::Not(_) => None,
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
        Ok(u64::try_from(number).map_or_else(|_| Count::Not(number.to_string()), Count::Is))
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Count, E> {
        Ok(Count::Not(format!("{number:?}")))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Count, E> {
        // The whole of a long text does not belong in an error.
        Ok(Count::Not(format!("the string {:?}", text.chars().take(40).collect::<String>())))
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

/// A field's name and its count, when it was reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated {
    pub name: &'static str,
    pub count: Option<u64>,
}

impl Stated {
    /// A field that this API does not have.
    pub(super) const NONE: Self = Self { name: "", count: None };

    /// This count, or the other when this one was not reported.
    pub(super) const fn or(self, other: Self) -> Self {
        if self.count.is_some() || other.count.is_none() { self } else { other }
    }
}

/// The sum of what is reported, absent when nothing is.
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
    fn only_whole_numbers_are_counts_and_null_is_none() {
        assert_eq!(count("0"), Count::Is(0));
        assert_eq!(count("null"), Count::Absent);
        for (json, shown) in [
            ("-3", "`n` is -3"),
            ("1.5", "`n` is 1.5"),
            ("1e3", "`n` is 1000.0"),
            ("99999999999999999999", "`n` is 1e20"),
            ("9007199254740992", "`n` is 9007199254740992"),
            ("\"12\"", "`n` is the string \"12\""),
            ("true", "`n` is true"),
            ("[1,[2]]", "`n` is a list"),
            ("{\"a\":{}}", "`n` is an object"),
        ] {
            let error = count(json).named("n").unwrap_err().to_string();
            assert!(error.starts_with(shown), "{json}: {error}");
        }
        assert_eq!(count("9007199254740991").named("n").unwrap().count, Some(MAX_COUNT));
    }

    #[test]
    fn a_sum_of_nothing_is_nothing() {
        assert_eq!(sum([None, None]).unwrap(), None);
        assert_eq!(sum([None, Some(0)]).unwrap(), Some(0));
        assert!(sum([Some(u64::MAX), Some(1)]).is_err());
    }
}
