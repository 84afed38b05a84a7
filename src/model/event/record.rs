use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::EventId;
use super::minify::minified;
use crate::model::error::{Error, Result};
use crate::model::provider::ProviderId;
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Tokens, Usd};

/// The quality of a record's numbers.
///
/// ```
/// use usage_ledger::{TokenRecord, event::Quality};
/// assert_eq!(TokenRecord::new("openai", "gpt-5").quality, Quality::Reported);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// The provider reported them.
    #[default]
    Reported,
    /// They are computed from what the provider reported, or the reported sums do not add up.
    Derived,
    /// They are estimates.
    Estimated,
}

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

/// Longest text accepted in one field, in bytes.
const MAX_TEXT: usize = 4096;

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

    /// Sets the count of one class, in tokens.
    ///
    /// ```
    /// # use usage_ledger::{TokenClass, TokenRecord};
    /// let record = TokenRecord::new("anthropic", "claude-opus-4-5").count(TokenClass::CacheWrite1h, 7);
    /// assert_eq!(record.tokens.cache_write_1h, Some(7));
    /// ```
    pub const fn count(mut self, class: TokenClass, count: u64) -> Self {
        self.tokens.set(class, Some(count));
        self
    }

    /// Sets uncached input, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").input(30).tokens.input, Some(30));
    /// ```
    pub const fn input(self, count: u64) -> Self {
        self.count(TokenClass::Input, count)
    }

    /// Sets visible output, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").output(12).tokens.output, Some(12));
    /// ```
    pub const fn output(self, count: u64) -> Self {
        self.count(TokenClass::Output, count)
    }

    /// Sets input read from a cache, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_read(80).tokens.cache_read, Some(80));
    /// ```
    pub const fn cache_read(self, count: u64) -> Self {
        self.count(TokenClass::CacheRead, count)
    }

    /// Sets reasoning output, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").reasoning(5).tokens.reasoning, Some(5));
    /// ```
    pub const fn reasoning(self, count: u64) -> Self {
        self.count(TokenClass::Reasoning, count)
    }

    /// Sets the account.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").account("team").account.as_deref(), Some("team"));
    /// ```
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the calling program.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").agent("my-agent").agent.as_deref(), Some("my-agent"));
    /// ```
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Sets the conversation.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").conversation("c-1").conversation.as_deref(), Some("c-1"));
    /// ```
    pub fn conversation(mut self, conversation: impl Into<String>) -> Self {
        self.conversation = Some(conversation.into());
        self
    }

    /// Sets the project.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").project("acme").project.as_deref(), Some("acme"));
    /// ```
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Adds a label.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").label("team", "blue").label("team", "red");
    /// assert_eq!(record.labels["team"], "red"); // the last value of a name holds
    /// ```
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Sets input written to a cache of unknown lifetime, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_write(9).tokens.cache_write, Some(9));
    /// ```
    pub const fn cache_write(self, count: u64) -> Self {
        self.count(TokenClass::CacheWrite, count)
    }

    /// Sets input written to a cache for 5 minutes, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_write_5m(9).tokens.cache_write_5m, Some(9));
    /// ```
    pub const fn cache_write_5m(self, count: u64) -> Self {
        self.count(TokenClass::CacheWrite5m, count)
    }

    /// Sets input written to a cache for 1 hour, in tokens.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").cache_write_1h(9).tokens.cache_write_1h, Some(9));
    /// ```
    pub const fn cache_write_1h(self, count: u64) -> Self {
        self.count(TokenClass::CacheWrite1h, count)
    }

    /// Sets all counts at once.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let counts = TokenRecord::new("openai", "gpt-5").input(3).tokens;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").tokens(counts).tokens.input, Some(3));
    /// ```
    pub const fn tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Sets how long the call took, in milliseconds.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").duration_ms(850).duration_ms, Some(850));
    /// ```
    pub const fn duration_ms(mut self, millis: u64) -> Self {
        self.duration_ms = Some(millis);
        self
    }

    /// Sets when the counts appeared, if that is later than the call.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let at = usage_ledger::Timestamp::from_millis(1_780_308_000_000);
    /// assert_eq!(TokenRecord::new("openai", "gpt-5").counted_at(at).counted_at, Some(at));
    /// ```
    pub fn counted_at(mut self, at: impl Into<Timestamp>) -> Self {
        self.counted_at = Some(at.into());
        self
    }

    /// Names the normaliser that made the counts of the usage object, with its version.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").normaliser("my-gateway/1");
    /// assert_eq!(record.normaliser.as_deref(), Some("my-gateway/1"));
    /// ```
    pub fn normaliser(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.normaliser = Some(name.into());
        self
    }

    /// Sets the quality of the counts.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").quality(usage_ledger::event::Quality::Estimated);
    /// assert_eq!(record.quality, usage_ledger::event::Quality::Estimated);
    /// ```
    pub const fn quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }

    /// Describes what does not add up.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").residual("total 12, classes 11");
    /// assert!(record.residual.is_some());
    /// ```
    pub fn residual(mut self, what: impl Into<String>) -> Self {
        self.residual = Some(what.into());
        self
    }

    /// Sets the provider's own usage object.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let raw = usage_ledger::event::Raw::parse(r#"{"prompt_tokens":3}"#)?;
    /// assert!(TokenRecord::new("openai", "gpt-5").input(3).raw(raw).raw.is_some());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn raw(mut self, raw: Raw) -> Self {
        self.raw = Some(raw);
        self
    }

    /// Adds a natural key. The event's id is made from the first one.
    ///
    /// ```
    /// use usage_ledger::{EventId, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1").key("req_1"), now)?;
    /// assert_eq!(ledger.event(1)?.id, EventId::from_key("openai", "resp_1"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Sets the cost in US dollars that the agent or provider reported.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-5").cost("0.25".parse()?);
    /// assert_eq!(record.cost.unwrap().to_string(), "0.25");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn cost(mut self, cost: Usd) -> Self {
        self.cost = Some(cost);
        self
    }

    /// Sets how often the provider used one of its own tools.
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("anthropic", "claude-opus-4-8").server_tool("web_search", 3);
    /// assert_eq!(record.server_tools["web_search"], 3);
    /// ```
    pub fn server_tool(mut self, name: impl Into<String>, uses: u64) -> Self {
        self.server_tools.insert(name.into(), uses);
        self
    }

    /// Sets how many tokens of a class are of a modality: `input_audio`, `cache_read_image`, `output_video` …
    ///
    /// ```
    /// # use usage_ledger::TokenRecord;
    /// let record = TokenRecord::new("openai", "gpt-audio-mini").input(1_000).modality("input_audio", 900);
    /// assert_eq!((record.tokens.input, record.modalities["input_audio"]), (Some(1_000), 900));
    /// ```
    pub fn modality(mut self, name: impl Into<String>, tokens: u64) -> Self {
        self.modalities.insert(name.into(), tokens);
        self
    }

    /// When the counts of a call at this time appeared.
    pub(crate) fn counted_time(&self, at: Timestamp) -> Timestamp {
        self.counted_at.map_or(at, |counted| counted.max(at))
    }

    /// Minifies the usage object.
    pub(crate) fn minify(&mut self) {
        if let Some(raw) = &mut self.raw {
            raw.minify();
        }
    }

    /// Whether another record has the same content, apart from `counted_at`.
    pub(crate) fn has_same_content(&self, other: &Self) -> bool {
        self == other
            || (self.counted_at != other.counted_at && Self { counted_at: other.counted_at, ..self.clone() } == *other)
    }

    /// The ids of its natural keys, and the further ones.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EventId> {
        self.keys.iter().map(|key| EventId::from_key(&self.provider, key)).chain(self.key_ids.iter().copied())
    }

    /// Checks the provider, the counts and the lengths of the texts.
    pub(crate) fn validate(&self) -> Result<()> {
        ProviderId::new(&self.provider)?;
        self.tokens.validate()?;
        self.tokens.total()?;
        super::extra::validate(&self.modalities, &self.server_tools)?;
        if self.cost.is_some_and(|cost| cost > Usd::MOST || cost < Usd::MOST.negated()) {
            return Err(Error::Overflow { what: "cost" });
        }
        let named = [
            ("account", self.account.as_deref()),
            ("model", self.model.as_deref()),
            ("agent", self.agent.as_deref()),
            ("conversation", self.conversation.as_deref()),
            ("project", self.project.as_deref()),
        ];
        let labels = self.labels.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
        let keys = self.keys.iter().map(|key| ("key", Some(key.as_str())));
        for (name, value) in named.into_iter().chain(labels).chain(keys) {
            let Some(value) = value else { continue };
            if value.is_empty() {
                return Err(Error::invalid(format!("`{name}` is empty: leave it out or give it a value")));
            }
            if value.len() > MAX_TEXT || name.len() > MAX_TEXT {
                return Err(Error::invalid(format!(
                    "`{name}` is longer than {MAX_TEXT} bytes: it is a name, not a text"
                )));
            }
            // Keys of the projections separate fields with a zero byte.
            if value.contains('\0') || name.contains('\0') {
                return Err(Error::invalid(format!("`{name}` holds a zero byte: remove it")));
            }
        }
        Ok(())
    }
}
