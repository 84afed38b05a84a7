//! Makes foreign text safe for a terminal: characters that control the terminal or hide in the text are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Whether line breaks are preserved or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    Kept,
    /// A blank replaces each line break and tab, so that the text stays on one line.
    Blank,
}

/// Returns whether a character is invisible and changes its surroundings: controls, bidirectional and other format
/// characters, zero-width characters, and line separators.
pub(crate) const fn is_hidden(char: char) -> bool {
    char.is_ascii_control()
        || matches!(
            char,
            '\u{80}'..='\u{9f}'
                | '\u{ad}'
                | '\u{34f}'
                // Marks of numbers and verses, which enclose what follows.
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                // Variation selectors, but not the two that choose between an emoji and its text form.
                | '\u{fe00}'..='\u{fe0d}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                // Controls of hieroglyphs.
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Escapes every hidden character, for example as `\u{202e}`.
pub(crate) fn visible(text: &str, breaks: Breaks) -> Cow<'_, str> {
    let stays = |char: char| !is_hidden(char) || (breaks == Breaks::Kept && char == '\n');
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            _ if stays(char) => out.push(char),
            '\n' | '\t' | '\r' => out.push(' '),
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char)); // a string takes all
            }
        }
    }
    Cow::Owned(out)
}

/// Escapes every hidden character of a JSON text as JSON does, so its strings keep their values.
#[cfg(any(feature = "mcp", test))]
pub(crate) fn visible_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if is_hidden(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}"); // a string takes all
            }
        } else {
            out.push(char);
        }
    }
    out
}

/// The form of output on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// Lines of text. The line break is the only control character.
    Text,
    /// JSON. A hidden character becomes a JSON escape, so strings keep their values.
    Json,
    /// Text that this program colours.
    Coloured,
}

/// A writer that escapes every hidden character, in case a command does not.
pub(crate) struct VisibleWriter<W: Write> {
    inner: W,
    form: OutputForm,
    /// The bytes of an incomplete character.
    begun: Vec<u8>,
}

impl<W: Write> VisibleWriter<W> {
    pub fn new(inner: W, form: OutputForm) -> Self {
        Self { inner, form, begun: Vec::new() }
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        let form = self.form;
        let stays = |char: char| !is_hidden(char) || char == '\n' || (form == OutputForm::Coloured && char == '\u{1b}');
        let mut rest = text;
        while let Some(at) = rest.find(|char| !stays(char)) {
            let (before, behind) = rest.split_at(at);
            self.inner.write_all(before.as_bytes())?;
            let mut behind = behind.chars();
            match behind.next() {
                Some('\t' | '\r') if form != OutputForm::Json => self.inner.write_all(b" ")?,
                Some(char) if form == OutputForm::Json => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        write!(self.inner, "\\u{unit:04x}")?;
                    }
                }
                Some(char) => write!(self.inner, "\\u{{{:x}}}", u32::from(char))?,
                None => {}
            }
            rest = behind.as_str();
        }
        self.inner.write_all(rest.as_bytes())
    }
}

impl<W: Write> Write for VisibleWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\n';
        if self.begun.is_empty() && bytes.iter().all(plain) {
            self.inner.write_all(bytes)?;
            return Ok(bytes.len());
        }
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(bytes);
        for chunk in whole.utf8_chunks() {
            self.put(chunk.valid())?;
            let invalid = chunk.invalid();
            let is_end = invalid.as_ptr_range().end == whole.as_ptr_range().end;
            if is_end && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none()) {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.put("\u{fffd}")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31m\u{202e}b\u{9b}c\u{200b}\u{7f}\u{2028}\u{feff}\u{e0041}é\t使";

    fn written(form: OutputForm, text: &str, step: usize) -> String {
        let mut out = Vec::new();
        let mut writer = VisibleWriter::new(&mut out, form);
        for part in text.as_bytes().chunks(step) {
            writer.write_all(part).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hidden_characters_are_written_out() {
        let want = "a\\u{1b}[31m\\u{202e}b\\u{9b}c\\u{200b}\\u{7f}\\u{2028}\\u{feff}\\u{e0041}é 使";
        assert_eq!(visible(HOSTILE, Breaks::Blank), want);
        for step in 1..8 {
            assert_eq!(written(OutputForm::Text, HOSTILE, step), want, "{step}");
        }
        assert_eq!(visible("a\u{fe00}\u{fe0d}b", Breaks::Kept), "a\\u{fe00}\\u{fe0d}b");
        assert_eq!(visible("❤\u{fe0f}", Breaks::Kept), "❤\u{fe0f}");
        assert_eq!(visible("a\nb", Breaks::Kept), "a\nb");
        assert_eq!(visible("a\nb", Breaks::Blank), "a b");
        assert_eq!(written(OutputForm::Coloured, "\u{1b}[1m\u{202e}", 2), "\u{1b}[1m\\u{202e}");
    }

    #[test]
    fn every_format_character_is_hidden() {
        let format = regex::Regex::new(r"\p{Cf}|\p{Zl}|\p{Zp}|\p{Cc}").unwrap();
        let shown =
            ('\0'..=char::MAX).filter(|char| format.is_match(char.encode_utf8(&mut [0; 4])) && !is_hidden(*char));
        assert_eq!(shown.collect::<String>(), "");
    }

    #[test]
    fn json_keeps_its_values() {
        let json = serde_json::to_string(HOSTILE).unwrap() + "\n";
        for step in 1..8 {
            let out = written(OutputForm::Json, &json, step);
            assert!(!out.trim_end().chars().any(is_hidden), "{out}");
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), HOSTILE);
        }
    }
}
