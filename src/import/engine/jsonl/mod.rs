//! Reads JSON lines without parsing the irrelevant parts. Most of a log is conversation text; counts are about one
//! percent.
//!
//! The cursor declines (`None`) whatever it does not handle. Its caller then uses `serde_json`, which parses the line
//! or reports the position of the error.

mod container;
mod cursor;

pub(in crate::import) use cursor::{Declined, JsonCursor};

use crate::model::secrets;
use crate::model::time::Timestamp;

/// Returns the line without surrounding white space, or `None` for an empty line.
///
/// A line that does not begin and end like an object was cut while it was written.
pub(in crate::import) fn whole(line: &[u8]) -> Result<Option<&[u8]>, String> {
    // Some editors write a byte order mark at the start of a text file.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    match line.trim_ascii() {
        [] => Ok(None),
        whole @ [b'{', .., b'}'] => Ok(Some(whole)),
        [b'{', ..] => Err("torn line: it does not end with `}`".to_owned()),
        _ => Err("torn line: it does not begin with `{`".to_owned()),
    }
}

/// Checks that a line is UTF-8, with a fast path for ASCII.
pub(in crate::import) fn utf8(line: &[u8]) -> Result<(), String> {
    let lead = |bytes: &[u8], plain: bool| -> usize {
        bytes.chunks(64).take_while(|piece| piece.is_ascii() == plain).map(<[u8]>::len).sum()
    };
    let (mut done, mut rest) = (0, line);
    while !rest.is_empty() {
        let plain = lead(rest, true);
        let behind = rest.get(plain..).unwrap_or_default();
        let mixed = lead(behind, false);
        if let Err(error) = std::str::from_utf8(behind.get(..mixed).unwrap_or_default()) {
            return Err(format!("not valid UTF-8 at column {}", done + plain + error.valid_up_to() + 1));
        }
        done += plain + mixed;
        rest = behind.get(mixed..).unwrap_or_default();
    }
    Ok(())
}

/// Describes an error of `serde_json` without its message, which may quote the conversation.
pub(in crate::import) fn refusal(error: &serde_json::Error) -> String {
    if error.is_data() {
        format!("unknown shape at column {}", error.column())
    } else {
        format!("not valid JSON: {error}")
    }
}

/// Returns the text if a record may contain it as a name: neither empty nor longer than 4 KiB, and without NUL.
pub(in crate::import) fn name(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= 4096 && !text.contains('\0')).then_some(text)
}

/// Parses the time of a line with a call.
pub(in crate::import) fn time(text: Option<&str>) -> Result<Timestamp, String> {
    let text = text.ok_or("unknown shape: a call without a timestamp")?;
    text.parse().map_err(|_| format!("unreadable timestamp {}", secrets::quoted_time(text)))
}

/// Returns the value of the top-level `type` if it precedes every object and array of the line.
pub(in crate::import) fn kind(line: &[u8]) -> Result<Option<&[u8]>, Declined> {
    let mut cursor = JsonCursor::new(line)?;
    while let Some(key) = cursor.key()? {
        let value = cursor.skip_scalar()?;
        if key == b"type" {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_distinguished_from_blank_ones() {
        assert_eq!(whole(b" \r\n"), Ok(None));
        assert_eq!(whole(b"{\"a\":1}\r"), Ok(Some(&b"{\"a\":1}"[..])));
        assert!(whole(b"{\"a\":").is_err());
        assert!(whole(b"\":1}").is_err());
        assert!(whole(b"\0\0\0").is_err());
        assert!(whole(b"{").is_err());
        assert_eq!(whole(b"\xef\xbb\xbf{\"a\":1}"), Ok(Some(&b"{\"a\":1}"[..])));
    }

    #[test]
    fn utf8_is_checked_across_pieces() {
        for at in 0..600 {
            let mut line = vec![b'a'; 1000];
            line.splice(at..at, "使用量 €".bytes());
            assert_eq!(utf8(&line), Ok(()), "{at}");
            line[at + 1] = 0xff;
            assert_eq!(utf8(&line), Err(format!("not valid UTF-8 at column {}", at + 1)));
        }
    }

    #[test]
    fn the_kind_is_read_only_where_it_is_certain() {
        assert_eq!(kind(br#"{"a":"b","type":"user","m":{}}"#), Ok(Some(&b"\"user\""[..])));
        assert_eq!(kind(br#"{"m":{"type":"x"},"type":"user"}"#), Err(Declined));
        assert_eq!(kind(br#"{"a":1}"#), Ok(None));
    }
}
