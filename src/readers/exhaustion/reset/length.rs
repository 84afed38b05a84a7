//! Lengths of time as text: `3h`, `1h 30m`, `2 days and 3 hours`, `PT1H30M`.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::humanize::duration::stated_length;
use crate::model::time::{DAY, HOUR, MINUTE, SECOND};

/// Units of time.
const UNIT: &str = "(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)";
/// A number in digits, with or without separators of thousands.
const NUMBER: &str = r"(?:\d{1,3}(?:,\d{3})+|\d{1,9}(?:\.\d{1,9})?)";

/// A pattern of one or more parts, for use in another pattern.
pub(super) fn pattern() -> String {
    let touching = format!(r"(?:{NUMBER}\s*|(?:{})\s+){UNIT}", words());
    // Parts may be adjacent: `1h30m` has no word border between them.
    format!(r"(?:{ISO}|(?:{touching}(?:\s*,\s*|\s+and\s+|\s*))*{touching}\b(?:\s+and\s+a\s+half\b)?)")
}

/// A pattern of the numbers that are written as words, the longest first.
fn words() -> String {
    let words: Vec<&str> = WORDS.iter().rev().map(|(word, _)| *word).collect();
    format!(r"half\s+an?|{}", words.join("|"))
}

/// A length as a clock shows it, `1:30:00`, `4:37` or `2h30`. Only after the word "in" it is not a time of day.
pub(super) const CLOCK: &str = r"\d{1,4}(?::\d{2}(?::\d{2})?|h\d{2})\b";

/// Words between "in" and a length.
pub(super) const ABOUT: &str = r"(?:(?:about|around|approximately|approx\.?|roughly|nearly|less\s+than|under|up\s+to|at\s+most|the\s+next)\s+|~\s*)?";

/// An ISO 8601 duration. Months and years are excluded, because their length varies.
const ISO: &str = r"P(?:\d{1,5}W)?(?:\d{1,5}D)?(?:T(?:\d{1,7}H)?(?:\d{1,9}M)?(?:\d{1,9}(?:\.\d{1,9})?S)?)?\b";

static PARTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(&format!(
        r"(?i)(?<number>\d{{1,9}}(?:,\d{{3}})*)(?:\.(?<fraction>\d{{1,9}}))?\s*(?<unit>ms|milli|[a-z])|\b(?<word>{})\s+(?<of>milli|[a-z])|\band\s+a\s+(?<rest>half)\b",
        words()
    ))
    .ok()
});

/// Numbers as words.
const WORDS: &[(&str, i64)] = &[
    ("a", 1),
    ("an", 1),
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("twenty-four", 24),
    ("forty-eight", 48),
    ("seventy-two", 72),
];

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
        let mut last = 0;
        // The designators of ISO 8601 equal short units, so its parts are parsed alike.
        for part in PARTS.as_ref()?.captures_iter(text) {
            let group = |name| part.name(name).map(|matched| matched.as_str().to_ascii_lowercase());
            if group("rest").is_some() {
                length.millis = length.millis.checked_add(last / 2)?;
                continue;
            }
            let unit = unit(&group("unit").or_else(|| group("of"))?)?;
            let millis = match group("word") {
                Some(word) if word.starts_with("half") => unit / 2,
                Some(word) => WORDS.iter().find(|(name, _)| *name == word)?.1.checked_mul(unit)?,
                None => amount(&group("number")?.replace(',', ""), &group("fraction").unwrap_or_default(), unit)?,
            };
            length.days |= unit >= DAY;
            length.millis = length.millis.checked_add(millis)?;
            last = unit;
        }
        // `P` alone is only a letter.
        (length.millis > 0 || text.contains(|c: char| c.is_ascii_digit())).then_some(length)
    }

    /// Parses the text that [`CLOCK`] matched.
    pub fn read_clock(text: &str) -> Option<Self> {
        let mut millis = 0_i64;
        for (part, unit) in text.split([':', 'h', 'H']).zip([HOUR, MINUTE, SECOND]) {
            millis = millis.checked_add(part.parse::<i64>().ok()?.checked_mul(unit)?)?;
        }
        Some(Self { millis, days: false })
    }

    /// `45s`, `1h 30m`; days only if the text had days: `2d 3h`.
    pub fn text(self) -> String {
        stated_length(self.millis, self.days)
    }
}

/// The length of a unit in milliseconds, from the beginning of its name.
fn unit(name: &str) -> Option<i64> {
    Some(match name {
        "ms" | "milli" => 1,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    })
}

/// A number of units in milliseconds. Part of a millisecond is rounded up.
fn amount(whole: &str, fraction: &str, unit: i64) -> Option<i64> {
    let scale = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = part.checked_mul(unit)?.checked_add(scale - 1)? / scale;
    whole.parse::<i64>().ok()?.checked_mul(unit)?.checked_add(part)
}
