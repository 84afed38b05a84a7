use serde::Deserialize;
use serde_json::value::RawValue;

use super::Position;
use crate::model::error::{Error, Result};

/// The beginning of a tombstone. No event's line begins like this.
const START: &str = "{\"shredded\":";

/// The stored replacement of a shredded event's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone<'a> {
    /// The position of the event.
    pub position: Position,
    /// The leaf hash of the erased line, in hex.
    pub leaf: &'a str,
    /// The position of the `event_shredded` that names it.
    pub by: Position,
    /// The remaining line: the same event without what was erased.
    pub kept: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TombstoneFields<'a> {
    shredded: Position,
    leaf: &'a str,
    by: Position,
    #[serde(borrow)]
    kept: &'a RawValue,
}

#[cfg(feature = "cli")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportedTombstone<'a> {
    shredded: Position,
    leaf: &'a str,
}

impl<'a> Tombstone<'a> {
    /// Whether a line is a tombstone.
    pub fn is(line: &str) -> bool {
        line.starts_with(START)
    }

    /// Parses the stored line at a position if it is a tombstone.
    pub fn read(position: Position, line: &'a str) -> Result<Option<Self>> {
        if !Self::is(line) {
            return Ok(None);
        }
        let bad = |what: String| Error::damaged(position, what);
        let fields: TombstoneFields<'a> = serde_json::from_str(line)
            .map_err(|e| bad(format!("a tombstone stands in place of the line, and it is unreadable ({e})")))?;
        if fields.shredded != position {
            return Err(bad(format!("the tombstone in place of the line is that of position {}", fields.shredded)));
        }
        Ok(Some(Self { position, leaf: fields.leaf, by: fields.by, kept: fields.kept.get() }))
    }

    /// The leaf hash in an exported line, if that is the tombstone of a position.
    #[cfg(feature = "cli")]
    pub fn read_exported(position: Position, line: &'a str) -> Result<Option<&'a str>> {
        if !Self::is(line) {
            return Ok(None);
        }
        let exported: ExportedTombstone<'a> = serde_json::from_str(line)
            .map_err(|e| Error::invalid(format!("the line is neither an event nor a shredded one ({e})")))?;
        if exported.shredded != position {
            return Err(Error::unproven(format!(
                "the line is that of position {}, not of {position}",
                exported.shredded
            )));
        }
        Ok(Some(exported.leaf))
    }

    /// The stored line. A tombstone has exactly one spelling.
    pub fn to_line(self) -> String {
        let Self { position, leaf, by, kept } = self;
        format!(r#"{START}{position},"leaf":"{leaf}","by":{by},"kept":{kept}}}"#)
    }

    /// The exported line. The remaining event is in the `event_shredded`.
    pub fn exported(self) -> String {
        format!(r#"{START}{},"leaf":"{}"}}"#, self.position, self.leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_round_trips_and_other_lines_are_not_tombstones() {
        let tombstone = Tombstone { position: 7.into(), leaf: "ab", by: 9.into(), kept: r#"{"v":1}"# };
        let line = tombstone.to_line();
        assert_eq!(Tombstone::read(7.into(), &line).unwrap(), Some(tombstone));
        assert_eq!(tombstone.exported(), r#"{"shredded":7,"leaf":"ab"}"#);
        assert_eq!(Tombstone::read(7.into(), r#"{"v":1,"shredded":7}"#).unwrap(), None);
        // A tombstone of another position, and an exported one.
        for (position, line) in [(8, line.as_str()), (7, r#"{"shredded":7,"leaf":"ab"}"#)] {
            let error = Tombstone::read(position.into(), line).unwrap_err().to_string();
            assert!(error.contains(&format!("position {position}")), "{error}");
        }
    }
}
