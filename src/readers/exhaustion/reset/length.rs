//! Lengths of time as text: `3h`, `1h 30m`, `2 days and 3 hours`, `PT1H30M`.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::humanize::duration::retry_after;
use crate::model::time::{DAY, HOUR, MINUTE, SECOND};

/// A number with its unit.
const PART: &str = r"(?:\d{1,9}(?:\.\d{1,6})?|an?)\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)\b";

/// A pattern of one or more parts, for use in another pattern.
pub(super) fn pattern() -> String {
    // Parts may be adjacent: `1h30m` has no word border between them.
    let touching = PART.replace(r"\b", "");
    format!(r"(?:{ISO}|(?:{touching}(?:\s*,\s*|\s+and\s+|\s*))*{PART})")
}

/// An ISO 8601 duration. Months and years are excluded, because their length varies.
const ISO: &str = r"P(?:\d{1,5}W)?(?:\d{1,5}D)?(?:T(?:\d{1,7}H)?(?:\d{1,9}M)?(?:\d{1,9}(?:\.\d{1,6})?S)?)?\b";

static PARTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)(\d{1,9})(?:\.(\d{1,6}))?\s*(ms|milli|[a-z])|\ban?\s+([a-z])").ok());

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanLength {
    pub millis: i64,
    /// Whether it was given in days or weeks.
    pub days: bool,
}

impl SpanLength {
    /// Parses the text that [`pattern`] matched.
    pub fn read(text: &str) -> Option<Self> {
        let mut length = Self { millis: 0, days: false };
        // The designators of ISO 8601 equal short units, so its parts are parsed alike.
        for part in PARTS.as_ref()?.captures_iter(text) {
            let group = |index| part.get(index).map_or("", |matched: regex::Match<'_>| matched.as_str());
            let (unit, whole): (&str, i64) =
                if group(1).is_empty() { (group(4), 1) } else { (group(3), group(1).parse().ok()?) };
            let unit = match unit.to_ascii_lowercase().as_str() {
                "ms" | "milli" => 1,
                "s" => SECOND,
                "m" => MINUTE,
                "h" => HOUR,
                "d" => DAY,
                "w" => 7 * DAY,
                _ => return None,
            };
            length.days |= unit >= DAY;
            let fraction = group(2);
            let scale = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            let fraction: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
            // Part of a millisecond is rounded up.
            let fraction = fraction.checked_mul(unit)?.checked_add(scale - 1)? / scale;
            length.millis = length.millis.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction)?;
        }
        // `P` alone is only a letter.
        (length.millis > 0 || text.contains(|c: char| c.is_ascii_digit())).then_some(length)
    }

    /// `45s`, `1h 30m`; days only if the text had days: `2d 3h`.
    pub fn text(self) -> String {
        let days = if self.days { self.millis / DAY } else { 0 };
        match self.millis - days * DAY {
            rest if days == 0 => retry_after(rest),
            rest if rest < MINUTE => format!("{days}d"),
            rest => format!("{days}d {}", retry_after(rest)),
        }
    }
}
