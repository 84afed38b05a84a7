//! The tokens of one call.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EventId, Raw, ServerKey};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::model::tokens::{Tokens, Usd};

/// The quality of a record's numbers.
///
/// ```
/// use usage_ledger::{TokenRecord, event::Quality};
/// assert_eq!(TokenRecord::new("openai", "gpt-5").quality, Quality::Reported);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quality {
    /// The provider reported them.
    #[default]
    Reported,
    /// They are computed from what the provider reported, or the reported sums do not add up.
    Derived,
    /// They are estimates.
    Estimated,
}

/// The tokens of one call: the provider that served it, the caller, the counts, and the provider's own usage object.
///
/// ```
/// use usage_ledger::TokenRecord;
/// let record = TokenRecord::new("anthropic", "claude-opus-4-5")
///     .input(120)
///     .output(40)
///     .project("acme")
///     .key("msg_01ABC");
/// assert_eq!(record.tokens.total()?, 160);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenRecord {
    /// The provider that served and metered the tokens. The append checks it.
    #[serde(deserialize_with = "text")]
    pub provider: Cow<'static, str>,
    /// The subscription or key, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The calling program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The agent's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The project worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Further names to report by: mission, mode, type, role …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The counts.
    pub tokens: Tokens,
    /// Tokens of other modalities than text, by class and modality, such as `input_audio`. They are part of `tokens`
    /// and may have separate prices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modalities: BTreeMap<String, u64>,
    /// How often the provider used each of its own tools for the call, such as `web_search`. These are not tokens.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server_tools: BTreeMap<String, u64>,
    /// The cost that the agent or provider reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// How long the call took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the counts appeared, if that is later than the call itself. A streamed response has several lines in a log:
    /// the first one dates the call, a later one has its counts. Ids and counters ignore this time, and records that
    /// differ only in it are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
    /// Every natural key of the call: message, response and request ids. The event id is made from the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Further ids that find the record without revealing a key. They stand for natural keys that were shredded, and
    /// for keys under another provider that the call was first attributed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_ids: Vec<EventId>,
    /// Whether the last key is an id that the server gave its response.
    #[serde(skip)]
    pub(crate) server_key: ServerKey,
    /// Name and version of the normaliser that computed the counts from the usage object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normaliser: Option<Cow<'static, str>>,
    /// The quality of the counts.
    #[serde(default, skip_serializing_if = "is_reported")]
    pub quality: Quality,
    /// A description of what does not add up, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<String>,
    /// The provider's own usage object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_reported(quality: &Quality) -> bool {
    *quality == Quality::Reported
}

fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Cow<'static, str>, D::Error> {
    String::deserialize(deserializer).map(Cow::Owned)
}

impl TokenRecord {
    /// A record without counts. An alias of the catalogue becomes its provider. The append refuses a malformed provider
    /// id.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("claude", "claude-opus-4-5");
    /// assert_eq!((&*record.provider, record.model.as_deref()), ("anthropic", Some("claude-opus-4-5")));
    /// assert_eq!(TokenRecord::new("openai", "").model, None); // an empty model is an unknown one
    /// ```
    pub fn new(provider: &str, model: impl Into<String>) -> Self {
        let model = model.into();
        Self {
            provider: match ProviderId::resolve(provider) {
                Ok(id) => id.as_str().to_owned().into(),
                Err(_) => provider.to_owned().into(),
            },
            account: None,
            model: (!model.is_empty()).then_some(model),
            agent: None,
            conversation: None,
            project: None,
            labels: BTreeMap::new(),
            tokens: Tokens::default(),
            modalities: BTreeMap::new(),
            server_tools: BTreeMap::new(),
            cost: None,
            duration_ms: None,
            counted_at: None,
            keys: Vec::new(),
            key_ids: Vec::new(),
            server_key: ServerKey::default(),
            normaliser: None,
            quality: Quality::Reported,
            residual: None,
            raw: None,
        }
    }

    /// Moves a call of a local program's cloud model to the cloud that serves and meters it, as the gate does.
    #[cfg(feature = "cli")]
    pub(crate) fn attribute_to_server(&mut self) {
        if let (Ok(program), Some(model)) = (ProviderId::new(&self.provider), &self.model) {
            self.provider = program.serving(model).as_str().to_owned().into();
        }
    }
}
