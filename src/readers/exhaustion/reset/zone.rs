//! Zones as messages write them: names of the IANA database, abbreviations, offsets from UTC.

use std::fmt;
use std::sync::LazyLock;

use chrono::{NaiveDateTime, TimeDelta};
use regex::Regex;

use super::windows_zones::WINDOWS;
use crate::model::time::{DAY, MINUTE, Timestamp, Zone};

/// The zone of a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::readers::exhaustion) enum ClockZone {
    /// A zone of the database.
    Zone(Zone),
    /// A fixed offset, in minutes east of UTC.
    Offset(i32),
}

impl ClockZone {
    /// Beijing time, which has no daylight saving time.
    pub const BEIJING: Self = Self::Offset(8 * 60);

    /// The local time at an instant.
    pub fn local(self, at: Timestamp) -> NaiveDateTime {
        match self {
            Self::Zone(zone) => zone.local(at),
            Self::Offset(minutes) => at.to_chrono().naive_utc() + TimeDelta::minutes(i64::from(minutes)),
        }
    }

    /// The instant of a local time, if it is later than `now`. Of two instants with that local time the first one
    /// counts. A local time that clocks skip uses the offset before the change.
    pub fn later(self, local: NaiveDateTime, now: Timestamp) -> Option<Timestamp> {
        let reading = local.and_utc().timestamp_millis();
        let zone = match self {
            Self::Zone(zone) => zone,
            Self::Offset(minutes) => {
                let at = Timestamp::from_millis(reading.saturating_sub(i64::from(minutes) * MINUTE));
                return (at > now).then_some(at);
            }
        };
        let first = zone.instant(local);
        let offset = |at: Timestamp| zone.local(at).and_utc().timestamp_millis() - at.millis();
        let exact = zone.local(first) == local;
        let around =
            [first.plus(-DAY), first.plus(DAY)].map(offset).map(|offset| Timestamp::from_millis(reading - offset));
        let [before, after] = around;
        if !exact {
            return (before > now).then_some(before);
        }
        [first, after].into_iter().find(|at| *at > now && zone.local(*at) == local)
    }

    /// Parses a zone by any of its names. `host` decides between several zones with one abbreviation.
    pub fn read(name: &str, host: Self) -> Option<Self> {
        let name = name.trim().trim_end_matches('.');
        if let Some(offset) = offset(name) {
            return Some(offset);
        }
        let upper = name.to_ascii_uppercase();
        if upper == "CST" && host == Self::BEIJING {
            return Some(Self::BEIJING);
        }
        if let Some((_, minutes)) = ABBREVIATIONS.iter().find(|(short, _)| *short == upper) {
            return Some(if *minutes == 0 { Self::Zone(Zone::UTC) } else { Self::Offset(*minutes) });
        }
        let word = upper.trim_end_matches(" TIME");
        let named = REGIONS.iter().chain(WINDOWS).find(|(region, _)| *region == word);
        if let Some((_, zone)) = named {
            return zone.parse().ok().map(Self::Zone);
        }
        name.parse().or_else(|_| titled(name).parse()).ok().map(Self::Zone)
    }
}

impl fmt::Display for ClockZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Zone(zone) => zone.fmt(f),
            Self::Offset(minutes) => {
                let (sign, size) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
                write!(f, "UTC{sign}{}", size / 60)?;
                if size % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", size % 60) }
            }
        }
    }
}

/// Abbreviations of zones that messages use, and their minutes east of UTC.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("Z", 0),
    ("WET", 0),
    ("WEST", 60),
    ("BST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("SAST", 120),
    ("CAT", 120),
    ("WAT", 60),
    ("EAT", 180),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("TRT", 180),
    ("GST", 240),
    ("PKT", 300),
    ("UZT", 300),
    ("IST", 330),
    ("NPT", 345),
    ("MMT", 390),
    ("WIB", 420),
    ("ICT", 420),
    ("SGT", 480),
    ("HKT", 480),
    ("PHT", 480),
    ("MYT", 480),
    ("WITA", 480),
    ("AWST", 480),
    ("JST", 540),
    ("KST", 540),
    ("ACST", 570),
    ("AEST", 600),
    ("ACDT", 630),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
    ("NDT", -150),
    ("BRT", -180),
    ("ART", -180),
    ("UYT", -180),
    ("ADT", -180),
    ("NST", -210),
    ("AST", -240),
    ("CLT", -240),
    ("BOT", -240),
    ("VET", -240),
    ("EDT", -240),
    ("EST", -300),
    ("CDT", -300),
    ("COT", -300),
    ("PET", -300),
    ("CST", -360),
    ("MDT", -360),
    ("MST", -420),
    ("PDT", -420),
    ("PST", -480),
    ("AKDT", -480),
    ("AKST", -540),
    ("HST", -600),
    ("ZULU", 0),
    // Names that only summer time has.
    ("PACIFIC DAYLIGHT TIME", -420),
    ("MOUNTAIN DAYLIGHT TIME", -360),
    ("CENTRAL DAYLIGHT TIME", -300),
    ("EASTERN DAYLIGHT TIME", -240),
    ("ATLANTIC DAYLIGHT TIME", -180),
    ("BRITISH SUMMER TIME", 60),
    ("IRISH STANDARD TIME", 60),
    ("CENTRAL EUROPEAN SUMMER TIME", 120),
    ("EASTERN EUROPEAN SUMMER TIME", 180),
    ("AUSTRALIAN EASTERN DAYLIGHT TIME", 660),
    ("NEW ZEALAND DAYLIGHT TIME", 780),
];

/// Names of regions, and the zone of the database that they use.
const REGIONS: &[(&str, &str)] = &[
    ("PT", "America/Los_Angeles"),
    ("PACIFIC", "America/Los_Angeles"),
    ("MT", "America/Denver"),
    ("MOUNTAIN", "America/Denver"),
    ("CT", "America/Chicago"),
    ("CENTRAL", "America/Chicago"),
    ("ET", "America/New_York"),
    ("EASTERN", "America/New_York"),
    ("BEIJING", "Asia/Shanghai"),
    ("CHINA STANDARD", "Asia/Shanghai"),
    ("CENTRAL EUROPEAN", "Europe/Berlin"),
    ("EASTERN EUROPEAN", "Europe/Kyiv"),
    ("WESTERN EUROPEAN", "Europe/Lisbon"),
    ("GREENWICH MEAN", "Etc/GMT"),
    ("COORDINATED UNIVERSAL", "Etc/UTC"),
    ("BRASILIA STANDARD", "America/Sao_Paulo"),
    ("INDOCHINA", "Asia/Bangkok"),
    ("HAWAII-ALEUTIAN STANDARD", "Pacific/Honolulu"),
    ("JAPAN STANDARD", "Asia/Tokyo"),
    ("KOREAN STANDARD", "Asia/Seoul"),
    ("AUSTRALIAN EASTERN STANDARD", "Australia/Brisbane"),
    ("EASTERN EUROPEAN STANDARD", "Europe/Kyiv"),
];

/// Capitalises a zone name: `America/New_York` for `america/new_york`.
fn titled(name: &str) -> String {
    let mut begins = true;
    let title = |letter: char| {
        let letter = if begins { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        begins = matches!(letter, '/' | '_' | '-');
        letter
    };
    name.chars().map(title).collect()
}

static OFFSET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:utc|gmt)?\s?(?<sign>[+\-\u{2212}\u{2013}])\s?(?<hours>\d{1,2})(?::?(?<minutes>\d{2}))?$").ok()
});

/// `GMT-3`, `UTC+05:30`, `+0800`.
fn offset(name: &str) -> Option<ClockZone> {
    let captures = OFFSET.as_ref()?.captures(name)?;
    let number = |group| captures.name(group).map_or(Some(0), |digits| digits.as_str().parse::<i32>().ok());
    let (hours, minutes) = (number("hours")?, number("minutes")?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let size = hours * 60 + minutes;
    Some(ClockZone::Offset(if captures.name("sign")?.as_str() == "+" { size } else { -size }))
}

/// The pattern of a zone after a time, with or without parentheses.
pub(super) fn pattern() -> String {
    let short: Vec<&str> = ABBREVIATIONS.iter().map(|(short, _)| *short).filter(|short| short.len() > 1).collect();
    let sign = r"[+\-\u{2212}\u{2013}]";
    format!(
        r"^\s*\((?<name>[^)\n]{{1,60}})\)|^\s*(?<bare>(?i:UTC|GMT)\s?{sign}\s?\d{{1,2}}(?::?\d{{2}})?|{sign}\d{{2}}:?\d{{2}})\b|^,?\s*(?<word>[A-Z][A-Za-z_]+/[A-Z][A-Za-z_/+-]+|{}|[PMCE]T|(?:[A-Z][A-Za-z.-]*\s){{1,3}}(?:Standard|Daylight|Summer|Mean|European|Universal) [Tt]ime|(?:Pacific|Mountain|Central|Eastern|Beijing)(?: [Tt]ime)?)\b",
        short.join("|")
    )
}
