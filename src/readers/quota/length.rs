//! The length of a window from its name.

use chrono::{DateTime, Datelike, Months, Utc};

use crate::model::time::{DAY, MINUTE, Timestamp};

/// Minutes of the session window of most subscriptions.
pub(super) const FIVE_HOURS: u32 = 5 * 60;
/// Minutes of a day.
pub(super) const ONE_DAY: u32 = 24 * 60;
/// Minutes of a week.
pub(super) const SEVEN_DAYS: u32 = 7 * ONE_DAY;

/// The length in minutes from a name: `five_hour`, `7d-opus`, `weekly`.
pub(super) fn minutes(name: &str) -> Option<u32> {
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut tens = 0;
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied();
        if let Some(minutes) = short(word).or_else(|| (tens + count(word)?).checked_mul(unit(next?)?)) {
            return Some(minutes).filter(|minutes| *minutes > 0);
        }
        tens = match *word {
            "twenty" => 20,
            "thirty" => 30,
            _ => 0,
        };
    }
    None
}

/// The length in one word: `5h`, `daily`.
fn short(word: &str) -> Option<u32> {
    match word {
        "hourly" => Some(60),
        "daily" => Some(ONE_DAY),
        "weekly" => Some(SEVEN_DAYS),
        _ => {
            let digits = word.find(|c: char| !c.is_ascii_digit())?;
            let (number, name) = word.split_at(digits);
            number.parse::<u32>().ok()?.checked_mul(unit(name)?)
        }
    }
}

fn count(word: &str) -> Option<u32> {
    const WORDS: [&str; 12] =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let known = match word {
        "twenty" => Some(20),
        "thirty" => Some(30),
        _ => WORDS.iter().position(|known| *known == word).and_then(|at| u32::try_from(at + 1).ok()),
    };
    known.or_else(|| word.parse().ok().filter(|number| *number < 100_000))
}

fn unit(name: &str) -> Option<u32> {
    Some(match name {
        "m" | "min" | "mins" | "minute" | "minutes" => 1,
        "h" | "hr" | "hrs" | "hour" | "hours" => 60,
        "d" | "day" | "days" => ONE_DAY,
        "w" | "week" | "weeks" => SEVEN_DAYS,
        _ => return None,
    })
}

/// Minutes of the month that ends at an instant.
pub(super) fn month_before(end: Timestamp) -> u32 {
    let last = end.to_chrono();
    between(last.checked_sub_months(Months::new(1)).unwrap_or(last), last)
}

/// Whether a UTC month begins at an instant.
pub(super) fn is_month_border(at: Timestamp) -> bool {
    at.millis().rem_euclid(DAY) == 0 && at.to_chrono().day() == 1
}

/// Minutes of the UTC month that contains an instant.
pub(super) fn month_of(at: Timestamp) -> u32 {
    let now = at.to_chrono();
    let first = now.with_day(1).unwrap_or(now);
    between(first, first.checked_add_months(Months::new(1)).unwrap_or(first))
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> u32 {
    u32::try_from((to - from).num_milliseconds() / MINUTE).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_lengths() {
        for (name, length) in [
            ("five_hour", Some(300)),
            ("seven_day_opus", Some(10_080)),
            ("7d", Some(10_080)),
            ("5h-premium", Some(300)),
            ("opus_weekly", Some(10_080)),
            ("twenty_four_hour", Some(1_440)),
            ("thirty_day", Some(43_200)),
            ("24 hours", Some(1_440)),
            ("daily", Some(1_440)),
            ("0h", None),
            ("extra_usage", None),
            ("cedar_ember", None),
            ("4294967295d", None),
            ("", None),
        ] {
            assert_eq!(minutes(name), length, "{name}");
        }
    }

    #[test]
    fn lengths_of_months_differ() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(month_before(at("2026-12-01T00:00:00Z")), 30 * ONE_DAY);
        assert_eq!(month_before(at("2026-03-01T00:00:00Z")), 28 * ONE_DAY);
        assert_eq!(month_of(at("2026-10-31T12:00:00Z")), 31 * ONE_DAY);
    }
}
