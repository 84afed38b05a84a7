//! Compares the ledger with the statement of a provider: does the bill contain what was recorded, and the reverse?
//!
//! The comparison is a pure function of the calls and the rows. It reads no clock and no file.

mod calls;
mod cause;
mod cell;
mod cells;
mod delta;
mod explain;
mod in_force;
mod model_name;
mod received;
mod spend;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::error::{Error, Result};
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, MINUTE, Timestamp};
use crate::readers::price::Prices;
use crate::readers::statement::{Name, Statement, StatementRow};

pub(crate) use calls::LedgerCall;
pub(crate) use cause::{Cause, NamedCause};
pub(crate) use cell::{BillRow, BillVerdict, rounding};
pub(crate) use in_force::{BilledDay, billed_days, compare_received, compare_with_ledger};
pub(crate) use model_name::model_key;
pub(crate) use received::{FileTerms, events, hash};
pub(crate) use spend::{Spend, SpendShares, percent_of_tenths};

use cell::{BillCell, StatementMoney};
use cells::CellSet;
use explain::Explainer;

/// Statements change for so long after the end of a bucket.
const PROVISIONAL: i64 = DAY;

/// The options of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComparisonOptions<'p> {
    pub now: Timestamp,
    /// Differences up to this part of the larger value are rounding, in parts per million.
    pub tolerance_ppm: u32,
    /// The prices of tokens that the ledger does not have.
    pub prices: Option<&'p Prices>,
}

/// The result of a comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reconciliation {
    pub source: String,
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
        let unknown = |row: &BillRow| row.causes.iter().any(|named| named.cause == Cause::Unknown);
        !self.duplicate_lines.is_empty() || self.rows.iter().any(unknown)
    }
}

/// The time that a statement covers.
///
/// # Errors
/// [`Error::Invalid`] if it has no bucket.
fn period(name: &str, statement: &Statement) -> Result<(Timestamp, Timestamp)> {
    let Some((start, end)) = statement.period else {
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

/// The start of the hour, day or other length of time that contains an instant, in UTC.
const fn floor(at: Timestamp, length: i64) -> Timestamp {
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(length))
}

/// The provider of a row: the one it names, or the one of its source.
fn provider_of(name: &str, statement: &Statement, row: &StatementRow) -> Result<String> {
    let named = row.names.get(&Name::Provider).or(statement.provider.as_ref()).ok_or_else(|| {
        Error::invalid(format!("{name}:{}: the row names no provider: export the column of the provider too", row.line))
    })?;
    Ok(canonical(named))
}

/// The provider's id for a name in a statement, such as `Amazon Web Services`.
fn canonical(named: &str) -> String {
    let lower = named.to_ascii_lowercase();
    let cloud =
        [("amazon", "aws-bedrock"), ("aws", "aws-bedrock"), ("microsoft", "azure-openai"), ("google", "google")];
    let named = cloud.iter().find(|(part, _)| lower.contains(part)).map_or(lower.as_str(), |(_, id)| id);
    ProviderId::resolve(named).map_or_else(|_| named.to_owned(), |id| id.to_string())
}

/// Compares the calls of a period with the statement of that period. `around` also has the calls before and after it.
///
/// # Errors
/// [`Error::Overflow`] for a sum beyond its range, [`Error::Invalid`] for a row without a provider.
fn compare(
    name: &str,
    statement: &Statement,
    around: &[LedgerCall],
    options: &ComparisonOptions<'_>,
) -> Result<Reconciliation> {
    let (since, until) = period(name, statement)?;
    let set = CellSet::of(name, statement, around)?;
    let classes: Vec<_> = statement.measures.classes.iter().copied().collect();
    let money = StatementMoney { is_stated: statement.measures.has_money, step: statement.step };
    let mut rows = Vec::new();
    for (key, cell) in &set.cells {
        rows.push(cell.row(key, &classes, money, options)?);
    }
    Explainer::new(&set, &rows, &classes, around, (money, options)).name_causes(&mut rows)?;
    let days = spend::days(&rows)?;
    Ok(Reconciliation {
        source: statement.source.clone(),
        since,
        until,
        rows,
        days,
        duplicate_lines: statement.duplicates.clone(),
        other_rows: statement.other_rows,
    })
}
