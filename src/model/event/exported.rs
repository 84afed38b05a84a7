//! The exported form of an event: one line, which is enough to compute the leaf hash.

use std::borrow::Cow;

#[cfg(feature = "cli")]
use serde::Deserialize;

use super::minify::{has_line_break, minified};
use super::{Position, Tombstone};
#[cfg(feature = "cli")]
use crate::model::error::Error;
use crate::model::error::Result;

/// The beginning of an escaped line. No event's line begins like this.
const ESCAPED: &str = "{\"escaped\":";

/// The line that an export prints for the stored line at a position.
///
/// It is the stored line itself, with two exceptions. A shredded event is `{"shredded":position,"leaf":"<hex>"}`.
/// Early builds stored indented usage objects, so the line of an event could hold line breaks: such a line is
/// `{"escaped":position,"line":"…"}`, where `line` is a JSON string with the exact bytes that are hashed.
pub(crate) fn exported(position: Position, line: &str) -> Result<Cow<'_, str>> {
    if let Some(tombstone) = Tombstone::read(position, line)? {
        return Ok(Cow::Owned(tombstone.exported()));
    }
    if !has_line_break(line) {
        return Ok(Cow::Borrowed(line));
    }
    Ok(Cow::Owned(format!("{ESCAPED}{position},\"line\":{}}}", serde_json::Value::from(line))))
}

/// The event of a stored line as JSON on one line, for formats that are not hashed.
pub(crate) fn on_one_line(line: &str) -> Cow<'_, str> {
    if has_line_break(line) { minified(line) } else { Cow::Borrowed(line) }
}

/// What an exported line contains.
#[cfg(feature = "cli")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExportedLine<'a> {
    /// The hashed line.
    Line(Cow<'a, str>),
    /// The leaf hash, in hex, of a shredded line.
    Leaf(&'a str),
}

#[cfg(feature = "cli")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EscapedLine {
    escaped: Position,
    line: String,
}

#[cfg(feature = "cli")]
impl<'a> ExportedLine<'a> {
    /// Reads an exported line. A line that names a position must name this one.
    pub fn read(position: Position, line: &'a str) -> Result<Self> {
        if let Some(leaf) = Tombstone::read_exported(position, line)? {
            return Ok(Self::Leaf(leaf));
        }
        if !line.starts_with(ESCAPED) {
            return Ok(Self::Line(Cow::Borrowed(line)));
        }
        let EscapedLine { escaped, line } = serde_json::from_str(line)
            .map_err(|e| Error::invalid(format!("the line is neither an event nor an escaped one ({e})")))?;
        if escaped != position {
            return Err(Error::unproven(format!("the line is that of position {escaped}, not of {position}")));
        }
        Ok(Self::Line(Cow::Owned(line)))
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_line_breaks_round_trips_through_its_escaped_form() {
        let line = "{\"v\":1,\"data\":{\r\n\t\"note\": \"é \\n \\\" \u{2028}\"\n}}";
        let escaped = exported(7.into(), line).unwrap();
        assert!(escaped.starts_with(r#"{"escaped":7,"line":"{\"v\":1"#) && !has_line_break(&escaped), "{escaped}");
        assert_eq!(ExportedLine::read(7.into(), &escaped).unwrap(), ExportedLine::Line(Cow::Borrowed(line)));
        let other = ExportedLine::read(8.into(), &escaped).unwrap_err().to_string();
        assert!(other.contains("position 7, not of 8"), "{other}");
        assert!(ExportedLine::read(7.into(), r#"{"escaped":7}"#).is_err());
        assert_eq!(on_one_line(line), "{\"v\":1,\"data\":{\"note\":\"é \\n \\\" \u{2028}\"}}");
        // Other lines are exported unchanged.
        let plain = r#"{"v":1, "a":2}"#;
        assert_eq!((exported(7.into(), plain).unwrap(), on_one_line(plain)), (plain.into(), plain.into()));
        assert_eq!(ExportedLine::read(7.into(), plain).unwrap(), ExportedLine::Line(plain.into()));
    }
}
