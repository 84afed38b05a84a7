//! The content of a figure: the numbers of a report, arranged by its keys.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::model::error::{Error, Result};
use crate::model::humanize::number::scaled;
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::present::money::dollars;
use crate::present::output::EscapedText;
use crate::report::{ReportKey, ReportTable};
use crate::usage::Usage;

/// Maximum number of series in a stacked figure. The others are combined into one.
const SERIES: usize = 7;
/// Maximum number of rows and columns of a matrix, and of bars. The others are combined into one.
const LINES: usize = 20;
/// Maximum number of columns in a stacked figure.
const COLUMNS: usize = 800;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const OTHERS: &str = "others";
/// The label of calls without a value of a key.
const NONE: &str = "-";

/// The unit of the numbers of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Picodollars, 10^-12 dollars.
    Cost,
    Tokens,
}

impl Unit {
    /// Returns cost if every call of a report has a price, otherwise tokens.
    pub fn of(table: &ReportTable) -> Self {
        let cost = &table.total.cost;
        if cost.unpriced_requests == 0 && cost.usd.is_some_and(|usd| usd > Usd::default()) {
            Self::Cost
        } else {
            Self::Tokens
        }
    }

    fn value(self, usage: &Usage) -> u128 {
        match self {
            Self::Cost => usage.cost.usd.map_or(0, |usd| usd.picos().max(0).unsigned_abs()),
            Self::Tokens => usage.tokens.total(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Tokens => "tokens",
        }
    }

    /// Formats a number.
    pub fn show(self, value: u128) -> String {
        match self {
            Self::Cost => i128::try_from(value).map_or_else(|_| value.to_string(), |it| dollars(Usd::from_picos(it))),
            Self::Tokens => scaled(value),
        }
    }
}

/// A figure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub title: String,
    pub unit: Unit,
    pub shape: FigureShape,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FigureShape {
    /// One column per time, divided into series: `values[series][column]`.
    Stacked { columns: Vec<String>, series: Vec<String>, values: Vec<Vec<u128>> },
    /// One shade per pair: `values[row][column]`.
    Matrix { rows: Vec<String>, columns: Vec<String>, values: Vec<Vec<u128>> },
    /// One bar per name.
    Bars { rows: Vec<(String, u128)> },
    /// How full windows were at instants, one panel for each window.
    Use { panels: Vec<Panel>, columns: Vec<String> },
}

/// How full a window was at each instant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    pub name: String,
    /// In hundredths of a percent; `None` where it is not known or no window was open.
    pub percent: Vec<Option<u32>>,
    /// The indices of the first instants after a reset.
    pub resets: Vec<usize>,
    /// The limit in words, if one is set.
    pub limit: Option<String>,
    /// When the window of the last instant opened.
    pub opened: Option<Timestamp>,
}

impl Figure {
    /// Builds the figure of a report from its keys: columns of days, weeks, months or windows, stacked by another key;
    /// a heat map of weekday and hour; a matrix of two names; or bars of one name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for keys that have no figure, and for a report without calls.
    pub fn of(table: &ReportTable) -> Result<Self> {
        if table.rows.is_empty() {
            return Err(Error::invalid("there is nothing to draw: no call matches"));
        }
        Self::in_unit(table, Unit::of(table))
    }

    /// As [`of`](Self::of), in a unit.
    ///
    /// # Errors
    /// [`Error::Invalid`] for keys that have no figure.
    pub fn in_unit(table: &ReportTable, unit: Unit) -> Result<Self> {
        let keys: Vec<String> = table.keys.iter().map(ReportKey::name).collect();
        let shape = match &table.keys[..] {
            [ReportKey::Hour] => weekday_by_hour(table, unit)?,
            [time] if is_time(time) => stacked(table, unit, 0, None)?,
            [time, _] if is_time(time) => stacked(table, unit, 0, Some(1))?,
            [_, time] if is_time(time) => stacked(table, unit, 1, Some(0))?,
            [_] => bars(table, unit)?,
            [_, _] => matrix(table, unit)?,
            _ => {
                return Err(Error::invalid(
                    "a figure needs one or two keys: a time and a name (day,model), two names (project,model), one name, \
                     or hour",
                ));
            }
        };
        let title = match &shape {
            FigureShape::Matrix { .. } if keys.len() == 1 => format!("{} by weekday and hour", unit.name()),
            _ => format!("{} by {}", unit.name(), keys.join(" and ")),
        };
        Ok(Self { title, unit, shape })
    }
}

const fn is_time(key: &ReportKey) -> bool {
    matches!(key, ReportKey::Hour | ReportKey::Day | ReportKey::Week | ReportKey::Month | ReportKey::Window)
}

/// Returns the value of a row's key as a label.
fn label(row: &[Option<String>], index: usize) -> String {
    row.get(index).and_then(Option::as_deref).map_or_else(|| NONE.to_owned(), |key| EscapedText(key).to_string())
}

/// Returns the names with the largest sums, at most `most`, and whether any are left.
fn largest(sums: BTreeMap<String, u128>, most: usize) -> (Vec<String>, bool) {
    let mut names: Vec<(String, u128)> = sums.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let is_cut = names.len() > most;
    names.truncate(if is_cut { most.saturating_sub(1) } else { most });
    (names.into_iter().map(|(name, _)| name).collect(), is_cut)
}

/// Maps names to indices, with one index for all others.
struct NameIndex {
    names: Vec<String>,
    others: Option<usize>,
}

impl NameIndex {
    fn new(table: &ReportTable, unit: Unit, key: usize, most: usize) -> Self {
        let mut sums = BTreeMap::new();
        for row in &table.rows {
            *sums.entry(label(&row.keys, key)).or_insert(0_u128) += unit.value(&row.usage);
        }
        let (mut names, is_cut) = largest(sums, most);
        let others = is_cut.then_some(names.len());
        if is_cut {
            names.push(OTHERS.to_owned());
        }
        Self { names, others }
    }

    fn of(&self, name: &str) -> Result<usize> {
        let known = self.names.iter().position(|known| known == name).or(self.others);
        known.ok_or_else(|| bug!("`{name}` has no place in the figure"))
    }
}

fn add(values: &mut [Vec<u128>], row: usize, column: usize, value: u128) -> Result<()> {
    let cell = values.get_mut(row).and_then(|row| row.get_mut(column));
    *cell.ok_or_else(|| bug!("the figure has no cell {row}, {column}"))? += value;
    Ok(())
}

fn stacked(table: &ReportTable, unit: Unit, time: usize, name: Option<usize>) -> Result<FigureShape> {
    let mut columns: Vec<String> = table.rows.iter().map(|row| label(&row.keys, time)).collect();
    columns.sort_unstable();
    columns.dedup();
    if table.keys.get(time) == Some(&ReportKey::Day) {
        columns = every_day(columns)?;
    }
    if columns.len() > COLUMNS {
        return Err(Error::invalid(format!(
            "{} columns are too many to draw, at most {COLUMNS} are possible: use --since, or a longer time as key",
            columns.len()
        )));
    }
    let index = match name {
        Some(key) => NameIndex::new(table, unit, key, SERIES),
        None => NameIndex { names: vec![unit.name().to_owned()], others: Some(0) },
    };
    let mut values = vec![vec![0; columns.len()]; index.names.len()];
    for row in &table.rows {
        let series = name.map_or(Ok(0), |key| index.of(&label(&row.keys, key)))?;
        let at = label(&row.keys, time);
        let column = columns.binary_search(&at).map_err(|_| bug!("`{at}` is no column of the figure"))?;
        add(&mut values, series, column, unit.value(&row.usage))?;
    }
    Ok(FigureShape::Stacked { columns, series: index.names, values })
}

/// Returns every day from the first to the last, including days without a call.
fn every_day(days: Vec<String>) -> Result<Vec<String>> {
    let day = |text: &String| {
        text.parse::<NaiveDate>().map_err(|error| Error::invalid(format!("`{text}` is not a day: {error}")))
    };
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(days) };
    let (first, last) = (day(first)?, day(last)?);
    let days = first.iter_days().take_while(|day| *day <= last).take(COLUMNS + 1);
    Ok(days.map(|day| day.to_string()).collect())
}

fn weekday_by_hour(table: &ReportTable, unit: Unit) -> Result<FigureShape> {
    let mut values = vec![vec![0; 24]; WEEKDAYS.len()];
    for row in &table.rows {
        let text = label(&row.keys, 0);
        let hour = NaiveDateTime::parse_from_str(&format!("{}:00", text.get(..13).unwrap_or(&text)), "%Y-%m-%dT%H:%M")
            .map_err(|error| Error::invalid(format!("`{text}` is not an hour: {error}")))?;
        let (weekday, hour) = (hour.weekday().num_days_from_monday(), hour.hour());
        add(&mut values, weekday as usize, hour as usize, unit.value(&row.usage))?;
    }
    let rows = WEEKDAYS.map(str::to_owned).to_vec();
    Ok(FigureShape::Matrix { rows, columns: (0..24).map(|hour| format!("{hour:02}")).collect(), values })
}

fn matrix(table: &ReportTable, unit: Unit) -> Result<FigureShape> {
    let (rows, columns) = (NameIndex::new(table, unit, 0, LINES), NameIndex::new(table, unit, 1, LINES));
    let mut values = vec![vec![0; columns.names.len()]; rows.names.len()];
    for row in &table.rows {
        let (row_at, column) = (rows.of(&label(&row.keys, 0))?, columns.of(&label(&row.keys, 1))?);
        add(&mut values, row_at, column, unit.value(&row.usage))?;
    }
    Ok(FigureShape::Matrix { rows: rows.names, columns: columns.names, values })
}

fn bars(table: &ReportTable, unit: Unit) -> Result<FigureShape> {
    let index = NameIndex::new(table, unit, 0, LINES);
    let mut sums = vec![0; index.names.len()];
    for row in &table.rows {
        let at = index.of(&label(&row.keys, 0))?;
        *sums.get_mut(at).ok_or_else(|| bug!("the figure has no bar {at}"))? += unit.value(&row.usage);
    }
    Ok(FigureShape::Bars { rows: index.names.into_iter().zip(sums).collect() })
}
