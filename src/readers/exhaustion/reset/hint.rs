//! Hints of servers: Unix times, `Retry-After`, "try again in 20 minutes".

use std::sync::LazyLock;

use chrono::DateTime;
use regex::{Captures, Regex};

use super::length::{self, SpanLength};
use super::{Reset, ResetReading};
use crate::model::humanize::duration::retry_after;
use crate::model::time::{DAY, HOUR, SECOND, Timestamp, Zone};

/// The waiting time if a server states none, or zero.
const UNSAID: i64 = 5 * HOUR;
/// The waiting time if a length fits no quota window and is not given in days.
const LONGEST: i64 = DAY;
/// The longest quota window that is given in seconds, minutes or hours.
const MONTH: i64 = 32 * DAY;
/// The longest waiting time that is given in days.
pub(super) const LONGEST_IN_DAYS: i64 = 366 * DAY;
/// From this value on a Unix time is in milliseconds; as seconds it would be in the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

struct Hints {
    unix: Regex,
    left: Regex,
    header: Regex,
    date: Regex,
    again: Regex,
}

static HINTS: LazyLock<Option<Hints>> = LazyLock::new(|| Hints::new().ok());

impl Hints {
    fn new() -> Result<Self, regex::Error> {
        let length = length::pattern();
        Ok(Self {
            unix: Regex::new(
                r#"(?i)(?:resets?[_ ]?(?:at|time(?:_?stamp)?)["']?\s*[:=]?\s*["']?|limit reached\|)(?<long>\d{9,13})\b|\bresets?\s*[:=|]?\s*(?<bare>\d{10}|\d{13})\b"#,
            )?,
            left: Regex::new(r#"(?i)resets?_(?:in|after)_seconds["']?\s*[:=]\s*["']?(\d{1,12})\b"#)?,
            header: Regex::new(&format!(
                r#"(?i)\bretry[-_ ]after(?<ms>[-_ ]ms|milliseconds)?(?:[-_ ]?seconds)?["']?\s*[:=]?\s*["']?(?:(?<length>{length})|(?<number>-?\d{{1,12}})\b)"#
            ))?,
            date: Regex::new(
                r#"(?i)\bretry-after["']?\s*[:=]\s*["']?([a-z]{3}, \d{1,2} [a-z]{3} \d{4} \d{2}:\d{2}:\d{2} GMT)"#,
            )?,
            again: Regex::new(&format!(
                r#"(?i)(?:\b(?:try again|retry|wait)\s+(?:(?:in|after|for|within)\s+)?{about}|\b(?:unblocked|unlocked|available|restored|lifted|refilled|renewed|back)\s+in\s+{about}|\b(?:time (?:remaining|left|(?:to|until) reset)|wait(?:ing)? time|cool[- ]?down)["']?\s*(?:\bis\s+|[:=]\s*["']?){about}|\b(?:retry|quotaReset)Delay["']?\s*[:=]\s*["']?)(?<length>{length})|\b(?:try again|retry|wait|available)\s+in\s+{about}(?<clock>{clock})"#,
                about = length::ABOUT,
                clock = length::CLOCK,
            ))?,
        })
    }
}

/// The first hint of the most reliable kind.
pub(super) fn find(text: &str, reading: ResetReading) -> Option<Reset> {
    let now = reading.now;
    let hints = HINTS.as_ref()?;
    let numbers: Vec<Reset> = hints.unix.captures_iter(text).filter_map(|captures| unix(&captures, now)).collect();
    // A time that has passed hides no other hint.
    let is_ahead = |reset: &&Reset| reset.at.is_some_and(|at| at > now);
    if let Some(ahead) = numbers.iter().find(is_ahead) {
        return Some(ahead.clone());
    }
    let other = || {
        if let Some(captures) = hints.left.captures(text) {
            let seconds: i64 = captures.get(1)?.as_str().parse().ok()?;
            return Some(wait(SpanLength { millis: seconds.saturating_mul(SECOND), days: true }, now));
        }
        if let Some(asked) = asked(text, reading) {
            return Some(asked.reset(now));
        }
        // How long the client itself waited says nothing about the quota.
        let is_own = |found: &Captures<'_>| {
            found.get(0).is_some_and(|found| text.get(..found.start()).is_some_and(|before| before.ends_with("retry ")))
        };
        let again = hints.again.captures_iter(text).find(|found| !is_own(found))?;
        let asked = match again.name("length") {
            Some(length) => SpanLength::read(length.as_str())?,
            None => SpanLength::read_clock(again.name("clock")?.as_str())?,
        };
        Some(wait(asked, now))
    };
    other().or_else(|| numbers.into_iter().next())
}

/// The reset that a Unix time in digits states.
fn unix(captures: &Captures<'_>, now: Timestamp) -> Option<Reset> {
    let digits = captures.name("long").or_else(|| captures.name("bare"))?.as_str();
    unix_time(digits, now).map(|at| of_digits(digits, at))
}

/// The time that digits denote, in seconds or milliseconds.
pub(super) fn unix_time(digits: &str, now: Timestamp) -> Option<Timestamp> {
    let number: i64 = digits.parse().ok()?;
    let millis = if number >= MILLISECONDS { number } else { number.checked_mul(SECOND)? };
    // No refusal lasts longer than a year, so a later time is not a reset.
    Some(Timestamp::from_millis(millis)).filter(|at| at.millis().saturating_sub(now.millis()) <= LONGEST_IN_DAYS)
}

/// The reset at a Unix time.
pub(super) fn of_digits(digits: &str, at: Timestamp) -> Reset {
    let phrase = format!("resetsAt {digits}");
    Reset { phrase, display: at_text(at), at: Some(at), relative: false, unknown_zone: None }
}

/// What `Retry-After` asks for.
pub(super) struct AskedWait {
    length: SpanLength,
    relative: bool,
}

impl AskedWait {
    /// Whether it asks for a time at all: servers also send 0.
    pub const fn is_some(&self) -> bool {
        self.length.millis > 0
    }

    pub fn reset(&self, now: Timestamp) -> Reset {
        Reset { relative: self.relative, ..wait(self.length, now) }
    }
}

/// The wait that `Retry-After` asks for: a date, a length or a number.
pub(super) fn asked(text: &str, reading: ResetReading) -> Option<AskedWait> {
    let hints = HINTS.as_ref()?;
    // Dates are tried first, because the day of the month could be read as seconds.
    if let Some(captures) = hints.date.captures(text)
        && let Ok(date) = DateTime::parse_from_rfc2822(captures.get(1)?.as_str())
    {
        let millis = date.timestamp_millis().saturating_sub(reading.now.millis());
        return Some(AskedWait { length: SpanLength { millis, days: false }, relative: false });
    }
    let captures = hints.header.captures(text)?;
    let length = if let Some(length) = captures.name("length") {
        SpanLength::read(length.as_str())?
    } else {
        let unit = if captures.name("ms").is_some() { 1 } else { SECOND };
        let number: i64 = captures.name("number")?.as_str().parse().ok()?;
        SpanLength { millis: number.saturating_mul(unit).min(reading.bare), days: false }
    };
    Some(AskedWait { length, relative: true })
}

/// The reset after a length of time.
pub(super) fn wait(asked: SpanLength, now: Timestamp) -> Reset {
    let millis = match asked.millis {
        ..=0 => UNSAID,
        millis if asked.days => millis.min(LONGEST_IN_DAYS),
        millis if millis > MONTH => LONGEST,
        millis => millis,
    };
    let length = SpanLength { millis, ..asked };
    let text = if asked.days && millis >= DAY { length.text() } else { retry_after(millis) };
    let phrase = format!("resets in {text}");
    let at = Some(now.plus(millis)).filter(|at| *at > now);
    Reset { display: phrase.clone(), phrase, at, relative: true, unknown_zone: None }
}

/// `resets at 2026-05-28 03:00 UTC`.
pub(super) fn at_text(at: Timestamp) -> String {
    format!("resets at {} UTC", Zone::UTC.local(at).format("%Y-%m-%d %H:%M"))
}
