//! Phrases that name a time: `resets Feb 5 at 10:30am (Europe/Paris)`, `try again at 3:05 PM`.

use std::sync::LazyLock;

use chrono::{NaiveDateTime, Weekday};
use regex::{Captures, Regex};

use super::Reset;
use super::clock::{self, Clock, Day};
use super::length::{self, SpanLength};
use crate::model::time::{DAY, Timestamp, Zone};
use crate::readers::exhaustion::excerpt::floor;

/// Longest phrase looked at, in bytes.
const LONGEST: usize = 160;
/// A reset further off than this is no quota's.
const FURTHEST: i64 = 366 * DAY;

struct Grammar {
    /// What leads to a time.
    leads: [Regex; 2],
    within: Regex,
    instant: Regex,
    local: Regex,
    zone: Regex,
    unread: Regex,
}

static GRAMMAR: LazyLock<Option<Grammar>> = LazyLock::new(|| Grammar::new().ok());

impl Grammar {
    fn new() -> Result<Self, regex::Error> {
        let clock = r"(?<hour>\d{1,2})(?::(?<minute>\d{2})(?::(?<second>\d{2}))?)?(?:\s?(?<half>[ap]\.?m)\b\.?)?";
        let month = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|\
                     oct(?:ober)?|nov(?:ember)?|dec(?:ember)?";
        let weekday =
            "mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs?(?:day)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?";
        let date = format!(
            r"(?:(?:{weekday}),?\s+)?(?:(?<month>{month})\.?\s+(?<day>\d{{1,2}})(?:st|nd|rd|th)?|(?<day2>\d{{1,2}})(?:st|nd|rd|th)?\s+(?<month2>{month})\.?)(?:,?\s+(?<year>\d{{4}}))?"
        );
        let day = format!(r"(?:{date}|(?<weekday>{weekday})|(?<word>today|tomorrow))(?:\s*,\s*|\s+)(?:at\s+)?");
        Ok(Self {
            leads: [
                Regex::new(
                    r#"(?i)(?:\b|_|\\n)reset(?:s|ting)?(?:_?(?:at|time|on))?["']?\s*[:=]?\s*["']?\s*(?:(?:on|at|by|for)\s+)?"#,
                )?,
                Regex::new(r"(?i)\b(?:try again|retry)\s+(?:(?:on|at|by|after)\s+)?")?,
            ],
            within: Regex::new(&format!(r"(?i)^(?:in|after)\s+(?:about\s+)?(?<length>{})", length::pattern()))?,
            instant: Regex::new(
                r"(?i)^(?<date>\d{4}-\d{2}-\d{2})[T ](?<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s?(?<offset>Z\b|[+-]\d{2}:?\d{2}\b)?",
            )?,
            local: Regex::new(&format!("(?i)^(?:{day})?{clock}"))?,
            zone: Regex::new(
                r"^\s*\((?<name>[^)\n]{1,60})\)|^\s+(?<bare>UTC|GMT|[A-Z][A-Za-z_]+/[A-Z][A-Za-z_/+-]+)\b",
            )?,
            unread: Regex::new(r#"(?i)\bresets?\s+[^"{}\n]{1,80}"#)?,
        })
    }

    /// The zone behind a time: how it was written, which one it is, and how many bytes that took.
    fn zone<'t>(&self, rest: &'t str, host: Zone) -> (Option<&'t str>, Zone, usize) {
        let Some(found) = self.zone.captures(rest) else { return (None, host, 0) };
        let length = found.get(0).map_or(0, |whole| whole.end());
        let name = found.name("name").or_else(|| found.name("bare")).map(|name| name.as_str().trim());
        let known = name.and_then(|name| {
            let plain = if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") { "UTC" } else { name };
            plain.parse().ok()
        });
        (name, known.unwrap_or(host), length)
    }
}

/// A time that was read, and how many bytes it took.
struct ParsedReset {
    display: String,
    at: Option<Timestamp>,
    length: usize,
    relative: bool,
}

/// The first phrase that makes an instant.
pub(super) fn find(text: &str, now: Timestamp, host: Zone) -> Option<Reset> {
    let grammar = GRAMMAR.as_ref()?;
    for (index, lead) in grammar.leads.iter().enumerate() {
        for found in lead.find_iter(text) {
            // What servers ask for as a length has limits of its own.
            let lengths = index == 0;
            let Some(read) = read(grammar, bounded(text, found.end()), lengths, now, host) else { continue };
            let Some(at) = read.at else { continue };
            let raw = text.get(found.start()..found.end() + read.length).unwrap_or_default();
            let raw = raw.strip_prefix("\\n").unwrap_or(raw).trim_start_matches('_');
            let phrase = if raw.contains(['"', '\'']) { &read.display } else { raw }.trim().to_owned();
            return Some(Reset { phrase, display: read.display, at: Some(at), relative: read.relative });
        }
    }
    None
}

/// A phrase with `resets` that no grammar reads.
pub(super) fn unread(text: &str) -> Option<&str> {
    GRAMMAR.as_ref()?.unread.find(text).map(|found| found.as_str().trim())
}

/// What follows up to the end of the line, cut at a border of characters.
fn bounded(text: &str, from: usize) -> &str {
    let rest = text.get(from..).unwrap_or_default();
    let rest = rest.split(['\n', '{', '}']).next().unwrap_or_default();
    rest.get(..floor(rest, LONGEST)).unwrap_or_default()
}

fn read(grammar: &Grammar, rest: &str, lengths: bool, now: Timestamp, host: Zone) -> Option<ParsedReset> {
    if let Some(found) = grammar.within.captures(rest) {
        if !lengths {
            return None;
        }
        let length = SpanLength::read(found.name("length")?.as_str())?;
        let at = (1..=FURTHEST).contains(&length.millis).then(|| now.plus(length.millis)).filter(|at| *at > now);
        let display = format!("resets in {}", length.text());
        return Some(ParsedReset { display, at, length: found.get(0)?.end(), relative: true });
    }
    if let Some(found) = grammar.instant.captures(rest) {
        return instant(grammar, &found, rest, now, host);
    }
    let found = grammar.local.captures(rest)?;
    let end = found.get(0)?.end();
    let tail = rest.get(end..)?;
    // `10 minutes`, `10:30x`, `10.5`: not a time of day.
    if tail.starts_with(|next: char| next.is_alphanumeric() || next == ':' || next == '_') {
        return None;
    }
    let group = |name| found.name(name).map(|group| group.as_str());
    let clock = Clock::read(group("hour")?, group("minute"), group("second"), group("half"))?;
    let day = day(&found)?;
    let (name, zone, taken) = grammar.zone(tail, host);
    let shown = name.map_or_else(|| host.to_string(), str::to_owned);
    let display = format!("resets {} ({shown})", day.text(&clock));
    Some(ParsedReset { display, at: day.instant(clock.time, now, zone), length: end + taken, relative: false })
}

fn day(found: &Captures<'_>) -> Option<Day> {
    let group = |name| found.name(name).map(|group| group.as_str());
    if let Some(name) = group("month").or_else(|| group("month2")) {
        let day = group("day").or_else(|| group("day2"))?.parse().ok()?;
        let year = group("year").and_then(|year| year.parse().ok());
        return Some(Day::Date { month: clock::month(name)?, day, year });
    }
    if let Some(name) = group("weekday") {
        return name.get(..3)?.parse::<Weekday>().ok().map(Day::Weekday);
    }
    Some(match group("word") {
        Some(word) if word.eq_ignore_ascii_case("tomorrow") => Day::Tomorrow,
        Some(_) => Day::Today,
        None => Day::Next,
    })
}

fn instant(grammar: &Grammar, found: &Captures<'_>, rest: &str, now: Timestamp, host: Zone) -> Option<ParsedReset> {
    let group = |name| found.name(name).map(|group| group.as_str());
    let (date, time) = (group("date")?, group("time")?);
    let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    let end = found.get(0)?.end();
    let (at, taken) = if let Some(offset) = group("offset") {
        let offset = match offset.len() {
            5 => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
            _ => offset.to_ascii_uppercase(),
        };
        (format!("{date}T{time}{offset}").parse().ok(), 0)
    } else {
        let (_, zone, taken) = grammar.zone(rest.get(end..)?, host);
        let local = NaiveDateTime::parse_from_str(&format!("{date}T{time}"), "%Y-%m-%dT%H:%M:%S%.f").ok();
        (local.and_then(|local| clock::later(zone, local, now)), taken)
    };
    let at: Option<Timestamp> = at.filter(|at| *at > now);
    let display = at.map_or_else(|| format!("resets at {date} {time}"), super::hint::at_text);
    Some(ParsedReset { display, at, length: end + taken, relative: false })
}
