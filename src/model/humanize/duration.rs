//! Prints and parses durations.

use crate::model::time::{DAY, HOUR, MINUTE, SECOND};

/// When a duration is printed in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // the library prints one of the forms
enum Seconds {
    Never,
    /// Only below a minute.
    Alone,
    /// Also behind minutes.
    BehindMinutes,
}

/// How the smaller of two units is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // the library prints one of the forms
enum SmallerUnit {
    Always,
    /// Not if it is zero.
    Nonzero,
    /// Minutes and seconds with two digits; hours not if they are zero.
    TwoDigits,
}

/// A form of durations: at most two units, the largest ones.
#[derive(Clone, Copy, Debug)]
struct DurationForm {
    has_days: bool,
    seconds: Seconds,
    smaller: SmallerUnit,
    separator: &'static str,
}

impl DurationForm {
    fn print(self, millis: i64) -> String {
        let millis = millis.max(0);
        let (larger, smaller) = if self.has_days && millis >= DAY {
            ((DAY, 'd'), Some((HOUR, 'h')))
        } else if millis >= HOUR {
            ((HOUR, 'h'), Some((MINUTE, 'm')))
        } else if millis >= MINUTE || self.seconds == Seconds::Never {
            ((MINUTE, 'm'), (self.seconds == Seconds::BehindMinutes).then_some((SECOND, 's')))
        } else {
            ((SECOND, 's'), None)
        };
        let first = format!("{}{}", millis / larger.0, larger.1);
        let Some((length, name)) = smaller else { return first };
        let rest = millis % larger.0 / length;
        let separator = self.separator;
        match self.smaller {
            SmallerUnit::TwoDigits if length < HOUR => format!("{first}{separator}{rest:02}{name}"),
            SmallerUnit::TwoDigits | SmallerUnit::Nonzero if rest == 0 => first,
            _ => format!("{first}{separator}{rest}{name}"),
        }
    }
}

/// A duration in its two largest units: `45s`, `5m`, `2h 0m`, `3d 4h`.
#[cfg(feature = "cli")]
pub(crate) fn elapsed(millis: i64) -> String {
    let form = DurationForm { has_days: true, seconds: Seconds::Alone, smaller: SmallerUnit::Always, separator: " " };
    form.print(millis)
}

/// A duration in its two largest units without spaces and without days: `45s`, `5m42s`, `1h02m`.
#[cfg(feature = "cli")]
pub(super) fn compact(millis: i64) -> String {
    let form = DurationForm {
        has_days: false,
        seconds: Seconds::BehindMinutes,
        smaller: SmallerUnit::TwoDigits,
        separator: "",
    };
    form.print(millis)
}

/// The remaining time of a window, without spaces: `10m`, `3h01m`, `1d3h`. Without a known end it is `unknown`.
pub fn countdown(left: Option<i64>) -> String {
    let form = DurationForm { has_days: true, seconds: Seconds::Never, smaller: SmallerUnit::TwoDigits, separator: "" };
    left.map_or_else(|| "unknown".to_owned(), |left| form.print(left))
}

/// The time until a reset, for a sentence: `now`, `15m`, `2h 30m`, `1d`, `1d 5h`.
#[cfg(feature = "cli")]
pub fn until_reset(left: i64) -> String {
    if left <= 0 {
        return "now".to_owned();
    }
    let form = DurationForm { has_days: true, seconds: Seconds::Never, smaller: SmallerUnit::Nonzero, separator: " " };
    form.print(left)
}

/// A requested waiting time, never in days: `30s`, `15m`, `1h`, `1h 30m`, `24h`.
pub fn retry_after(wait: i64) -> String {
    let form = DurationForm { has_days: false, seconds: Seconds::Alone, smaller: SmallerUnit::Nonzero, separator: " " };
    form.print(wait)
}

/// A length that a text states: `45s`, `1h 30m`, and with days `2d`, `2d 3h` or `1d 2h 30m`.
#[cfg(feature = "cli")]
pub(crate) fn stated_length(millis: i64, has_days: bool) -> String {
    let days = if has_days { millis / DAY } else { 0 };
    match millis - days * DAY {
        rest if days == 0 => retry_after(rest),
        rest if rest < MINUTE => format!("{days}d"),
        rest => format!("{days}d {}", retry_after(rest)),
    }
}

/// The length of a window in its largest whole unit: `7d`, `5h`, `90m`.
#[cfg(feature = "cli")]
pub(crate) fn window_length(minutes: u32) -> String {
    match minutes {
        _ if minutes > 0 && minutes.is_multiple_of(1_440) => format!("{}d", minutes / 1_440),
        _ if minutes > 0 && minutes.is_multiple_of(60) => format!("{}h", minutes / 60),
        _ => format!("{minutes}m"),
    }
}

/// Parses the length of a pause in milliseconds: hours, minutes or both, such as `2h`, `90m` or `1h30m`. It refuses
/// every other text and a length of zero.
#[cfg(feature = "cli")]
pub fn parse_duration(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let (hours, rest) = text.split_once('h').map_or((None, text.as_str()), |(hours, rest)| (Some(hours), rest));
    let minutes = match rest {
        "" => None,
        _ => Some(rest.strip_suffix('m')?),
    };
    let number = |digits: Option<&str>| match digits {
        None => Some(0),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i64>().ok(),
        Some(_) => None,
    };
    let hours = number(hours)?.checked_mul(HOUR)?;
    let millis = number(minutes)?.checked_mul(MINUTE)?.checked_add(hours)?;
    (millis > 0).then_some(millis)
}

/// The longest length that a command takes: a hundred years. The end of a longer one is no time of a calendar.
#[cfg(feature = "cli")]
const LONGEST: i64 = 36_525 * DAY;

/// As [`parse_duration`], with the reason of a refusal.
#[cfg(feature = "cli")]
pub(crate) fn read_duration(text: &str) -> Result<i64, String> {
    match parse_duration(text) {
        Some(length) if length > LONGEST => Err(format!("`{text}` is longer than a hundred years")),
        Some(length) => Ok(length),
        None => Err(format!("`{text}` is not a duration: write 30m, 2h or 1h30m")),
    }
}
