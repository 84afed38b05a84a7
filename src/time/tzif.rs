//! Time zones as the IANA database compiles them (RFC 9636). They are read in place, a question at a time.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::{DAY, SECOND};

const HOUR: i64 = 60 * 60;
const SECONDS_OF_DAY: i64 = DAY / SECOND;
/// Bytes of a header.
const HEADER: usize = 44;

/// Seconds east of UTC at an instant, in seconds since 1970. `None` when the bytes are no zone.
pub(super) fn offset(zone: &[u8], at: i64) -> Option<i64> {
    let zone = Compiled::read(zone)?;
    let after = zone.changes_until(at)?;
    if after == zone.changes && !zone.rule.is_empty() {
        return Rule::read(zone.rule)?.offset(at);
    }
    // Before the first change holds the first kind of time.
    let kind = match after.checked_sub(1) {
        Some(last) => usize::from(*zone.kinds.get(last)?),
        None => 0,
    };
    let (bytes, _) = zone.offsets.get(6 * kind..)?.split_first_chunk::<4>()?;
    Some(i64::from(i32::from_be_bytes(*bytes)))
}

/// The parts of a zone that offsets depend on.
struct Compiled<'z> {
    changes: usize,
    /// When the offset changes: 8 bytes each.
    times: &'z [u8],
    /// What it changes to.
    kinds: &'z [u8],
    /// What the kinds are: 6 bytes each, the offset in front.
    offsets: &'z [u8],
    /// What holds after the last change.
    rule: &'z str,
}

impl<'z> Compiled<'z> {
    fn read(bytes: &'z [u8]) -> Option<Self> {
        // In front stands the same with times of 4 bytes, for readers of old.
        let old = Counts::read(bytes)?;
        let bytes = bytes.get(HEADER + old.length(4)..)?;
        let counts = Counts::read(bytes)?;
        let body = bytes.get(HEADER..)?;
        let (body, rest) = body.split_at_checked(counts.length(8))?;
        let (times, body) = body.split_at_checked(8 * counts.changes)?;
        let (kinds, body) = body.split_at_checked(counts.changes)?;
        let (offsets, _) = body.split_at_checked(6 * counts.kinds)?;
        let rule = std::str::from_utf8(rest).ok()?.trim_matches('\n');
        Some(Self { changes: counts.changes, times, kinds, offsets, rule })
    }

    /// How many changes there were up to an instant.
    fn changes_until(&self, at: i64) -> Option<usize> {
        let (mut low, mut high) = (0, self.changes);
        while low < high {
            let middle = low + (high - low) / 2;
            let (bytes, _) = self.times.get(8 * middle..)?.split_first_chunk::<8>()?;
            if i64::from_be_bytes(*bytes) <= at { low = middle + 1 } else { high = middle }
        }
        Some(low)
    }
}

/// What a header counts.
struct Counts {
    changes: usize,
    kinds: usize,
    letters: usize,
    leaps: usize,
    flags: usize,
}

impl Counts {
    fn read(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"TZif") {
            return None;
        }
        let count = |number: usize| {
            let (bytes, _) = bytes.get(20 + 4 * number..)?.split_first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*bytes)).ok()
        };
        Some(Self {
            flags: count(0)? + count(1)?,
            leaps: count(2)?,
            changes: count(3)?,
            kinds: count(4)?,
            letters: count(5)?,
        })
    }

    /// Bytes behind the header, where a time takes so many.
    const fn length(&self, time: usize) -> usize {
        self.changes * (time + 1) + 6 * self.kinds + self.letters + self.leaps * (time + 4) + self.flags
    }
}

/// What holds from the last change on, as POSIX writes it: `CET-1CEST,M3.5.0,M10.5.0/3`.
struct Rule {
    usual: i64,
    summer: Option<(i64, Border, Border)>,
}

impl Rule {
    fn read(text: &str) -> Option<Self> {
        let (usual, rest) = clock(name(text)?)?;
        // West is positive there.
        let usual = -usual;
        if rest.is_empty() {
            return Some(Self { usual, summer: None });
        }
        let rest = name(rest)?;
        let (summer, rest) = match clock(rest) {
            Some((west, rest)) => (-west, rest),
            None => (usual + HOUR, rest),
        };
        let (begins, ends) = rest.strip_prefix(',')?.split_once(',')?;
        Some(Self { usual, summer: Some((summer, Border::read(begins)?, Border::read(ends)?)) })
    }

    fn offset(&self, at: i64) -> Option<i64> {
        let Some((summer, begins, ends)) = &self.summer else { return Some(self.usual) };
        let day = |at: i64| Some(chrono::DateTime::from_timestamp(at, 0)?.date_naive());
        let year = day(at + self.usual)?.year();
        let (begins, ends) = (begins.of(year)? - self.usual, ends.of(year)? - summer);
        let is_summer = if begins < ends { (begins..ends).contains(&at) } else { !(ends..begins).contains(&at) };
        Some(if is_summer { *summer } else { self.usual })
    }
}

/// When summer time begins or ends, by the wall clock.
struct Border {
    day: Day,
    seconds: i64,
}

enum Day {
    /// A weekday of a month, counted from 1; the fifth is the last.
    Weekday { month: u32, week: u8, weekday: Weekday },
    /// A day of the year, counted from 0.
    Counted(u64),
    /// The same, but without 29 February.
    Julian(u64),
}

impl Border {
    fn read(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('/').unwrap_or((text, "2"));
        let day = if let Some(day) = day.strip_prefix('M') {
            let mut parts = day.split('.');
            let mut part = || parts.next()?.parse::<u8>().ok();
            let (month, week, weekday) = (part()?, part()?, part()?);
            // Sunday is 0.
            let weekday = Weekday::try_from((weekday + 6) % 7).ok()?;
            Day::Weekday { month: month.into(), week, weekday }
        } else if let Some(day) = day.strip_prefix('J') {
            Day::Julian(day.parse().ok()?)
        } else {
            Day::Counted(day.parse().ok()?)
        };
        Some(Self { day, seconds: clock(time)?.0 })
    }

    /// The wall clock of a year at which it is, as if it were UTC.
    fn of(&self, year: i32) -> Option<i64> {
        let first = NaiveDate::from_ymd_opt(year, 1, 1)?;
        let date = match self.day {
            Day::Weekday { month, week: 5, weekday } => {
                NaiveDate::from_weekday_of_month_opt(year, month, weekday, 5)
                    .or_else(|| NaiveDate::from_weekday_of_month_opt(year, month, weekday, 4))?
            }
            Day::Weekday { month, week, weekday } => NaiveDate::from_weekday_of_month_opt(year, month, weekday, week)?,
            Day::Counted(day) => first.checked_add_days(Days::new(day))?,
            Day::Julian(day) => {
                first.checked_add_days(Days::new(day.saturating_sub(u64::from(day < 60 || !first.leap_year()))))?
            }
        };
        Some(date.signed_duration_since(NaiveDate::default()).num_days() * SECONDS_OF_DAY + self.seconds)
    }
}

/// What stands behind a name of a clock: letters, or anything in angle brackets.
fn name(text: &str) -> Option<&str> {
    match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => Some(text.trim_start_matches(|char: char| char.is_ascii_alphabetic())),
    }
}

/// Hours, and perhaps minutes and seconds, in seconds, and what stands behind them.
fn clock(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|char: char| !matches!(char, '0'..='9' | ':' | '+' | '-')).unwrap_or(text.len());
    let (clock, rest) = text.split_at_checked(end)?;
    let (sign, digits) = match clock.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, clock.strip_prefix('+').unwrap_or(clock)),
    };
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([HOUR, 60, 1]) {
        seconds += part.parse::<i64>().ok()? * unit;
    }
    Some((sign * seconds, rest))
}
