//! A segment: a head and the stored lines of consecutive events, compressed.

use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::{Position, has_line_break};

/// The most events of a segment.
pub(crate) const MOST_EVENTS: usize = 20_000;
/// A segment ends at the line with which it reaches this size, in bytes.
pub(crate) const FULL: usize = 8 << 20;
/// The largest segment, unpacked, in bytes.
pub(crate) const MOST_BYTES: usize = 16 << 20;
/// The compression level. Higher ones take longer than a fast network saves.
const LEVEL: i32 = 1;
/// The most memory that a packed segment may ask for, as a power of two.
const WINDOW: u32 = 24;

/// The media type of a segment.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.usage-ledger.segment";

/// Packs a head and lines. A line with line breaks becomes a JSON string.
pub(crate) fn pack(head: &impl Serialize, lines: &[String]) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| Error::Store {
        what: "packing a segment".to_owned(),
        source: error.to_string().into(),
    };
    let mut text = serde_json::to_vec(head).map_err(|error| failed(&error))?;
    for line in lines {
        text.push(b'\n');
        if has_line_break(line) {
            serde_json::to_writer(&mut text, line).map_err(|error| failed(&error))?;
        } else {
            text.extend_from_slice(line.as_bytes());
        }
    }
    zstd::bulk::compress(&text, LEVEL).map_err(|error| failed(&error))
}

/// Unpacks a head and lines.
///
/// # Errors
/// [`Error::Invalid`] for anything that [`pack`] does not write, and for a segment that is too large.
pub(crate) fn unpack<H: DeserializeOwned>(packed: &[u8]) -> Result<(H, Vec<String>)> {
    let broken = |error: std::io::Error| Error::invalid(format!("the segment cannot be unpacked ({error})"));
    let mut decoder = zstd::stream::read::Decoder::new(packed).map_err(broken)?;
    decoder.window_log_max(WINDOW).map_err(broken)?;
    let mut text = String::new();
    decoder.take(MOST_BYTES as u64 + 1).read_to_string(&mut text).map_err(broken)?;
    if text.len() > MOST_BYTES {
        return Err(Error::invalid(format!("the segment is over {} MiB: send fewer events", MOST_BYTES >> 20)));
    }
    let mut lines = text.split('\n');
    let head = lines.next().unwrap_or_default();
    let head = serde_json::from_str(head)
        .map_err(|error| Error::invalid(format!("the head of the segment cannot be read ({error})")))?;
    let whole = |line: &str| {
        if !line.starts_with('"') {
            return Ok(line.to_owned());
        }
        serde_json::from_str(line)
            .map_err(|error| Error::invalid(format!("a line of the segment cannot be read ({error})")))
    };
    Ok((head, lines.map(whole).collect::<Result<_>>()?))
}

/// The stored lines behind a position, as many as fit into a segment of at most `most` events.
pub(crate) fn lines_after(snapshot: &Snapshot<'_>, after: Position, most: usize) -> Result<Vec<String>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    if most == 0 {
        return Ok(lines);
    }
    snapshot.lines(after.next(), &mut |_, line| {
        // The next line may be larger than what is left. It begins the next segment.
        if !lines.is_empty() && bytes + line.len() > MOST_BYTES / 2 {
            return Ok(false);
        }
        bytes += line.len() + 1;
        lines.push(line.to_owned());
        Ok(lines.len() < most && bytes < FULL)
    })?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn lines_round_trip_byte_for_byte() {
        let lines: Vec<String> = ["{\"a\":1}", "{\"b\":\"ü \\\"\"}", "{\n}", ""].map(str::to_owned).into();
        let packed = pack(&json!({"v": 1}), &lines).unwrap();
        assert_eq!(unpack::<Value>(&packed).unwrap(), (json!({"v": 1}), lines));
        assert_eq!(unpack::<Value>(&pack(&json!(1), &[]).unwrap()).unwrap(), (json!(1), Vec::new()));
    }

    #[test]
    fn broken_and_too_large_segments_are_refused() {
        let packed = pack(&json!({}), &["x".repeat(5_000)]).unwrap();
        for cut in [&packed[..0], &packed[..9], &packed[..packed.len() - 1], b"{}"] {
            assert!(unpack::<Value>(cut).is_err(), "{cut:?}");
        }
        let large = pack(&json!({}), &vec!["y".repeat(1 << 20); 16]).unwrap();
        assert!(large.len() < 100_000, "a small body unpacks to much");
        assert!(unpack::<Value>(&large).unwrap_err().to_string().contains("16 MiB"));
    }
}
