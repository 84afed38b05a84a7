//! Parses one line of a Claude Code log.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::import::engine::jsonl::{self, Declined, JsonCursor};

/// The relevant fields of a line. The rest, which is most of it, is skipped.
#[derive(Debug, Default, Deserialize, PartialEq)]
pub(super) struct TranscriptLine<'a> {
    /// `assistant`, `user`, `progress` …
    #[serde(default, rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(default)]
    pub timestamp: Option<Cow<'a, str>>,
    #[serde(default, rename = "sessionId")]
    pub session: Option<Cow<'a, str>>,
    #[serde(default, rename = "requestId")]
    pub request: Option<Cow<'a, str>>,
    #[serde(default)]
    pub cwd: Option<Cow<'a, str>>,
    #[serde(default, rename = "advisorModel")]
    pub advisor: Option<Cow<'a, str>>,
    #[serde(default, rename = "isSidechain")]
    pub sidechain: Option<bool>,
    /// The cost that clients before 1.0.9 computed, as written.
    #[serde(default, rename = "costUSD", borrow, deserialize_with = "verbatim")]
    pub cost: Option<&'a str>,
    #[serde(default, borrow, deserialize_with = "message")]
    pub message: Option<TranscriptMessage<'a>>,
}

/// The relevant fields of the API's response.
#[derive(Debug, Default, Deserialize, PartialEq)]
pub(super) struct TranscriptMessage<'a> {
    #[serde(default)]
    pub id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub role: Option<Cow<'a, str>>,
    #[serde(default)]
    pub model: Option<Cow<'a, str>>,
    /// The stop reason, which only the last line of an answer has.
    #[serde(default, rename = "stop_reason", borrow, deserialize_with = "verbatim")]
    pub stop: Option<&'a str>,
    #[serde(default, borrow, deserialize_with = "verbatim")]
    pub usage: Option<&'a str>,
}

fn verbatim<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a str>, D::Error> {
    Ok(Option::<&RawValue>::deserialize(deserializer)?.map(RawValue::get))
}

/// Some lines have plain text as their message. They have no counts and are valid.
fn message<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TranscriptMessage<'a>>, D::Error> {
    let Some(raw) = Option::<&RawValue>::deserialize(deserializer)? else { return Ok(None) };
    if !raw.get().starts_with('{') {
        return Ok(None);
    }
    serde_json::from_str(raw.get()).map(Some).map_err(serde::de::Error::custom)
}

impl<'a> TranscriptLine<'a> {
    /// Parses a whole line: with the cursor, or else with `serde_json`, which reports what is wrong.
    pub fn parse(line: &'a [u8]) -> Result<Self, String> {
        Self::quick(line).or_else(|Declined| serde_json::from_slice(line).map_err(|error| jsonl::refusal(&error)))
    }

    /// Parses a line that has the form that clients write.
    fn quick(line: &'a [u8]) -> Result<Self, Declined> {
        let mut cursor = JsonCursor::new(line)?;
        let mut read = Self::default();
        while let Some(key) = cursor.key()? {
            match key {
                b"type" => read.kind = cursor.string()?,
                b"timestamp" => read.timestamp = cursor.string()?,
                b"sessionId" => read.session = cursor.string()?,
                b"requestId" => read.request = cursor.string()?,
                b"cwd" => read.cwd = cursor.string()?,
                b"advisorModel" => read.advisor = cursor.string()?,
                b"isSidechain" => read.sidechain = flag(cursor.skip()?)?,
                b"costUSD" => read.cost = text(cursor.skip()?)?,
                b"message" => {
                    read.message = if cursor.enter()? { Some(TranscriptMessage::quick(&mut cursor)?) } else { None };
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        if cursor.is_done() { Ok(read) } else { Err(Declined) }
    }
}

impl<'a> TranscriptMessage<'a> {
    fn quick(cursor: &mut JsonCursor<'a>) -> Result<Self, Declined> {
        let mut read = Self::default();
        while let Some(key) = cursor.key()? {
            match key {
                b"id" => read.id = cursor.string()?,
                b"role" => read.role = cursor.string()?,
                b"model" => read.model = cursor.string()?,
                b"stop_reason" => read.stop = text(cursor.skip()?)?,
                b"usage" => read.usage = text(cursor.skip()?)?,
                _ => {
                    cursor.skip()?;
                }
            }
        }
        Ok(read)
    }
}

fn flag(value: &[u8]) -> Result<Option<bool>, Declined> {
    match value {
        b"true" => Ok(Some(true)),
        b"false" => Ok(Some(false)),
        b"null" => Ok(None),
        _ => Err(Declined),
    }
}

fn text(value: &[u8]) -> Result<Option<&str>, Declined> {
    let text = std::str::from_utf8(value).map_err(|_| Declined)?;
    Ok((text != "null").then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"parentUuid":null,"isSidechain":true,"cwd":"C:\\work \"x\"","sessionId":"s","message":{"model":"m","id":"msg_1","type":"message","role":"assistant","content":[{"type":"tool_use","id":null,"input":{"usage":{"a":1},"id":null,"message":{}}}],"usage":{"input_tokens": 1, "x":null}},"requestId":null,"costUSD":0.10,"type":"assistant","timestamp":"t","toolUseResult":{"usage":{"input_tokens":9}}}"#;

    #[test]
    fn both_ways_of_reading_agree() {
        let quick = TranscriptLine::quick(LINE.as_bytes()).unwrap();
        let slow: TranscriptLine = serde_json::from_str(LINE).unwrap();
        assert_eq!(quick, slow);
        assert_eq!(quick.cwd.as_deref(), Some(r#"C:\work "x""#));
        assert_eq!(quick.message.unwrap().usage, Some(r#"{"input_tokens": 1, "x":null}"#));
        assert_eq!(quick.cost, Some("0.10"));
        assert_eq!(quick.request, None);
    }

    #[test]
    fn lines_that_the_fast_path_declines_are_read_by_the_full_parser() {
        let escaped = r#"{"t\u0079pe":"assistant","message":"text"}"#;
        assert_eq!(TranscriptLine::quick(escaped.as_bytes()), Err(Declined));
        assert_eq!(TranscriptLine::parse(escaped.as_bytes()).unwrap().kind.as_deref(), Some("assistant"));
        let cut = LINE.replace(r#""usage":{"a":1}"#, r#""usage":{"a":1"#);
        assert!(TranscriptLine::parse(cut.as_bytes()).unwrap_err().starts_with("not valid JSON"));
    }

    #[test]
    fn two_joined_lines_are_never_read_as_one() {
        for cut in 1..LINE.len() {
            let merged = format!("{}{LINE}", LINE.get(..cut).unwrap());
            assert!(TranscriptLine::parse(merged.as_bytes()).is_err(), "{cut}");
            let lost = format!("{}{}", LINE.get(..cut).unwrap(), LINE.get(cut + 1..).unwrap());
            let book = serde_json::from_str::<TranscriptLine<'_>>(&lost);
            if let (Ok(quick), Ok(book)) = (TranscriptLine::quick(lost.as_bytes()), book) {
                assert_eq!(quick, book, "{lost}");
            }
        }
    }
}
