use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{EventId, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::{Tokens, Usd};

/// The fields of a stored `tokens_recorded` that folds need, borrowed from its line.
#[derive(Deserialize)]
pub(crate) struct TokenView<'a> {
    #[serde(borrow)]
    pub provider: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "borrowed")]
    pub account: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "borrowed")]
    pub model: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "borrowed")]
    pub agent: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "borrowed")]
    pub conversation: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "borrowed")]
    pub project: Option<Cow<'a, str>>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub tokens: Tokens,
    #[serde(default)]
    pub modalities: BTreeMap<String, u64>,
    #[serde(default)]
    pub server_tools: BTreeMap<String, u64>,
    #[serde(default)]
    pub cost: Option<Usd>,
    #[serde(default)]
    pub counted_at: Option<Timestamp>,
    #[serde(default)]
    pub keys: Vec<Cow<'a, str>>,
    #[serde(default)]
    pub key_ids: Vec<EventId>,
}

/// Borrows if possible. Serde's own implementation always copies the text of an `Option<Cow<str>>`.
fn borrowed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Cow<'de, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Text<'de>>::deserialize(deserializer)?.map(|text| text.0))
}

impl TokenView<'_> {
    /// Like [`TokenRecord::ids`].
    pub fn ids(&self) -> impl Iterator<Item = EventId> {
        self.keys.iter().map(|key| EventId::from_key(&self.provider, key)).chain(self.key_ids.iter().copied())
    }
}

impl<'a> From<&'a TokenRecord> for TokenView<'a> {
    fn from(record: &'a TokenRecord) -> Self {
        Self {
            provider: Cow::Borrowed(&record.provider),
            account: record.account.as_deref().map(Cow::Borrowed),
            model: record.model.as_deref().map(Cow::Borrowed),
            agent: record.agent.as_deref().map(Cow::Borrowed),
            conversation: record.conversation.as_deref().map(Cow::Borrowed),
            project: record.project.as_deref().map(Cow::Borrowed),
            labels: record.labels.clone(),
            tokens: record.tokens,
            modalities: record.modalities.clone(),
            server_tools: record.server_tools.clone(),
            cost: record.cost,
            counted_at: record.counted_at,
            keys: record.keys.iter().map(|key| Cow::Borrowed(key.as_str())).collect(),
            key_ids: record.key_ids.clone(),
        }
    }
}
