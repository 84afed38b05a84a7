//! `daily`, `weekly` and `monthly`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, Weekday};

use super::CcusageOptions;
use super::class_totals::ClassTotals;
use super::names::NamesOfPaths;
use super::rows::{Label, Metadata, ModelRows, RowsAnswer};
use super::sessions::place;
use crate::export::ccusage_agents::{CcusageCommand, UNKNOWN};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::invariant::bug;
use crate::model::time::Zone;
use crate::report::{Report, ReportKey};

/// Length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    pub const fn key(self) -> ReportKey {
        match self {
            Self::Day => ReportKey::Day,
            Self::Week => ReportKey::Week,
            Self::Month => ReportKey::Month,
        }
    }

    pub const fn rows(self) -> &'static str {
        match self {
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
        }
    }

    /// Returns the period of a day in a report of all agents, where weeks begin on Mondays.
    pub fn period(self, day: NaiveDate) -> String {
        match self {
            Self::Day => day.to_string(),
            Self::Week => Zone::monday(day).to_string(),
            Self::Month => format!("{:04}-{:02}", day.year(), day.month()),
        }
    }
}

/// Agents and models by period.
type PeriodSums = BTreeMap<String, (BTreeSet<String>, ModelRows)>;

/// Sums periods from the report by period, agent and model.
pub(super) fn answer(
    snapshot: &Snapshot<'_>,
    report: &Report,
    length: Period,
    options: CcusageOptions,
) -> Result<RowsAnswer> {
    let table = snapshot.report(&report.rekeyed([length.key(), ReportKey::Agent, ReportKey::Model]))?;
    let mut periods = PeriodSums::new();
    for row in &table.rows {
        let mut keys = row.keys.iter().map(Option::as_deref);
        let (Some(Some(period)), Some(agent), Some(model)) = (keys.next(), keys.next(), keys.next()) else {
            return Err(bug!("a row by {}, agent and model has the keys {:?}", length.rows(), row.keys));
        };
        let (agents, models) = periods.entry(monday(period).unwrap_or_else(|| period.to_owned())).or_default();
        agents.insert(options.known_agents().name(agent).to_owned());
        models.add(
            model.unwrap_or(UNKNOWN),
            None,
            &ClassTotals::of_usage(options.known_agents(), agent, &row.usage),
        )?;
    }
    if periods.values().any(|(_, models)| models.have_equal_costs()) {
        place_equals(snapshot, report, length, options, &mut periods)?;
    }
    let mut all = ClassTotals::default();
    let mut rows = Vec::with_capacity(periods.len());
    for (period, (agents, models)) in periods {
        let (row, totals) = models.row(
            Label {
                agent: Some("all".to_owned()),
                period: Some(period),
                metadata: Some(Metadata::Agents { agents }),
                ..Label::default()
            },
            options.costs,
        )?;
        all.add(&totals)?;
        rows.push(row);
    }
    Ok(RowsAnswer { name: length.rows(), rows, all, costs: options.costs })
}

/// Finds the reading order of models. It decides between models with equal cost, such as those without a price. ccusage
/// reads agents with projects first, by day and path, then agents with threads, whose models are sorted by name.
fn place_equals(
    snapshot: &Snapshot<'_>,
    report: &Report,
    length: Period,
    options: CcusageOptions,
    periods: &mut PeriodSums,
) -> Result<()> {
    let projects = NamesOfPaths::projects(snapshot, options.known_agents())?;
    report.each_call(snapshot, &mut |call| {
        let day = report.zone().day(call.at);
        let agent = call.record.agent.as_deref();
        let period = length.period(day);
        let (_, models) = periods.get_mut(&period).ok_or_else(|| bug!("no period `{period}` in the report"))?;
        let project = projects.get(agent, call.record.conversation.as_deref());
        let place = match options.known_agents().command(agent) {
            CcusageCommand::Projects(_) => (0, Some(place(day, project, call))),
            CcusageCommand::Threads(_) => (1, None),
            CcusageCommand::Plain => (2, None),
        };
        models.read(call.record.model.as_deref().unwrap_or(UNKNOWN), place);
        Ok(())
    })
}

/// Returns the date of the Monday of an ISO week, which is ccusage's name of it.
pub(super) fn monday(week: &str) -> Option<String> {
    let (year, week) = week.split_once("-W")?;
    NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, Weekday::Mon).map(|day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_named_by_their_mondays() {
        assert_eq!(monday("2026-W01").as_deref(), Some("2025-12-29"));
        assert_eq!(monday("2026-W53").as_deref(), Some("2026-12-28"));
        assert_eq!(monday("2026-08-06"), None);
        assert_eq!(monday("2026-08"), None);
    }
}
