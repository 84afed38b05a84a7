//! Parses one line of a Codex rollout.

use crate::model::secrets;
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::engine::jsonl::{self, Declined, JsonCursor};

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// Metadata of the rollout: thread, provider, parent.
    Meta,
    /// Context of a turn: model and directory.
    Context,
    /// New settings for the later turns of the thread.
    Settings,
    /// The counter of the thread, after a call or repeated.
    Count,
    /// One call.
    Record,
    /// A message or tool call. It has no counts, whatever text it quotes.
    Item,
    /// Anything else.
    Other,
    /// Not recognisable from the start of the line.
    Unclear,
}

impl LineKind {
    /// Returns the kind of a line in the form that clients write: type before payload, and the payload's type first.
    pub fn of(line: &[u8]) -> Self {
        Self::quick(line).unwrap_or(Self::Unclear)
    }

    fn quick(line: &[u8]) -> Result<Self, Declined> {
        let mut cursor = JsonCursor::new(line)?;
        while let Some(key) = cursor.key()? {
            match (key, cursor.skip_scalar()?) {
                (b"type", b"\"event_msg\"") => break,
                (b"type", kind) => return Ok(Self::named(kind)),
                _ => {}
            }
        }
        while let Some(key) = cursor.key()? {
            if key != b"payload" {
                cursor.skip_scalar()?;
            } else if cursor.enter()? && cursor.key()? == Some(b"type") {
                return Ok(Self::event(cursor.skip()?));
            } else {
                break;
            }
        }
        Err(Declined)
    }

    /// Returns the kind of an event from the type of its payload.
    fn event(quoted: &[u8]) -> Self {
        match quoted {
            b"\"token_count\"" => Self::Count,
            b"\"thread_settings_applied\"" => Self::Settings,
            _ => Self::Other,
        }
    }

    fn named(quoted: &[u8]) -> Self {
        match quoted {
            b"\"session_meta\"" => Self::Meta,
            b"\"turn_context\"" => Self::Context,
            b"\"token_usage_record\"" => Self::Record,
            b"\"response_item\"" | b"\"compacted\"" => Self::Item,
            _ => Self::Other,
        }
    }

    /// Returns the kind of any line with `serde_json`. The first rollouts began with the bare payload of a
    /// `session_meta`.
    pub fn by_the_book(line: &[u8]) -> Result<Self, String> {
        let outline = LineOutline::read(line)?;
        let Some(kind) = &outline.kind else {
            let bare = outline.payload.is_none() && outline.id.is_some() && outline.timestamp.is_some();
            return Ok(if bare { Self::Meta } else { Self::Other });
        };
        if kind != "event_msg" {
            return Ok(Self::named(format!("\"{kind}\"").as_bytes()));
        }
        let event = outline.event().kind.unwrap_or_default();
        Ok(Self::event(format!("\"{event}\"").as_bytes()))
    }
}

/// The type of a line and the outline of its payload, parsed with `serde_json`.
#[derive(Deserialize)]
pub(super) struct LineOutline<'a> {
    #[serde(rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    pub payload: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

/// The type and role of a payload.
#[derive(Default, Deserialize)]
pub(super) struct RolloutEvent<'a> {
    #[serde(rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    token_usage: Option<&'a RawValue>,
    #[serde(borrow)]
    total_token_usage: Option<&'a RawValue>,
}

impl<'a> LineOutline<'a> {
    pub fn read(line: &'a [u8]) -> Result<Self, String> {
        read(line)
    }

    /// The role of a line that is an item without an envelope.
    pub fn role(&self) -> Option<&'a str> {
        self.role.map(unquoted)
    }

    /// Returns the outline of the payload; empty if it is no object.
    pub fn event(&self) -> RolloutEvent<'a> {
        self.payload.and_then(|payload| serde_json::from_str(payload.get()).ok()).unwrap_or_default()
    }
}

impl<'a> RolloutEvent<'a> {
    /// The role of the payload.
    pub fn role(&self) -> Option<&'a str> {
        self.role.map(unquoted)
    }
}

/// Returns a string without quotes; any other value as written.
fn unquoted(value: &RawValue) -> &str {
    value.get().trim_matches('"')
}

/// Skips, with a reason, a line of an unknown type that contains token counts.
pub(super) fn refuse_tokens(line: &[u8]) -> Result<(), String> {
    let outline = LineOutline::read(line)?;
    let event = outline.event();
    let kind = outline.kind.unwrap_or_default();
    let kind = if kind == "event_msg" { event.kind.unwrap_or_default() } else { kind };
    let counts = [event.input_tokens, event.usage, event.token_usage, event.total_token_usage];
    if kind.contains("token") || counts.iter().flatten().any(|counts| counts.get() != "null") {
        return Err(format!("unknown shape: a line of type {} that tells of tokens", secrets::quoted(&kind)));
    }
    Ok(())
}

/// A line with the payload of its kind.
#[derive(Deserialize)]
pub(super) struct RolloutLine<'a, P> {
    #[serde(borrow)]
    pub timestamp: Option<Cow<'a, str>>,
    pub payload: Option<P>,
}

/// Parses a relevant line.
pub(super) fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| jsonl::refusal(&error))
}

#[derive(Default, Deserialize)]
pub(super) struct SessionMeta<'a> {
    pub id: Option<Cow<'a, str>>,
    pub cwd: Option<Cow<'a, str>>,
    pub cli_version: Option<Cow<'a, str>>,
    pub model_provider: Option<Cow<'a, str>>,
    pub forked_from_id: Option<Cow<'a, str>>,
    pub parent_thread_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
}

impl SessionMeta<'_> {
    /// Iterates over the threads whose history this one may repeat.
    pub fn parents(&self) -> impl Iterator<Item = String> {
        let spawned = self.source.and_then(|source| spawned_by(source.get()));
        let named = [&self.parent_thread_id, &self.forked_from_id].map(|id| id.as_deref().map(str::to_owned));
        spawned.into_iter().chain(named.into_iter().flatten())
    }
}

/// Returns the thread that spawned this one. `source` is a plain string for threads that a user started.
fn spawned_by(source: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct SessionSource {
        subagent: Subagent,
    }
    #[derive(Deserialize)]
    struct Subagent {
        thread_spawn: SubagentSpawn,
    }
    #[derive(Deserialize)]
    struct SubagentSpawn {
        parent_thread_id: Option<String>,
    }
    serde_json::from_str::<SessionSource>(source).ok()?.subagent.thread_spawn.parent_thread_id
}

#[derive(Default, Deserialize)]
pub(super) struct TurnContext<'a> {
    pub model: Option<Cow<'a, str>>,
    pub cwd: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
pub(super) struct SettingsApplied<'a> {
    #[serde(borrow)]
    pub thread_settings: Option<ThreadSettings<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct ThreadSettings<'a> {
    pub model: Option<Cow<'a, str>>,
    pub cwd: Option<Cow<'a, str>>,
    pub service_tier: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
pub(super) struct TokenCount<'a> {
    #[serde(borrow)]
    pub info: Option<TokenCountInfo<'a>>,
    /// Counts next to `info` instead of in it, as clients wrote them before rollouts had events.
    #[serde(borrow)]
    pub input_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    pub total_token_usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub last_token_usage: Option<&'a RawValue>,
    /// State of the account's quota windows.
    #[serde(borrow)]
    pub rate_limits: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct TokenCountInfo<'a> {
    #[serde(borrow)]
    pub total_token_usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub last_token_usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
pub(super) struct ResponseRecord<'a> {
    pub thread_id: Option<Cow<'a, str>>,
    pub response_id: Option<Cow<'a, str>>,
    /// The service tier in the response.
    pub service_tier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub thread_token_usage: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_line_is_read_from_its_beginning() {
        let event =
            |payload: &str| format!(r#"{{"timestamp":"t","ordinal":3,"type":"event_msg","payload":{payload}}}"#);
        for (line, kind) in [
            (event(r#"{"type":"token_count","info":null}"#), LineKind::Count),
            (event(r#"{"type":"agent_message","message":"\"token_count\""}"#), LineKind::Other),
            (event(r#"{"info":null,"type":"token_count"}"#), LineKind::Unclear),
            (r#"{"type":"session_meta","payload":{}}"#.to_owned(), LineKind::Meta),
            (r#"{"payload":{},"type":"session_meta"}"#.to_owned(), LineKind::Unclear),
            (r#"{"type":"response_item","payload":{"type":"token_count"}}"#.to_owned(), LineKind::Item),
            (r#"{"id":"x","timestamp":"t","instructions":null}"#.to_owned(), LineKind::Unclear),
        ] {
            assert_eq!(LineKind::of(line.as_bytes()), kind, "{line}");
        }
    }

    #[test]
    fn the_full_parser_reads_what_the_beginning_of_a_line_omits() {
        for (line, kind) in [
            (r#"{"payload":{"info":null,"type":"token_count"},"type":"event_msg"}"#, LineKind::Count),
            (r#"{"payload":{},"type":"session_meta"}"#, LineKind::Meta),
            (r#"{"id":"x","timestamp":"t","instructions":null}"#, LineKind::Meta),
            (r#"{"record_type":"state"}"#, LineKind::Other),
            (r#"{"payload":"x","type":"event_msg"}"#, LineKind::Other),
        ] {
            assert_eq!(LineKind::by_the_book(line.as_bytes()), Ok(kind), "{line}");
        }
        assert!(LineKind::by_the_book(br#"{"a":}"#).is_err());
    }

    #[test]
    fn parents_are_found_wherever_a_client_names_them() {
        let meta: SessionMeta<'_> = serde_json::from_str(
            r#"{"id":"c","source":{"subagent":{"thread_spawn":{"parent_thread_id":"p","depth":1}}},"forked_from_id":"f"}"#,
        )
        .unwrap();
        assert_eq!(meta.parents().collect::<Vec<_>>(), ["p", "f"]);
        for source in [r#""cli""#, r#"{"subagent":"review"}"#, "null"] {
            let text = format!(r#"{{"source":{source}}}"#);
            let meta: SessionMeta<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(meta.parents().count(), 0, "{source}");
        }
    }
}
