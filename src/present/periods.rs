//! Usage of today, this week and this month.

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::Serialize;

use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::time::{Timestamp, Zone};
use crate::report::Report;
use crate::usage::Usage;

/// Usage and cost of the calendar periods that contain an instant, in one zone. Weeks begin on Monday.
#[derive(Serialize)]
pub(crate) struct Periods {
    pub today: Usage,
    pub week: Usage,
    pub month: Usage,
}

impl Periods {
    pub fn at(snapshot: &Snapshot<'_>, zone: Zone, now: Timestamp) -> Result<Self> {
        let today = zone.day(now);
        let monday = Zone::monday(today);
        let first = today.with_day(1).ok_or_else(|| no_such_day(today))?;
        let usage = |from: NaiveDate, to: Option<NaiveDate>| -> Result<Usage> {
            let to = to.ok_or_else(|| no_such_day(from))?;
            let report = Report::by_all([]).tz(zone).since(zone.start_of_day(from)).until(zone.start_of_day(to));
            Ok(snapshot.report(&report)?.total)
        };
        Ok(Self {
            today: usage(today, today.checked_add_days(Days::new(1)))?,
            week: usage(monday, monday.checked_add_days(Days::new(7)))?,
            month: usage(first, first.checked_add_months(Months::new(1)))?,
        })
    }
}

fn no_such_day(day: NaiveDate) -> Error {
    Error::invalid(format!("the calendar ends near {day}: check the clock"))
}
