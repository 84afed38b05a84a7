//! Time zones.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Offset, TimeZone};
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{QUARTER, Timestamp};
use crate::error::{Error, Result};

/// An IANA time zone, used at the edges to turn instants into local days.
///
/// ```
/// use usage_ledger::Zone;
/// let paris: Zone = "Europe/Paris".parse()?;
/// let midnight = paris.start_of_day("2026-06-01".parse().unwrap());
/// assert_eq!(midnight.to_string(), "2026-05-31T22:00:00.000Z");
/// assert!("Mars/Olympus".parse::<Zone>().is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(chrono_tz::Tz);

impl Zone {
    /// Coordinated universal time.
    ///
    /// ```
    /// # use usage_ledger::Zone;
    /// assert_eq!("UTC".parse::<Zone>()?, Zone::UTC);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const UTC: Self = Self(chrono_tz::Tz::UTC);

    /// The wall clock of this zone at an instant.
    pub(crate) fn local(self, at: Timestamp) -> NaiveDateTime {
        let utc = at.to_chrono().naive_utc();
        utc + self.0.offset_from_utc_datetime(&utc).fix()
    }

    /// The local calendar day of an instant.
    ///
    /// ```
    /// # use usage_ledger::{Timestamp, Zone};
    /// let tokyo: Zone = "Asia/Tokyo".parse()?;
    /// let at: Timestamp = "2026-06-01T20:00:00Z".parse()?;
    /// assert_eq!(tokyo.day(at).to_string(), "2026-06-02");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn day(self, at: Timestamp) -> NaiveDate {
        self.local(at).date()
    }

    /// The instant at which a local day begins, in a zone where clocks may jump over midnight.
    ///
    /// ```
    /// # use usage_ledger::Zone;
    /// let zone: Zone = "America/Sao_Paulo".parse()?;
    /// // Here clocks went from midnight to one in the morning.
    /// let start = zone.start_of_day("2018-11-04".parse()?);
    /// assert_eq!(start.to_string(), "2018-11-04T03:00:00.000Z");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_of_day(self, day: NaiveDate) -> Timestamp {
        self.instant(day.and_time(chrono::NaiveTime::MIN))
    }

    /// The first instant whose wall clock reads `local` or, where clocks jump over it, later.
    pub(crate) fn instant(self, local: NaiveDateTime) -> Timestamp {
        let mut probe = local;
        // No zone has ever skipped more than a day; quarters of an hour land on every border.
        for _ in 0..=96 {
            if let Some(found) = self.0.from_local_datetime(&probe).earliest() {
                return Timestamp::from_millis(found.timestamp_millis());
            }
            probe += chrono::Duration::milliseconds(QUARTER);
        }
        Timestamp::from_millis(local.and_utc().timestamp_millis())
    }

    /// The Monday-based start of the local week that holds `day`.
    pub(crate) fn monday(day: NaiveDate) -> NaiveDate {
        day - chrono::Days::new(u64::from(day.weekday().num_days_from_monday()))
    }
}

impl FromStr for Zone {
    type Err = Error;

    /// Reads a name of the IANA database.
    ///
    /// # Errors
    /// [`Error::UnknownZone`] when the name is not in it.
    fn from_str(name: &str) -> Result<Self> {
        name.parse().map(Self).map_err(|_| Error::UnknownZone { name: name.to_owned() })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_starts_after_midnight_starts_where_the_clock_does() {
        // Beirut skipped 00:00 to 01:00 on 2022-03-27.
        let beirut: Zone = "Asia/Beirut".parse().unwrap();
        let start = beirut.start_of_day("2022-03-27".parse().unwrap());
        assert_eq!(start.to_string(), "2022-03-26T22:00:00.000Z");
    }
}
