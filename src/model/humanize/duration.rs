//! Prints and parses durations.
//!
//! ```
//! use usage_ledger::humanize::duration::{countdown, parse_duration};
//! use usage_ledger::time::MINUTE;
//! assert_eq!(parse_duration("1h30m"), Some(90 * MINUTE));
//! assert_eq!(countdown(Some(90 * MINUTE)), "1h30m");
//! ```

use crate::model::time::{DAY, HOUR, MINUTE, SECOND};

/// The remaining time of a window, without spaces: `10m`, `3h01m`, `1d3h`. Without a known end it is `unknown`.
///
/// ```
/// use usage_ledger::humanize::duration::countdown;
/// use usage_ledger::time::{HOUR, MINUTE};
/// assert_eq!(countdown(Some(3 * HOUR + MINUTE)), "3h01m");
/// assert_eq!(countdown(Some(27 * HOUR)), "1d3h");
/// assert_eq!(countdown(Some(-1)), "0m");
/// assert_eq!(countdown(None), "unknown");
/// ```
pub fn countdown(left: Option<i64>) -> String {
    let Some(left) = left.map(|left| left.max(0)) else { return "unknown".to_owned() };
    let (days, hours, minutes) = (left / DAY, left % DAY / HOUR, left % HOUR / MINUTE);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h{minutes:02}m"),
        (_, 0) => format!("{days}d"),
        _ => format!("{days}d{hours}h"),
    }
}

/// The time until a reset, for a sentence: `now`, `15m`, `2h 30m`, `1d`, `1d 5h`.
///
/// ```
/// use usage_ledger::humanize::duration::until_reset;
/// use usage_ledger::time::{HOUR, MINUTE};
/// assert_eq!(until_reset(0), "now");
/// assert_eq!(until_reset(2 * HOUR + 30 * MINUTE), "2h 30m");
/// assert_eq!([24, 29, 48].map(|hours| until_reset(hours * HOUR)), ["1d", "1d 5h", "2d"]);
/// ```
pub fn until_reset(left: i64) -> String {
    if left <= 0 {
        return "now".to_owned();
    }
    match (left / DAY, left % DAY / HOUR) {
        (0, _) => hours_and_minutes(left),
        (days, 0) => format!("{days}d"),
        (days, hours) => format!("{days}d {hours}h"),
    }
}

/// A requested waiting time, never in days: `30s`, `15m`, `1h`, `1h 30m`, `24h`.
///
/// ```
/// use usage_ledger::humanize::duration::retry_after;
/// use usage_ledger::time::{MINUTE, SECOND};
/// assert_eq!(retry_after(30 * SECOND), "30s");
/// assert_eq!(retry_after(61 * MINUTE), "1h 1m");
/// ```
pub fn retry_after(wait: i64) -> String {
    let wait = wait.max(0);
    if wait < MINUTE { format!("{}s", wait / SECOND) } else { hours_and_minutes(wait) }
}

/// Prints hours and minutes: `0m`, `15m`, `2h`, `2h 30m`, `24h`.
fn hours_and_minutes(millis: i64) -> String {
    match (millis / HOUR, millis % HOUR / MINUTE) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h {minutes}m"),
    }
}

/// Parses the length of a pause in milliseconds: hours, minutes or both, such as `2h`, `90m` or `1h30m`. It refuses
/// every other text and a length of zero.
///
/// ```
/// use usage_ledger::humanize::duration::parse_duration;
/// use usage_ledger::time::HOUR;
/// assert_eq!(parse_duration(" 1H "), Some(HOUR));
/// for none in ["", "0m", "1d", "30", "1m1h", "-1h"] {
///     assert_eq!(parse_duration(none), None, "{none}");
/// }
/// ```
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
