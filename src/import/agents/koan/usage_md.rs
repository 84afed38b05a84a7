//! `usage.md`, the page by which Koan's parts tell each other how much is used.

use crate::model::event::Percent;
use crate::model::time::{DAY, HOUR, MINUTE};

/// What a page says.
///
/// ```
/// use usage_ledger::import::koan::usage_md;
/// let page = usage_md::parse("Session (5hr) : ~25% (reset in 3h30m)\nWeekly (7 day) : ~60% (Resets in 5d)\n");
/// assert_eq!(page.session.unwrap().resets_in, "3h30m");
/// assert_eq!(page.weekly.unwrap().percent, "60".parse()?);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageMdFile {
    /// The line about the session window, if one reads as such.
    pub session: Option<UsageMdReading>,
    /// The line about the week, if one reads as such.
    pub weekly: Option<UsageMdReading>,
    /// What the percentages rest on: `heuristic`, or `oauth_usage` when the provider reported them.
    pub source: Option<String>,
    /// When the page was made, as it says.
    pub generated: Option<String>,
    /// Whether nothing stands on the page.
    pub blank: bool,
}

/// One line of percentages.
///
/// ```
/// use usage_ledger::import::koan::usage_md;
/// let reading = usage_md::parse("weekly (x):9.5%(reset in 1d)").weekly.unwrap();
/// assert_eq!((reading.percent.to_string().as_str(), reading.resets_in.as_str()), ("9.5", "1d"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageMdReading {
    /// How much is used.
    pub percent: Percent,
    /// How long until the window resets, in the page's words.
    pub resets_in: String,
}

impl UsageMdFile {
    /// Whether there is a page, and neither line can be read.
    ///
    /// ```
    /// use usage_ledger::import::koan::usage_md;
    /// assert!(usage_md::parse("Usage: plenty").is_malformed());
    /// assert!(!usage_md::parse("").is_malformed());
    /// ```
    pub const fn is_malformed(&self) -> bool {
        !self.blank && self.session.is_none() && self.weekly.is_none()
    }
}

/// Reads a page as Koan does, which looks for its two lines anywhere; besides it takes decimals.
///
/// ```
/// use usage_ledger::import::koan::usage_md;
/// assert_eq!(usage_md::parse("Session (5hr) : 25.5% (reset in 3h)").session.unwrap().percent, "25.5".parse()?);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn parse(text: &str) -> UsageMdFile {
    UsageMdFile {
        session: reading(text, "session"),
        weekly: reading(text, "weekly"),
        source: comment(text, "usage source:"),
        generated: comment(text, "generated:").or_else(|| comment(text, "generated at:")),
        blank: text.trim().is_empty(),
    }
}

/// The first line of that word.
fn reading(text: &str, word: &str) -> Option<UsageMdReading> {
    // ASCII only, so that places in both texts are the same.
    let lower = text.to_ascii_lowercase();
    lower.match_indices(word).find_map(|(at, _)| read(text.get(at + word.len()..)?, lower.get(at + word.len()..)?))
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// `(label) : ~25% (reset in 3h)`, behind the word.
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
    // The words as they stand, in their own case.
    let at = line.len().checked_sub(blanks(rest).len())?;
    let resets_in = line.get(at..at + left.len())?.trim().to_owned();
    (!resets_in.is_empty()).then_some(UsageMdReading { percent: number.parse().ok()?, resets_in })
}

/// What a comment says behind a name.
fn comment(text: &str, name: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find(name)? + name.len();
    let rest = text.get(at..)?.lines().next()?;
    let value = rest.split("-->").next().unwrap_or(rest).trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// The milliseconds of a countdown such as `3d4h`, `2h05m` or `45m`.
///
/// ```
/// use usage_ledger::{import::koan::usage_md::duration, time::{HOUR, MINUTE}};
/// assert_eq!(duration("2h05m"), Some(2 * HOUR + 5 * MINUTE));
/// assert_eq!(duration("unknown"), None);
/// ```
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
