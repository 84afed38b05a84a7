//! Who serves and meters the tokens.

mod catalogue;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

pub use catalogue::{CATALOGUE, CatalogueEntry};

use crate::model::error::{Error, Result};

/// A provider's id: lower-case letters, digits, `.`, `_` and `-`.
///
/// ```
/// use usage_ledger::ProviderId;
/// assert_eq!(ProviderId::resolve("claude")?.as_str(), "anthropic"); // an alias
/// assert_eq!(ProviderId::resolve("my-gateway")?.as_str(), "my-gateway"); // not in the catalogue: kept
/// assert!(ProviderId::resolve("No Such Thing").is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProviderId(Box<str>);

impl ProviderId {
    /// Longest id accepted, in bytes.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// assert!(ProviderId::new(&"x".repeat(ProviderId::MAX_LEN)).is_ok());
    /// assert!(ProviderId::new(&"x".repeat(ProviderId::MAX_LEN + 1)).is_err());
    /// ```
    pub const MAX_LEN: usize = 64;

    /// An id exactly as given.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] when it is empty, too long or has other characters.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// assert_eq!(ProviderId::new("claude")?.as_str(), "claude"); // aliases stay
    /// assert!(ProviderId::new("Anthropic").unwrap_err().to_string().contains("did you mean `anthropic`?"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(id: &str) -> Result<Self> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if !id.is_empty() && id.len() <= Self::MAX_LEN && id.bytes().all(fine) {
            return Ok(Self(id.into()));
        }
        let lower = id.trim().to_ascii_lowercase();
        let hint = catalogue::find(&lower)
            .map(|known| known.id.to_owned())
            .or_else(|| near_miss(&lower))
            .map(|id| format!("; did you mean `{id}`?"))
            .unwrap_or_default();
        Err(Error::InvalidProvider { id: id.to_owned(), hint })
    }

    /// The id a name stands for: an alias of the catalogue becomes its provider, all else stays as given.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] as for [`new`](Self::new).
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// assert_eq!(ProviderId::resolve("kimi")?.as_str(), "moonshot");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn resolve(name: &str) -> Result<Self> {
        let id = Self::new(name)?;
        Ok(match catalogue::find(&id.0) {
            Some(known) => Self(known.id.into()),
            None => id,
        })
    }

    /// The id as text.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// assert_eq!(ProviderId::new("ollama")?.as_str(), "ollama");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who serves a model that this provider's program runs: Ollama hands models tagged `cloud` to its paid cloud.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// let ollama = ProviderId::new("ollama")?;
    /// assert_eq!(ollama.serving("qwen3.5:cloud").as_str(), "ollama-cloud");
    /// assert_eq!(ollama.serving("gpt-oss:120b-cloud").as_str(), "ollama-cloud");
    /// assert_eq!(ollama.serving("qwen3:8b").as_str(), "ollama");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn serving(&self, model: &str) -> Self {
        let tag = model.rsplit_once(':').map(|(_, tag)| tag);
        let cloud = tag.is_some_and(|tag| tag == "cloud" || tag.ends_with("-cloud"));
        if cloud && &*self.0 == "ollama" { Self("ollama-cloud".into()) } else { self.clone() }
    }

    /// The first of several names, each perhaps from a setting, that the catalogue lists; blanks and case do not matter.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// let named = ProviderId::first_known([Some(" CODEX "), Some("claude")]);
    /// assert_eq!(named.unwrap().as_str(), "openai");
    /// assert_eq!(ProviderId::first_known([None, Some("nonsense")]), None);
    /// ```
    pub fn first_known<'a>(names: impl IntoIterator<Item = Option<&'a str>>) -> Option<Self> {
        names.into_iter().flatten().find_map(|name| {
            let known = catalogue::find(&name.trim().to_ascii_lowercase())?;
            Some(Self(known.id.into()))
        })
    }

    /// What the catalogue says about it, if it is listed.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// let ollama = ProviderId::new("ollama")?;
    /// assert!(!ollama.known().unwrap().metered);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn known(&self) -> Option<&'static CatalogueEntry> {
        catalogue::find(&self.0)
    }

    /// A listed id that this one looks like a misspelling of.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// assert_eq!(ProviderId::new("antropic")?.near_miss().as_deref(), Some("anthropic"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn near_miss(&self) -> Option<String> {
        if self.known().is_some() { None } else { near_miss(&self.0) }
    }
}

fn near_miss(id: &str) -> Option<String> {
    CATALOGUE
        .iter()
        .flat_map(|known| std::iter::once(known.id).chain(known.aliases.iter().copied()))
        .map(|name| (strsim::damerau_levenshtein(id, name), name))
        .filter(|(distance, name)| *distance <= 2 && name.len() > 3 + distance)
        .min()
        .map(|(_, name)| name.to_owned())
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProviderId {
    type Err = Error;
    /// As [`resolve`](Self::resolve): an alias of the catalogue becomes its provider.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] as for [`new`](Self::new).
    fn from_str(text: &str) -> Result<Self> {
        Self::resolve(text)
    }
}

impl<'de> Deserialize<'de> for ProviderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_catalogue_entry_is_valid_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for known in CATALOGUE {
            for name in std::iter::once(&known.id).chain(known.aliases) {
                assert!(ProviderId::new(name).is_ok(), "{name}");
                assert!(seen.insert(*name), "{name} twice");
            }
        }
    }

    #[test]
    fn malformed_ids_say_what_would_be_right() {
        for bad in ["", "Anthropic", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(ProviderId::new(bad).is_err(), "{bad}");
        }
        let message = ProviderId::new("Claude").unwrap_err().to_string();
        assert!(message.contains("did you mean `anthropic`"), "{message}");
    }
}
