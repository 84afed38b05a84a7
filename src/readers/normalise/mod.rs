//! Converts the usage object of each API into disjoint token classes.
//!
//! Some APIs count cached input inside the input and some beside it; the same applies to reasoning and output. A named,
//! versioned normaliser converts these conventions once, so no other code depends on them. It neither guesses nor
//! clamps: a count that was not reported is absent, a sum that does not add up is flagged, and an impossible
//! combination is an error that names the fields.
//!
//! ```
//! use usage_ledger::normalise::{self, UsageFormat};
//! // Anthropic counts the cache beside the input, OpenAI inside it.
//! let a = normalise::usage(UsageFormat::Anthropic, r#"{"input_tokens":20,"cache_read_input_tokens":80,"output_tokens":5}"#)?;
//! let o = normalise::usage(
//!     UsageFormat::OpenaiChat,
//!     r#"{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":80},"completion_tokens":5,"total_tokens":105}"#,
//! )?;
//! assert_eq!(a.tokens, o.tokens);
//! # Ok::<(), usage_ledger::Error>(())
//! ```

#[cfg(feature = "cli")]
pub(crate) mod agent;
mod anthropic;
mod bedrock;
mod codex;
mod count;
mod deepseek;
mod fields;
mod format;
mod gemini;
mod gemini_cli;
#[cfg(feature = "import")]
pub(crate) mod logged;
mod mistral;
mod modality;
mod ollama;
mod openai;
mod opencode;
mod qwen_code;
mod reply;
mod server_tools;
mod statement;
mod stream;
mod xai;

pub use format::UsageFormat;

use std::collections::BTreeMap;

use crate::model::error::{Error, Result};
use crate::model::event::{INFERENCE_GEO, SERVICE_TIER, is_special};
use crate::model::event::{Quality, Raw, ServerKey, TokenRecord};
use crate::model::tokens::{Tokens, Usd};

/// Separates a stated total from the differing sum of its parts in a residual.
pub(crate) const PARTS_APART: &str = "but parts sum to";
/// Separates a count from the differing sum of its split in a residual.
pub(crate) const SPLIT_APART: &str = "but its split sums to";
/// The residual of a response whose counts are all 0: its server does not report usage.
pub(crate) const NO_USAGE: &str = "all counts are 0: the usage of this call is unknown";

/// The counts of one usage object, each token in exactly one class.
///
/// ```
/// use usage_ledger::event::Quality;
/// use usage_ledger::normalise::{self, UsageFormat};
/// let odd = normalise::usage(UsageFormat::OpenaiChat, r#"{"prompt_tokens":100,"completion_tokens":18,"total_tokens":120}"#)?;
/// assert_eq!(odd.normaliser, "openai-chat/1");
/// assert_eq!(odd.quality, Quality::Derived);
/// assert_eq!(odd.residual.as_deref(), Some("total 120 but parts sum to 118"));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Normalised {
    /// The counts; a count that the API did not report is absent.
    pub tokens: Tokens,
    /// Name and version of the rules that computed them, such as `anthropic/1`.
    pub normaliser: &'static str,
    /// [`Quality::Reported`], or [`Quality::Derived`] if `residual` is set.
    pub quality: Quality,
    /// What did not add up, or which interpretation of the object was chosen because only that one adds up.
    pub residual: Option<String>,
    /// The cost that the API stated.
    pub cost: Option<Usd>,
    /// The service tier, if it is not the standard one: `batch`, `priority`, `fast` … It has separate prices.
    pub service_tier: Option<String>,
    /// The region that the caller chose, such as `us`. It has separate prices.
    pub inference_geo: Option<String>,
    /// Tokens of other modalities than text, by class and modality, such as `input_audio`. They are part of `tokens`.
    pub modalities: BTreeMap<String, u64>,
    /// How often the provider used each of its own tools, such as `web_search`.
    pub server_tools: BTreeMap<String, u64>,
    /// Calls of other models, such as those of an advisor. `tokens` excludes them.
    pub nested: Vec<NestedUsage>,
}

/// A call of another model within a usage object.
///
/// ```
/// use usage_ledger::normalise::{self, UsageFormat};
/// let json = r#"{"input_tokens":1,"output_tokens":2,
///     "iterations":[{"type":"advisor_message","model":"claude-opus-4-7","input_tokens":30,"output_tokens":4}]}"#;
/// let [advice] = &normalise::usage(UsageFormat::Anthropic, json)?.nested[..] else { panic!() };
/// assert_eq!((advice.purpose.as_str(), advice.model.as_deref()), ("advisor", Some("claude-opus-4-7")));
/// assert_eq!(advice.usage.tokens.total()?, 34);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NestedUsage {
    /// Its index among the iterations, from 0.
    pub place: usize,
    /// Its purpose, such as `advisor`.
    pub purpose: String,
    /// The model that answered, if the object names it.
    pub model: Option<String>,
    /// Its counts.
    pub usage: Normalised,
    /// Its part of the object, verbatim.
    pub raw: String,
}

impl Normalised {
    /// Counts without modalities and tools.
    const fn new(tokens: Tokens, normaliser: &'static str, quality: Quality, residual: Option<String>) -> Self {
        Self {
            tokens,
            normaliser,
            quality,
            residual,
            cost: None,
            service_tier: None,
            inference_geo: None,
            modalities: BTreeMap::new(),
            server_tools: BTreeMap::new(),
            nested: Vec::new(),
        }
    }

    /// Sets the fields of a record that determine its price besides its tokens.
    pub(crate) fn set_tariff(&self, record: &mut TokenRecord) {
        for (name, value) in [(SERVICE_TIER, &self.service_tier), (INFERENCE_GEO, &self.inference_geo)] {
            if let Some(value) = value {
                record.labels.insert(name.to_owned(), value.clone());
            }
        }
        record.modalities.clone_from(&self.modalities);
        record.server_tools.clone_from(&self.server_tools);
    }
}

impl NestedUsage {
    /// The record of this call, with the caller and the time of `outer`. Its keys are derived from the keys of `outer`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when its part of the usage object is not JSON.
    pub(crate) fn record(&self, outer: &TokenRecord) -> Result<TokenRecord> {
        let mut record = outer.clone();
        record.model.clone_from(&self.model);
        record.tokens = self.usage.tokens;
        record.cost = None;
        record.duration_ms = None;
        record.quality = self.usage.quality;
        record.residual.clone_from(&self.usage.residual);
        record.labels.remove(SERVICE_TIER);
        self.usage.set_tariff(&mut record);
        record.labels.insert("purpose".to_owned(), self.purpose.clone());
        record.raw = Some(Raw::parse(&self.raw)?);
        for key in &mut record.keys {
            *key = format!("{key}/iterations/{}", self.place);
        }
        record.key_ids.clear();
        Ok(record)
    }
}

/// Reads a bare usage object.
///
/// ```
/// use usage_ledger::normalise::{self, UsageFormat};
/// let json = r#"{"promptTokenCount":90,"candidatesTokenCount":7,"thoughtsTokenCount":30,"totalTokenCount":127}"#;
/// let tokens = normalise::usage(UsageFormat::Gemini, json)?.tokens;
/// assert_eq!((tokens.output, tokens.reasoning), (Some(7), Some(30)));
/// assert_eq!(tokens.cache_read, None); // not reported is not zero
/// # Ok::<(), usage_ledger::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] for another kind of object, for a count that is not a whole number up to
/// [`MAX_COUNT`](crate::MAX_COUNT), without any count, and when no interpretation of the counts is possible.
pub fn usage(format: UsageFormat, usage_json: &str) -> Result<Normalised> {
    match format {
        UsageFormat::Anthropic | UsageFormat::ClaudeCode => anthropic::usage(format, usage_json),
        UsageFormat::OpenaiChat => openai::chat(format, usage_json)?.settle(format),
        UsageFormat::OpenaiResponses => openai::responses(format, usage_json)?.settle(format),
        UsageFormat::Gemini => gemini::usage(format, usage_json),
        UsageFormat::Ollama => ollama::usage(format, usage_json),
        UsageFormat::Bedrock => bedrock::usage(format, usage_json),
        UsageFormat::Mistral => mistral::usage(format, usage_json),
        UsageFormat::Deepseek => deepseek::usage(format, usage_json),
        UsageFormat::Xai => xai::usage(format, usage_json),
        UsageFormat::Codex => codex::usage(format, usage_json),
        UsageFormat::GeminiCli => gemini_cli::usage(format, usage_json),
        UsageFormat::QwenCode => qwen_code::usage(format, usage_json),
        UsageFormat::Opencode => opencode::usage(format, usage_json, None),
    }
}

/// Merges two usage objects of one reply: of each field the later value, unless it states nothing.
#[cfg(feature = "import")]
pub(crate) fn merged(earlier: &str, later: &str) -> Option<String> {
    let mut merged: fields::Fields = serde_json::from_str(earlier).ok()?;
    merged.merge(&serde_json::from_str(later).ok()?);
    Some(merged.compose())
}

/// Reads the `tokens` of an `OpenCode` message with reasoning beside the output.
#[cfg(feature = "import")]
pub(crate) fn opencode_beside(usage_json: &str) -> Result<Normalised> {
    opencode::usage(UsageFormat::Opencode, usage_json, Some(true))
}

/// Makes a record of a response: a whole body, a bare usage object, or a stream (server-sent events, JSON lines, or a
/// JSON array of chunks).
///
/// The record has the format's provider, the model and the id (as its key) if the response states them, and the usage
/// object verbatim. It contains nothing else of the response. Set other fields afterwards.
///
/// A usage object in several parts is assembled from verbatim values: an Anthropic stream states some counts only in
/// `message_start`, and Ollama mixes them with the reply.
///
/// ```
/// use usage_ledger::normalise::{self, UsageFormat};
/// let stream = r#"
/// event: message_start
/// data: {"type":"message_start","message":{"id":"msg_1","model":"claude-opus-4-5","usage":{"input_tokens":25,"output_tokens":1}}}
///
/// event: message_delta
/// data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}
/// "#;
/// let record = normalise::response(UsageFormat::Anthropic, stream)?.project("acme");
/// assert_eq!(record.keys, ["msg_1"]);
/// assert_eq!(record.raw.unwrap().get(), r#"{"input_tokens":25,"output_tokens":15}"#);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] as for [`usage`], and when the text is not JSON, states no usage, or contains several responses.
pub fn response(format: UsageFormat, json: &str) -> Result<TokenRecord> {
    answered(format, json).map(|(record, _)| record)
}

/// Makes all records of a response: that of [`response`], and one for each call of another model in its usage object,
/// such as those of an advisor.
///
/// ```
/// use usage_ledger::normalise::{self, UsageFormat};
/// let body = r#"{"id":"msg_1","model":"claude-haiku-4-5","usage":{"input_tokens":3,"output_tokens":4}}"#;
/// assert_eq!(normalise::calls(UsageFormat::Anthropic, body)?.len(), 1);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
///
/// # Errors
/// As for [`response`].
pub fn calls(format: UsageFormat, json: &str) -> Result<Vec<TokenRecord>> {
    let (record, nested) = answered(format, json)?;
    let others: Vec<_> = nested.iter().map(|nested| nested.record(&record)).collect::<Result<_>>()?;
    Ok(std::iter::once(record).chain(others).collect())
}

fn answered(format: UsageFormat, json: &str) -> Result<(TokenRecord, Vec<NestedUsage>)> {
    let documents = stream::documents(json)?;
    let reply = reply::Reply::gather(format, &documents)?;
    let mut normalised = usage(format, &reply.usage)?;
    normalised.service_tier = normalised.service_tier.or(reply.service_tier.filter(|tier| is_special(tier)));
    for (tool, uses) in reply.server_tools {
        normalised.server_tools.entry(tool).or_insert(uses);
    }
    let mut notes = reply.notes;
    notes.extend(normalised.residual.take());
    if normalised.nested.is_empty() && normalised.tokens.total()? == 0 {
        notes.push(NO_USAGE.to_owned());
    }

    let mut record = TokenRecord::new(format.provider(), reply.model.unwrap_or_default());
    record.server_key = ServerKey::of(reply.id.is_some());
    record.keys.extend(reply.id);
    record.duration_ms = reply.duration_ms;
    record.tokens = normalised.tokens;
    record.cost = normalised.cost;
    record.normaliser = Some(normalised.normaliser.into());
    record.quality = if notes.is_empty() { normalised.quality } else { Quality::Derived };
    record.residual = (!notes.is_empty()).then(|| notes.join("; "));
    record.raw = Some(Raw::parse(&reply.usage)?);
    normalised.set_tariff(&mut record);
    Ok((record, normalised.nested))
}

/// Deserialises a usage object into the struct of one API's fields.
fn parse<'a, T: serde::Deserialize<'a>>(format: UsageFormat, json: &'a str) -> Result<T> {
    // serde would also fill a struct from an array, by position.
    if !json.trim_start().starts_with('{') {
        return Err(Error::invalid(format!("the {format} usage is not a JSON object: give it as the API sent it")));
    }
    serde_json::from_str(json).map_err(|e| Error::invalid(format!("the {format} usage object cannot be read: {e}")))
}
