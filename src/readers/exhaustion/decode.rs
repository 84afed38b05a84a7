//! Decodes the output of programs: UTF-8, and UTF-16 as `PowerShell` redirects it.

/// The text of an output. `head` is its beginning, which determines the encoding if `bytes` are only its end.
/// Undecodable bytes are replaced. NUL is removed, because a shell may append one encoding to another.
pub fn decode(head: &[u8], bytes: &[u8]) -> String {
    let text = match encoding(head, bytes) {
        Some(unit) => {
            let (pairs, _) = bytes.as_chunks::<2>();
            char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
                .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    text.trim_start_matches('\u{feff}').replace('\0', "")
}

/// The decoder of UTF-16 units, if the text is UTF-16. Without a byte order mark, Latin text has a NUL in most pairs of
/// bytes.
fn encoding(head: &[u8], bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    match head {
        [0xff, 0xfe, ..] => return Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] => return Some(u16::from_be_bytes),
        _ => {}
    }
    let (pairs, _) = bytes.get(..bytes.len().min(4_096)).unwrap_or_default().as_chunks::<2>();
    let most = |zeros: usize| pairs.len() >= 4 && zeros * 10 >= pairs.len() * 7;
    let zeros = |at: usize| pairs.iter().filter(|pair| pair.get(at) == Some(&0)).count();
    if most(zeros(1)) {
        Some(u16::from_le_bytes)
    } else if most(zeros(0)) {
        Some(u16::from_be_bytes)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn every_encoding_of_a_redirect_is_read() {
        let text = "You've hit your limit · resets 3pm";
        for mark in ["\u{feff}", ""] {
            let marked = format!("{mark}{text}");
            let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for bytes in [&little[..], &big, marked.as_bytes()] {
                assert_eq!(decode(bytes, bytes), text, "{bytes:?}");
            }
            let cut = &little[..little.len() - 1];
            assert_eq!(decode(cut, cut), text.strip_suffix('m').unwrap());
        }
        assert_eq!(decode(b"a\xff", b"a\xff"), "a\u{fffd}");
        assert_eq!(decode(b"", b""), "");
        assert_eq!(decode(b"ab", b"\0\x01ab"), "\x01ab");
    }
}
