//! `claude daily` and similar commands: periods of one agent.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};

use super::CcusageOptions;
use super::class_totals::ClassTotals;
use super::names::NamesOfPaths;
use super::periods::Period;
use super::rows::{Label, ModelRows, RowsAnswer};
use super::sessions::place;
use crate::export::ccusage_agents::UNKNOWN;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::report::Report;

/// Sums periods from the calls, because ccusage lists models in reading order.
pub(super) fn answer(
    snapshot: &Snapshot<'_>,
    report: &Report,
    agent: &str,
    length: Period,
    options: CcusageOptions,
) -> Result<RowsAnswer> {
    let projects = NamesOfPaths::projects(snapshot, options.known_agents())?;
    let from_sunday = options.known_agents().has_projects(Some(agent));
    let mut periods: BTreeMap<String, ModelRows> = BTreeMap::new();
    report.each_call(snapshot, &mut |call| {
        let project = projects.get(call.record.agent.as_deref(), call.record.conversation.as_deref());
        let day = report.zone().day(call.at);
        let models = periods.entry(period(day, from_sunday, length)).or_default();
        let model = call.record.model.as_deref().unwrap_or(UNKNOWN);
        models.add(model, Some(place(day, project, call)), &ClassTotals::of_call(options.known_agents(), call))
    })?;
    let mut all = ClassTotals::default();
    let mut rows = Vec::with_capacity(periods.len());
    for (period, models) in periods {
        let label = match length {
            Period::Day => Label { date: Some(period), ..Label::default() },
            Period::Week => Label { week: Some(period), ..Label::default() },
            Period::Month => Label { month: Some(period), ..Label::default() },
        };
        let (row, totals) = models.row(label, options.costs)?;
        all.add(&totals)?;
        rows.push(row);
    }
    Ok(RowsAnswer { name: length.rows(), rows, all, costs: options.costs })
}

/// Returns the period of a day. Weeks of `ccusage claude` begin on Sundays, those of all other commands on Mondays.
fn period(day: NaiveDate, from_sunday: bool, length: Period) -> String {
    match length {
        Period::Week if from_sunday => {
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
    fn weeks_begin_on_sundays_or_mondays() {
        let week = |day: &str, from_sunday| period(day.parse().unwrap(), from_sunday, Period::Week);
        assert_eq!(week("2026-08-06", true), "2026-08-02");
        assert_eq!(week("2026-08-02", true), "2026-08-02");
        assert_eq!(week("2026-08-06", false), "2026-08-03");
    }
}
