//! Writes the line of a token record, which is the most frequent kind of event.

use std::cell::RefCell;
use std::fmt::Write;

use super::{Event, EventId, LINE_VERSION, Payload, Quality, TokenRecord};
use crate::model::error::Result;
use crate::model::invariant::{bug, invariant};
use crate::model::tokens::TokenClass;

/// Capacity of the buffer that stays allocated, in bytes. Almost every line is shorter.
const LONG: usize = 1 << 16;

/// The line of an event. This module writes the line of a record itself, because serde escapes each field name again.
///
/// # Errors
/// [`Error::Bug`] when serde cannot write the event. Events of this build can always be written.
pub(super) fn line(event: &Event) -> Result<String> {
    thread_local! {
        /// The buffer in which lines are written. The result is copied from it at its exact size.
        static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
        static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    if let Payload::TokensRecorded(record) = &event.payload {
        return TEXT.with_borrow_mut(|text| {
            text.clear();
            text.shrink_to(LONG);
            write(text, event, record);
            Ok(text.as_str().to_owned())
        });
    }
    BYTES.with_borrow_mut(|bytes| {
        bytes.clear();
        bytes.shrink_to(LONG);
        serde_json::to_writer(&mut *bytes, event).map_err(|e| bug!("an event cannot be written as JSON: {e}"))?;
        let text = std::str::from_utf8(bytes).map_err(|e| bug!("the line of an event is not UTF-8: {e}"))?;
        invariant!(!text.is_empty(), "the line of an event is empty");
        Ok(text.to_owned())
    })
}

/// Writes what serde would write.
fn write(text: &mut String, event: &Event, record: &TokenRecord) {
    text.push_str("{\"v\":");
    number(text, u64::from(LINE_VERSION));
    text.push_str(",\"id\":");
    id(text, event.id);
    text.push_str(",\"kind\":\"tokens_recorded\",\"occurred_at\":");
    time(text, event.occurred_at);
    text.push_str(",\"recorded_at\":");
    time(text, event.recorded_at);
    text.push_str(",\"source\":");
    string(text, &event.source);
    text.push_str(",\"data\":{\"provider\":");
    string(text, &record.provider);
    let named = [
        (",\"account\":", &record.account),
        (",\"model\":", &record.model),
        (",\"agent\":", &record.agent),
        (",\"conversation\":", &record.conversation),
        (",\"project\":", &record.project),
    ];
    for (name, value) in named {
        optional(text, name, value.as_deref());
    }
    list(text, ",\"labels\":{", record.labels.iter(), '}', |text, (name, value)| {
        string(text, name);
        text.push(':');
        string(text, value);
    });
    text.push_str(",\"tokens\":{");
    let counts = TokenClass::ALL.into_iter().filter_map(|class| Some((class, record.tokens.get(class)?)));
    for (at, (class, count)) in counts.enumerate() {
        text.push_str(if at == 0 { "\"" } else { ",\"" });
        text.push_str(class.name());
        text.push_str("\":");
        number(text, count);
    }
    text.push('}');
    for (open, counts) in [(",\"modalities\":{", &record.modalities), (",\"server_tools\":{", &record.server_tools)] {
        list(text, open, counts.iter(), '}', |text, (name, count)| {
            string(text, name);
            text.push(':');
            number(text, *count);
        });
    }
    if let Some(cost) = record.cost {
        // Writing to a `String` cannot fail.
        let _ = write!(text, ",\"cost\":\"{cost}\"");
    }
    if let Some(duration) = record.duration_ms {
        text.push_str(",\"duration_ms\":");
        number(text, duration);
    }
    if let Some(counted_at) = record.counted_at {
        text.push_str(",\"counted_at\":");
        time(text, counted_at);
    }
    list(text, ",\"keys\":[", record.keys.iter(), ']', |text, key| string(text, key));
    list(text, ",\"key_ids\":[", record.key_ids.iter(), ']', |text, key| id(text, *key));
    optional(text, ",\"normaliser\":", record.normaliser.as_deref());
    text.push_str(match record.quality {
        Quality::Reported => "",
        Quality::Derived => ",\"quality\":\"derived\"",
        Quality::Estimated => ",\"quality\":\"estimated\"",
    });
    optional(text, ",\"residual\":", record.residual.as_deref());
    if let Some(raw) = &record.raw {
        text.push_str(",\"raw\":");
        text.push_str(raw.get());
    }
    text.push_str("}}");
}

/// Writes a field unless it has no value.
fn optional(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        text.push_str(name);
        string(text, value);
    }
}

/// Writes a field of several values unless it is empty.
fn list<T>(text: &mut String, open: &str, values: impl Iterator<Item = T>, close: char, one: fn(&mut String, T)) {
    let mut is_open = false;
    for value in values {
        text.push_str(if is_open { "," } else { open });
        is_open = true;
        one(text, value);
    }
    if is_open {
        text.push(close);
    }
}

fn string(text: &mut String, value: &str) {
    if value.bytes().any(|byte| matches!(byte, ..b' ' | b'"' | b'\\')) {
        escaped(text, value);
    } else {
        text.push('"');
        text.push_str(value);
        text.push('"');
    }
}

/// Writes a string with the escapes of `serde_json`.
fn escaped(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' => {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}

fn number(text: &mut String, value: u64) {
    text.push_str(itoa::Buffer::new().format(value));
}

fn id(text: &mut String, id: EventId) {
    text.push('"');
    text.push_str(id.hyphenated(&mut [0; 36]));
    text.push('"');
}

fn time(text: &mut String, time: crate::Timestamp) {
    text.push('"');
    text.push_str(std::str::from_utf8(&time.rfc3339()).unwrap_or_default());
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::event::Raw;
    use crate::{Timestamp, Usd};

    /// Strings with every character that JSON escapes, and many that it does not.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z0-9/.-]{0,20}", any::<String>(), "[\u{0}-\u{1f}\"\\\\\u{7f}\u{80}\u{2028}é😀]{0,12}"]
    }

    fn record() -> impl Strategy<Value = TokenRecord> {
        let names = prop::collection::vec(prop::option::of(text()), 7);
        let labels = prop::collection::btree_map(text(), text(), 0..3);
        let counts = prop::collection::vec(prop::option::of(any::<u64>()), 7);
        let keys = (prop::collection::vec(text(), 0..3), prop::collection::vec("[a-z]{1,4}", 0..3));
        let rest = (prop::option::of(any::<u64>()), prop::option::of(0_i64..2_000_000_000_000), 0_u8..3, any::<bool>());
        (names, labels, counts, keys, prop::option::of(0_i64..1 << 40), rest).prop_map(
            |(names, labels, counts, (keys, further), micros, (duration_ms, counted_at, quality, raw))| {
                let mut names = names.into_iter();
                let mut name = || names.next().unwrap();
                let mut record = TokenRecord::new("openai", "");
                record.provider = name().unwrap_or_default().into();
                record.account = name();
                record.model = name();
                record.agent = name();
                record.conversation = name();
                record.project = name();
                record.normaliser = name().map(Into::into);
                record.residual = counted_at.map(|at| format!("\"{at}\""));
                record.labels = labels;
                for (class, count) in TokenClass::ALL.into_iter().zip(counts) {
                    record.tokens.set(class, count);
                }
                record.modalities = duration_ms.map(|count| (format!("{count}"), count)).into_iter().collect();
                record.server_tools = record.labels.keys().map(|name| (name.clone(), 7)).collect();
                record.cost = micros
                    .map(|micros| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).parse::<Usd>().unwrap());
                record.duration_ms = duration_ms;
                record.counted_at = counted_at.map(Timestamp::from_millis);
                record.keys = keys;
                record.key_ids = further.iter().map(|key| EventId::from_key("openai", key)).collect();
                record.quality = [Quality::Reported, Quality::Derived, Quality::Estimated][usize::from(quality)];
                record.raw = raw.then(|| Raw::parse("{\"a\": [1.0, \"\\u00e9\"]}").unwrap());
                record
            },
        )
    }

    proptest! {
        #[test]
        fn the_line_of_a_record_equals_that_of_serde(record in record(), source in text(), at in 0_i64..4_000_000_000_000) {
            let event = Event {
                id: EventId::from_key("openai", &source),
                occurred_at: Timestamp::from_millis(at),
                recorded_at: Timestamp::from_millis(at + 1),
                source: source.into(),
                payload: record.into(),
            };
            prop_assert_eq!(line(&event).unwrap(), serde_json::to_string(&event).unwrap());
        }
    }
}
