//! The provider's own usage object, kept in the event.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::minify::minified;
use crate::model::error::{Error, Result};
use crate::model::secrets;

/// A provider's own usage object, verbatim without insignificant white space.
///
/// An object that is read from a stored event keeps its stored bytes. Two objects are equal if they differ only in
/// white space or in redacted strings.
///
/// ```
/// use usage_ledger::event::Raw;
/// let raw = Raw::parse("{\n  \"input_tokens\": 3.0\n}")?;
/// assert_eq!(raw.get(), r#"{"input_tokens":3.0}"#);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Raw(Box<str>);

impl Raw {
    /// Parses a JSON text and minifies it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not JSON.
    ///
    /// ```
    /// # use usage_ledger::event::Raw;
    /// assert!(Raw::parse("{}").is_ok());
    /// assert!(Raw::parse("{").is_err());
    /// ```
    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str::<&RawValue>(json)
            .map(|raw| Self(minified(raw.get()).into()))
            .map_err(|e| Error::invalid(format!("the usage object is not JSON ({e})")))
    }

    /// Takes a text that a parser has already validated as one JSON value, to avoid a second parse.
    #[cfg(feature = "import")]
    pub(crate) fn read(json: String) -> Self {
        match minified(&json) {
            Cow::Borrowed(_) => Self(json.into()),
            Cow::Owned(minified) => Self(minified.into()),
        }
    }

    /// Takes a text that is one JSON value on one line.
    pub(super) fn stored(json: String) -> Self {
        Self(json.into())
    }

    /// The text without insignificant white space.
    #[cfg(feature = "import")]
    pub(crate) fn minified(&self) -> Cow<'_, str> {
        minified(&self.0)
    }

    /// Removes insignificant white space. Objects that early builds stored may contain it.
    pub(crate) fn minify(&mut self) {
        if let Cow::Owned(minified) = minified(&self.0) {
            self.0 = minified.into();
        }
    }

    /// The JSON text.
    ///
    /// ```
    /// # use usage_ledger::event::Raw;
    /// assert_eq!(Raw::parse(r#"{"cost": 0.10}"#)?.get(), r#"{"cost":0.10}"#); // to the letter
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn get(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        // Early builds stored white space and strings that are now redacted or cut.
        self.0 == other.0 || {
            let (own, other) = (minified(&self.0), minified(&other.0));
            own == other || secrets::json(&own) == secrets::json(&other)
        }
    }
}

impl Eq for Raw {}

impl From<&RawValue> for Raw {
    /// Minifies a JSON value.
    fn from(raw: &RawValue) -> Self {
        Self(minified(raw.get()).into())
    }
}

impl From<Box<RawValue>> for Raw {
    /// Minifies a JSON value.
    fn from(raw: Box<RawValue>) -> Self {
        Self::from(&*raw)
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // Keeps the bytes, because an event that is read must serialise to the line that was hashed.
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
    }
}
