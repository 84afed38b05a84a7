//! Parses one line of a Qwen Code chat.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::engine::jsonl;

/// The relevant fields. The rest, which is most of the line, is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ChatLine<'a> {
    #[serde(borrow)]
    pub uuid: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "sessionId")]
    pub session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub timestamp: Option<Cow<'a, str>>,
    /// `user`, `assistant`, `tool_result` or `system`.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub cwd: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub model: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "usageMetadata")]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow, rename = "usage")]
    pub renamed: Option<&'a RawValue>,
    /// Whether a subagent wrote it.
    #[serde(rename = "isSidechain")]
    pub sidechain: Option<bool>,
    /// Origin of a line that a branched session copied.
    #[serde(borrow, rename = "forkedFrom")]
    pub forked: Option<Forked<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Forked<'a> {
    #[serde(borrow, rename = "sessionId")]
    pub session: Option<Cow<'a, str>>,
}

impl<'a> ChatLine<'a> {
    pub fn parse(line: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| jsonl::refusal(&error))
    }
}
