//! Parses a record in the form of a flat object, with a check of every field: a line of `record --jsonl`, or a
//! program's input.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::error::{Error, Result};
use crate::model::event::{EventData, EventId, ServerKey, TokenRecord};
use crate::model::provider::ProviderId;
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::model::tokens::{MAX_COUNT, TokenClass};
use crate::present::clock::instant;

/// Every field of a line.
pub(super) const FIELDS: [&str; 21] = [
    "provider",
    "account",
    "model",
    "agent",
    "project",
    "conversation",
    "labels",
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "cost_usd",
    "duration_ms",
    "occurred_at",
    "counted_at",
    "key",
    "keys",
    "id",
];

/// Maximum length of a wrong value in a message.
const SHOWN: usize = 40;

/// A parsed line.
#[derive(Debug)]
pub(crate) struct JsonLine {
    pub id: Option<EventId>,
    pub occurred_at: Option<Timestamp>,
    pub record: TokenRecord,
}

/// The fields of an object, with values that are not parsed yet.
pub(super) struct LineFields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for LineFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(FIELDS.len());
                while let Some((LineText(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object).map(Self)
    }
}

/// A string, borrowed if it contains no escapes.
#[derive(Deserialize)]
struct LineText<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> LineFields<'a> {
    /// Splits an object into its fields.
    pub fn parse(line: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(line).map_err(|error| {
            Error::invalid(format!("byte {} is not UTF-8: write the file as UTF-8", error.valid_up_to() + 1))
        })?;
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            Error::invalid(format!(
                "{} at column {}: write one object a line, such as {{\"provider\":\"anthropic\",\"input\":1}}",
                reason(&error),
                error.column()
            ))
        })
    }
}

impl JsonLine {
    /// Parses a line.
    pub fn parse(line: &[u8]) -> Result<Self> {
        Self::of(&LineFields::parse(line)?, None)
    }

    /// Parses the fields of an object. If there is a response, they complete its record.
    pub(super) fn of(LineFields(fields): &LineFields<'_>, response: Option<TokenRecord>) -> Result<Self> {
        if response.is_none() && !fields.iter().any(|(name, value)| name == "provider" && value.get() != "null") {
            return Err(Error::invalid("`provider` is missing: name the service that metered the tokens"));
        }
        // The provider is set below. Any valid id works here, and an unknown one would start a search for similar
        // names.
        let record = response.unwrap_or_else(|| TokenRecord::new("anthropic", ""));
        let mut parsed = Self { id: None, occurred_at: None, record };
        let mut keys = Vec::new();
        for (index, (name, value)) in fields.iter().enumerate() {
            if fields.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(Error::invalid(format!("`{name}` occurs twice: keep one of them")));
            }
            // Many programs write null for an unknown value.
            if value.get() == "null" && FIELDS.contains(&&**name) {
                continue;
            }
            parsed.set(name, value, &mut keys)?;
        }
        parsed.record.put_keys(keys);
        parsed.record.attribute_to_server();
        parsed.record.validate()?;
        parsed.date()?;
        Ok(parsed)
    }

    /// Sets `counted_at` only if it is later than the time of the call.
    fn date(&mut self) -> Result<()> {
        let Some(counted_at) = self.record.counted_at else { return Ok(()) };
        match self.occurred_at {
            None => Err(Error::invalid("`counted_at` without `occurred_at`: add the time of the call")),
            Some(at) if counted_at < at => {
                Err(Error::invalid(format!("`counted_at` {counted_at} is before `occurred_at` {at}: leave it out")))
            }
            Some(at) => {
                self.record.counted_at = Some(counted_at).filter(|counted_at| *counted_at > at);
                Ok(())
            }
        }
    }

    fn set(&mut self, name: &str, value: &RawValue, first: &mut Vec<String>) -> Result<()> {
        let record = &mut self.record;
        if let Some(class) = TokenClass::ALL.into_iter().find(|class| class.name() == name) {
            record.tokens.set(class, Some(count(name, value)?));
            return Ok(());
        }
        let text = || read::<String>(name, value, "a text");
        match name {
            "provider" => record.provider = ProviderId::resolve(&text()?)?.as_str().to_owned().into(),
            "account" => record.account = Some(text()?),
            "model" => record.model = Some(text()?),
            "agent" => record.agent = Some(text()?),
            "project" => record.project = Some(text()?),
            "conversation" => record.conversation = Some(text()?),
            "labels" => record.labels = read(name, value, "an object of texts, such as {\"mission\":\"42\"}")?,
            "cost_usd" => record.cost = Some(read(name, value, "an amount of US dollars, such as 0.33")?),
            "duration_ms" => record.duration_ms = Some(count(name, value)?),
            "occurred_at" => self.occurred_at = Some(instant(&text()?)?),
            "counted_at" => record.counted_at = Some(instant(&text()?)?),
            "key" => first.push(text()?),
            "keys" => {
                record.keys = read(name, value, "a list of texts")?;
                record.server_key = ServerKey::default();
            }
            "id" => self.id = Some(text()?.parse()?),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

pub(super) fn read<'a, T: Deserialize<'a>>(name: &str, value: &'a RawValue, what: &str) -> Result<T> {
    serde_json::from_str(value.get())
        .map_err(|_| Error::invalid(format!("`{name}` is {}: it must be {what}", shown(value.get()))))
}

fn count(name: &str, value: &RawValue) -> Result<u64> {
    let what = format!("a whole number from 0 to {MAX_COUNT}");
    // Some languages have no integers and write 1234.0.
    let whole = serde_json::from_str::<f64>(value.get()).ok().filter(|number| {
        value.get().contains('.') && number.fract() == 0.0 && (0.0..=MAX_COUNT as f64).contains(number)
    });
    let count: u64 = whole.map_or_else(|| read(name, value, &what), |number| Ok(number as u64))?;
    if count > MAX_COUNT { Err(Error::invalid(format!("`{name}` is {count}: it must be {what}"))) } else { Ok(count) }
}

fn shown(value: &str) -> String {
    let value = secrets::name(value);
    let mut text: String = value.chars().take(SHOWN).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text
}

/// Returns the JSON parser's message without its line number.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn unknown(name: &str) -> Error {
    let near = FIELDS
        .iter()
        .map(|field| (strsim::damerau_levenshtein(name, field), field))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, field)| format!(" (did you mean `{field}`?)"));
    let hint = match near {
        Some(near) => near,
        None if name.contains("token") || name == "usage" => {
            " (a provider's own usage object is taken by `record --format`)".to_owned()
        }
        None => String::new(),
    };
    Error::invalid(format!("unknown field `{}`{hint}: a line takes {}", shown(name), FIELDS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        JsonLine::parse(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_line_makes_a_record() {
        let line = r#"{"provider":"claude","model":"m","input":1,"cost_usd":0.10,"keys":["b"],"key":"a","account":null,"occurred_at":"2026-06-01T10:00:01Z","counted_at":"2026-06-01T10:00:03Z"}"#;
        let parsed = JsonLine::parse(line.as_bytes()).unwrap();
        assert_eq!(parsed.record.provider, "anthropic");
        assert_eq!(parsed.record.keys, ["a", "b"]);
        assert_eq!(parsed.record.cost.unwrap().to_string(), "0.1");
        assert_eq!(parsed.record.account, None);
        assert_eq!(parsed.record.counted_at.unwrap().to_string(), "2026-06-01T10:00:03.000Z");
        let at_once = line.replace("10:00:03Z", "10:00:01Z");
        assert_eq!(JsonLine::parse(at_once.as_bytes()).unwrap().record.counted_at, None);
    }

    #[test]
    fn a_whole_number_may_have_a_decimal_point() {
        let line = r#"{"provider":"a","input":1234.0,"output":0.0,"duration_ms":9.0}"#;
        let record = JsonLine::parse(line.as_bytes()).unwrap().record;
        assert_eq!((record.tokens.input, record.tokens.output, record.duration_ms), (Some(1234), Some(0), Some(9)));
        for (count, named) in [("1.5", "`input` is 1.5"), ("-1.0", "`input` is -1.0"), ("1e300", "`input` is 1e300")] {
            let message = refused(&line.replace("1234.0", count));
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn errors_name_their_cause() {
        for (line, named) in [
            (r#"{"input":1}"#, "`provider` is missing"),
            (r#"{"provider":"a"}"#, "at least one token count"),
            (r#"{"provider":"a","input":-1}"#, "`input` is -1"),
            (r#"{"provider":"a","input":1.5}"#, "`input` is 1.5"),
            (r#"{"provider":"a","input":9007199254740992}"#, "`input` is 9007199254740992"),
            (r#"{"provider":"a","input":1,"input":1}"#, "`input` occurs twice"),
            (r#"{"provider":"a","inputs":1}"#, "did you mean `input`?"),
            (r#"{"provider":"a","input_tokens":1}"#, "record --format"),
            (r#"{"provider":"a","input":1,"x":null}"#, "unknown field `x`"),
            (r#"{"provider":"A B","input":1}"#, "not a provider id"),
            (r#"{"provider":"a","input":1,"occurred_at":"now"}"#, "`now` is not a time"),
            (r#"{"provider":"a","input":1,"counted_at":"2026-06-01T10:00:00Z"}"#, "without `occurred_at`"),
            (
                r#"{"provider":"a","input":1,"occurred_at":"2026-06-01T10:00:01Z","counted_at":"2026-06-01T10:00:00Z"}"#,
                "is before `occurred_at`",
            ),
            (r#"{"provider":"a","input":1,"id":"7"}"#, "not an event id"),
            (r#"{"provider":"a","input":1"#, "column"),
            ("[1]", "one object a line"),
        ] {
            let message = refused(line);
            assert!(message.contains(named), "{line}: {message}");
        }
        let bad = JsonLine::parse(b"{\"provider\":\"\xff\"}").unwrap_err().to_string();
        assert!(bad.contains("byte 14 is not UTF-8"), "{bad}");
    }
}
