//! Windows of days, counted back from today.

use chrono::{Days, Months, NaiveDate};

use crate::model::time::{Timestamp, Zone};

/// The step by which a window is moved back.
///
/// ```
/// use usage_ledger::report::Granularity;
/// assert_eq!(Granularity::default(), Granularity::Day);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Granularity {
    /// Days.
    #[default]
    Day,
    /// Weeks.
    Week,
    /// Months. A day that a month lacks becomes its last day.
    Month,
}

/// Consecutive local days, including both ends.
///
/// ```
/// use usage_ledger::report::{DateWindow, Granularity};
/// let window = DateWindow::ending("2026-03-31".parse()?, 7, 1, Granularity::Month);
/// assert_eq!((window.first.to_string(), window.last.to_string()), ("2026-02-22".into(), "2026-02-28".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateWindow {
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
}

impl DateWindow {
    /// The default number of days of a window.
    ///
    /// ```
    /// assert_eq!(usage_ledger::report::DateWindow::DEFAULT_DAYS, 7);
    /// ```
    pub const DEFAULT_DAYS: u32 = 7;
    /// The maximal number of days of a window.
    pub(crate) const MOST_DAYS: u32 = 100;

    /// The window of a number of days that ends today, or `back` steps earlier. With steps of days, a step is the
    /// window's own length, so that windows are adjacent; otherwise it is a week or a month. The number of days is
    /// clamped to 1 to 100, and a negative number of steps counts as 0.
    ///
    /// ```
    /// use usage_ledger::report::{DateWindow, Granularity};
    /// let window = DateWindow::ending("2026-06-15".parse()?, 7, 1, Granularity::Week);
    /// assert_eq!((window.first.to_string(), window.last.to_string()), ("2026-06-02".into(), "2026-06-08".into()));
    /// let days = DateWindow::ending("2026-06-15".parse()?, 7, 1, Granularity::Day);
    /// assert_eq!(days, window); // the seven days before the last seven
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ending(today: NaiveDate, days: i64, back: i64, granularity: Granularity) -> Self {
        // The seed system's dashboard clamps any number; the command refuses numbers outside the range before.
        let days = days.clamp(1, Self::MOST_DAYS.into()).unsigned_abs();
        let back = back.max(0).unsigned_abs();
        let last = match granularity {
            Granularity::Day => today.checked_sub_days(Days::new(back.saturating_mul(days))),
            Granularity::Week => today.checked_sub_days(Days::new(back.saturating_mul(7))),
            Granularity::Month => today.checked_sub_months(Months::new(u32::try_from(back).unwrap_or(u32::MAX))),
        };
        // Nothing is before the beginning of the calendar.
        let last = last.unwrap_or(NaiveDate::MIN);
        Self { first: last.checked_sub_days(Days::new(days - 1)).unwrap_or(NaiveDate::MIN), last }
    }

    /// The instants between which the days lie in a zone; the second is exclusive.
    ///
    /// ```
    /// use usage_ledger::{Zone, report::DateWindow};
    /// let window = DateWindow { first: "2026-06-15".parse()?, last: "2026-06-15".parse()? };
    /// let (since, until) = window.range(Zone::UTC);
    /// assert_eq!(until.millis() - since.millis(), usage_ledger::time::DAY);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(self, zone: Zone) -> (Timestamp, Timestamp) {
        let behind = self.last.checked_add_days(Days::new(1)).unwrap_or(self.last);
        (zone.start_of_day(self.first), zone.start_of_day(behind))
    }
}
