//! Rows of periods and sessions. Fields are sorted by name.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::NaiveDate;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::class_totals::ClassTotals;
use super::number::Number;
use crate::model::error::Result;
use crate::model::time::Timestamp;

/// Position of a model's first call in ccusage's reading order: day, project, session, subagents last, time.
pub(super) type RowPlace = (NaiveDate, String, String, bool, Timestamp);

/// Usage by model.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelRows(Vec<ModelRow>);

#[derive(Clone, Debug)]
struct ModelRow {
    name: Rc<str>,
    /// Its first use, for reports that sort models by it instead of by name.
    first: Option<RowPlace>,
    /// Agent and position of its first reading, for reports that use them to order models with equal cost. Few have one, so
    /// it is boxed.
    read: Option<Box<(usize, Option<RowPlace>)>>,
    totals: ClassTotals,
}

impl ModelRows {
    /// Adds usage of a model.
    pub fn add(&mut self, name: &str, first: Option<RowPlace>, totals: &ClassTotals) -> Result<()> {
        self.add_named(&|| name.into(), name, first, totals)
    }

    /// Like [`add`](Self::add), with a name that other rows share.
    pub fn add_shared(&mut self, name: &Rc<str>, first: Option<RowPlace>, totals: &ClassTotals) -> Result<()> {
        self.add_named(&|| Rc::clone(name), name, first, totals)
    }

    fn add_named(
        &mut self,
        shared: &dyn Fn() -> Rc<str>,
        name: &str,
        first: Option<RowPlace>,
        totals: &ClassTotals,
    ) -> Result<()> {
        if let Some(model) = self.0.iter_mut().find(|model| *model.name == *name) {
            if first < model.first {
                model.first = first;
            }
            return model.totals.add(totals);
        }
        // There may be very many of these short lists.
        self.0.reserve_exact(1);
        self.0.push(ModelRow { name: shared(), first, read: None, totals: *totals });
        Ok(())
    }

    /// Returns the sum of all models.
    pub fn sum(&self) -> Result<ClassTotals> {
        let mut all = ClassTotals::default();
        for model in &self.0 {
            all.add(&model.totals)?;
        }
        Ok(all)
    }

    /// Returns the models with an unknown price.
    pub fn unpriced(&self) -> impl Iterator<Item = &Rc<str>> {
        self.0.iter().filter(|model| model.totals.unpriced).map(|model| &model.name)
    }

    /// Returns whether several models have equal cost.
    pub fn have_equal_costs(&self) -> bool {
        let mut seen = BTreeSet::new();
        !self.0.iter().all(|model| seen.insert(model.totals.cost))
    }

    /// Sets where a model is read first: index of the agent, and position in the agent's logs.
    pub fn read(&mut self, name: &str, place: (usize, Option<RowPlace>)) {
        if let Some(model) = self.0.iter_mut().find(|model| *model.name == *name)
            && model.read.as_ref().is_none_or(|first| place < **first)
        {
            model.read = Some(Box::new(place));
        }
    }

    /// Returns the usage by model name.
    pub fn by_name(self) -> BTreeMap<String, ClassTotals> {
        self.0.into_iter().map(|model| (model.name.to_string(), model.totals)).collect()
    }

    /// Returns the row of all models together.
    pub fn row(mut self, label: Label, costs: bool) -> Result<(UsageRow, ClassTotals)> {
        self.0.sort_by(|a, b| (&a.first, &a.name).cmp(&(&b.first, &b.name)));
        let models_used = self.0.iter().map(|model| model.name.to_string()).collect();
        let all = self.sum()?;
        // Sorted by cost, descending; models with equal cost in reading order, or unchanged.
        self.0.sort_by(|a, b| (b.totals.cost, &a.read).cmp(&(a.totals.cost, &b.read)));
        let model_breakdowns = self.0.iter().map(|model| Breakdown::new(model, costs)).collect::<Result<_>>()?;
        let row = UsageRow {
            agent: label.agent,
            cache_creation_tokens: all.cache_creation,
            cache_read_tokens: all.cache_read,
            date: label.date,
            first_activity: label.first_activity,
            input_tokens: all.input,
            last_activity: label.last_activity,
            metadata: label.metadata,
            model_breakdowns,
            models_used,
            month: label.month,
            output_tokens: all.output,
            period: label.period,
            project_path: label.project_path,
            session_id: label.session_id,
            total_cost: cost(&all, costs)?,
            total_tokens: all.total(),
            week: label.week,
        };
        Ok((row, all))
    }
}

/// The label of a row. Rows of all agents have a period and an agent, those of one agent the name in its report.
#[derive(Debug, Default)]
pub(super) struct Label {
    pub agent: Option<String>,
    pub date: Option<String>,
    pub first_activity: Option<Timestamp>,
    pub last_activity: Option<Timestamp>,
    pub metadata: Option<Metadata>,
    pub month: Option<String>,
    pub period: Option<String>,
    pub project_path: Option<String>,
    pub session_id: Option<String>,
    pub week: Option<String>,
}

fn cost(totals: &ClassTotals, wanted: bool) -> Result<Option<Number>> {
    wanted.then(|| Number::usd(totals.cost)).transpose()
}

/// A row: a day, a week, a month or a session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    cache_creation_tokens: u128,
    cache_read_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_activity: Option<Timestamp>,
    input_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    model_breakdowns: Vec<Breakdown>,
    models_used: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    output_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost: Option<Number>,
    total_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub week: Option<String>,
}

/// Additional fields of a row.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Metadata {
    /// For a period.
    Agents {
        /// Agents with calls in it.
        agents: BTreeSet<String>,
    },
    /// For a session.
    #[serde(rename_all = "camelCase")]
    Session {
        /// Time of its last call.
        last_activity: Timestamp,
        /// Threads only.
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning_output_tokens: Option<u128>,
    },
}

/// One model's part of a row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Breakdown {
    cache_creation_tokens: u128,
    cache_read_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Number>,
    input_tokens: u128,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing_pricing: bool,
    model_name: String,
    output_tokens: u128,
}

impl Breakdown {
    fn new(model: &ModelRow, costs: bool) -> Result<Self> {
        let totals = model.totals;
        Ok(Self {
            cache_creation_tokens: totals.cache_creation,
            cache_read_tokens: totals.cache_read,
            cost: cost(&totals, costs)?,
            input_tokens: totals.input,
            missing_pricing: totals.unpriced,
            model_name: model.name.to_string(),
            output_tokens: totals.output,
        })
    }
}

/// The sum of all rows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RowTotals<'r> {
    cache_creation_tokens: u128,
    cache_read_tokens: u128,
    input_tokens: u128,
    output_tokens: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_cost: Option<Number>,
    total_tokens: u128,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unpriced_models: BTreeSet<&'r str>,
}

/// A report of rows.
#[derive(Debug)]
pub(super) struct RowsAnswer {
    /// Field name of the list of rows.
    pub name: &'static str,
    pub rows: Vec<UsageRow>,
    pub all: ClassTotals,
    pub costs: bool,
}

impl Serialize for RowsAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let parts = self.rows.iter().flat_map(|row| &row.model_breakdowns);
        let unpriced = parts.filter(|part| part.missing_pricing).map(|part| part.model_name.as_str()).collect();
        let totals = RowTotals::new(&self.all, unpriced, self.costs).map_err(serde::ser::Error::custom)?;
        in_order(serializer, self.name, &self.rows, &totals)
    }
}

impl<'r> RowTotals<'r> {
    pub fn new(all: &ClassTotals, unpriced_models: BTreeSet<&'r str>, costs: bool) -> Result<Self> {
        Ok(Self {
            cache_creation_tokens: all.cache_creation,
            cache_read_tokens: all.cache_read,
            input_tokens: all.input,
            output_tokens: all.output,
            total_cost: cost(all, costs)?,
            total_tokens: all.total(),
            unpriced_models,
        })
    }
}

/// Serialises rows and total in the order of their field names.
pub(super) fn in_order<S: Serializer>(
    serializer: S,
    name: &str,
    rows: &impl Serialize,
    totals: &impl Serialize,
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    if name < "totals" {
        map.serialize_entry(name, rows)?;
        map.serialize_entry("totals", totals)?;
    } else {
        map.serialize_entry("totals", totals)?;
        map.serialize_entry(name, rows)?;
    }
    map.end()
}
