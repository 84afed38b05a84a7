//! Parses `usage.md`, the page through which Koan's parts share percentages.

use crate::model::event::Percent;
use crate::model::time::{DAY, HOUR, MINUTE};

/// The content of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageMdFile {
    /// The line of the session window, if valid.
    pub session: Option<UsageMdReading>,
    /// The line of the weekly window, if valid.
    pub weekly: Option<UsageMdReading>,
    /// Origin of the percentages: `heuristic`, or `oauth_usage` if the provider reported them.
    pub source: Option<String>,
    /// Creation time, as written on the page.
    pub generated: Option<String>,
    /// Whether the page is empty.
    pub blank: bool,
}

/// One line of percentages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageMdReading {
    /// Used percentage.
    pub percent: Percent,
    /// Time until the window resets, as written.
    pub resets_in: String,
}

impl UsageMdFile {
    /// Returns whether there is a page, but neither line is valid.
    pub const fn is_malformed(&self) -> bool {
        !self.blank && self.session.is_none() && self.weekly.is_none()
    }
}

/// Parses a page as Koan does, which searches for its two lines anywhere. Also accepts decimals.
pub fn parse(text: &str) -> UsageMdFile {
    UsageMdFile {
        session: reading(text, "session"),
        weekly: reading(text, "weekly"),
        source: comment(text, "usage source:"),
        generated: comment(text, "generated:").or_else(|| comment(text, "generated at:")),
        blank: text.trim().is_empty(),
    }
}

/// Returns the first line with this word.
fn reading(text: &str, word: &str) -> Option<UsageMdReading> {
    // ASCII lower case, so that indexes are equal in both texts.
    let lower = text.to_ascii_lowercase();
    lower.match_indices(word).find_map(|(at, _)| read(text.get(at + word.len()..)?, lower.get(at + word.len()..)?))
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Parses `(label) : ~25% (reset in 3h)`, after the word.
fn read(text: &str, lower: &str) -> Option<UsageMdReading> {
    let (line, lower) = (text.lines().next()?, lower.lines().next()?);
    let (label, rest) = blanks(lower).strip_prefix('(')?.split_once(')')?;
    if label.is_empty() {
        return None;
    }
    let rest = blanks(blanks(rest).strip_prefix(':')?);
    let rest = rest.strip_prefix('~').unwrap_or(rest);
    let (number, rest) = rest.split_once('%')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(decimals) {
        return None;
    }
    let rest = blanks(rest).strip_prefix('(')?.strip_prefix("reset")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest).strip_prefix([' ', '\t'])?;
    let rest = blanks(rest).strip_prefix("in")?.strip_prefix([' ', '\t'])?;
    let (left, _) = blanks(rest).split_once(')')?;
    // The text in its original case.
    let at = line.len().checked_sub(blanks(rest).len())?;
    let resets_in = line.get(at..at + left.len())?.trim().to_owned();
    (!resets_in.is_empty()).then_some(UsageMdReading { percent: number.parse().ok()?, resets_in })
}

/// Returns the value of a named comment.
fn comment(text: &str, name: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find(name)? + name.len();
    let rest = text.get(at..)?.lines().next()?;
    let value = rest.split("-->").next().unwrap_or(rest).trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Converts a countdown such as `3d4h`, `2h05m` or `45m` to milliseconds.
pub fn duration(text: &str) -> Option<i64> {
    let mut sum = 0_i64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|char: char| !char.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(end)?;
        let unit = match behind.chars().next()?.to_ascii_lowercase() {
            'd' => DAY,
            'h' => HOUR,
            'm' => MINUTE,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = behind.get(1..)?.trim_start();
    }
    Some(sum)
}
