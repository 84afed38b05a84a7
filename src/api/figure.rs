//! `figure`: the numbers of a chart, at most 800 columns or 20 rows.

use serde::Serialize;

use super::view_inputs::{FigureInput, UnitName};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::present::chart::{Figure, FigureShape, Unit, window_use};
use crate::present::clock::{Moment, range};
use crate::report::ReportKey;
use crate::usage::Usage;

/// Maximum number of days of a figure, as the schema of its input states.
const MOST_DAYS: u32 = 800;
/// Days of a figure of windows without `since`.
const WINDOW_DAYS: i64 = 7;

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
    fn new(position: Position, shape: &'static str, unit: &'static str) -> Self {
        Self {
            position,
            shape,
            unit,
            columns: Vec::new(),
            rows: Vec::new(),
            values: Vec::new(),
            resets: Vec::new(),
            limits: Vec::new(),
            total: None,
        }
    }

    fn fill(mut self, figure: Figure) -> Self {
        let unit = figure.unit;
        let decimal = |value: u128| Some(decimal(unit, value));
        let decimals = |values: Vec<Vec<u128>>| -> Vec<Vec<Option<String>>> {
            values.into_iter().map(|row| row.into_iter().map(decimal).collect()).collect()
        };
        match figure.shape {
            FigureShape::Stacked { columns, series, values } => {
                (self.shape, self.columns, self.rows, self.values) = ("stacked", columns, series, decimals(values));
            }
            FigureShape::Matrix { rows, columns, values } => {
                (self.shape, self.columns, self.rows, self.values) = ("matrix", columns, rows, decimals(values));
            }
            FigureShape::Bars { rows } => {
                self.shape = "bars";
                (self.rows, self.values) = rows.into_iter().map(|(name, value)| (name, vec![decimal(value)])).unzip();
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
        self
    }
}

/// Formats a number of a figure. Sums of cost are not negative.
fn decimal(unit: Unit, value: u128) -> String {
    match (unit, i128::try_from(value)) {
        (Unit::Cost, Ok(picos)) => Usd::from_picos(picos).to_string(),
        _ => value.to_string(),
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
    let report = input.report().query(zone, now)?;
    let zone = input.tz.as_deref().map_or(Ok(zone), str::parse)?;
    let table = match input.by.as_slice() {
        [only] if only == ReportKey::Window.name().as_str() => {
            return windows(snapshot, input, zone, now, position);
        }
        _ => snapshot.report(&report)?,
    };
    let total = Some(table.total);
    let unit = match input.unit {
        Some(UnitName::Cost) => Unit::Cost,
        Some(UnitName::Tokens) => Unit::Tokens,
        None => Unit::of(&table),
    };
    if table.rows.is_empty() {
        return Ok(FigureNumbers { total, ..FigureNumbers::new(position, "empty", unit.name()) });
    }
    let figure = Figure::in_unit(&table, unit)?;
    Ok(FigureNumbers { total, ..FigureNumbers::new(position, "", unit.name()).fill(figure) })
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
    let moment = |text: &Option<String>| text.as_deref().map(str::parse::<Moment>).transpose();
    let (since, until) = range(moment(&input.since)?, moment(&input.until)?, zone, now)?;
    let until = until.map_or(now, |until| until.min(now));
    let days = input.days.map_or(WINDOW_DAYS, i64::from);
    let since = since.unwrap_or_else(|| until.plus(-days * DAY));
    let account = (provider.as_str(), input.account.first().map(String::as_str));
    let empty = FigureNumbers::new(position, "empty", "percent");
    Ok(match window_use(snapshot, account, (since, until), zone)? {
        Some(figure) => empty.fill(figure),
        None => empty,
    })
}
