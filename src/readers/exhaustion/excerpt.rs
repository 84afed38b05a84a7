//! The text around a match.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::secrets;

/// Maximal length of an excerpt, in characters.
const EXCERPT: usize = 300;
/// How far around its line, and in a long line, a reset is searched for, in bytes.
const VICINITY: usize = 4 << 10;

/// Colours and cursor movements of terminals.
static ESCAPES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)").ok());

/// The text without terminal escapes. Otherwise `ESC[31merror` would have no word that begins with `e`.
pub(super) fn printed(text: &str) -> Cow<'_, str> {
    match ESCAPES.as_ref() {
        Some(escapes) if text.contains('\x1b') => escapes.replace_all(text, ""),
        _ => Cow::Borrowed(text),
    }
}

/// A part of the matching line, with the match in its middle.
pub(super) fn excerpt(text: &str, place: &Range<usize>) -> String {
    let line = line_range(text, place);
    let middle = place.start.max(line.start).midpoint(place.end.min(line.end)).clamp(line.start, line.end);
    let middle = floor(text, middle);
    // The whole line is redacted before it is cut: a cut takes away the marks that a credential is known by.
    let redacted_line = redacted(text.get(line.clone()).unwrap_or_default());
    let middle = floor(&redacted_line, redacted(text.get(line.start..middle).unwrap_or_default()).len());
    let (head, tail) = redacted_line.split_at_checked(middle).unwrap_or_default();
    let (before, after) = (head.chars().count(), tail.chars().count());
    // A side that is shorter than half leaves its rest to the other side.
    let half = EXCERPT / 2;
    let keep_before = before.min(half.max(EXCERPT.saturating_sub(after)));
    let keep_after = after.min(EXCERPT - keep_before);
    let excerpt: String = head.chars().skip(before - keep_before).chain(tail.chars().take(keep_after)).collect();
    excerpt.trim().to_owned()
}

/// Quoted text that is long enough to be part of a conversation.
static QUOTED_TEXT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)\b(?:prompt|content|text|completion|input|output)["']?\s*[:=]\s*"[^"]*"?"#).ok()
});

/// A line without credentials, prompts, completions and control characters, because the ledger stores its excerpt.
fn redacted(line: &str) -> String {
    let without = |line: &str| {
        let expression = |expression: &Regex| secrets::text(&expression.replace_all(line, "[redacted]")).into_owned();
        QUOTED_TEXT.as_ref().map_or_else(String::new, expression)
    };
    // A control character may begin a credential, or stand within one.
    let plain = plain(&without(line));
    if plain == line { plain } else { without(&plain) }
}

/// Removes control characters.
fn plain(text: &str) -> String {
    text.chars()
        .filter_map(|char| if char == '\t' { Some(' ') } else { (!char.is_control()).then_some(char) })
        .collect()
}

/// The line in which a hit begins.
pub(super) fn line_range(text: &str, place: &Range<usize>) -> Range<usize> {
    // A pattern may begin with white space of the preceding lines.
    let begin = place.start + text.get(place.clone()).map_or(0, |hit| hit.len() - hit.trim_start().len());
    let start = text.get(..begin).and_then(|head| head.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(begin..).and_then(|tail| tail.find('\n')).map_or(text.len(), |at| begin + at);
    start..end
}

/// The end of a line that a terminal wrapped within a time: `at Dec 3rd, 2026⏎4:13 PM`, `in 22 hours 11⏎minutes`.
static WRAPPED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:\d|\d(?:st|nd|rd|th)?,|\b(?:at|on|in|and|by|about|after|until|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august|september|october|november|december))\s*$").ok()
});

/// Whether a time may continue on the next line.
pub(super) fn is_wrapped(line: &str) -> bool {
    WRAPPED.as_ref().is_some_and(|wrapped| wrapped.is_match(line))
}

/// The line of the match, with the next line if it is wrapped, limited to its vicinity.
pub(super) fn around_line<'t>(text: &'t str, place: &Range<usize>) -> &'t str {
    let mut line = line_range(text, place);
    if text.get(line.clone()).is_some_and(is_wrapped) {
        let next = line.end.saturating_add(1);
        line.end = text.get(next..).map_or(line.end, |rest| next + rest.find('\n').unwrap_or(rest.len()));
    }
    cut(text, line.start.max(place.start.saturating_sub(VICINITY)), line.end.min(place.end.saturating_add(VICINITY)))
}

/// The text around the match.
pub(super) fn vicinity<'t>(text: &'t str, place: &Range<usize>) -> &'t str {
    cut(text, place.start.saturating_sub(VICINITY), place.end.saturating_add(VICINITY))
}

fn cut(text: &str, from: usize, to: usize) -> &str {
    let (from, to) = (floor(text, from), floor(text, to));
    text.get(from..to).unwrap_or_default()
}

/// The last character border at or before a byte.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
