//! Providers: who serves and meters the tokens.

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

    /// Resolves a name: an id or alias of the catalogue becomes its provider, whatever the separators between its
    /// words. The display name of a local program does too. Any other name stays as given.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] as for [`new`](Self::new), for a name outside the catalogue.
    ///
    /// ```
    /// # use usage_ledger::ProviderId;
    /// assert_eq!(ProviderId::resolve("kimi")?.as_str(), "moonshot");
    /// assert_eq!(ProviderId::resolve("LM Studio")?.as_str(), "lmstudio");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn resolve(name: &str) -> Result<Self> {
        match catalogue::find(name) {
            Some(known) => Ok(Self(known.id.into())),
            None => Self::new(name),
        }
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

    /// The provider that serves a model of this provider's program. Ollama forwards models tagged `cloud` to its paid
    /// cloud.
    pub(crate) fn serving(&self, model: &str) -> Self {
        let model = model.trim().to_ascii_lowercase();
        let tag = model.rsplit_once(':').map_or(&*model, |(_, tag)| tag);
        let is_cloud = tag == "cloud" || tag.ends_with("-cloud");
        match cloud_of(&self.0).filter(|_| is_cloud) {
            Some(cloud) => Self(cloud.into()),
            None => self.clone(),
        }
    }

    /// The catalogue entry of this id, if it is listed.
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
    #[cfg(feature = "cli")]
    pub(crate) fn near_miss(&self) -> Option<String> {
        if self.known().is_some() { None } else { near_miss(&self.0) }
    }
}

/// Local programs that forward some of their models to a paid cloud, and the provider of that cloud.
const CLOUDS: [(&str, &str); 1] = [("ollama", "ollama-cloud")];

/// The paid cloud to which a local program forwards some of its models.
pub(crate) fn cloud_of(program: &str) -> Option<&'static str> {
    CLOUDS.iter().find(|(known, _)| *known == program).map(|(_, cloud)| *cloud)
}

/// The local program that forwards models to this paid cloud.
pub(crate) fn local_program_of(cloud: &str) -> Option<&'static str> {
    CLOUDS.iter().find(|(_, known)| *known == cloud).map(|(program, _)| *program)
}

fn near_miss(id: &str) -> Option<String> {
    let ids = CATALOGUE.iter().flat_map(|known| std::iter::once(known.id).chain(known.aliases.iter().copied()));
    ids.filter_map(|name| Some((distance(id, name)?, name))).min().map(|(_, name)| name.to_owned())
}

/// The maximal number of candidates for a misspelt provider.
const CANDIDATES: usize = 3;
/// From this Jaro-Winkler similarity (0 to 1) on, one name counts as a misspelling of the other.
const SIMILAR: f64 = 0.88;

/// The edit distance of two names, with swaps, if it is small enough for a misspelling: at most one in four letters, or
/// more if the beginnings agree.
fn distance(id: &str, name: &str) -> Option<usize> {
    let distance = strsim::damerau_levenshtein(id, name);
    let few = 4 * distance <= name.len().max(4) && name.len() > 2;
    let similar = distance <= 3 && id.len() > 3 && strsim::jaro_winkler(id, name) >= SIMILAR;
    (few || similar).then_some(distance)
}

/// The providers that a name may be a misspelling of, the most similar first. The candidates are the catalogue and
/// `others`.
pub(crate) fn similar_to<'a>(id: &str, others: impl Iterator<Item = &'a str>) -> Vec<String> {
    let listed = CATALOGUE.iter().flat_map(|known| {
        let names = std::iter::once(known.id).chain(known.aliases.iter().copied());
        names.map(|name| (name, known.id))
    });
    let all = listed.chain(others.map(|name| (name, name)));
    let mut matches: Vec<(usize, &str)> = all.filter_map(|(name, of)| Some((distance(id, name)?, of))).collect();
    matches.sort_unstable();
    let mut candidates: Vec<String> = Vec::new();
    for (_, of) in matches {
        if candidates.len() < CANDIDATES && candidates.iter().all(|known| known != of) {
            candidates.push(of.to_owned());
        }
    }
    candidates
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProviderId {
    type Err = Error;
    /// Like [`resolve`](Self::resolve): an alias of the catalogue becomes its provider.
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
        let mut seen = std::collections::BTreeMap::new();
        for known in CATALOGUE {
            for name in std::iter::once(&known.id).chain(known.aliases) {
                assert!(ProviderId::new(name).is_ok(), "{name}");
                let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                let before = seen.insert(letters, known.id);
                assert!(before.is_none_or(|before| before == known.id), "{name} is {before:?} too");
            }
        }
    }

    #[test]
    fn local_programs_have_no_quota_in_any_usual_spelling() {
        for (names, id) in [
            (&["local", "local-llm", "local_llm", "localllmprovider", "LocalLLMProvider"][..], "local"),
            (&["lmstudio", "lm-studio", "lm_studio", "LM Studio", "LMStudio"], "lmstudio"),
            (&["llama.cpp", "llama-cpp", "llama_cpp", "llamacpp", "llama-server", "llama-cpp-python"], "llama.cpp"),
            (&["llamafile"], "llamafile"),
            (&["localai", "LocalAI", "local-ai"], "localai"),
            (&["jan", "Jan", "jan.ai", "jan-ai"], "jan"),
            (&["koboldcpp", "KoboldCpp", "kobold.cpp", "kobold-cpp", "kobold"], "koboldcpp"),
            (&["mlx", "mlx-lm", "mlx_lm", "mlx_lm.server"], "mlx"),
            (&["tgi", "text-generation-inference", "huggingface-tgi"], "tgi"),
            (&["sglang", "SGLang", "sglang-server"], "sglang"),
            (&["ollama", "Ollama", "ollama-launch"], "ollama"),
            (&["vllm", "vLLM", "hosted_vllm"], "vllm"),
        ] {
            for name in names {
                let matches = ProviderId::resolve(name).unwrap();
                assert_eq!(matches.as_str(), id, "{name}");
                assert!(!matches.known().unwrap().metered, "{name}");
            }
        }
        for wrong in ["Claude", "Anthropic", "No Such Thing"] {
            assert!(ProviderId::resolve(wrong).is_err(), "{wrong}: providers of an API go by their ids");
        }
    }

    #[test]
    fn misspelt_ids_suggest_near_names() {
        for (id, wanted) in [
            ("antropic", "anthropic"),
            ("anthropi", "anthropic"),
            ("athnropic", "anthropic"),
            ("opnai", "openai"),
            ("oepnai", "openai"),
            ("cluade", "anthropic"),
            ("gemni", "google"),
            ("olama", "ollama"),
            ("grk", "xai"),
            ("lm-studoi", "lmstudio"),
            ("my-gatway", "my-gateway"),
        ] {
            let matches = similar_to(id, ["my-gateway"].into_iter());
            assert_eq!(matches.first().map(String::as_str), Some(wanted), "{id}: {matches:?}");
        }
        for id in ["my-company", "q", "zz", "something-else"] {
            assert!(similar_to(id, std::iter::empty()).is_empty(), "{id}");
        }
    }

    #[test]
    fn malformed_ids_are_refused_with_the_rule() {
        for bad in ["", "Anthropic", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(ProviderId::new(bad).is_err(), "{bad}");
        }
        let message = ProviderId::new("Claude").unwrap_err().to_string();
        assert!(message.contains("did you mean `anthropic`"), "{message}");
    }
}
