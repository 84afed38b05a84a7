//! Time zones.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DAY, QUARTER, SECOND, Timestamp};
use crate::model::error::{Error, Result};

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
#[derive(Clone, Copy)]
pub struct Zone {
    name: &'static str,
    /// `None` for UTC.
    rules: Option<&'static TimeZone>,
}

impl Zone {
    /// Coordinated universal time.
    ///
    /// ```
    /// # use usage_ledger::Zone;
    /// assert_eq!("UTC".parse::<Zone>()?, Zone::UTC);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const UTC: Self = Self { name: "UTC", rules: None };

    /// The wall clock of this zone at an instant.
    pub(crate) fn local(self, at: Timestamp) -> NaiveDateTime {
        at.to_chrono().naive_utc() + TimeDelta::seconds(self.offset(at.millis().div_euclid(SECOND)))
    }

    /// Seconds east of UTC at an instant, in seconds.
    fn offset(self, at: i64) -> i64 {
        let Some(rules) = self.rules else { return 0 };
        // The library cannot represent the last day of the year 9999.
        let at = at.clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
        jiff::Timestamp::from_second(at).map_or(0, |at| i64::from(rules.to_offset(at).seconds()))
    }

    /// A zone of the database or of the cache. The cache keeps the few zones that a program uses. Zones are loaded one
    /// by one, because loading all of them would slow down every start of the command.
    fn named(name: &str) -> Option<Self> {
        static NAMED: Mutex<Vec<Zone>> = Mutex::new(Vec::new());
        let mut zones = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.iter().find(|zone| zone.name == name) {
            return Some(*zone);
        }
        let rules = TimeZoneDatabase::bundled().get(name).ok()?;
        // The database ignores case; this crate accepts one spelling.
        if rules.iana_name() != Some(name) {
            return None;
        }
        let rules: &'static TimeZone = Box::leak(Box::new(rules));
        let zone = Self { name: rules.iana_name()?, rules: Some(rules) };
        zones.push(zone);
        Some(zone)
    }

    /// The first instant, in seconds, whose local time is `local`, if there is one.
    fn earliest(self, local: i64) -> Option<i64> {
        const DAY_SECONDS: i64 = DAY / SECOND;
        // Every offset that can apply at that local time applies at some instant within a day of it.
        [-DAY_SECONDS, -DAY_SECONDS / 2, 0, DAY_SECONDS / 2, DAY_SECONDS]
            .into_iter()
            .map(|near| self.offset(local + near))
            .filter(|offset| self.offset(local - offset) == *offset)
            .map(|offset| local - offset)
            .min()
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

    /// The first instant whose local time is `local`, or later if clocks skip it.
    pub(crate) fn instant(self, local: NaiveDateTime) -> Timestamp {
        let mut probe = local;
        // No zone ever skipped more than a day, and every transition is at a full quarter of an hour.
        for _ in 0..=96 {
            let local = probe.and_utc().timestamp_millis();
            if let Some(seconds) = self.earliest(local.div_euclid(SECOND)) {
                return Timestamp::from_millis(seconds * SECOND + local.rem_euclid(SECOND));
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

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

impl FromStr for Zone {
    type Err = Error;

    /// Parses a name of the IANA database.
    ///
    /// # Errors
    /// [`Error::UnknownZone`] for another name.
    fn from_str(name: &str) -> Result<Self> {
        if name == Self::UTC.name {
            return Ok(Self::UTC);
        }
        Self::named(name).ok_or_else(|| Error::UnknownZone { name: name.to_owned() })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
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
    use chrono::{Offset, TimeZone as _};

    use super::*;

    /// Compares with another library for the same database: offsets, the seconds at which they change, and the days
    /// around those.
    #[test]
    fn every_zone_agrees_with_another_library() {
        const STEP: i64 = 20 * 24 * 3_601;
        let (mut zones, mut changes) = (0, 0);
        for other in chrono_tz::TZ_VARIANTS {
            let Ok(zone) = other.name().parse::<Zone>() else { continue };
            zones += 1;
            let reference_offset = |at: i64| {
                let utc = Timestamp::from_millis(at * SECOND).to_chrono().naive_utc();
                i64::from(other.offset_from_utc_datetime(&utc).fix().local_minus_utc())
            };
            // Only 2000 to 2019: the other library misplaces some earlier transitions by an hour, and its data end
            // there.
            for at in (946_684_800 + STEP..1_577_836_800).step_by(STEP as usize) {
                assert_eq!(zone.offset(at), reference_offset(at), "{other} at {at}");
                let (mut low, mut high) = (at - STEP, at);
                if zone.offset(low) == zone.offset(high) {
                    continue;
                }
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if zone.offset(middle) == zone.offset(low) { low = middle } else { high = middle }
                }
                changes += 1;
                assert_eq!(zone.offset(low), reference_offset(low), "{other} at {low}");
                assert_eq!(zone.offset(high), reference_offset(high), "{other} at {high}");
                for minutes in [-90, -60, -45, -30, 0, 15, 30, 60, 90] {
                    let local = high + zone.offset(low) + minutes * 60;
                    let clock = Timestamp::from_millis(local * SECOND).to_chrono().naive_utc();
                    let seconds = other.from_local_datetime(&clock).earliest().map(|seconds| seconds.timestamp());
                    assert_eq!(zone.earliest(local), seconds, "{other} at {clock}");
                }
            }
        }
        assert!(zones > 590 && changes > 8_000, "{zones} {changes}");
    }

    #[test]
    fn zone_rules_apply_to_all_times() {
        for (zone, at, offset) in [
            ("Europe/Paris", "2026-07-01T00:00:00Z", 2 * 3_600),
            ("Europe/Paris", "2199-03-31T00:59:59Z", 3_600),
            ("Europe/Paris", "2199-03-31T01:00:00Z", 2 * 3_600),
            ("America/New_York", "9999-12-31T00:00:00Z", -5 * 3_600),
            ("Australia/Lord_Howe", "2200-01-01T00:00:00Z", 11 * 3_600),
            ("Australia/Lord_Howe", "2200-07-01T00:00:00Z", 37_800),
            ("Asia/Kathmandu", "2200-07-01T00:00:00Z", 20_700),
            ("UTC", "2200-07-01T00:00:00Z", 0),
        ] {
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(zone.parse::<Zone>().unwrap().offset(at.millis() / SECOND), offset, "{zone} {at}");
        }
        let names = TimeZoneDatabase::bundled();
        let unread: Vec<_> = names.available().filter(|name| name.as_str().parse::<Zone>().is_err()).collect();
        assert!(unread.is_empty(), "{unread:?}");
        assert!("europe/paris".parse::<Zone>().is_err());
    }

    #[test]
    fn a_day_that_starts_after_midnight_starts_where_the_clock_does() {
        // Beirut skipped 00:00 to 01:00 on 2022-03-27.
        let beirut: Zone = "Asia/Beirut".parse().unwrap();
        let start = beirut.start_of_day("2022-03-27".parse().unwrap());
        assert_eq!(start.to_string(), "2022-03-26T22:00:00.000Z");
    }
}
