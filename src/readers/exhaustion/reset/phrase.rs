//! Phrases that name a time: `resets Feb 5 at 10:30am (Europe/Paris)`, `try again at 3:05 PM`.

use std::ops::Range;
use std::sync::LazyLock;

use chrono::{NaiveDate, NaiveTime, Weekday};
use regex::{Captures, Regex};

use super::clock::{self, Clock, Day};
use super::length::{self, SpanLength};
use super::zone::{self, ClockZone};
use super::{Reset, ResetReading};
use crate::model::time::{DAY, Timestamp};
use crate::readers::exhaustion::excerpt::{floor, is_wrapped};

/// Maximal length of a phrase, in bytes.
const LONGEST: usize = 160;
/// A later reset, in milliseconds from now, is not one of a quota.
const FURTHEST: i64 = 366 * DAY;

struct Grammar {
    /// The words that introduce a time, and whether a length may follow: `try again in` has separate limits.
    leads: [(Regex, bool); 3],
    within: Regex,
    within_clock: Regex,
    instant: Regex,
    local: Regex,
    /// A day after a time: `10am on Feb 5`.
    behind: Regex,
    /// A day without a time.
    bare_day: Regex,
    zone: Regex,
    unread: Regex,
    /// A limit of a few hours.
    session: Regex,
}

static GRAMMAR: LazyLock<Option<Grammar>> = LazyLock::new(|| Grammar::new().ok());

const MONTH: &str = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|\
                     oct(?:ober)?|nov(?:ember)?|dec(?:ember)?";
const WEEKDAY: &str =
    "mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs?(?:day)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?";

impl Grammar {
    fn new() -> Result<Self, regex::Error> {
        let clock = r"(?:(?<named>noon|midnight)\b|(?<hour>\d{1,2})(?:[:h](?<minute>\d{2})(?::(?<second>\d{2}))?)?(?:\s?(?<half>[ap]\.?m)\b\.?)?)";
        let dotted = r"(?<dot_hour>\d{1,2})\.(?<dot_minute>\d{2})\s?(?<dot_half>[ap]\.?m)\b\.?";
        let length = length::pattern();
        let date = format!(
            r"(?:(?:{WEEKDAY}),?\s+)?(?:(?<month>{MONTH})\.?\s+(?<day>\d{{1,2}})(?:st|nd|rd|th)?|(?:the\s+)?(?<day2>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?<month2>{MONTH})\.?)(?:,?\s+(?<year>\d{{4}}))?"
        );
        let figures = r"(?<first>\d{1,2})/(?<second_part>\d{1,2})(?:/(?<years>\d{4}|\d{2}))?|(?<dot_day>\d{1,2})\.(?<dot_month>\d{1,2})\.(?<dot_year>\d{4})";
        let day = format!(r"(?:{date}|{figures}|(?:next\s+)?(?<weekday>{WEEKDAY})|(?<word>today|tonight|tomorrow))");
        Ok(Self {
            leads: [
                (
                    Regex::new(
                        r#"(?i)(?:\b|_|\\n|quota|limit)reset(?:s|ting)?(?:[_ ]?(?:at|time(?:_?stamp)?|on|date))?["']?\s*[:=]?\s*["']?\s*(?:(?:on|at|by|for)\s+)?"#,
                    )?,
                    true,
                ),
                (Regex::new(r"(?i)\b(?:try again|retry)\s+(?:(?:on|at|by|after)\s+)?")?, false),
                (
                    Regex::new(
                        r"(?i)(?:\b(?:regain access|(?:available|usable) again|come back|unblocked|unlocked|renews?|refresh(?:es)?|replenish(?:es)?|(?:access|quota|limits?) (?:is |are |will be )?restored|(?:cycle|period|window) ends|resume using this model|(?:wait|available|limited|locked|blocked|paused|exhausted|suspended) until)\s+(?:(?:on|at|by)\s+)?|将[在于]\s*)",
                    )?,
                    true,
                ),
            ],
            within: Regex::new(&format!(
                r"(?i)^(?:(?:in|after|within)\s+{}(?<length>{length})|(?<ahead>{length})\s+(?:from\s+now|later)\b)",
                length::ABOUT
            ))?,
            within_clock: Regex::new(&format!(r"(?i)^in\s+{}(?<length>{})", length::ABOUT, length::CLOCK))?,
            instant: Regex::new(
                r"(?i)^(?<date>\d{4}[-/]\d{2}[-/]\d{2})(?:(?:T|,?\s+(?:at\s+)?)(?<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(?:\s?(?<half>[ap]\.?m)\b\.?)?\s?(?<offset>Z\b|[+-]\d{2}:?\d{2}\b)?)?",
            )?,
            local: Regex::new(&format!(r"(?i)^(?:{day}(?:\s*,\s*|\s+)(?:at\s+|@\s*)?)?(?:{dotted}|{clock})"))?,
            behind: Regex::new(&format!(r"(?i)^,?\s+(?:on\s+)?{day}\b"))?,
            bare_day: Regex::new(&format!(r"(?i)^{day}\b"))?,
            zone: Regex::new(&zone::pattern())?,
            unread: Regex::new(r#"(?i)\bresets?\s+[^"{}\n]{1,80}"#)?,
            session: Regex::new(r"(?i)\b(?:session|(?:5|five)[- ]?h(?:ou)?r|hourly)\b")?,
        })
    }

    /// The zone after a time: its text, the zone, and its length in bytes.
    fn zone<'t>(&self, rest: &'t str, host: ClockZone) -> (Option<&'t str>, ClockZone, usize) {
        let Some(found) = self.zone.captures(rest) else { return (None, host, 0) };
        let length = found.get(0).map_or(0, |whole| whole.end());
        let group = |name| found.name(name).map(|name| name.as_str().trim());
        let name = group("name").or_else(|| group("bare")).or_else(|| group("word"));
        let known = name.and_then(|name| ClockZone::read(name, host));
        // Parenthesised words that name no zone are displayed, and the host's zone applies.
        (name, known.unwrap_or(host), length)
    }
}

/// The name behind a time, if it has the form of a zone's name and names no zone: `Europe/Pariss`.
fn unknown_zone(name: Option<&str>, host: ClockZone) -> Option<String> {
    let name = name.filter(|name| ClockZone::read(name, host).is_none())?;
    let is_abbreviation = (2..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_abbreviation || name.contains('/') && !name.contains(' ')).then(|| name.to_owned())
}

/// A parsed time, and its length in bytes.
struct ParsedReset {
    display: String,
    at: Option<Timestamp>,
    length: usize,
    relative: bool,
    unknown_zone: Option<String>,
}

/// How a phrase is read.
#[derive(Clone, Copy)]
struct Setting {
    reading: ResetReading,
    /// Whether the words before the phrase name a limit of a few hours.
    of_session: bool,
}

/// The first phrase that gives an instant, outside of the `headers`.
pub(super) fn find(text: &str, reading: ResetReading, headers: &[Range<usize>]) -> Option<Reset> {
    let grammar = GRAMMAR.as_ref()?;
    for (lead, lengths) in &grammar.leads {
        for found in lead.find_iter(text) {
            if headers.iter().any(|header| header.contains(&found.start())) {
                continue;
            }
            let rest = bounded(text, found.end());
            let before = text.get(..found.start()).and_then(|head| head.rsplit('\n').next()).unwrap_or_default();
            let setting = Setting { reading, of_session: grammar.session.is_match(before) };
            let parsed = |rest: &str| read(grammar, rest, *lengths, setting).filter(|read| read.at.is_some());
            let joined = joined(text, found.end()).and_then(|joined| parsed(&joined));
            let is_joined = joined.is_some();
            let Some(read) = joined.or_else(|| parsed(rest)) else { continue };
            let Some(at) = read.at else { continue };
            let raw = text.get(found.start()..found.end() + read.length).unwrap_or_default();
            let raw = raw.strip_prefix("\\n").unwrap_or(raw).trim_start_matches('_');
            let unclear = is_joined || raw.contains(['"', '\'']);
            let phrase = if unclear { &read.display } else { raw }.trim().to_owned();
            return Some(Reset {
                phrase,
                display: read.display,
                at: Some(at),
                relative: read.relative,
                unknown_zone: read.unknown_zone,
            });
        }
    }
    None
}

/// A phrase with `resets` that the grammar does not cover.
pub(super) fn unread(text: &str) -> Option<&str> {
    GRAMMAR.as_ref()?.unread.find(text).map(|found| found.as_str().trim())
}

/// The rest of the line, cut at a character border.
fn bounded(text: &str, from: usize) -> &str {
    let rest = text.get(from..).unwrap_or_default();
    let rest = rest.split(['\n', '{', '}']).next().unwrap_or_default();
    rest.get(..floor(rest, LONGEST)).unwrap_or_default()
}

/// The rest of a wrapped line, and the next line.
fn joined(text: &str, from: usize) -> Option<String> {
    let (line, rest) = text.get(from..)?.split_once('\n')?;
    if line.len() > LONGEST || line.contains(['{', '}']) || !is_wrapped(line) {
        return None;
    }
    let next = bounded(rest, 0).trim_start();
    Some(format!("{} {next}", line.trim_end()))
}

fn read(grammar: &Grammar, rest: &str, lengths: bool, setting: Setting) -> Option<ParsedReset> {
    let ResetReading { now, host, .. } = setting.reading;
    if let Some((length, end)) = span(grammar, rest) {
        if !lengths {
            return None;
        }
        let at = (1..=FURTHEST).contains(&length.millis).then(|| now.plus(length.millis)).filter(|at| *at > now);
        let display = format!("resets in {}", length.text());
        return Some(ParsedReset { display, at, length: end, relative: true, unknown_zone: None });
    }
    if let Some(found) = grammar.instant.captures(rest) {
        return instant(grammar, &found, rest, now, host);
    }
    local(grammar, rest, setting).or_else(|| bare_day(grammar, rest, setting))
}

/// A length of time, and where it ends: `in 3 hours`, `in 1:30:00`, `3 hours from now`.
fn span(grammar: &Grammar, rest: &str) -> Option<(SpanLength, usize)> {
    if let Some(found) = grammar.within.captures(rest) {
        let text = found.name("length").or_else(|| found.name("ahead"))?.as_str();
        return Some((SpanLength::read(text)?, found.get(0)?.end()));
    }
    let found = grammar.within_clock.captures(rest)?;
    let end = found.get(0)?.end();
    let whole = !goes_on(rest.get(end..)?);
    SpanLength::read_clock(found.name("length")?.as_str()).filter(|_| whole).map(|length| (length, end))
}

/// Whether the following text shows that a number is not a time of day: `10 minutes`, `10:30x`, `10.5`.
fn goes_on(tail: &str) -> bool {
    tail.starts_with(|next: char| next.is_alphanumeric() || next == ':' || next == '_')
}

/// A time of day, with its day before or after it.
fn local(grammar: &Grammar, rest: &str, setting: Setting) -> Option<ParsedReset> {
    let Setting { reading, of_session } = setting;
    let host = reading.host;
    let found = grammar.local.captures(rest)?;
    let mut end = found.get(0)?.end();
    if goes_on(rest.get(end..)?) {
        return None;
    }
    let group = |name| found.name(name).map(|group| group.as_str());
    let clock = match group("named") {
        Some(word) if word.eq_ignore_ascii_case("noon") => Clock::noon()?,
        Some(_) => Clock::midnight(),
        None if group("dot_hour").is_some() => {
            Clock::read(group("dot_hour")?, group("dot_minute"), None, group("dot_half"))?
        }
        None => Clock::read(group("hour")?, group("minute"), group("second"), group("half"))?,
    };
    let (mut day, mut day_name) = day(&found)?;
    let mut zone = grammar.zone(rest.get(end..)?, host);
    end += zone.2;
    if day == Day::Next
        && let Some(behind) = grammar.behind.captures(rest.get(end..)?)
        && let Some((named, name)) = self::day(&behind)
    {
        (day, day_name) = (named, name);
        end += behind.get(0)?.end();
        if zone.0.is_none() {
            zone = grammar.zone(rest.get(end..)?, host);
            end += zone.2;
        }
    }
    let (name, place, _) = zone;
    let unknown_zone = unknown_zone(name, host);
    let shown = name.map_or_else(|| host.to_string(), str::to_owned);
    let display = format!("resets {} ({shown})", day.text(&clock, day_name));
    let at = day.instant(clock.time, place, reading, of_session);
    Some(ParsedReset { display, at, length: end, relative: false, unknown_zone })
}

/// A day without a time begins at midnight. A following number would be an unreadable time, so the phrase is refused.
fn bare_day(grammar: &Grammar, rest: &str, setting: Setting) -> Option<ParsedReset> {
    let Setting { reading, of_session } = setting;
    let host = reading.host;
    let found = grammar.bare_day.captures(rest)?;
    let end = found.get(0)?.end();
    let tail = rest.get(end..)?;
    let next = tail.trim_start_matches([',', ' ']);
    if next.starts_with(|next: char| next.is_ascii_digit() || next == ':')
        || next.starts_with("at ")
        || next.starts_with('@')
    {
        return None;
    }
    let (clock, (day, day_name)) = (Clock::midnight(), day(&found)?);
    let (name, place, taken) = grammar.zone(tail, host);
    let unknown_zone = unknown_zone(name, host);
    let shown = name.map_or_else(|| host.to_string(), str::to_owned);
    let display = format!("resets {} ({shown})", day.text(&clock, day_name));
    Some(ParsedReset {
        display,
        at: day.instant(clock.time, place, reading, of_session),
        length: end + taken,
        relative: false,
        unknown_zone,
    })
}

/// The day of a phrase, and the month or weekday as written (empty for other days).
fn day<'t>(found: &Captures<'t>) -> Option<(Day, &'t str)> {
    let group = |name| found.name(name).map(|group| group.as_str());
    if let Some(name) = group("month").or_else(|| group("month2")) {
        let day = group("day").or_else(|| group("day2"))?.parse().ok()?;
        let year = group("year").and_then(|year| year.parse().ok());
        return Some((Day::Date { month: clock::month(name)?, day, year }, name));
    }
    if let (Some(first), Some(second)) = (group("first"), group("second_part")) {
        return figures(first, second, group("years")).map(|day| (day, ""));
    }
    if let (Some(day), Some(month), Some(year)) = (group("dot_day"), group("dot_month"), group("dot_year")) {
        let (day, month) = (day.parse().ok()?, month.parse().ok().filter(|month| (1..=12).contains(month))?);
        return Some((Day::Date { month, day, year: year.parse().ok() }, ""));
    }
    if let Some(name) = group("weekday") {
        return name.get(..3)?.parse::<Weekday>().ok().map(|day| (Day::Weekday(day), name));
    }
    let day = match group("word") {
        Some(word) if word.eq_ignore_ascii_case("tomorrow") => Day::Tomorrow,
        Some(_) => Day::Today,
        None => Day::Next,
    };
    Some((day, ""))
}

/// A date in figures as Americans write it, `12/5/2026`; the other way round if it cannot be one.
fn figures(first: &str, second: &str, years: Option<&str>) -> Option<Day> {
    let (first, second): (u32, u32) = (first.parse().ok()?, second.parse().ok()?);
    let (month, day) = if first > 12 { (second, first) } else { (first, second) };
    let year: Option<i32> = years.and_then(|years| years.parse().ok());
    let year = year.map(|year| if year < 100 { 2000 + year } else { year });
    (1..=12).contains(&month).then_some(Day::Date { month, day, year })
}

/// A numeric date, with or without a time.
fn instant(
    grammar: &Grammar,
    found: &Captures<'_>,
    rest: &str,
    now: Timestamp,
    host: ClockZone,
) -> Option<ParsedReset> {
    let group = |name| found.name(name).map(|group| group.as_str());
    let date = group("date")?.replace('/', "-");
    let end = found.get(0)?.end();
    let day = NaiveDate::parse_from_str(&date, "%Y-%m-%d").ok();
    let (time, text) = match group("time") {
        None => (Some(NaiveTime::MIN), String::new()),
        Some(text) => (time(text, group("half")), format!(" {text}")),
    };
    let local = day.zip(time).map(|(day, time)| day.and_time(time));
    let (name, place, taken) = match group("offset") {
        Some(offset) if offset.eq_ignore_ascii_case("z") => (None, ClockZone::Offset(0), 0),
        Some(offset) => (None, ClockZone::read(offset, host)?, 0),
        None => grammar.zone(rest.get(end..)?, host),
    };
    let unknown_zone = unknown_zone(name, host);
    let at = local.and_then(|local| place.later(local, now));
    let display = at.map_or_else(|| format!("resets at {date}{text}"), super::hint::at_text);
    Some(ParsedReset { display, at, length: end + taken, relative: false, unknown_zone })
}

/// `18:05`, `18:05:12.5`, `6:05` with `pm`.
fn time(text: &str, half: Option<&str>) -> Option<NaiveTime> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next());
    if half.is_some() {
        return Clock::read(hour, Some(minute), second, half).map(|clock| clock.time);
    }
    let padded = format!("{hour:0>2}:{minute}:{}", second.unwrap_or("00"));
    NaiveTime::parse_from_str(&padded, "%H:%M:%S%.f").ok()
}
