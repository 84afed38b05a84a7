//! Instants in UTC and the zones that turn them into days.

mod zone;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::error::{Error, Result};

pub use zone::Zone;

/// Milliseconds in one second.
///
/// ```
/// assert_eq!(usage_ledger::time::SECOND, 1_000);
/// ```
pub const SECOND: i64 = 1_000;
/// Milliseconds in one minute.
///
/// ```
/// assert_eq!(usage_ledger::time::MINUTE, 60_000);
/// ```
pub const MINUTE: i64 = 60 * SECOND;
/// Milliseconds in one hour.
///
/// ```
/// assert_eq!(usage_ledger::time::HOUR, 3_600_000);
/// ```
pub const HOUR: i64 = 60 * MINUTE;
/// Milliseconds in one UTC day.
///
/// ```
/// # use usage_ledger::{Timestamp, time::DAY};
/// assert_eq!(Timestamp::from_millis(DAY).to_string(), "1970-01-02T00:00:00.000Z");
/// ```
pub const DAY: i64 = 24 * HOUR;
/// Milliseconds in a quarter of an hour, the resolution of the rollups.
///
/// ```
/// # use usage_ledger::time::{DAY, QUARTER};
/// assert_eq!(DAY / QUARTER, 96);
/// ```
pub const QUARTER: i64 = 15 * MINUTE;

/// An instant in UTC, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Years 1 to 9999 are representable, which is what RFC 3339 can print.
///
/// ```
/// use usage_ledger::Timestamp;
/// let t: Timestamp = "2026-11-23T20:58:11.407+01:00".parse()?;
/// assert_eq!(t.to_string(), "2026-11-23T19:58:11.407Z");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant that RFC 3339 can print, `0001-01-01T00:00:00.000Z`.
    ///
    /// ```
    /// # use usage_ledger::Timestamp;
    /// assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000Z");
    /// ```
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The last instant that RFC 3339 can print, `9999-12-31T23:59:59.999Z`.
    ///
    /// ```
    /// # use usage_ledger::Timestamp;
    /// assert_eq!(Timestamp::MAX.plus(1), Timestamp::MAX); // clamped
    /// ```
    pub const MAX: Self = Self(253_402_300_799_999);

    /// 2000-01-01. No LLM call is older.
    #[cfg(feature = "cli")]
    const FIRST_PLAUSIBLE: Self = Self(946_684_800_000);
    /// The last instant of 2199.
    pub(crate) const LAST_PLAUSIBLE: Self = Self(7_258_118_399_999);

    /// The system's clock.
    ///
    /// The library itself reads no clock. Pass this value, or another time, to the calls that depend on the time.
    ///
    /// ```
    /// # use usage_ledger::Timestamp;
    /// assert!(Timestamp::now() > "2026-01-01T00:00:00Z".parse()?);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn now() -> Self {
        std::time::SystemTime::now().into()
    }

    /// An instant from milliseconds since the Unix epoch, clamped to [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    ///
    /// ```
    /// # use usage_ledger::Timestamp;
    /// assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    /// ```
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    ///
    /// ```
    /// # use usage_ledger::Timestamp;
    /// assert_eq!(Timestamp::from_millis(7).millis(), 7);
    /// ```
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This instant plus `millis`, clamped to [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    ///
    /// ```
    /// # use usage_ledger::{Timestamp, time::HOUR};
    /// assert_eq!(Timestamp::from_millis(0).plus(HOUR).to_string(), "1970-01-01T01:00:00.000Z");
    /// ```
    #[must_use]
    pub const fn plus(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Whether it is in the years 2000 to 2199. A time outside is an error of a clock, a person or a log.
    #[cfg(feature = "cli")]
    pub(crate) const fn is_plausible(self) -> bool {
        self.0 >= Self::FIRST_PLAUSIBLE.0 && self.0 <= Self::LAST_PLAUSIBLE.0
    }

    /// Number of the UTC day since the epoch; negative before 1970.
    pub(crate) const fn utc_day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// The quarter of an hour of its UTC day, 0 to 95.
    pub(crate) const fn quarter_of_day(self) -> u8 {
        (self.0.rem_euclid(DAY) / QUARTER) as u8
    }

    pub(crate) fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

/// Clamped to [`Timestamp::MIN`]..=[`Timestamp::MAX`], and rounded down to a millisecond.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use usage_ledger::Timestamp;
/// assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_micros(1_500)).millis(), 1);
/// assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH - Duration::from_micros(1_500)).millis(), -2);
/// ```
impl From<std::time::SystemTime> for Timestamp {
    fn from(at: std::time::SystemTime) -> Self {
        let millis = match at.duration_since(std::time::SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).map_or(i64::MIN, i64::wrapping_neg)
            }
        };
        Self::from_millis(millis)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self::from_millis(at.timestamp_millis())
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The proleptic Gregorian date of a day number; the inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

impl Timestamp {
    /// Writes `2026-11-23T19:58:11.407Z` into a fixed buffer. This is fast, because every stored line contains two
    /// times.
    pub(crate) fn rfc3339(self) -> [u8; 24] {
        let (year, month, day) = civil_from_days(self.utc_day());
        let ms = self.0.rem_euclid(DAY);
        let mut out = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, width: usize, mut value: i64| {
            for slot in out.iter_mut().skip(at).take(width).rev() {
                *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, ms / HOUR);
        put(14, 2, ms / MINUTE % 60);
        put(17, 2, ms / SECOND % 60);
        put(20, 3, ms % SECOND);
        out
    }

    /// Parses the form that almost every log and every stored line uses: `YYYY-MM-DDTHH:MM:SS[.fff]Z`.
    fn parse_fast(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| -> Option<i64> {
            let mut value = 0;
            for byte in bytes.get(range)? {
                value = value * 10 + i64::from(byte.checked_sub(b'0').filter(|d| *d < 10)?);
            }
            Some(value)
        };
        let is = |at: usize, want: u8| bytes.get(at) == Some(&want);
        if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
            return None;
        }
        let millis = match bytes.len() {
            20 if is(19, b'Z') => 0,
            24 if is(19, b'.') && is(23, b'Z') => digits(20..23)?,
            _ => return None,
        };
        let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
        let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
        // Day 29 and later depend on the month: the calendar library parses them.
        if year < 1 || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        Some(Self(days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.rfc3339();
        f.write_str(std::str::from_utf8(&bytes).unwrap_or_default())
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Parses RFC 3339 with any offset, and truncates to a millisecond.
    ///
    /// # Errors
    /// [`Error::InvalidTime`] for another shape or a year outside 1 to 9999.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(fast) = Self::parse_fast(text) {
            return Ok(fast);
        }
        let parsed = DateTime::parse_from_rfc3339(text)
            .map_err(|error| Error::InvalidTime { text: text.to_owned(), why: error.to_string() })?;
        let millis = parsed.timestamp_millis();
        if !(Self::MIN.0..=Self::MAX.0).contains(&millis) {
            return Err(Error::InvalidTime { text: text.to_owned(), why: "outside the years 1 to 9999".to_owned() });
        }
        Ok(Self(millis))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bytes = self.rfc3339();
        serializer.serialize_str(std::str::from_utf8(&bytes).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct TimeText;
        impl Visitor<'_> for TimeText {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time such as 2026-11-23T19:58:11.407Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TimeText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_parser_agrees_with_the_calendar_library() {
        for text in [
            "2026-11-23T19:58:11.407Z",
            "2024-02-29T00:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "0001-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
            "2000-03-01T12:00:00.001Z",
        ] {
            let slow = DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
            let parsed: Timestamp = text.parse().unwrap();
            assert_eq!(parsed.millis(), slow, "{text}");
            assert_eq!(parsed.to_string().parse::<Timestamp>().unwrap(), parsed);
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in ["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "yesterday", "2026-06-01"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
