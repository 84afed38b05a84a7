//! Reports of an agent whose sessions are threads: `daily`, `monthly` and `session` with different field names, and
//! `weekly` in the same form, which ccusage does not have.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::ser::Serializer;

use super::CcusageOptions;
use super::class_totals::ClassTotals;
use super::names::NamesOfPaths;
use super::number::Number;
use super::periods::{Period, monday};
use super::rows::{ModelRows, in_order};
use super::sessions::{SessionRow, gather};
use crate::export::ccusage_agents::UNKNOWN;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::report::{Report, ReportKey};

/// Sums periods from the report by period and model.
pub(super) fn periods(
    snapshot: &Snapshot<'_>,
    report: &Report,
    agent: &str,
    length: Period,
    options: CcusageOptions,
) -> Result<ThreadsAnswer> {
    let table = snapshot.report(&report.rekeyed([length.key(), ReportKey::Model]))?;
    let mut periods: BTreeMap<String, ModelRows> = BTreeMap::new();
    for row in &table.rows {
        let mut keys = row.keys.iter().map(Option::as_deref);
        let (Some(Some(period)), Some(model)) = (keys.next(), keys.next()) else {
            return Err(bug!("a row by {} and model has the keys {:?}", length.rows(), row.keys));
        };
        let models = periods.entry(monday(period).unwrap_or_else(|| period.to_owned())).or_default();
        models.add(
            model.unwrap_or(UNKNOWN),
            None,
            &ClassTotals::of_usage(options.known_agents(), Some(agent), &row.usage),
        )?;
    }
    let mut answer = ThreadsAnswer::new(length.rows(), options);
    for (period, models) in periods {
        let label = match length {
            Period::Day => ThreadsRow { date: Some(period), ..ThreadsRow::default() },
            Period::Week => ThreadsRow { week: Some(period), ..ThreadsRow::default() },
            Period::Month => ThreadsRow { month: Some(period), ..ThreadsRow::default() },
        };
        answer.take(label, models)?;
    }
    Ok(answer)
}

/// Sums sessions, sorted by file.
pub(super) fn sessions(
    snapshot: &Snapshot<'_>,
    report: &Report,
    agent: &str,
    options: CcusageOptions,
) -> Result<ThreadsAnswer> {
    let threads = NamesOfPaths::threads(snapshot, options.known_agents())?;
    let mut sessions = BTreeMap::new();
    for session in gather(snapshot, report, options.known_agents())? {
        let place = threads.get(Some(agent), session.conversation.as_deref()).cloned();
        let id = place.unwrap_or_else(|| session.conversation.as_deref().unwrap_or(UNKNOWN).to_owned());
        sessions.insert((id, session.conversation.clone()), session);
    }
    let mut answer = ThreadsAnswer::new("sessions", options);
    for ((id, _), SessionRow { last, models, .. }) in sessions {
        let (directory, file) = id.rsplit_once('/').unwrap_or(("", &id));
        let label = ThreadsRow {
            directory: Some(directory.to_owned()),
            session_file: Some(file.to_owned()),
            last_activity: Some(last),
            session_id: Some(id.clone()),
            ..ThreadsRow::default()
        };
        answer.take(label, models)?;
    }
    Ok(answer)
}

/// A report of an agent with threads.
#[derive(Debug)]
pub(super) struct ThreadsAnswer {
    name: &'static str,
    rows: Vec<ThreadsRow>,
    all: ClassTotals,
    unpriced: BTreeSet<String>,
    costs: bool,
}

impl ThreadsAnswer {
    fn new(name: &'static str, options: CcusageOptions) -> Self {
        Self { name, rows: Vec::new(), all: ClassTotals::default(), unpriced: BTreeSet::new(), costs: options.costs }
    }

    fn take(&mut self, label: ThreadsRow, models: ModelRows) -> Result<()> {
        let mut parts = BTreeMap::new();
        let mut all = ClassTotals::default();
        for (name, totals) in models.by_name() {
            all.add(&totals)?;
            if totals.unpriced {
                self.unpriced.insert(name.clone());
            }
            // ccusage guesses the model of a log that names none. The ledger does not.
            let part =
                ThreadsRow { is_fallback: Some(false), missing_pricing: totals.unpriced, ..ThreadsRow::default() };
            parts.insert(name, part.counted(&totals));
        }
        self.all.add(&all)?;
        let row = ThreadsRow { models: Some(parts), ..label };
        self.rows.push(row.counted(&all).priced(&all, self.costs)?);
        Ok(())
    }

    fn totals(&self) -> Result<ThreadsRow> {
        let totals = ThreadsRow { unpriced_models: self.unpriced.clone(), ..ThreadsRow::default() };
        totals.counted(&self.all).priced(&self.all, self.costs)
    }
}

/// A day, week, month or session; one model's part of it; or the total. Fields are sorted by name.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadsRow {
    cache_creation_tokens: u128,
    cache_read_tokens: u128,
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    input_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_fallback: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activity: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing_pricing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<BTreeMap<String, Self>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    month: Option<String>,
    output_tokens: u128,
    /// Included in the output.
    reasoning_output_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    total_tokens: u128,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unpriced_models: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    week: Option<String>,
}

impl ThreadsRow {
    fn counted(self, totals: &ClassTotals) -> Self {
        Self {
            cache_creation_tokens: totals.cache_creation,
            cache_read_tokens: totals.cache_read,
            input_tokens: totals.input,
            output_tokens: totals.output,
            reasoning_output_tokens: totals.reasoning,
            total_tokens: totals.total(),
            ..self
        }
    }

    fn priced(self, totals: &ClassTotals, costs: bool) -> Result<Self> {
        Ok(Self { cost_usd: costs.then(|| Number::usd(totals.cost)).transpose()?, ..self })
    }
}

impl Serialize for ThreadsAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let totals = self.totals().map_err(serde::ser::Error::custom)?;
        in_order(serializer, self.name, &self.rows, &totals)
    }
}
