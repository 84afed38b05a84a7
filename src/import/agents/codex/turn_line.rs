//! Classifies lines without counts: whether the model answered, and whether a turn has ended.

use super::line::LineOutline;
use crate::import::engine::jsonl::{Declined, JsonCursor};

/// The meaning of a line without counts.
///
/// A client writes the counts of a call after its answer and before the end of the turn. The first clients wrote only
/// items, without counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnLine {
    /// Text or a tool call of the model.
    Answer,
    /// A web search that the provider made for the model.
    Search,
    /// Text or a tool call, from a client that never wrote counts.
    BareAnswer,
    /// A prompt, or the end of a turn: what precedes is complete.
    Over,
    Nothing,
}

impl TurnLine {
    /// Classifies a line. A malformed line has no meaning here; it only contains text.
    pub fn of(line: &[u8]) -> Self {
        Self::quick(line)
            .or_else(|Declined| {
                let outline = LineOutline::read(line).map_err(|_| Declined)?;
                let (event, bare) = (outline.event(), outline.payload.is_none());
                let role = if bare { outline.role() } else { event.role() };
                let of = event.kind.as_deref().filter(|_| !bare);
                Ok::<_, Declined>(Self::named(outline.kind.as_deref().unwrap_or_default(), of, role))
            })
            .unwrap_or(Self::Nothing)
    }

    /// Classifies a line in the form that clients write: type and role precede the text.
    fn quick(line: &[u8]) -> Result<Self, Declined> {
        let mut cursor = JsonCursor::new(line)?;
        let (mut kind, mut of, mut role, mut inside) = (None, None, None, false);
        while let Some(key) = cursor.key()? {
            match key {
                // Any other line with a payload has no meaning here, however long it is.
                b"payload" if kind.is_some_and(|kind| !is_envelope(kind)) => return Ok(Self::Nothing),
                b"payload" if !inside => {
                    inside = cursor.enter()?;
                    continue;
                }
                b"type" if inside => of = Some(unquoted(cursor.skip_scalar()?)?),
                b"type" => kind = Some(unquoted(cursor.skip_scalar()?)?),
                b"role" => role = Some(unquoted(cursor.skip_scalar()?)?),
                _ => {
                    cursor.skip_scalar()?;
                }
            }
            let item = if inside { of } else { kind };
            let has_reported = kind.is_some() && item.is_some_and(|item| item != "message" || role.is_some());
            if has_reported && (inside || !kind.is_some_and(is_envelope)) {
                break;
            }
        }
        Ok(Self::named(kind.ok_or(Declined)?, of, role))
    }

    fn named(kind: &str, of: Option<&str>, role: Option<&str>) -> Self {
        match (kind, of) {
            ("event_msg", Some("task_complete" | "turn_complete" | "user_message")) => Self::Over,
            ("event_msg", Some("agent_message")) => Self::Answer,
            ("response_item", Some(item)) => Self::item(item, role),
            (item, None) if matches!(Self::item(item, role), Self::Answer | Self::Search) => Self::BareAnswer,
            _ => Self::Nothing,
        }
    }

    fn item(item: &str, role: Option<&str>) -> Self {
        match (item, role) {
            ("message", Some("assistant")) => Self::Answer,
            ("message", Some("user")) => Self::Over,
            ("web_search_call", _) => Self::Search,
            (item, _) if item.ends_with("_call") => Self::Answer,
            _ => Self::Nothing,
        }
    }
}

/// Returns whether lines of this type contain the item in their payload.
fn is_envelope(kind: &str) -> bool {
    matches!(kind, "response_item" | "event_msg")
}

fn unquoted(value: &[u8]) -> Result<&str, Declined> {
    std::str::from_utf8(value).ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"')).ok_or(Declined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_ends_of_turns_are_distinguished_from_other_lines() {
        let item =
            |payload: &str| format!(r#"{{"timestamp":"t","ordinal":3,"type":"response_item","payload":{payload}}}"#);
        let event =
            |kind: &str| format!(r#"{{"timestamp":"t","type":"event_msg","payload":{{"type":"{kind}","a":[]}}}}"#);
        for (line, kind) in [
            (item(r#"{"type":"message","id":"m","role":"assistant","content":[]}"#), TurnLine::Answer),
            (item(r#"{"content":[{"type":"x","role":"user"}],"role":"assistant","type":"message"}"#), TurnLine::Answer),
            (item(r#"{"type":"function_call","name":"shell","arguments":"{}"}"#), TurnLine::Answer),
            (item(r#"{"type":"function_call_output","output":"{}"}"#), TurnLine::Nothing),
            (item(r#"{"type":"web_search_call","status":"completed"}"#), TurnLine::Search),
            (item(r#"{"type":"message","id":"m","role":"user","content":[]}"#), TurnLine::Over),
            (item(r#"{"type":"message","role":"developer","content":[]}"#), TurnLine::Nothing),
            (item(r#"{"type":"message","content":"\"role\":\"assistant\""}"#), TurnLine::Nothing),
            (event("task_complete"), TurnLine::Over),
            (event("turn_complete"), TurnLine::Over),
            (event("agent_message"), TurnLine::Answer),
            (event("agent_reasoning"), TurnLine::Nothing),
            (r#"{"payload":{"type":"task_complete"},"type":"event_msg"}"#.to_owned(), TurnLine::Over),
            (r#"{"type":"message","role":"assistant","content":[]}"#.to_owned(), TurnLine::BareAnswer),
            (r#"{"type":"message","content":[],"role":"assistant"}"#.to_owned(), TurnLine::BareAnswer),
            (r#"{"type":"message","role":"user","content":[]}"#.to_owned(), TurnLine::Nothing),
            (r#"{"record_type":"state"}"#.to_owned(), TurnLine::Nothing),
            (
                r#"{"type":"compacted","payload":{"message":"x","role":"assistant","type":"message"}}"#.to_owned(),
                TurnLine::Nothing,
            ),
            (r#"{"a":"#.to_owned(), TurnLine::Nothing),
        ] {
            assert_eq!(TurnLine::of(line.as_bytes()), kind, "{line}");
        }
    }
}
