//! Compares the ledger with the statement of a provider: does the bill contain what was recorded, and the reverse?
//!
//! The comparison is a pure function of the calls and the rows. It reads no clock and no file.

mod calls;
mod cause;
mod cell;
mod explain;
mod model_name;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::error::{Error, Result};
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, HOUR, MINUTE, Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::readers::statement::{Name, Statement, StatementRow};

pub(crate) use calls::{LedgerCall, calls};
pub(crate) use cause::Cause;
use cell::{BillCell, BillCellKey};
pub(crate) use cell::{BillRow, BillVerdict, CountPair};

/// Statements change for so long after the end of a bucket.
const PROVISIONAL: i64 = DAY;

/// The options of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComparisonOptions {
    pub now: Timestamp,
    /// Differences up to this part of the larger value are rounding, in parts per million.
    pub tolerance_ppm: u32,
}

/// What was spent, in US dollars, by how well the statement confirms it. Rows without a known amount are only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Spend {
    pub confirmed: Usd,
    pub explained: Usd,
    pub unexplained: Usd,
    pub provisional: Usd,
    /// Rows whose money neither the statement nor a known price states.
    pub rows_without_amount: u64,
}

/// The result of a comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reconciliation {
    pub source: &'static str,
    pub since: Timestamp,
    pub until: Timestamp,
    pub rows: Vec<BillRow>,
    /// Spend by UTC day.
    pub days: BTreeMap<String, Spend>,
    /// Lines of the statement that repeat another line.
    pub duplicate_lines: Vec<u64>,
    /// Rows of the statement that bill something other than tokens.
    pub other_rows: u64,
}

impl Reconciliation {
    /// Whether a difference has no known cause.
    pub(crate) fn has_unexplained(&self) -> bool {
        !self.duplicate_lines.is_empty() || self.rows.iter().any(|row| row.cause == Some(Cause::Unknown))
    }
}

/// The time that a statement covers.
///
/// # Errors
/// [`Error::Invalid`] if it has no row with tokens or money.
pub(crate) fn period(name: &str, statement: &Statement) -> Result<(Timestamp, Timestamp)> {
    let starts = statement.rows.iter().map(|row| row.start).min();
    let ends = statement.rows.iter().map(|row| row.end).max();
    let (Some(start), Some(end)) = (starts, ends) else {
        return Err(Error::invalid(format!("{name}: no row has tokens or money: export a period with usage")));
    };
    // Single requests are compared by day, so the whole of the first and of the last day counts.
    if is_by_request(statement) {
        Ok((floor(start, DAY), floor(end.plus(-1), DAY).plus(DAY)))
    } else {
        Ok((start, end))
    }
}

/// Whether the rows are single requests rather than sums of buckets.
fn is_by_request(statement: &Statement) -> bool {
    let single = |row: &StatementRow| row.names.contains_key(&Name::Id) || row.start.millis() % MINUTE != 0;
    statement.rows.iter().any(single)
}

const fn floor(at: Timestamp, length: i64) -> Timestamp {
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(length))
}

/// The provider of a row: the one it names, or the one of its source.
fn provider_of(name: &str, statement: &Statement, row: &StatementRow) -> Result<String> {
    let named = row.names.get(&Name::Provider).map(String::as_str).or(statement.provider).ok_or_else(|| {
        Error::invalid(format!("{name}:{}: the row names no provider: export the column of the provider too", row.line))
    })?;
    let lower = named.to_ascii_lowercase();
    let cloud =
        [("amazon", "aws-bedrock"), ("aws", "aws-bedrock"), ("microsoft", "azure-openai"), ("google", "google")];
    let named = cloud.iter().find(|(part, _)| lower.contains(part)).map_or(lower.as_str(), |(_, id)| id);
    Ok(ProviderId::resolve(named).map_or_else(|_| named.to_owned(), |id| id.to_string()))
}

/// Compares the calls of a period with the statement of that period. `around` also has the calls of the bucket before
/// and of the one behind.
///
/// # Errors
/// [`Error::Overflow`] for a sum beyond its range, [`Error::Invalid`] for a row without a provider.
pub(crate) fn compare(
    name: &str,
    statement: &Statement,
    around: &[LedgerCall],
    options: ComparisonOptions,
) -> Result<Reconciliation> {
    let (since, until) = period(name, statement)?;
    let by_request = is_by_request(statement);
    let length = match statement.rows.iter().map(|row| row.end.millis() - row.start.millis()).min() {
        _ if by_request => DAY,
        Some(length) if length >= DAY => DAY,
        Some(length) if length >= HOUR => HOUR,
        _ => MINUTE,
    };
    let providers: Vec<String> =
        statement.rows.iter().map(|row| provider_of(name, statement, row)).collect::<Result<_>>()?;
    let billed: BTreeSet<&str> = providers.iter().map(String::as_str).collect();
    let within = || {
        let is_in = |call: &&LedgerCall| call.at >= since && call.at < until && billed.contains(call.provider.as_str());
        around.iter().filter(is_in)
    };
    // The ledger separates keys and workspaces only if its records name them.
    let (by_key, by_workspace) =
        (within().any(|call| call.key.is_some()), within().any(|call| call.workspace.is_some()));
    let mut cells: BTreeMap<BillCellKey, BillCell<'_>> = BTreeMap::new();
    for (row, provider) in statement.rows.iter().zip(&providers) {
        let text = |name: Name| row.names.get(&name).cloned();
        let start = floor(row.start, length);
        let stated = if by_request { 0 } else { row.end.millis() - row.start.millis() };
        let key = BillCellKey {
            start,
            end: start.plus(length.max(stated)),
            provider: provider.clone(),
            model: model_name::model_key(&text(Name::Model).unwrap_or_default()),
            key: text(Name::KeyId).or_else(|| text(Name::Key)).filter(|_| by_key),
            workspace: text(Name::Workspace).filter(|_| by_workspace),
        };
        cells.entry(key).or_default().rows.push(row);
    }
    for call in within() {
        let start = floor(call.at, length);
        let key = BillCellKey {
            start,
            end: start.plus(length),
            provider: call.provider.clone(),
            model: call.model_key.clone(),
            key: call.key.clone().filter(|_| by_key),
            workspace: call.workspace.clone().filter(|_| by_workspace),
        };
        cells.entry(key).or_default().calls.push(call);
    }
    let classes: BTreeSet<_> = statement.rows.iter().flat_map(|row| row.counts.keys().copied()).collect();
    let mut rows = Vec::new();
    for (key, cell) in &cells {
        rows.push(cell.row(key, &classes, statement.step, options)?);
    }
    explain::name_causes(&mut rows, &cells, around);
    let days = days(&rows)?;
    Ok(Reconciliation {
        source: statement.source,
        since,
        until,
        rows,
        days,
        duplicate_lines: statement.duplicates.clone(),
        other_rows: statement.other_rows,
    })
}

fn days(rows: &[BillRow]) -> Result<BTreeMap<String, Spend>> {
    let mut days: BTreeMap<String, Spend> = BTreeMap::new();
    for row in rows {
        let spend = days.entry(Zone::UTC.day(row.start).to_string()).or_default();
        let Some(usd) = row.statement_usd.or(row.ledger_usd) else {
            spend.rows_without_amount += 1;
            continue;
        };
        let sum = match (row.verdict, &row.cause) {
            (BillVerdict::Provisional, _) => &mut spend.provisional,
            (BillVerdict::Equal | BillVerdict::WithinRounding, _) => &mut spend.confirmed,
            (_, Some(Cause::Unknown) | None) => &mut spend.unexplained,
            _ => &mut spend.explained,
        };
        *sum = sum.checked_add(usd)?;
    }
    Ok(days)
}

/// The difference of two sums in tokens.
fn difference(pair: &CountPair) -> i128 {
    pair.statement - pair.ledger
}
