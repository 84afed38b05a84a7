//! Parses chats, as lines or as one document, and the call of a message.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::model::event::{Raw, ServerKey, TokenRecord};
use crate::readers::normalise::{self, UsageFormat};

/// A client that writes this format.
#[derive(Clone, Copy)]
pub(in crate::import) struct Dialect {
    pub agent: &'static str,
    pub provider: &'static str,
    pub format: UsageFormat,
    /// Message types that are answers.
    pub answers: &'static [&'static str],
}

/// A line or a document. The relevant fields are at its top level, in `$set`, or in a list of messages of either.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::import) struct ChatEntry<'a> {
    #[serde(borrow, rename = "sessionId")]
    pub session: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "startTime")]
    pub started: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "$set")]
    pub set: Option<Update<'a>>,
    /// Set if the line is a message.
    #[serde(borrow)]
    pub tokens: Option<&'a RawValue>,
    #[serde(borrow, rename = "usageMetadata")]
    pub renamed: Option<&'a RawValue>,
}

/// Fields that a `$set` line replaces.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::import) struct Update<'a> {
    #[serde(borrow, rename = "sessionId")]
    pub session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub messages: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChatMessage<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tokens: Option<&'a RawValue>,
    #[serde(borrow, rename = "usageMetadata")]
    renamed: Option<&'a RawValue>,
}

/// The meaning of a message without counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum ChatRole {
    /// A complete answer: its counts would be written with it.
    Answer,
    /// An answer without text. Its counts may follow.
    Begun,
    Nothing,
}

impl ChatRole {
    pub fn of(dialect: Dialect, json: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct ChatText<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<Cow<'a, str>>,
            #[serde(borrow)]
            content: Option<&'a RawValue>,
        }
        let is_answer = |kind: &str| dialect.answers.contains(&kind);
        if let Ok(Some(kind)) = jsonl::kind(json)
            && !std::str::from_utf8(kind).is_ok_and(|kind| is_answer(kind.trim_matches('"')))
        {
            return Self::Nothing;
        }
        let text_fields: ChatText<'_> = serde_json::from_slice(json).unwrap_or_default();
        let has_text = || text_fields.content.is_some_and(|content| !matches!(content.get(), "\"\"" | "[]" | "null"));
        match text_fields.kind.as_deref().is_some_and(is_answer) {
            true if has_text() => Self::Answer,
            true => Self::Begun,
            false => Self::Nothing,
        }
    }
}

/// The owner of a chat.
#[derive(Clone, Debug, Default)]
pub(in crate::import) struct ChatPlace {
    /// The session of the messages.
    pub session: Option<String>,
    /// The main session, if a subagent wrote the chat.
    pub parent: Option<String>,
    /// Whether a subagent wrote it.
    pub aside: bool,
    pub project: Option<String>,
}

impl<'a> ChatEntry<'a> {
    pub fn parse(json: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| jsonl::refusal(&error))
    }
}

/// Returns the call of a message, if it is an answer with counts.
pub(in crate::import) fn call(dialect: Dialect, place: &ChatPlace, json: &str) -> Result<Option<ParsedCall>, String> {
    let message: ChatMessage<'_> = serde_json::from_str(json).map_err(|error| jsonl::refusal(&error))?;
    let Some(tokens) = message.tokens else {
        let why = "unknown shape: a message whose counts are in `usageMetadata`".to_owned();
        return if message.renamed.is_some() { Err(why) } else { Ok(None) };
    };
    if !message.kind.as_deref().is_some_and(|kind| dialect.answers.contains(&kind)) {
        return Err("unknown shape: tokens in a message that is no answer".to_owned());
    }
    let id = message.id.as_deref().and_then(jsonl::name).ok_or("unknown shape: an answer with tokens without an id")?;
    let at = jsonl::time(message.timestamp.as_deref())?;
    let unknown = |error: crate::Error| format!("unknown shape: {error}");
    let counts = normalise::usage(dialect.format, tokens.get()).map_err(unknown)?;
    counts.tokens.validate().map_err(unknown)?;
    if counts.tokens.total().map_err(unknown)? == 0 {
        return Err("unknown usage: all counts of an answer are 0".to_owned());
    }
    let labels =
        if place.aside { BTreeMap::from([("sidechain".to_owned(), "true".to_owned())]) } else { BTreeMap::new() };
    let record = TokenRecord {
        provider: dialect.provider.into(),
        account: None,
        model: message.model.as_deref().and_then(jsonl::name).map(str::to_owned),
        agent: Some(dialect.agent.to_owned()),
        conversation: place.parent.clone().or_else(|| place.session.clone()),
        project: place.project.clone(),
        labels,
        tokens: counts.tokens,
        modalities: counts.modalities,
        server_tools: counts.server_tools,
        cost: counts.cost,
        duration_ms: None,
        counted_at: None,
        keys: vec![key(place.session.as_deref(), id)],
        key_ids: Vec::new(),
        server_key: ServerKey::default(),
        normaliser: Some(counts.normaliser.into()),
        quality: counts.quality,
        residual: counts.residual,
        raw: Some(Raw::from(tokens)),
    };
    Ok(Some(ParsedCall { at, record }))
}

/// A random id identifies a message in every session. Any other id is unique only within its session.
pub(in crate::import) fn key(session: Option<&str>, id: &str) -> String {
    let is_random = id.len() == 36 && uuid::Uuid::parse_str(id).is_ok();
    match session {
        Some(session) if !is_random => format!("{session}/{id}"),
        _ => id.to_owned(),
    }
}
