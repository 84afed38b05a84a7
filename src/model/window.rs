//! Quota windows as pure functions of uses, observations, policy and time.

use crate::model::error::Result;
use crate::model::event::{EventId, SessionPolicy, WeeklyPolicy, WindowKind};
use crate::model::time::{DAY, HOUR, MINUTE, Timestamp};

/// Where a window's borders come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// From an observation.
    Observed,
    /// From the policy.
    Policy,
}

/// One quota window of a provider account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its first instant.
    pub start: Timestamp,
    /// When it resets, as it is displayed.
    pub resets_at: Timestamp,
    /// The first instant after the window. A window that opens at first use includes its reset.
    pub end: Timestamp,
    pub border: Border,
}

impl Window {
    pub fn holds(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// The part of a provider's or a person's statement about a window that determines borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub at: Timestamp,
    pub id: EventId,
    pub minutes: u32,
    pub resets_at: Timestamp,
    /// A person's statement. It stays even if a later observation covers most of its window, unless that covers its
    /// beginning.
    pub firm: bool,
    /// An agent's own count. Every other observation takes precedence, even an earlier one.
    pub weak: bool,
}

/// The kind of window with a length. Only the length decides, never the slot in which a feed reports it.
pub(crate) fn kind_of(minutes: u32) -> Option<WindowKind> {
    match i64::from(minutes) * MINUTE {
        length if length <= 0 => None,
        length if length <= DAY => Some(WindowKind::Session),
        length if (6 * DAY..=8 * DAY).contains(&length) => Some(WindowKind::Weekly),
        _ => None,
    }
}

/// The reset of a window that a provider reported at a time, as far as it can be true.
///
/// A reset that is further away than the window is long shows that a clock is wrong. A small difference is accepted. After
/// a large one the window lasts its own length from the report on, so the report neither is lost nor holds for ever.
pub(crate) fn believed_reset(at: Timestamp, minutes: u32, resets_at: Timestamp) -> Timestamp {
    let length = i64::from(minutes) * MINUTE;
    let away = resets_at.millis().saturating_sub(at.millis());
    if away > length + HOUR.max(length / 10) { at.plus(length) } else { resets_at }
}

/// Places observed windows on the time line. Where two overlap, the later observation wins. A window that a later one
/// covers mostly is the same window with jitter, and is dropped.
pub(crate) fn place_observed(mut observations: Vec<Observation>) -> Vec<Window> {
    observations.sort_unstable_by_key(|seen| std::cmp::Reverse((!seen.weak, seen.at, seen.id)));
    let mut placed: Vec<Window> = Vec::new();
    for seen in observations {
        let length = i64::from(seen.minutes) * MINUTE;
        let opens = seen.resets_at.plus(-length);
        let (mut start, mut end) = (opens, seen.resets_at);
        for other in &placed {
            if other.start < end && start < other.end {
                if other.start <= start {
                    start = other.end;
                } else {
                    end = other.start;
                }
            }
        }
        let stands = if seen.firm { start == opens } else { 2 * (end.millis() - start.millis()) > length };
        if start < end && stands {
            let at = placed.partition_point(|other| other.start < start);
            placed.insert(at, Window { start, resets_at: end, end, border: Border::Observed });
        }
    }
    placed
}

/// How windows without an observation open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Session(SessionPolicy),
    Weekly(WeeklyPolicy),
}

impl Policy {
    /// The maximal length of a window, in milliseconds.
    pub fn length(self) -> i64 {
        match self {
            Self::Session(policy) => policy.length(),
            Self::Weekly(_) => 7 * DAY,
        }
    }

    /// Whether windows open even without a use.
    pub fn is_calendar(self) -> bool {
        matches!(self, Self::Session(SessionPolicy::Epoch { .. }) | Self::Weekly(WeeklyPolicy::Calendar { .. }))
    }

    /// The window that a use at `at` opens.
    fn open(self, at: Timestamp) -> Window {
        let through = |start: Timestamp, length: i64| Window {
            start,
            resets_at: start.plus(length),
            end: start.plus(length + 1),
            border: Border::Policy,
        };
        match self {
            Self::Session(SessionPolicy::FirstUse { .. }) | Self::Weekly(WeeklyPolicy::FirstUse) => {
                through(at, self.length())
            }
            Self::Session(SessionPolicy::HourFloor { .. }) => {
                // A window shorter than an hour could end before the use that opens it.
                let grain = HOUR.min(self.length());
                through(Timestamp::from_millis(at.millis().div_euclid(grain) * grain), self.length())
            }
            Self::Session(SessionPolicy::Epoch { .. }) => {
                let length = self.length();
                let start = Timestamp::from_millis(at.millis().div_euclid(length) * length);
                Window { start, resets_at: start.plus(length), end: start.plus(length), border: Border::Policy }
            }
            Self::Weekly(WeeklyPolicy::Calendar { weekday, minute, zone }) => {
                let border = |monday: chrono::NaiveDate| {
                    let day = monday + chrono::Days::new(u64::from(weekday));
                    zone.instant(day.and_time(chrono::NaiveTime::MIN) + chrono::Duration::minutes(i64::from(minute)))
                };
                let monday = crate::model::time::Zone::monday(zone.day(at));
                let week = chrono::Days::new(7);
                let (mut start, mut end) = (border(monday), border(monday + week));
                if at < start {
                    (start, end) = (border(monday - week), start);
                }
                Window { start, resets_at: end, end, border: Border::Policy }
            }
        }
    }
}

/// The inputs that determine all windows of one kind of one account.
pub(crate) struct Timeline<'a> {
    /// Observed windows as [`place_observed`] returns them.
    pub observed: &'a [Window],
    pub policy: Policy,
    /// The first use at or after an instant.
    pub next_use: &'a dyn Fn(Timestamp) -> Result<Option<Timestamp>>,
}

impl Timeline<'_> {
    /// The observed window that contains an instant.
    fn observed_at(&self, at: Timestamp) -> Option<Window> {
        let after = self.observed.partition_point(|window| window.start <= at);
        self.observed.get(after.checked_sub(1)?).copied().filter(|window| window.holds(at))
    }

    /// The window that a use at `at` opens, not before `floor` and not beyond the next observed window.
    fn opened(&self, at: Timestamp, floor: Timestamp) -> Window {
        let mut window = self.policy.open(at);
        window.start = window.start.max(floor);
        let after = self.observed.partition_point(|observed| observed.start <= at);
        if let Some(next) = self.observed.get(after)
            && next.start < window.end
        {
            window.end = next.start;
            window.resets_at = window.resets_at.min(next.start);
        }
        window
    }

    /// Visits the windows with uses from `anchor` on. No window of earlier uses may contain `anchor`.
    pub fn each(&self, anchor: Timestamp, visit: &mut dyn FnMut(Window) -> bool) -> Result<()> {
        let mut floor = Timestamp::MIN;
        let mut next = (self.next_use)(anchor)?;
        while let Some(at) = next {
            let window = if let Some(observed) = self.observed_at(at) {
                observed
            } else {
                let ended = self.observed.partition_point(|observed| observed.end <= at);
                let observed_end = ended.checked_sub(1).and_then(|last| self.observed.get(last)).map(|w| w.end);
                self.opened(at, observed_end.map_or(floor, |end| end.max(floor)))
            };
            // At the end of the time range a window cannot end after its uses.
            if !visit(window) || window.end <= at {
                break;
            }
            floor = window.end;
            next = (self.next_use)(window.end)?;
        }
        Ok(())
    }

    /// The window that contains `now`, if one is open. `anchor` as for [`each`](Self::each).
    pub fn current(&self, now: Timestamp, anchor: Timestamp) -> Result<Option<Window>> {
        if let Some(observed) = self.observed_at(now) {
            return Ok(Some(observed));
        }
        let ended = self.observed.partition_point(|observed| observed.end <= now);
        let floor = ended.checked_sub(1).and_then(|last| self.observed.get(last)).map(|window| window.end);
        if self.policy.is_calendar() {
            return Ok(Some(self.opened(now, floor.unwrap_or(Timestamp::MIN))));
        }
        let mut current = None;
        let anchor = floor.map_or(anchor, |floor| floor.max(anchor));
        self.each(anchor, &mut |window| {
            if window.holds(now) {
                current = Some(window);
            }
            window.end <= now
        })?;
        Ok(current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> Timestamp {
        format!("2026-06-{text}Z").parse().unwrap()
    }

    fn windows(uses: &[&str], observed: Vec<Observation>, policy: Policy) -> Vec<(String, String)> {
        let uses: Vec<Timestamp> = uses.iter().map(|text| t(text)).collect();
        let next = |from: Timestamp| Ok(uses.iter().copied().filter(|at| *at >= from).min());
        let observed = place_observed(observed);
        let timeline = Timeline { observed: &observed, policy, next_use: &next };
        let mut windows = Vec::new();
        timeline
            .each(Timestamp::MIN, &mut |window| {
                windows
                    .push((window.start.to_string()[8..19].to_owned(), window.resets_at.to_string()[8..19].to_owned()));
                true
            })
            .unwrap();
        windows
    }

    fn seen(at: &str, resets_at: &str, n: u128) -> Observation {
        let id = EventId::from(uuid::Uuid::from_u128(n));
        Observation { at: t(at), id, minutes: 300, resets_at: t(resets_at), firm: false, weak: false }
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    const FIRST_USE: Policy = Policy::Session(SessionPolicy::FirstUse { minutes: 300 });

    #[test]
    fn a_session_opens_at_first_use_and_lasts_five_hours() {
        let got = windows(&["10T07:00:00", "10T12:00:00", "10T12:00:01"], vec![], FIRST_USE);
        assert_eq!(got, pairs(&[("10T07:00:00", "10T12:00:00"), ("10T12:00:01", "10T17:00:01")]));
    }

    #[test]
    fn observed_windows_win_and_first_use_fills_the_gaps() {
        let uses = ["10T06:00:00", "10T08:00:00", "10T13:30:00", "10T14:00:00"];
        let got = windows(&uses, vec![seen("10T09:00:00", "10T12:00:00", 1)], FIRST_USE);
        assert_eq!(
            got,
            pairs(&[("10T06:00:00", "10T07:00:00"), ("10T07:00:00", "10T12:00:00"), ("10T13:30:00", "10T18:30:00")])
        );
    }

    #[test]
    fn the_later_of_two_observations_wins_and_jitter_is_one_window() {
        let uses = ["10T08:00:00"];
        let jitter = vec![seen("10T09:00:00", "10T12:00:00", 1), seen("10T09:05:00", "10T12:00:01", 2)];
        assert_eq!(windows(&uses, jitter, FIRST_USE), pairs(&[("10T07:00:01", "10T12:00:01")]));
        let moved = vec![seen("10T09:00:00", "10T12:00:00", 1), seen("10T10:30:00", "10T15:00:00", 2)];
        assert_eq!(
            windows(&["10T08:00:00", "10T10:30:00"], moved, FIRST_USE),
            pairs(&[("10T07:00:00", "10T10:00:00"), ("10T10:00:00", "10T15:00:00")])
        );
    }

    #[test]
    fn the_other_session_policies() {
        let hour = Policy::Session(SessionPolicy::HourFloor { minutes: 300 });
        assert_eq!(windows(&["10T07:20:00"], vec![], hour), pairs(&[("10T07:00:00", "10T12:00:00")]));
        let epoch = Policy::Session(SessionPolicy::Epoch { minutes: 300 });
        let got = windows(&["10T07:20:00"], vec![], epoch);
        let length = t("10T12:00:00").millis() - t("10T07:00:00").millis();
        assert_eq!(t(&got[0].0).millis() % length, 0);
        let week = Policy::Weekly(WeeklyPolicy::default());
        assert_eq!(windows(&["10T07:20:00"], vec![], week), pairs(&[("08T00:00:00", "15T00:00:00")]));
    }

    #[test]
    fn a_week_opens_at_its_weekday_and_time_in_its_zone() {
        let zone = "Europe/Paris".parse().unwrap();
        let policy = Policy::Weekly(WeeklyPolicy::Calendar { weekday: 2, minute: 9 * 60, zone });
        // Wednesday 10 June 2026, 09:00 in Paris is 07:00 UTC.
        assert_eq!(windows(&["10T06:59:59"], vec![], policy), pairs(&[("03T07:00:00", "10T07:00:00")]));
        assert_eq!(windows(&["10T07:00:00"], vec![], policy), pairs(&[("10T07:00:00", "17T07:00:00")]));
    }

    #[test]
    fn a_reset_is_believed_up_to_an_hour_beyond_the_length_of_its_window() {
        let at = t("10T07:00:00");
        for (stated, believed) in
            [("10T12:00:00", "10T12:00:00"), ("10T13:00:00", "10T13:00:00"), ("10T13:00:01", "10T12:00:00")]
        {
            assert_eq!(believed_reset(at, 300, t(stated)), t(believed), "{stated}");
        }
        // Months differ in length.
        assert_eq!(believed_reset(at, 43_200, at.plus(32 * DAY)), at.plus(32 * DAY));
        assert_eq!(believed_reset(at, 300, Timestamp::MAX), t("10T12:00:00"));
    }

    #[test]
    fn the_length_of_a_window_determines_its_kind() {
        assert_eq!(kind_of(300), Some(WindowKind::Session));
        assert_eq!(kind_of(10_080), Some(WindowKind::Weekly));
        assert_eq!(kind_of(43_200), None);
        assert_eq!(kind_of(0), None);
    }

    #[test]
    fn the_current_window_is_the_one_that_holds_now() {
        let uses = [t("10T07:00:00")];
        let next = |from: Timestamp| Ok(uses.iter().copied().filter(|at| *at >= from).min());
        let timeline = Timeline { observed: &[], policy: FIRST_USE, next_use: &next };
        let at = |now: &str| timeline.current(t(now), Timestamp::MIN).unwrap();
        assert!(at("10T06:59:59").is_none());
        assert!(at("10T12:00:00").is_some());
        assert!(at("10T12:00:01").is_none());
    }
}
