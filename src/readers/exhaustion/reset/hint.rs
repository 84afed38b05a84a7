//! Hints of servers: Unix times, `Retry-After`, "try again in 20 minutes".

use std::sync::LazyLock;

use chrono::DateTime;
use regex::Regex;

use super::Reset;
use super::length::{self, SpanLength};
use crate::model::humanize::duration::retry_after;
use crate::model::time::{DAY, HOUR, SECOND, Timestamp, Zone};

/// The waiting time if a server states none, or zero.
const UNSAID: i64 = 5 * HOUR;
/// The waiting time if a length fits no quota window and is not given in days.
const LONGEST: i64 = DAY;
/// The longest quota window that is given in seconds, minutes or hours.
const MONTH: i64 = 32 * DAY;
/// The longest waiting time that is given in days.
const LONGEST_IN_DAYS: i64 = 366 * DAY;
/// From this value on a Unix time is in milliseconds; as seconds it would be in the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

struct Hints {
    unix: Regex,
    left: Regex,
    until: Regex,
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
                r#"(?i)(?:resets?[_ ]?(?:at|time(?:_?stamp)?)["']?\s*[:=]?\s*["']?|ratelimit-[\w-]*reset[\w-]*["']?\s*[:=]\s*["']?|limit reached\|)(?<long>\d{9,13})\b|\bresets?\s*[:=|]?\s*(?<bare>\d{10}|\d{13})\b"#,
            )?,
            left: Regex::new(r#"(?i)resets?_(?:in|after)_seconds["']?\s*[:=]\s*["']?(\d{1,12})\b"#)?,
            until: Regex::new(&format!(r#"(?i)ratelimit-reset(?:-\w+)*["']?\s*[:=]\s*["']?(?<length>{length})"#))?,
            header: Regex::new(&format!(
                r#"(?i)\bretry[-_ ]after(?<ms>[-_ ]ms|milliseconds)?(?:[-_ ]?seconds)?["']?\s*[:=]?\s*["']?(?:(?<length>{length})|(?<number>-?\d{{1,12}})\b)"#
            ))?,
            date: Regex::new(
                r#"(?i)\bretry-after["']?\s*[:=]\s*["']?([a-z]{3}, \d{1,2} [a-z]{3} \d{4} \d{2}:\d{2}:\d{2} GMT)"#,
            )?,
            again: Regex::new(&format!(
                r#"(?i)(?:\b(?:try again|retry|retrying|wait)\s+(?:(?:in|after|for|within)\s+)?{about}|\b(?:unblocked|unlocked|available|restored|lifted|refilled|renewed|back)\s+in\s+{about}|\b(?:time (?:remaining|left|(?:to|until) reset)|wait(?:ing)? time|cool[- ]?down)["']?\s*(?:\bis\s+|[:=]\s*["']?){about}|\b(?:retry|quotaReset)Delay["']?\s*[:=]\s*["']?)(?<length>{length})|\b(?:try again|retry|wait|available)\s+in\s+{about}(?<clock>{clock})"#,
                about = length::ABOUT,
                clock = length::CLOCK,
            ))?,
        })
    }
}

/// The first hint of the most reliable kind. `bare` is the longest wait for a number of seconds in a header, in
/// milliseconds.
pub(super) fn find(text: &str, now: Timestamp, bare: i64) -> Option<Reset> {
    let hints = HINTS.as_ref()?;
    if let Some(captures) = hints.unix.captures(text) {
        let digits = captures.name("long").or_else(|| captures.name("bare"))?.as_str();
        let number: i64 = digits.parse().ok()?;
        let millis = if number >= MILLISECONDS { number } else { number.checked_mul(SECOND)? };
        // No refusal lasts longer than a year, so a later time is not a reset.
        let at = Some(Timestamp::from_millis(millis)).filter(|at| at.millis() - now.millis() <= 366 * DAY)?;
        let phrase = format!("resetsAt {digits}");
        return Some(Reset { phrase, display: at_text(at), at: Some(at), relative: false, unknown_zone: None });
    }
    if let Some(captures) = hints.left.captures(text) {
        let seconds: i64 = captures.get(1)?.as_str().parse().ok()?;
        return Some(wait(SpanLength { millis: seconds.saturating_mul(SECOND), days: true }, now));
    }
    if let Some(length) = hints.until.captures(text).and_then(|found| SpanLength::read(found.name("length")?.as_str()))
    {
        return Some(wait(length, now));
    }
    // Dates are tried first, because the day of the month could be read as seconds.
    if let Some(captures) = hints.date.captures(text)
        && let Ok(date) = DateTime::parse_from_rfc2822(captures.get(1)?.as_str())
    {
        let left = date.timestamp_millis().saturating_sub(now.millis());
        return Some(Reset { relative: false, ..wait(SpanLength { millis: left, days: false }, now) });
    }
    if let Some(captures) = hints.header.captures(text) {
        let length = if let Some(length) = captures.name("length") {
            SpanLength::read(length.as_str())?
        } else {
            let unit = if captures.name("ms").is_some() { 1 } else { SECOND };
            let number: i64 = captures.name("number")?.as_str().parse().ok()?;
            SpanLength { millis: number.saturating_mul(unit).min(bare), days: false }
        };
        return Some(wait(length, now));
    }
    let again = hints.again.captures(text)?;
    let asked = match again.name("length") {
        Some(length) => SpanLength::read(length.as_str())?,
        None => SpanLength::read_clock(again.name("clock")?.as_str())?,
    };
    Some(wait(asked, now))
}

fn wait(asked: SpanLength, now: Timestamp) -> Reset {
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
