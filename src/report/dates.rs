//! Windows of days, counted back from today.

use chrono::{Days, Months, NaiveDate};

use crate::model::time::{Timestamp, Zone};

/// What a window is moved back by.
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
    /// Months; a day that a month does not have is its last one.
    Month,
}

/// Consecutive local days, both ends included.
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
    /// Days of a window when nobody says how many.
    ///
    /// ```
    /// assert_eq!(usage_ledger::report::DateWindow::DEFAULT_DAYS, 7);
    /// ```
    pub const DEFAULT_DAYS: u32 = 7;
    /// Days of the longest window.
    ///
    /// ```
    /// assert_eq!(usage_ledger::report::DateWindow::MOST_DAYS, 100);
    /// ```
    pub const MOST_DAYS: u32 = 100;

    /// The window of so many days that ends today, or `back` steps earlier. By days a step is the window's own length, so
    /// that windows follow each other without a gap; else it is a week or a month. Days are clamped to 1 to 100; a negative
    /// number of steps counts as none.
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
        // The seed system's dashboard takes any number and brings it into the range; the command refuses others before.
        let days = days.clamp(1, Self::MOST_DAYS.into()).unsigned_abs();
        let back = back.max(0).unsigned_abs();
        let last = match granularity {
            Granularity::Day => today.checked_sub_days(Days::new(back.saturating_mul(days))),
            Granularity::Week => today.checked_sub_days(Days::new(back.saturating_mul(7))),
            Granularity::Month => today.checked_sub_months(Months::new(u32::try_from(back).unwrap_or(u32::MAX))),
        };
        // Before the calendar begins there is nothing to look at.
        let last = last.unwrap_or(NaiveDate::MIN);
        Self { first: last.checked_sub_days(Days::new(days - 1)).unwrap_or(NaiveDate::MIN), last }
    }

    /// The instants between which the days lie in a zone: from the first, up to but not including the second.
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
