//! Parses and formats times.

use std::str::FromStr;

use chrono::{Datelike, Days, Months, NaiveDate};

use crate::model::error::Error;
use crate::model::humanize::duration::elapsed;
use crate::model::time::{HOUR, MINUTE, SECOND, Timestamp, Zone};

/// Range of plausible years.
const FIRST_YEAR: i32 = 2000;
const LAST_YEAR: i32 = 2199;
const WRONG_YEAR: &str = "outside the years 2000 to 2199: check the year";

/// Parses an instant. A year outside 2000 to 2199 is a typing error or a wrong clock, so it is refused.
pub(crate) fn instant(text: &str) -> Result<Timestamp, Error> {
    let at: Timestamp = text.parse()?;
    if at.is_plausible() {
        return Ok(at);
    }
    Err(Error::InvalidTime { text: text.to_owned(), why: WRONG_YEAR.to_owned() })
}

/// A time on the command line: an instant, or the start of a day or month in the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Instant(Timestamp),
    Day(NaiveDate),
    /// The start of the month that begins on this day.
    Month(NaiveDate),
    /// The start of the day this number of days before today.
    DaysAgo(u64),
    /// Milliseconds before now.
    Ago(i64),
}

impl Moment {
    pub fn resolve(self, zone: Zone, now: Timestamp) -> Timestamp {
        match self {
            Self::Instant(at) => at,
            Self::Day(day) | Self::Month(day) => zone.start_of_day(day),
            Self::Ago(millis) => now.plus(-millis),
            Self::DaysAgo(days) => {
                let today = zone.day(now);
                // Before the calendar begins there is no event: everything is later.
                today.checked_sub_days(Days::new(days)).map_or(Timestamp::MIN, |day| zone.start_of_day(day))
            }
        }
    }

    /// The last instant of the day or month that has begun, in the zone; of another time, that time.
    pub fn end(self, zone: Zone, now: Timestamp) -> Timestamp {
        let next = match self {
            Self::Instant(_) | Self::Ago(_) => return self.resolve(zone, now),
            Self::Day(day) => day.checked_add_days(Days::new(1)),
            Self::Month(day) => day.checked_add_months(Months::new(1)),
            Self::DaysAgo(days) => {
                let day = zone.day(now).checked_sub_days(Days::new(days));
                let Some(day) = day else { return Timestamp::MIN };
                day.checked_add_days(Days::new(1))
            }
        };
        next.map_or(now, |next| zone.start_of_day(next).plus(-1).min(now))
    }
}

impl FromStr for Moment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        match text {
            "today" => return Ok(Self::DaysAgo(0)),
            "yesterday" => return Ok(Self::DaysAgo(1)),
            _ => {}
        }
        if let Some(ago) = ago(text) {
            return Ok(ago);
        }
        // chrono also accepts 2026-6-1; we accept one form only.
        let (form, date): (fn(NaiveDate) -> Self, _) = match text.len() {
            10 => (Self::Day, day(text)),
            7 => (Self::Month, day(&format!("{text}-01"))),
            _ => return instant(text).map(Self::Instant).map_err(|error| or_date(&error)),
        };
        let wrong = |why: &str| or_date(&Error::InvalidTime { text: text.to_owned(), why: why.to_owned() });
        match date {
            Some(day) if (FIRST_YEAR..=LAST_YEAR).contains(&day.year()) => Ok(form(day)),
            Some(_) => Err(wrong(WRONG_YEAR)),
            None => Err(wrong("no such day in the calendar")),
        }
    }
}

fn or_date(error: &Error) -> Error {
    Error::invalid(format!(
        "{error}, a date (2026-06-01), a month (2026-06), today, yesterday, or a time ago (90m, 2h, 7d, 4w)"
    ))
}

/// Parses `90m` and `2h`, which are instants, and `7d` and `4w`, which are the start of a day.
fn ago(text: &str) -> Option<Moment> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    match unit {
        'm' => Some(Moment::Ago(i64::from(number) * MINUTE)),
        'h' => Some(Moment::Ago(i64::from(number) * HOUR)),
        'd' => Some(Moment::DaysAgo(number.into())),
        'w' => Some(Moment::DaysAgo(u64::from(number) * 7)),
        _ => None,
    }
}

/// Returns the range of `--since` and `--until`.
pub(crate) fn range(
    since: Option<Moment>,
    until: Option<Moment>,
    zone: Zone,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Error> {
    let at = |moment: Option<Moment>| moment.map(|moment| moment.resolve(zone, now));
    match (at(since), at(until)) {
        (Some(since), Some(until)) if until < since => {
            Err(Error::invalid(format!("--until ({until}) is before --since ({since}): exchange them")))
        }
        range => Ok(range),
    }
}

/// Formats a time with the zone's offset, in a form that commands accept: `2026-11-23T20:58:11+01:00`.
pub(crate) fn full(at: Timestamp, zone: Zone) -> String {
    let local = zone.local(at);
    let seconds = local.and_utc().timestamp() - at.millis().div_euclid(SECOND);
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{}{sign}{:02}:{:02}", local.format("%Y-%m-%dT%H:%M:%S"), minutes / 60, minutes % 60)
}

/// Formats a time in a short form: `2026-11-23 20:58`.
pub(crate) fn short(at: Timestamp, zone: Zone) -> String {
    zone.local(at).format("%Y-%m-%d %H:%M").to_string()
}

/// Formats the duration between two instants in its two largest units.
pub(crate) fn duration(from: Timestamp, to: Timestamp) -> String {
    elapsed(to.millis().saturating_sub(from.millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::DAY;

    #[test]
    fn dates_stand_for_their_beginning_in_the_zone() {
        let paris = "Europe/Paris".parse().unwrap();
        let now = "2026-06-01T22:30:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Moment>().unwrap().resolve(paris, now).to_string();
        assert_eq!(at("2026-06-01"), "2026-05-31T22:00:00.000Z");
        assert_eq!(at("2026-06"), "2026-05-31T22:00:00.000Z");
        assert_eq!(at("today"), "2026-06-01T22:00:00.000Z");
        assert_eq!(at("yesterday"), "2026-05-31T22:00:00.000Z");
        assert_eq!(at("2026-06-01T12:00:00+02:00"), "2026-06-01T10:00:00.000Z");
        assert_eq!(at("90m"), "2026-06-01T21:00:00.000Z");
        assert_eq!(at("2h"), "2026-06-01T20:30:00.000Z");
        assert_eq!(at("7d"), "2026-05-25T22:00:00.000Z");
        assert_eq!((at("1w"), at("0d")), (at("7d"), at("today")));
        // Longer ago than the calendar reaches is before every event, not today.
        assert_eq!(at("99999999d"), Timestamp::MIN.to_string());
        assert_eq!(at("4294967295w"), Timestamp::MIN.to_string());
        for bad in [
            "2026-6-1",
            "2026-02-30",
            "tomorrow",
            "2026",
            "",
            "2026-13",
            "01-06-2026",
            "7",
            "d",
            "-1d",
            "7y",
            "99999999999h",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_ends_with_its_last_instant_but_not_in_the_future() {
        let paris = "Europe/Paris".parse().unwrap();
        let now: Timestamp = "2026-06-15T10:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Moment>().unwrap().end(paris, now).to_string();
        assert_eq!(at("2026-06-01"), "2026-06-01T21:59:59.999Z");
        assert_eq!(at("2026-05"), "2026-05-31T21:59:59.999Z");
        assert_eq!(at("yesterday"), "2026-06-14T21:59:59.999Z");
        // The clocks change on this day.
        assert_eq!(at("2026-03-29"), "2026-03-29T21:59:59.999Z");
        assert_eq!(
            (at("2h"), at("2026-06-01T00:00:00Z")),
            ("2026-06-15T08:00:00.000Z".to_owned(), "2026-06-01T00:00:00.000Z".to_owned())
        );
        assert_eq!((at("today"), at("2026-06")), (now.to_string(), now.to_string()));
        assert_eq!(at("99999999d"), Timestamp::MIN.to_string());
    }

    #[test]
    fn times_of_other_centuries_are_refused() {
        for text in ["1999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "9999-01-01T00:00:00Z"]
        {
            let error = instant(text).unwrap_err().to_string();
            assert!(error.contains("2000 to 2199"), "{error}");
        }
        assert!(instant("2000-01-01T00:00:00Z").is_ok() && instant("2199-12-31T23:59:59Z").is_ok());
    }

    #[test]
    fn printed_times_are_parsed_again() {
        let at: Timestamp = "2026-11-23T19:58:11Z".parse().unwrap();
        for (zone, text) in [
            ("Europe/Paris", "2026-11-23T20:58:11+01:00"),
            ("America/St_Johns", "2026-11-23T16:28:11-03:30"),
            ("UTC", "2026-11-23T19:58:11+00:00"),
        ] {
            assert_eq!(full(at, zone.parse().unwrap()), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), at);
        }
    }

    #[test]
    fn durations_name_their_largest_units() {
        let length = |millis| duration(Timestamp::from_millis(0), Timestamp::from_millis(millis));
        assert_eq!(length(59 * SECOND), "59s");
        assert_eq!(length(60 * MINUTE + 5), "1h 0m");
        assert_eq!(length(6 * DAY + 4 * HOUR), "6d 4h");
        assert_eq!(length(-5), "0s");
    }
}
