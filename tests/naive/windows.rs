//! Computes quota windows one after the other from the usage instants.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use usage_ledger::event::{Percent, SessionPolicy, WeeklyPolicy};

use super::Rank;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A provider's reading of a window.
#[derive(Clone, Debug)]
pub struct Observed {
    pub rank: Rank,
    pub position: u64,
    pub minutes: i64,
    pub resets_at: Option<i64>,
    pub used: Option<Percent>,
}

impl Observed {
    /// Limits the end of a window that a wrong clock moved away: by more than an hour and a tenth of its length.
    pub fn believe(&mut self) {
        let (at, length) = (self.rank.0.millis(), self.minutes * MINUTE);
        self.resets_at = self.resets_at.map(|end| {
            let most = at.saturating_add(length).saturating_add(HOUR.max(length / 10));
            if end > most { at + length } else { end }
        });
    }
}

/// A window: `start..end`, and the displayed reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: i64,
    pub resets_at: i64,
    pub end: i64,
    pub observed: bool,
}

impl Window {
    const fn holds(&self, at: i64) -> bool {
        self.start <= at && at < self.end
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Policy {
    Session(SessionPolicy),
    Weekly(WeeklyPolicy),
}

/// Up to a day is a session, six to eight days are a week, whatever the provider's name for it.
pub const fn is_session(minutes: i64) -> bool {
    minutes > 0 && minutes <= 24 * 60
}

pub const fn is_weekly(minutes: i64) -> bool {
    minutes >= 6 * 24 * 60 && minutes <= 8 * 24 * 60
}

/// The observed windows on the time line, latest first. An earlier one gets the part of its window before the first
/// occupied section, and counts if that is more than half.
pub fn place_observed(mut observations: Vec<Observed>) -> Vec<Window> {
    observations.sort_by_key(|seen| std::cmp::Reverse(seen.rank));
    let mut placed: Vec<Window> = Vec::new();
    for seen in observations {
        let Some(resets_at) = seen.resets_at else { continue };
        // A window contains its reading. One that begins later is extended by whole minutes.
        let mut length = seen.minutes * MINUTE;
        while resets_at - length > seen.rank.0.millis() {
            length += MINUTE;
        }
        let mut free = vec![(resets_at - length, resets_at)];
        for taken in &placed {
            free = free
                .into_iter()
                .flat_map(|(from, to)| [(from, to.min(taken.start)), (from.max(taken.end), to)])
                .filter(|(from, to)| from < to)
                .collect();
        }
        if let Some((start, end)) = free.into_iter().min()
            && (end - start) * 2 > length
        {
            placed.push(Window { start, resets_at: end, end, observed: true });
        }
    }
    placed.sort_by_key(|window| window.start);
    placed
}

fn utc(local: NaiveDateTime, zone: Tz) -> i64 {
    let mut local = local;
    loop {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return at.timestamp_millis(),
            // The clock skips that time: the week opens at the next existing one.
            LocalResult::None => local += TimeDelta::minutes(1),
        }
    }
}

/// The weekly borders around an instant.
fn calendar(at: i64, weekday: u8, minute: u16, zone: Tz) -> (i64, i64) {
    let today: NaiveDate = DateTime::from_timestamp_millis(at).unwrap().with_timezone(&zone).date_naive();
    let borders: Vec<i64> = (0..30)
        .map(|days| today - Days::new(15) + Days::new(days))
        .filter(|day| day.weekday().num_days_from_monday() == u32::from(weekday))
        .map(|day| utc(day.and_hms_opt(0, 0, 0).unwrap() + TimeDelta::minutes(i64::from(minute)), zone))
        .collect();
    let start = borders.iter().copied().filter(|border| *border <= at).max().unwrap();
    let end = borders.iter().copied().filter(|border| *border > at).min().unwrap();
    (start, end)
}

impl Policy {
    /// The maximal length, in milliseconds.
    pub fn length(self) -> i64 {
        match self {
            Self::Session(
                SessionPolicy::FirstUse { minutes }
                | SessionPolicy::HourFloor { minutes }
                | SessionPolicy::Epoch { minutes },
            ) => i64::from(minutes) * MINUTE,
            Self::Weekly(_) => 7 * DAY,
        }
    }

    const fn is_calendar(self) -> bool {
        matches!(self, Self::Session(SessionPolicy::Epoch { .. }) | Self::Weekly(WeeklyPolicy::Calendar { .. }))
    }

    /// The window that a use opens.
    fn open(self, at: i64) -> Window {
        // Through its reset: the last millisecond is the reset itself.
        let through = |start: i64, length: i64| (start, start + length, start + length + 1);
        let (start, resets_at, end) = match self {
            Self::Session(SessionPolicy::FirstUse { minutes }) => through(at, i64::from(minutes) * MINUTE),
            Self::Session(SessionPolicy::HourFloor { minutes }) => {
                // A window shorter than an hour opens at a multiple of its length.
                let length = i64::from(minutes) * MINUTE;
                through(at - at.rem_euclid(HOUR.min(length)), length)
            }
            Self::Session(SessionPolicy::Epoch { minutes }) => {
                let length = i64::from(minutes) * MINUTE;
                let start = at - at.rem_euclid(length);
                (start, start + length, start + length)
            }
            Self::Weekly(WeeklyPolicy::FirstUse) => through(at, 7 * DAY),
            Self::Weekly(WeeklyPolicy::Calendar { weekday, minute, zone }) => {
                let (start, end) = calendar(at, weekday, minute, zone.to_string().parse().unwrap());
                (start, end, end)
            }
        };
        Window { start, resets_at, end, observed: false }
    }

    /// The same between observed windows.
    fn open_between(self, at: i64, observed: &[Window], floor: i64) -> Window {
        let mut window = self.open(at);
        let floor = observed.iter().map(|seen| seen.end).filter(|end| *end <= at).fold(floor, i64::max);
        window.start = window.start.max(floor);
        if let Some(next) = observed.iter().map(|seen| seen.start).filter(|start| *start > at).min() {
            window.end = window.end.min(next);
            window.resets_at = window.resets_at.min(next);
        }
        window
    }

    /// Every window with uses, in order.
    pub fn windows(self, uses: &[i64], observed: &[Window]) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        for at in uses {
            if windows.last().is_some_and(|last| last.holds(*at)) {
                continue;
            }
            let floor = windows.last().map_or(i64::MIN, |last| last.end);
            let seen = observed.iter().find(|seen| seen.holds(*at)).copied();
            windows.push(seen.unwrap_or_else(|| self.open_between(*at, observed, floor)));
        }
        windows
    }

    /// The window that is open at a time.
    pub fn current(self, now: i64, uses: &[i64], observed: &[Window]) -> Option<Window> {
        if let Some(seen) = observed.iter().find(|seen| seen.holds(now)) {
            return Some(*seen);
        }
        if self.is_calendar() {
            return Some(self.open_between(now, observed, i64::MIN));
        }
        self.windows(uses, observed).into_iter().find(|window| window.holds(now))
    }
}
