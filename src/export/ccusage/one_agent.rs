//! `claude daily` and its kin: periods of one agent.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};

use super::CcusageOptions;
use super::names::{self, CLAUDE_CODE, UNKNOWN};
use super::periods::Period;
use super::rows::{Label, ModelRows, RowsAnswer};
use super::sessions::place;
use super::spent::Spent;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::report::Report;

/// Sums periods from the calls, as ccusage lists models in the order in which it reads them.
pub(super) fn answer(
    snapshot: &Snapshot<'_>,
    report: &Report,
    agent: &str,
    length: Period,
    options: CcusageOptions,
) -> Result<RowsAnswer> {
    let projects = names::projects(snapshot)?;
    let mut periods: BTreeMap<String, ModelRows> = BTreeMap::new();
    report.each_call(snapshot, &mut |call| {
        let project = call.record.conversation.as_ref().and_then(|name| projects.get(name));
        let day = report.zone().day(call.at);
        let models = periods.entry(period(day, agent, length)).or_default();
        let model = call.record.model.as_deref().unwrap_or(UNKNOWN);
        models.add(model, Some(place(day, project, call)), &Spent::of_call(call))
    })?;
    let mut all = Spent::default();
    let mut rows = Vec::with_capacity(periods.len());
    for (period, models) in periods {
        let label = match length {
            Period::Day => Label { date: Some(period), ..Label::default() },
            Period::Week => Label { week: Some(period), ..Label::default() },
            Period::Month => Label { month: Some(period), ..Label::default() },
        };
        let (row, spent) = models.row(label, options.costs)?;
        all.add(&spent)?;
        rows.push(row);
    }
    Ok(RowsAnswer { name: length.rows(), rows, all, costs: options.costs })
}

/// The period of a day. Weeks of Claude Code begin on Sundays there, all others on Mondays.
fn period(day: NaiveDate, agent: &str, length: Period) -> String {
    match length {
        Period::Week if agent == CLAUDE_CODE => {
            let since_sunday = Days::new(day.weekday().num_days_from_sunday().into());
            day.checked_sub_days(since_sunday).unwrap_or(day).to_string()
        }
        length => length.period(day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_of_claude_code_begin_on_sundays() {
        let week = |day: &str, agent| period(day.parse().unwrap(), agent, Period::Week);
        assert_eq!(week("2026-08-06", CLAUDE_CODE), "2026-08-02");
        assert_eq!(week("2026-08-02", CLAUDE_CODE), "2026-08-02");
        assert_eq!(week("2026-08-06", "opencode"), "2026-08-03");
    }
}
