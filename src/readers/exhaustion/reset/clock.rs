//! Times of day without a full date, and the instants that they denote.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};

use super::ResetReading;
use super::zone::ClockZone;
use crate::model::time::{MINUTE, Timestamp};

/// A period of years that contains a 29 February in any century.
const LEAP_YEARS: i32 = 8;
/// A time of a window that passed at most so long ago, in milliseconds, does not mean the next day or week: no window is
/// used up so soon after its reset.
const JUST: i64 = 10 * MINUTE;

/// A time of day as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub time: NaiveTime,
    /// `8:40am`, `18:00`.
    pub text: String,
}

impl Clock {
    /// The first instant of a day, for a day without a time.
    pub fn midnight() -> Self {
        Self { time: NaiveTime::MIN, text: "00:00".to_owned() }
    }

    /// Midday.
    pub fn noon() -> Option<Self> {
        Self::read("12", Some("00"), None, None)
    }

    /// Parses hour, minute, second and `am` or `pm`; `None` for an impossible time.
    pub fn read(hour: &str, minute: Option<&str>, second: Option<&str>, half: Option<&str>) -> Option<Self> {
        let number: u32 = hour.parse().ok()?;
        let minutes: u32 = minute.unwrap_or("0").parse().ok()?;
        let seconds: u32 = second.unwrap_or("0").parse().ok()?;
        let (hours, suffix) = match half.and_then(|half| half.bytes().next()) {
            Some(b'a' | b'A') if (1..=12).contains(&number) => (number % 12, "am"),
            Some(b'p' | b'P') if (1..=12).contains(&number) => (number % 12 + 12, "pm"),
            Some(_) => return None,
            // A number alone is not a time of day.
            None => minute.map(|_| (number, ""))?,
        };
        let time = NaiveTime::from_hms_opt(hours, minutes, seconds)?;
        let minute = minute.map(|minute| format!(":{minute}")).unwrap_or_default();
        let text = if suffix.is_empty() { format!("{number:02}{minute}") } else { format!("{number}{minute}{suffix}") };
        Some(Self { time, text })
    }
}

/// The day of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Day {
    /// Today, or tomorrow if the time has passed.
    Next,
    Today,
    Tomorrow,
    Weekday(Weekday),
    Date {
        month: u32,
        day: u32,
        year: Option<i32>,
    },
}

impl Day {
    /// `10am`, `tomorrow at 10am`, `Mon 9am`, `Feb 5 at 10am`; `name` is the month or weekday as written.
    pub fn text(self, clock: &Clock, name: &str) -> String {
        let time = &clock.text;
        match self {
            Self::Next => time.clone(),
            Self::Today => format!("today at {time}"),
            Self::Tomorrow => format!("tomorrow at {time}"),
            Self::Weekday(_) => format!("{name} {time}"),
            Self::Date { month, day, year } => {
                let written = usize::try_from(month).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
                let name = if name.is_empty() { written.copied().unwrap_or_default() } else { name };
                let year = year.map(|year| format!(", {year}")).unwrap_or_default();
                format!("{name} {day}{year} at {time}")
            }
        }
    }

    /// The first matching instant after now; `None` if the text means one that has passed. `of_session` tells that it is
    /// about a window of a few hours, which no time a day ahead ends.
    pub fn instant(
        self,
        time: NaiveTime,
        place: ClockZone,
        reading: ResetReading,
        of_session: bool,
    ) -> Option<Timestamp> {
        let now = reading.now;
        let today = place.local(now).date();
        let after = |day: NaiveDate| place.later(day.and_time(time), now);
        let ahead = |from: NaiveDate, days| (0..=days).filter_map(move |n| from.checked_add_days(Days::new(n)));
        // The first instant that has not passed for longer than this time. It counts if it is ahead.
        let first = |mut days: &mut dyn Iterator<Item = NaiveDate>, passed: i64| {
            Iterator::find(&mut days, |day| place.later(day.and_time(time), now.plus(-passed)).is_some())
                .and_then(after)
        };
        let just = place.local(now.plus(-JUST)).date();
        match self {
            Self::Next if of_session => first(&mut ahead(just, 2), JUST),
            Self::Next => ahead(today, 2).find_map(after),
            Self::Today => after(today),
            Self::Tomorrow => ahead(today, 1).skip(1).find_map(after),
            Self::Weekday(weekday) => first(&mut ahead(just, 8).filter(|day| day.weekday() == weekday), JUST),
            Self::Date { month, day, year: Some(year) } => after(NaiveDate::from_ymd_opt(year, month, day)?),
            Self::Date { month, day, year: None } => {
                let years = today.year().checked_sub(1)?..=today.year().checked_add(LEAP_YEARS)?;
                first(&mut years.filter_map(|year| NaiveDate::from_ymd_opt(year, month, day)), reading.past)
            }
        }
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The number of a month from the first three letters of its name.
pub(super) fn month(name: &str) -> Option<u32> {
    let start = name.get(..3)?;
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(start))?;
    u32::try_from(at).ok()?.checked_add(1)
}
