use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{ExportError, Exporter};
use crate::ledger::Snapshot;
use crate::model::event::{EventId, Position, Tombstone, on_one_line};
use crate::model::time::Timestamp;

/// Exports every event in the envelope of [CloudEvents](https://cloudevents.io) 1.0, one JSON line each, in order.
///
/// `source` and `id` identify an event permanently, as in the ledger. `position` and `recordedat` are extension
/// attributes. For a shredded event, `data` is its tombstone.
pub(super) struct CloudEvents;

/// Prefix of type names.
const TYPES: &str = "usage-ledger.";

#[derive(Serialize)]
struct CloudEventAttributes<'a> {
    specversion: &'static str,
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    time: Timestamp,
    datacontenttype: &'static str,
    /// A string, because integers in this format end at 2^31.
    position: String,
    recordedat: Timestamp,
    data: &'a RawValue,
}

/// The fields of a line that are copied.
#[derive(serde::Deserialize)]
struct CloudEventLine<'a> {
    id: EventId,
    kind: &'a str,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    #[serde(borrow)]
    source: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Exporter for CloudEvents {
    fn name(&self) -> &'static str {
        "cloudevents"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut failed = Ok(());
        snapshot.lines(Position::START.next(), &mut |position, line| {
            let tombstone = Tombstone::read(position, line)?;
            let line = tombstone.map_or(line, |tombstone| tombstone.kept);
            let line = on_one_line(line);
            let line: CloudEventLine<'_> = serde_json::from_str(&line)
                .map_err(|e| crate::Error::damaged(position, format!("the line is not an event ({e})")))?;
            failed = write(&line, position, out);
            Ok(failed.is_ok())
        })?;
        Ok(failed?)
    }
}

fn write(line: &CloudEventLine<'_>, position: Position, out: &mut dyn Write) -> std::io::Result<()> {
    let data = CloudEventAttributes {
        specversion: "1.0",
        id: line.id,
        source: format!("/usage-ledger/{}", escaped(&line.source)),
        kind: format!("{TYPES}{}", line.kind),
        time: line.occurred_at,
        datacontenttype: "application/json",
        position: position.to_string(),
        recordedat: line.recorded_at,
        data: line.data,
    };
    serde_json::to_writer(&mut *out, &data)?;
    writeln!(out)
}

/// Escapes a text for a path segment of a URI.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.extend([byte >> 4, byte & 15].into_iter().filter_map(|half| char::from_digit(half.into(), 16)));
        }
    }
    escaped
}
