//! Reads JSON lines without parsing what does not matter: a log is mostly the text of conversations, and its counts
//! are a hundredth of it.
//!
//! Nothing here is trusted blindly. Whatever the cursor does not understand it declines (`None`), and its caller then
//! asks `serde_json`, which either reads the line or says where it is broken.

use std::borrow::Cow;

use memchr::memchr2;

use crate::time::Timestamp;

/// The line without the blanks around it, or `None` when nothing else is on it.
///
/// A line that does not begin and end as an object was cut while it was written.
pub(super) fn whole(line: &[u8]) -> Result<Option<&[u8]>, String> {
    match line.trim_ascii() {
        [] => Ok(None),
        whole @ [b'{', .., b'}'] => Ok(Some(whole)),
        [b'{', ..] => Err("torn line: it does not end with `}`".to_owned()),
        _ => Err("torn line: it does not begin with `{`".to_owned()),
    }
}

/// Checks that a line is UTF-8, stepping over plain ASCII a piece at a time.
pub(super) fn utf8(line: &[u8]) -> Result<(), String> {
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

/// Why `serde_json` refused a line, without its words: they may quote the conversation.
pub(super) fn refusal(error: &serde_json::Error) -> String {
    if error.is_data() {
        format!("unknown shape at column {}", error.column())
    } else {
        format!("not valid JSON: {error}")
    }
}

/// A text of a log that can stand in a record: records hold names, not texts.
pub(super) fn name(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= 4096 && !text.contains('\0')).then_some(text)
}

/// The time of a line that counts.
pub(super) fn time(text: Option<&str>) -> Result<Timestamp, String> {
    let text = text.ok_or("unknown shape: a call without a timestamp")?;
    let shown: String = text.chars().take(40).collect();
    text.parse().map_err(|_| format!("unreadable timestamp `{shown}`"))
}

/// Walks the keys and values of one line from left to right.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor in the object that a line holds.
    pub fn new(line: &'a [u8]) -> Option<Self> {
        line.strip_prefix(b"{").map(|rest| Self { rest })
    }

    /// Whether nothing follows.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn peek(&mut self) -> Option<u8> {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.rest = self.rest.get(1..).unwrap_or_default())
    }

    /// The next key of the object the cursor is in; `Some(None)` behind its last one, the cursor then being behind
    /// the object. A key with an escape in it is declined: no log writes one.
    pub fn key(&mut self) -> Option<Option<&'a [u8]>> {
        match self.peek()? {
            b'}' => {
                self.eat(b'}')?;
                return Some(None);
            }
            b',' => self.eat(b',')?,
            _ => {}
        }
        let (key, escaped) = self.literal()?;
        self.eat(b':')?;
        (!escaped).then_some(Some(key))
    }

    /// Steps into the object that is the next value. A `null` is stepped over.
    pub fn enter(&mut self) -> Option<bool> {
        if self.peek()? == b'{' {
            self.eat(b'{')?;
            return Some(true);
        }
        (self.skip()? == b"null").then_some(false)
    }

    /// The next value when it is a string or `null`.
    pub fn string(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.peek()? != b'"' {
            return (self.skip()? == b"null").then_some(None);
        }
        let before = self.rest;
        let (text, escaped) = self.literal()?;
        if !escaped {
            return Some(Some(Cow::Borrowed(std::str::from_utf8(text).ok()?)));
        }
        let quoted = before.get(..text.len() + 2)?;
        serde_json::from_slice::<String>(quoted).ok().map(|text| Some(Cow::Owned(text)))
    }

    /// The bytes between the quotes of the string the cursor is at, and whether there are escapes among them.
    fn literal(&mut self) -> Option<(&'a [u8], bool)> {
        self.eat(b'"')?;
        let text = self.rest;
        let (mut from, mut escaped) = (0, false);
        loop {
            let at = from + stop(text.get(from..)?)?;
            if text.get(at) == Some(&b'"') {
                self.rest = text.get(at + 1..)?;
                return Some((text.get(..at)?, escaped));
            }
            escaped = true;
            from = at + 2;
        }
    }

    /// Steps over the next value, whatever it is, and gives its bytes.
    pub fn skip(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        let from = self.rest;
        match first {
            b'"' => {
                self.literal()?;
            }
            b'{' | b'[' => self.rest = from.get(container(from)?..)?,
            _ => {
                let end = from.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t'))?;
                self.rest = from.get(end..)?;
            }
        }
        from.get(..from.len() - self.rest.len()).filter(|value| !value.is_empty())
    }

    /// Steps over the next value unless it holds others.
    pub fn skip_scalar(&mut self) -> Option<&'a [u8]> {
        if matches!(self.peek()?, b'{' | b'[') { None } else { self.skip() }
    }
}

/// Where the first quote or backslash is. Keys and names are short: a search made for long texts costs more to start
/// than to run.
fn stop(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    /// The highest bit of every byte that is zero, at least up to the first one.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    }
    let (words, _) = text.as_chunks::<8>();
    let mut at = 0;
    for word in words.iter().take(4) {
        let word = u64::from_le_bytes(*word);
        let hits = zeros(word ^ (ONES * (b'"' as u64))) | zeros(word ^ (ONES * (b'\\' as u64)));
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr2(b'"', b'\\', text.get(at..)?).map(|behind| at + behind)
}

/// Bytes looked at together: one bit of a word each.
const BLOCK: usize = 64;

/// One bit for every byte of the block that is the wanted one, the first byte lowest.
#[inline]
fn bits(block: &[u8; BLOCK], wanted: u8) -> u64 {
    /// Brings the lowest bits of eight bytes together in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let hits = block.map(|byte| u8::from(byte == wanted));
    let (eights, _) = hits.as_chunks::<8>();
    eights.iter().rev().fold(0, |bits, eight| (bits << 8) | (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56))
}

/// How far the object or array at the front of `bytes` reaches, if its brackets match.
///
/// Tool output is dense with escaped quotes, so stopping at each is slow. A word of bits per 64 bytes says which
/// quotes are escaped and which bytes are outside of strings; only those few are looked at one by one.
fn container(bytes: &[u8]) -> Option<usize> {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    // All bits are set while a string goes on into the next block.
    let mut in_string = 0_u64;
    // One when the next block begins with an escaped byte.
    let mut escape = 0_u64;
    // The kinds of the brackets that are open, the innermost lowest: 1 is an object.
    let (mut open, mut depth) = (0_u64, 0_u32);
    let mut padded = [b' '; BLOCK];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (block, after) = rest.split_first_chunk::<BLOCK>().unwrap_or_else(|| {
            padded.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
            (&padded, &[])
        });
        let backslashes = bits(block, b'\\');
        let mut quotes = bits(block, b'"');
        if backslashes | escape != 0 {
            // A run of backslashes escapes what follows it when its length is odd: adding its first bit to the run
            // carries to the byte behind it, whose place (odd or even) then tells the length.
            let starting = backslashes & !escape;
            let behind = (starting << 1) | escape;
            let (sums, carried) = (starting & !EVEN & !behind).overflowing_add(starting);
            escape = u64::from(carried);
            quotes &= !((EVEN ^ (sums << 1)) & behind);
        }
        // Every bit between an opening quote and its closing one.
        let mut inside = quotes;
        for by in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << by;
        }
        inside ^= in_string;
        in_string = 0_u64.wrapping_sub(inside >> 63);
        let mut outside = !(inside | quotes);
        while outside != 0 {
            let at = outside.trailing_zeros() as usize;
            outside &= outside - 1;
            match block.get(at)? {
                kind @ (b'{' | b'[') => {
                    depth += 1;
                    if depth > u64::BITS {
                        return None;
                    }
                    open = (open << 1) | u64::from(*kind == b'{');
                }
                kind @ (b'}' | b']') => {
                    if open & 1 != u64::from(*kind == b'}') {
                        return None;
                    }
                    open >>= 1;
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(bytes.len() - rest.len() + at + 1);
                    }
                }
                b',' | b':' | b' ' | b'\t' | b'0'..=b'9' | b'-' | b'+' | b'.' => {}
                // `true`, `false`, `null` and exponents; any other letter shows that a string was cut.
                b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' | b'E' => {}
                _ => return None,
            }
        }
        rest = after;
    }
    None
}

/// The value of the top level's `type` when it stands before every object and array of the line.
pub(super) fn kind(line: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(line)?;
    while let Some(key) = cursor.key()? {
        let value = cursor.skip_scalar()?;
        if key == b"type" {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_told_from_blank_ones() {
        assert_eq!(whole(b" \r\n"), Ok(None));
        assert_eq!(whole(b"{\"a\":1}\r"), Ok(Some(&b"{\"a\":1}"[..])));
        assert!(whole(b"{\"a\":").is_err());
        assert!(whole(b"\":1}").is_err());
        assert!(whole(b"\0\0\0").is_err());
        assert!(whole(b"{").is_err());
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

    /// Values that are hard to step over, each with any distance to the borders of blocks.
    fn hard() -> Vec<String> {
        let mut values: Vec<String> = [
            r#"{"a":[1,2.5e-3,true,null,{"b":"}]"}]}"#,
            r#"["\"","\\","\\\"","\\\\",""]"#,
            r#"[[],{},"{[",["\u00e9"]]"#,
            r#"{"use":"{\"usage\":{\"x\":\"\\\\\\\"\"}}"}"#,
        ]
        .map(str::to_owned)
        .into();
        for run in 0..70 {
            values.push(format!(r#"["{}{}","]"]"#, "x".repeat(run), r"\\".repeat(run)));
            values.push(format!(r#"["{}\"]","]"]"#, r"\\".repeat(run)));
        }
        values
    }

    #[test]
    fn containers_are_stepped_over_wherever_the_blocks_begin() {
        for value in hard() {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok(), "{value}");
            for pad in 0..130 {
                let padded = format!("[\"{}\",{value}]", "p".repeat(pad));
                let followed = format!("{padded},\"]\":[]}}");
                assert_eq!(container(padded.as_bytes()), Some(padded.len()), "{padded}");
                assert_eq!(container(followed.as_bytes()), Some(padded.len()), "{followed}");
            }
        }
    }

    #[test]
    fn broken_containers_are_declined() {
        for text in ["[", "{]", "[}", "[\"a]", r#"["abc{"parentUuid":"x"}]"#, "]", "[[]", "[?]"] {
            assert_eq!(container(text.as_bytes()), None, "{text}");
        }
        assert_eq!(container("[".repeat(100).as_bytes()), None);
    }

    #[test]
    fn a_cursor_reads_what_it_is_asked_for() {
        let line = br#"{ "a" : "x\ny" , "n":null,"o":{"k":"v"},"z":-1.5e3,"list":[1,{"a":2}]}"#;
        let mut cursor = Cursor::new(line).unwrap();
        assert_eq!(cursor.key(), Some(Some(&b"a"[..])));
        assert_eq!(cursor.string(), Some(Some("x\ny".into())));
        assert_eq!(cursor.key(), Some(Some(&b"n"[..])));
        assert_eq!(cursor.string(), Some(None));
        assert_eq!(cursor.key(), Some(Some(&b"o"[..])));
        assert_eq!(cursor.enter(), Some(true));
        assert_eq!(cursor.key(), Some(Some(&b"k"[..])));
        assert_eq!(cursor.skip(), Some(&b"\"v\""[..]));
        assert_eq!(cursor.key(), Some(None));
        assert_eq!(cursor.key(), Some(Some(&b"z"[..])));
        assert_eq!(cursor.skip(), Some(&b"-1.5e3"[..]));
        assert_eq!(cursor.key(), Some(Some(&b"list"[..])));
        assert_eq!(cursor.skip_scalar(), None);
        assert_eq!(cursor.skip(), Some(&b"[1,{\"a\":2}]"[..]));
        assert_eq!(cursor.key(), Some(None));
        assert!(cursor.is_done());
    }

    #[test]
    fn the_kind_is_read_only_where_it_is_certain() {
        assert_eq!(kind(br#"{"a":"b","type":"user","m":{}}"#), Some(&b"\"user\""[..]));
        assert_eq!(kind(br#"{"m":{"type":"x"},"type":"user"}"#), None);
        assert_eq!(kind(br#"{"a":1}"#), None);
    }
}
