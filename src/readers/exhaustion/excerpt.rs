//! The text around a hit.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::scan::line_range;
use crate::model::secrets;

/// Longest excerpt, in characters.
const EXCERPT: usize = 300;
/// How far around its line a reset is looked for, and how much of a long line, in bytes.
const VICINITY: usize = 4 << 10;

/// Colours and cursor movements of terminals.
static ESCAPES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)").ok());

/// The text without what only a terminal understands: `ESC[31merror` has no word that begins with `e`.
pub(super) fn printed(text: &str) -> Cow<'_, str> {
    match ESCAPES.as_ref() {
        Some(escapes) if text.contains('\x1b') => escapes.replace_all(text, ""),
        _ => Cow::Borrowed(text),
    }
}

/// A part of the hit's line, the hit in its middle.
pub(super) fn excerpt(text: &str, place: &Range<usize>) -> String {
    let line = line_range(text, place);
    let middle = place.start.max(line.start).midpoint(place.end.min(line.end)).clamp(line.start, line.end);
    let middle = floor(text, middle);
    let head = text.get(line.start..middle).unwrap_or_default();
    let tail = text.get(middle..line.end).unwrap_or_default();
    let head: String = head.chars().rev().take(EXCERPT).collect();
    let (head, tail) = (plain(head.chars().rev()), plain(tail.chars().take(EXCERPT)));
    let (before, after) = (head.chars().count(), tail.chars().count());
    // What one side does not need the other may have.
    let half = EXCERPT / 2;
    let keep_before = before.min(half.max(EXCERPT.saturating_sub(after)));
    let keep_after = after.min(EXCERPT - keep_before);
    let excerpt: String = head.chars().skip(before - keep_before).chain(tail.chars().take(keep_after)).collect();
    redacted(excerpt.trim())
}

/// Quoted text that is long enough to be somebody's words.
static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)\b(?:prompt|content|text|completion|input|output)["']?\s*[:=]\s*"[^"]*"?"#).ok()
});

/// The excerpt is kept for all time, and no credential, prompt or completion is.
fn redacted(excerpt: &str) -> String {
    let words = |words: &Regex| secrets::text(&words.replace_all(excerpt, "[redacted]")).into_owned();
    WORDS.as_ref().map_or_else(String::new, words)
}

/// Without control characters.
fn plain(chars: impl Iterator<Item = char>) -> String {
    chars.filter_map(|char| if char == '\t' { Some(' ') } else { (!char.is_control()).then_some(char) }).collect()
}

/// The hit's line, as much of it as is near.
pub(super) fn around_line<'t>(text: &'t str, place: &Range<usize>) -> &'t str {
    let line = line_range(text, place);
    cut(text, line.start.max(place.start.saturating_sub(VICINITY)), line.end.min(place.end.saturating_add(VICINITY)))
}

/// The text around the hit.
pub(super) fn vicinity<'t>(text: &'t str, place: &Range<usize>) -> &'t str {
    cut(text, place.start.saturating_sub(VICINITY), place.end.saturating_add(VICINITY))
}

fn cut(text: &str, from: usize, to: usize) -> &str {
    let (from, to) = (floor(text, from), floor(text, to));
    text.get(from..to).unwrap_or_default()
}

/// The last border of characters up to a byte.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
