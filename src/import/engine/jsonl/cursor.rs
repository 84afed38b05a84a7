//! A cursor over the keys and values of one line.

use std::borrow::Cow;

use memchr::memchr2;

use super::container::container;

/// The cursor cannot handle the line: it is malformed, or not in the form that clients write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) struct Declined;

type CursorResult<T> = std::result::Result<T, Declined>;

/// Iterates over the keys and values of one line from left to right.
pub(in crate::import) struct JsonCursor<'a> {
    rest: &'a [u8],
}

impl<'a> JsonCursor<'a> {
    /// Creates a cursor inside the object of a line.
    pub fn new(line: &'a [u8]) -> CursorResult<Self> {
        line.strip_prefix(b"{").map(|rest| Self { rest }).ok_or(Declined)
    }

    /// Returns whether nothing follows.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> CursorResult<u8> {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied().ok_or(Declined)
    }

    /// Consumes the next byte if it equals `byte`.
    fn eat(&mut self, byte: u8) -> CursorResult<bool> {
        let is_next = self.peek()? == byte;
        if let ([_, rest @ ..], true) = (self.rest, is_next) {
            self.rest = rest;
        }
        Ok(is_next)
    }

    /// Returns the next key of the current object, or `None` after the last one; the cursor is then behind the object.
    /// A key with an escape is declined, because no log writes one.
    #[inline]
    pub fn key(&mut self) -> CursorResult<Option<&'a [u8]>> {
        // Fast path: clients write no white space.
        if let [b',', b'"', text @ ..] | [b'"', text @ ..] = self.rest
            && let Some((key, [b'"', b':', rest @ ..])) = text.split_at_checked(stop(text)?)
        {
            self.rest = rest;
            return Ok(Some(key));
        }
        self.key_among_blanks()
    }

    fn key_among_blanks(&mut self) -> CursorResult<Option<&'a [u8]>> {
        self.eat(b',')?;
        if self.eat(b'}')? {
            return Ok(None);
        }
        let (key, escaped) = self.literal()?;
        if self.eat(b':')? && !escaped { Ok(Some(key)) } else { Err(Declined) }
    }

    /// Enters the object that is the next value. Skips a `null`.
    pub fn enter(&mut self) -> CursorResult<bool> {
        if self.eat(b'{')? {
            return Ok(true);
        }
        self.null()?;
        Ok(false)
    }

    /// Returns the next value if it is a string or `null`.
    pub fn string(&mut self) -> CursorResult<Option<Cow<'a, str>>> {
        if self.peek()? != b'"' {
            self.null()?;
            return Ok(None);
        }
        let before = self.rest;
        let (text, escaped) = self.literal()?;
        let text = if escaped {
            let quoted = before.get(..text.len() + 2).ok_or(Declined)?;
            Cow::Owned(serde_json::from_slice(quoted).map_err(|_| Declined)?)
        } else {
            Cow::Borrowed(std::str::from_utf8(text).map_err(|_| Declined)?)
        };
        Ok(Some(text))
    }

    /// Skips a `null`; declines anything else.
    fn null(&mut self) -> CursorResult<()> {
        if self.skip()? == b"null" { Ok(()) } else { Err(Declined) }
    }

    /// Returns the bytes between the quotes of the string at the cursor, and whether they contain escapes.
    #[inline]
    fn literal(&mut self) -> CursorResult<(&'a [u8], bool)> {
        let text = self.rest.strip_prefix(b"\"").ok_or(Declined)?;
        let (mut end, mut escaped) = (stop(text)?, false);
        loop {
            let (inside, behind) = text.split_at_checked(end).ok_or(Declined)?;
            if let [b'"', rest @ ..] = behind {
                self.rest = rest;
                return Ok((inside, escaped));
            }
            escaped = true;
            end += 2 + stop(behind.get(2..).ok_or(Declined)?)?;
        }
    }

    /// Skips the next value of any kind and returns its bytes.
    pub fn skip(&mut self) -> CursorResult<&'a [u8]> {
        let first = self.peek()?;
        let value = self.rest;
        let length = match first {
            b'"' => self.literal()?.0.len() + 2,
            b'{' | b'[' => container(value).ok_or(Declined)?,
            _ => value.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count(),
        };
        let (value, rest) = value.split_at_checked(length).ok_or(Declined)?;
        self.rest = rest;
        if value.is_empty() { Err(Declined) } else { Ok(value) }
    }

    /// Skips the next value unless it is an object or array.
    pub fn skip_scalar(&mut self) -> CursorResult<&'a [u8]> {
        if matches!(self.peek()?, b'{' | b'[') { Err(Declined) } else { self.skip() }
    }
}

/// Returns the index of the first quote or backslash.
#[inline]
fn stop(text: &[u8]) -> CursorResult<usize> {
    memchr2(b'"', b'\\', text).ok_or(Declined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_the_requested_values() {
        let line = br#"{ "a" : "x\ny" , "n":null,"o":{"k":"v"},"z":-1.5e3,"list":[1,{"a":2}]}"#;
        let mut cursor = JsonCursor::new(line).unwrap();
        assert_eq!(cursor.key(), Ok(Some(&b"a"[..])));
        assert_eq!(cursor.string(), Ok(Some("x\ny".into())));
        assert_eq!(cursor.key(), Ok(Some(&b"n"[..])));
        assert_eq!(cursor.string(), Ok(None));
        assert_eq!(cursor.key(), Ok(Some(&b"o"[..])));
        assert_eq!(cursor.enter(), Ok(true));
        assert_eq!(cursor.key(), Ok(Some(&b"k"[..])));
        assert_eq!(cursor.skip(), Ok(&b"\"v\""[..]));
        assert_eq!(cursor.key(), Ok(None));
        assert_eq!(cursor.key(), Ok(Some(&b"z"[..])));
        assert_eq!(cursor.skip(), Ok(&b"-1.5e3"[..]));
        assert_eq!(cursor.key(), Ok(Some(&b"list"[..])));
        assert_eq!(cursor.skip_scalar(), Err(Declined));
        assert_eq!(cursor.skip(), Ok(&b"[1,{\"a\":2}]"[..]));
        assert_eq!(cursor.key(), Ok(None));
        assert!(cursor.is_done());
    }
}
