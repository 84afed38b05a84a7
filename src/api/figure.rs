//! `figure`: the numbers of a chart, at most 800 columns or 20 rows.

use serde::Serialize;

use super::input::moment;
use super::view_inputs::{FigureInput, UnitName};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::present::chart::{Figure, FigureShape, Unit, window_range, window_use};
use crate::present::clock::range;
use crate::report::ReportKey;
use crate::usage::Usage;

/// Maximum number of days of a figure, as the schema of its input states.
const MOST_DAYS: u32 = 800;

/// A figure in numbers.
#[derive(Serialize)]
pub(crate) struct FigureNumbers {
    position: Position,
    /// `stacked`, `matrix`, `bars`, `windows`, or `empty`.
    shape: &'static str,
    /// `cost` in US dollars, `tokens`, or `percent`.
    unit: &'static str,
    /// Names of the columns; empty for bars.
    columns: Vec<String>,
    /// Names of the series, rows or windows.
    rows: Vec<String>,
    /// One list for each row, with one number for each column, in decimals. Null is unknown.
    values: Vec<Vec<Option<String>>>,
    /// Of each window, the indices of the columns after a reset; empty for other figures.
    resets: Vec<Vec<usize>>,
    /// Of each window, its limit in words.
    limits: Vec<Option<String>>,
    /// The sums of the report; `None` for windows.
    total: Option<Usage>,
}

impl FigureNumbers {
    fn empty(position: Position, unit: &'static str, total: Option<Usage>) -> Self {
        Self {
            position,
            shape: "empty",
            unit,
            columns: Vec::new(),
            rows: Vec::new(),
            values: Vec::new(),
            resets: Vec::new(),
            limits: Vec::new(),
            total,
        }
    }

    fn fill(mut self, figure: Figure) -> Result<Self> {
        let decimal = |value: u128| decimal(figure.unit, value).map(Some);
        let decimals = |values: Vec<Vec<u128>>| {
            values.into_iter().map(|row| row.into_iter().map(decimal).collect()).collect::<Result<_>>()
        };
        match figure.shape {
            FigureShape::Stacked { columns, series, values } => {
                (self.shape, self.columns, self.rows, self.values) = ("stacked", columns, series, decimals(values)?);
            }
            FigureShape::Matrix { rows, columns, values } => {
                (self.shape, self.columns, self.rows, self.values) = ("matrix", columns, rows, decimals(values)?);
            }
            FigureShape::Bars { rows } => {
                self.shape = "bars";
                for (name, value) in rows {
                    self.rows.push(name);
                    self.values.push(vec![decimal(value)?]);
                }
            }
            FigureShape::Use { panels, columns } => {
                (self.shape, self.unit, self.columns) = ("windows", "percent", columns);
                for panel in panels {
                    let percent = |hundredths: u32| format!("{}.{:02}", hundredths / 100, hundredths % 100);
                    self.values.push(panel.percent.into_iter().map(|value| value.map(percent)).collect());
                    self.rows.push(panel.name);
                    self.resets.push(panel.resets);
                    self.limits.push(panel.limit);
                }
            }
        }
        Ok(self)
    }
}

/// Formats a number of a figure.
fn decimal(unit: Unit, value: u128) -> Result<String> {
    match unit {
        Unit::Cost => {
            let picos = i128::try_from(value).map_err(|_| bug!("a cost of {value} picodollars in a figure"))?;
            Ok(Usd::from_picos(picos).to_string())
        }
        Unit::Tokens => Ok(value.to_string()),
    }
}

/// Computes the figure at a time.
pub(crate) fn answer(
    snapshot: &Snapshot<'_>,
    input: &FigureInput,
    zone: Zone,
    now: Timestamp,
) -> Result<FigureNumbers> {
    if input.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(Error::invalid(format!("`days` must be from 1 to {MOST_DAYS}")));
    }
    let position = snapshot.head()?.position;
    let of = input.report();
    let report = of.query(zone, now)?;
    if of.keys()? == [ReportKey::Window] {
        let zone = input.tz.as_deref().map_or(Ok(zone), str::parse)?;
        return windows(snapshot, input, zone, now, position);
    }
    let table = snapshot.report(&report)?;
    let unit = match input.unit {
        Some(UnitName::Cost) => Unit::Cost,
        Some(UnitName::Tokens) => Unit::Tokens,
        None => Unit::of(&table),
    };
    let empty = FigureNumbers::empty(position, unit.name(), Some(table.total));
    if table.rows.is_empty() { Ok(empty) } else { empty.fill(Figure::in_unit(&table, unit)?) }
}

/// How full the windows of an account were.
fn windows(
    snapshot: &Snapshot<'_>,
    input: &FigureInput,
    zone: Zone,
    now: Timestamp,
    position: Position,
) -> Result<FigureNumbers> {
    let ([provider], [] | [_]) = (input.provider.as_slice(), input.account.as_slice()) else {
        return Err(Error::invalid("a figure by window needs one `provider`, and at most one `account`"));
    };
    let provider = ProviderId::resolve(provider)?;
    let (since, until) = (moment(input.since.as_deref())?, moment(input.until.as_deref())?);
    let range = window_range(range(since, until, zone, now)?, input.days, now);
    let account = (provider.as_str(), input.account.first().map(String::as_str));
    let empty = FigureNumbers::empty(position, "percent", None);
    match window_use(snapshot, account, range, zone)? {
        Some(figure) => empty.fill(figure),
        None => Ok(empty),
    }
}
