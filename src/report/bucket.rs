use std::collections::HashMap;

use chrono::{Datelike, NaiveDate, Timelike};

use super::ReportKey;
use crate::model::error::Result;
use crate::model::invariant::bug;
use crate::model::time::{QUARTER, Timestamp, Zone};

/// The values of the time keys of a report at an instant.
pub(super) type TimeKeys = Vec<String>;

/// Names local hours, days, weeks and months.
pub(super) struct Buckets<'r> {
    keys: Vec<&'r ReportKey>,
    hours: bool,
    zone: Zone,
    days: HashMap<i64, DayKeys>,
}

/// The time keys of a UTC day.
pub(super) enum DayKeys {
    /// The same for the whole day.
    One(TimeKeys),
    /// They change at quarters of an hour.
    Quarters(QuarterKeys),
    /// A border is within a quarter: only single records can answer.
    Finer,
}

/// The time keys of the quarters of a day.
#[derive(Default)]
pub(super) struct QuarterKeys {
    /// For each quarter, the index of its keys.
    numbers: Vec<usize>,
    keys: Vec<TimeKeys>,
}

impl QuarterKeys {
    /// The index of the keys of a quarter.
    pub fn number(&self, quarter: usize) -> Result<usize> {
        self.numbers.get(quarter).copied().ok_or_else(|| bug!("quarter {quarter} of a day has no time keys"))
    }

    /// The keys with an index.
    pub fn keys(&self, number: usize) -> Result<&[String]> {
        self.keys.get(number).map(Vec::as_slice).ok_or_else(|| bug!("a day has no time keys with the index {number}"))
    }
}

impl<'r> Buckets<'r> {
    pub fn new(by: &'r [ReportKey], zone: Zone) -> Self {
        let keys: Vec<_> = by.iter().filter(|key| key.is_time()).collect();
        Self { hours: keys.contains(&&ReportKey::Hour), keys, zone, days: HashMap::new() }
    }

    /// The time keys at an instant.
    pub fn at(&self, at: Timestamp) -> TimeKeys {
        if self.keys.is_empty() {
            return Vec::new();
        }
        let local = self.zone.local(at);
        self.keys
            .iter()
            .map(|key| match key {
                ReportKey::Hour => format!("{}T{:02}", local.date(), local.hour()),
                ReportKey::Week => {
                    let week = local.date().iso_week();
                    format!("{:04}-W{:02}", week.year(), week.week())
                }
                ReportKey::Month => format!("{:04}-{:02}", local.year(), local.month()),
                _ => local.date().to_string(),
            })
            .collect()
    }

    /// The time keys of a UTC day.
    pub fn of_day(&mut self, day: i64) -> Result<&DayKeys> {
        if !self.days.contains_key(&day) {
            let keys = self.work_out(day);
            self.days.insert(day, keys);
        }
        self.days.get(&day).ok_or_else(|| bug!("day {day} has no time keys"))
    }

    fn work_out(&self, day: i64) -> DayKeys {
        let quarter = |n: i64| Timestamp::from_millis((day * 96 + n) * QUARTER);
        // No zone leaves a local day and returns to it within one UTC day.
        let whole = self.place(quarter(0));
        if whole == self.place(quarter(96).plus(-1)) {
            return DayKeys::One(self.at(quarter(0)));
        }
        let mut quarters = QuarterKeys::default();
        let mut last = None;
        for n in 0..96 {
            let place = self.place(quarter(n));
            // Names are computed only where they change.
            if last != Some(place) {
                let keys = self.at(quarter(n));
                if quarters.keys.last() != Some(&keys) {
                    quarters.keys.push(keys);
                }
            }
            let end = quarter(n + 1).plus(-1);
            if place != self.place(end) && quarters.keys.last() != Some(&self.at(end)) {
                return DayKeys::Finer;
            }
            last = Some(place);
            quarters.numbers.push(quarters.keys.len() - 1);
        }
        if quarters.keys.len() > 1 {
            return DayKeys::Quarters(quarters);
        }
        quarters.keys.pop().map_or(DayKeys::Finer, DayKeys::One)
    }

    /// The local day and hour of an instant, which determine all its time keys.
    fn place(&self, at: Timestamp) -> (NaiveDate, u32) {
        if self.keys.is_empty() {
            return Default::default();
        }
        let local = self.zone.local(at);
        (local.date(), if self.hours { local.hour() } else { 0 })
    }
}
