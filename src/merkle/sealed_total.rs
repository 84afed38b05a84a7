//! The contents of the blinded leaves of a seal: totals, and the rows of a total.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};

use super::Hash;
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;
use crate::model::tokens::{TokenClass, Usd};

/// The sums of a total or of a row.
///
/// ```
/// use usage_ledger::merkle::SealedSums;
/// let sums: SealedSums = serde_json::from_str(r#"{"requests":2,"tokens":{"input":3,"output":4}}"#).unwrap();
/// assert_eq!((sums.requests, sums.tokens[0], sums.reported_usd), (2, 3, None));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealedSums {
    /// Calls.
    pub requests: u64,
    /// Their tokens, in the order of [`TokenClass::ALL`]. A content names only the classes with tokens.
    #[serde(serialize_with = "by_class", deserialize_with = "from_classes")]
    pub tokens: [u128; 7],
    /// The sum of the reported costs, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_usd: Option<Usd>,
}

impl SealedSums {
    pub(crate) const fn new(requests: u64, tokens: [u128; 7], reported_usd: Option<Usd>) -> Self {
        Self { requests, tokens, reported_usd }
    }

    /// Adds other sums.
    ///
    /// # Errors
    /// [`Error::Overflow`] for sums that no ledger can hold.
    ///
    /// ```
    /// # use usage_ledger::merkle::SealedSums;
    /// let one: SealedSums = serde_json::from_str(r#"{"requests":1,"tokens":{"input":3}}"#).unwrap();
    /// let mut two = one.clone();
    /// two.add(&one)?;
    /// assert_eq!((two.requests, two.tokens[0]), (2, 6));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn add(&mut self, other: &Self) -> Result<()> {
        let over = || Error::Overflow { what: "sum of sealed rows" };
        self.requests = self.requests.checked_add(other.requests).ok_or_else(over)?;
        for (sum, more) in self.tokens.iter_mut().zip(other.tokens) {
            *sum = sum.checked_add(more).ok_or_else(over)?;
        }
        self.reported_usd = match (self.reported_usd, other.reported_usd) {
            (Some(sum), Some(more)) => Some(sum.checked_add(more)?),
            (sum, more) => sum.or(more),
        };
        Ok(())
    }
}

fn by_class<S: Serializer>(tokens: &[u128; 7], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (class, count) in TokenClass::ALL.iter().zip(tokens).filter(|(_, count)| **count > 0) {
        map.serialize_entry(class.name(), count)?;
    }
    map.end()
}

fn from_classes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<[u128; 7], D::Error> {
    let mut counts = BTreeMap::<String, u128>::deserialize(deserializer)?;
    let tokens = TokenClass::ALL.map(|class| counts.remove(class.name()).unwrap_or(0));
    match counts.keys().next() {
        None => Ok(tokens),
        Some(unknown) => Err(serde::de::Error::custom(format!("`{unknown}` is no class of tokens"))),
    }
}

/// A total of a sealed period: that of a project, or of another value of the seal's key.
///
/// ```
/// use usage_ledger::merkle::SealedTotal;
/// let text = format!(r#"{{"name":"acme","sums":{{"requests":2,"tokens":{{"input":3}}}},"rows":1,"root":"{}"}}"#, "ab".repeat(32));
/// let total = SealedTotal::from_content(&text)?;
/// assert_eq!((total.name.as_deref(), total.sums.requests), (Some("acme"), 2));
/// assert_eq!(total.content()?, text);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealedTotal {
    /// The name of the project, or the value of another key; `None` for the calls without a value.
    pub name: Option<String>,
    /// The sums of all its calls in the period.
    pub sums: SealedSums,
    /// The number of its rows.
    pub rows: u64,
    /// The root of the tree over its blinded rows, in hex.
    pub root: String,
}

/// A row of a total: the calls of one day that share these names.
///
/// ```
/// use usage_ledger::merkle::SealedRow;
/// let text = r#"{"day":"2026-05-10","provider":"openai","model":"gpt-5","sums":{"requests":1,"tokens":{"input":3}}}"#;
/// let row = SealedRow::from_content(text)?;
/// assert_eq!((row.day.as_str(), row.account), ("2026-05-10", None));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealedRow {
    /// The day in UTC.
    pub day: String,
    /// The provider.
    pub provider: String,
    /// The account, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The model, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The project, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The sums of these calls.
    pub sums: SealedSums,
}

impl SealedTotal {
    pub(crate) const fn new(name: Option<String>, sums: SealedSums, rows: u64, root: String) -> Self {
        Self { name, sums, rows, root }
    }

    /// Reads the content of a leaf.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not a total in the one spelling that this build writes.
    ///
    /// ```
    /// # use usage_ledger::merkle::SealedTotal;
    /// assert!(SealedTotal::from_content(r#"{"name":"acme"}"#).is_err());
    /// ```
    pub fn from_content(text: &str) -> Result<Self> {
        canonical(text, "total")
    }

    /// The content of the leaf.
    ///
    /// # Errors
    /// [`Error::Bug`] if it cannot be written.
    ///
    /// ```
    /// # use usage_ledger::merkle::SealedTotal;
    /// let text = format!(r#"{{"name":null,"sums":{{"requests":1,"tokens":{{}}}},"rows":1,"root":"{}"}}"#, "ab".repeat(32));
    /// assert_eq!(SealedTotal::from_content(&text)?.content()?, text);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn content(&self) -> Result<String> {
        content(self)
    }

    pub(super) fn rows_root(&self) -> Result<Hash> {
        self.root.parse()
    }
}

impl SealedRow {
    pub(crate) fn new(day: String, provider: String, names: [Option<String>; 3], sums: SealedSums) -> Self {
        let [account, model, project] = names;
        Self { day, provider, account, model, project, sums }
    }

    /// Reads the content of a leaf.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not a row in the one spelling that this build writes.
    ///
    /// ```
    /// # use usage_ledger::merkle::SealedRow;
    /// // The same name twice would mean different things to different readers.
    /// assert!(SealedRow::from_content(r#"{"day":"2026-05-10","day":"2026-05-11","provider":"openai","sums":{"requests":1,"tokens":{}}}"#).is_err());
    /// ```
    pub fn from_content(text: &str) -> Result<Self> {
        canonical(text, "row")
    }

    /// The content of the leaf.
    ///
    /// # Errors
    /// [`Error::Bug`] if it cannot be written.
    ///
    /// ```
    /// # use usage_ledger::merkle::SealedRow;
    /// let text = r#"{"day":"2026-05-10","provider":"openai","sums":{"requests":1,"tokens":{}}}"#;
    /// assert_eq!(SealedRow::from_content(text)?.content()?, text);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn content(&self) -> Result<String> {
        content(self)
    }
}

fn content(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| bug!("a sealed row cannot be written ({error})"))
}

/// Reads a content. Only one spelling is accepted, so that all readers read the same.
fn canonical<T: DeserializeOwned + Serialize>(text: &str, what: &str) -> Result<T> {
    let bad = |why: String| Error::invalid(format!("the content of a {what} is not what a seal signs: {why}"));
    let value: T = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    if content(&value)? == text { Ok(value) } else { Err(bad("it has another spelling".to_owned())) }
}
