//! What each API reports, turned into disjoint token classes.
//!
//! Some APIs count cached input inside the input and some beside it, and so it goes with reasoning and output.
//! That habit is undone here, once, by a normaliser with a name and a version; nobody downstream has to know it.
//! Nothing is guessed and nothing is clamped: what was not reported is absent, what does not add up is flagged,
//! and what cannot be true is an error that names the fields.
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

pub mod agent;
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
mod ollama;
mod openai;
mod opencode;
mod qwen_code;
mod reply;
mod statement;
mod stream;
mod xai;

pub use format::UsageFormat;

use crate::model::error::{Error, Result};
use crate::model::event::{Quality, Raw, TokenRecord};
use crate::model::event::{SERVICE_TIER, is_special};
use crate::model::tokens::{Tokens, Usd};

/// What a residual says between a stated total and the sum of its parts, where that is another.
pub(crate) const PARTS_APART: &str = "but parts sum to";
/// The same of a count and the sum of what it is split into.
pub(crate) const SPLIT_APART: &str = "but its split sums to";

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
    /// The counts; what the API did not report is absent.
    pub tokens: Tokens,
    /// Name and version of the rules that made them, such as `anthropic/1`.
    pub normaliser: &'static str,
    /// [`Quality::Reported`], or [`Quality::Derived`] when `residual` says what did not fit.
    pub quality: Quality,
    /// What did not add up, or which other reading of the object was taken because only that one adds up.
    pub residual: Option<String>,
    /// What the API said the call cost.
    pub cost: Option<Usd>,
    /// How the call was served, when not in the ordinary way: `batch`, `priority`, `fast` … It has other prices.
    pub service_tier: Option<String>,
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
/// [`Error::Invalid`] when it is not such an object, a count is not a whole number up to
/// [`MAX_COUNT`](crate::MAX_COUNT), no count is there at all, or no reading of the counts is possible.
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

/// Reads the `tokens` of an `OpenCode` message that is known to have reasoning beside the output.
#[cfg(feature = "import")]
pub(crate) fn opencode_beside(usage_json: &str) -> Result<Normalised> {
    opencode::usage(UsageFormat::Opencode, usage_json, Some(true))
}

/// Reads the `TokenUsage` of a Codex session log: [`usage`] with [`UsageFormat::Codex`].
///
/// ```
/// let last = r#"{"input_tokens":900,"cached_input_tokens":800,"output_tokens":50,"reasoning_output_tokens":20,"total_tokens":950}"#;
/// let tokens = usage_ledger::normalise::codex(last)?.tokens;
/// assert_eq!((tokens.input, tokens.output), (Some(100), Some(30)));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] as for [`usage`].
pub fn codex(usage_json: &str) -> Result<Normalised> {
    usage(UsageFormat::Codex, usage_json)
}

/// Makes a record of a response: a whole body, a bare usage object, or a stream (server-sent events, lines of JSON,
/// or a JSON array of chunks).
///
/// The record has the format's provider, the model and the id (as its key) where the response states them, and the
/// usage object to the letter. Of the rest of the response nothing is kept. Set other fields afterwards.
///
/// A usage object that is not in one piece is put together, every value to the letter: an Anthropic stream states
/// some counts in `message_start` only, and Ollama mixes them with the answer.
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
/// [`Error::Invalid`] as for [`usage`], and when the text is not JSON, states no usage, or holds several responses.
pub fn response(format: UsageFormat, json: &str) -> Result<TokenRecord> {
    let documents = stream::documents(json)?;
    let reply = reply::Reply::gather(format, &documents)?;
    let normalised = usage(format, &reply.usage)?;
    let mut notes = reply.notes;
    notes.extend(normalised.residual);

    let mut record = TokenRecord::new(format.provider(), reply.model.unwrap_or_default());
    record.keys.extend(reply.id);
    record.duration_ms = reply.duration_ms;
    record.tokens = normalised.tokens;
    record.cost = normalised.cost;
    record.normaliser = Some(normalised.normaliser.into());
    record.quality = if notes.is_empty() { normalised.quality } else { Quality::Derived };
    record.residual = (!notes.is_empty()).then(|| notes.join("; "));
    record.raw = Some(Raw::parse(&reply.usage)?);
    if let Some(tier) = normalised.service_tier.or(reply.service_tier.filter(|tier| is_special(tier))) {
        record.labels.insert(SERVICE_TIER.to_owned(), tier);
    }
    Ok(record)
}

/// Reads a usage object into the struct that spells one API's fields.
fn parse<'a, T: serde::Deserialize<'a>>(format: UsageFormat, json: &'a str) -> Result<T> {
    // serde would also fill a struct from an array, by position.
    if !json.trim_start().starts_with('{') {
        return Err(Error::invalid(format!("the {format} usage is not a JSON object: give it as the API sent it")));
    }
    serde_json::from_str(json).map_err(|e| Error::invalid(format!("the {format} usage object cannot be read: {e}")))
}
