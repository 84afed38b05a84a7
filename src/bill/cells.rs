//! Sorts the rows of a statement and the calls of the ledger into cells: bucket, provider, model, key and workspace.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{BillCell, LedgerCall, floor, is_by_request, model_key, period, provider_of};
use crate::ledger::is_within;
use crate::model::error::Result;
use crate::model::event::EventId;
use crate::model::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::readers::statement::{Name, Statement, StatementRow};

/// What identifies a row of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BillCellKey {
    pub start: Timestamp,
    pub end: Timestamp,
    pub provider: String,
    pub model: String,
    pub key: Option<String>,
    pub workspace: Option<String>,
}

/// All cells of a comparison.
pub(super) struct CellSet<'a> {
    pub cells: BTreeMap<BillCellKey, BillCell<'a>>,
    /// The time that the statement covers.
    pub period: (Timestamp, Timestamp),
    /// Whether rows and calls were matched by the ids of their requests.
    pub by_id: bool,
    /// Whether the rows name models. Otherwise a cell has all models.
    pub by_model: bool,
}

/// The rows of requests, by the calls that have their ids.
fn matched<'a>(rows: &'a [StatementRow], around: &[LedgerCall]) -> HashMap<usize, &'a StatementRow> {
    let mut by_id: HashMap<EventId, usize> = HashMap::new();
    for (index, call) in around.iter().enumerate() {
        by_id.extend(call.ids.iter().map(|id| (*id, index)));
    }
    let providers: BTreeSet<&str> = around.iter().map(|call| call.provider.as_str()).collect();
    let mut rows_of_calls = HashMap::new();
    for row in rows {
        let Some(id) = row.names.get(&Name::Id) else { continue };
        let found = providers.iter().find_map(|provider| by_id.get(&EventId::from_key(provider, id)));
        if let Some(index) = found {
            rows_of_calls.entry(*index).or_insert(row);
        }
    }
    rows_of_calls
}

/// The kind of name that separates rows and calls alike. Calls without a name cannot be separated, so all must have one,
/// and both sides must have one in common.
fn shared_kind(kinds: &[Name], rows: &[StatementRow], calls: &[&LedgerCall]) -> Option<Name> {
    kinds.iter().copied().find(|kind| {
        let names: Option<BTreeSet<&String>> = calls.iter().map(|call| call.name(*kind)).collect();
        let Some(names) = names else { return false };
        let stated = rows.iter().map(|row| row.names.get(kind)).collect::<Option<BTreeSet<_>>>();
        stated.is_some_and(|stated| stated.iter().any(|name| names.contains(name)))
    })
}

impl<'a> CellSet<'a> {
    /// Sorts rows and calls.
    pub fn of(name: &str, statement: &'a Statement, around: &'a [LedgerCall]) -> Result<Self> {
        let (since, until) = period(name, statement)?;
        let (by_request, by_model) = (is_by_request(statement), statement.measures.has_models);
        let length = match statement.rows.iter().map(|row| row.end.millis() - row.start.millis()).min() {
            Some(shortest) if !by_request && shortest < HOUR => MINUTE,
            Some(shortest) if !by_request && shortest < DAY => HOUR,
            _ => DAY,
        };
        let providers: Vec<String> =
            statement.rows.iter().map(|row| provider_of(name, statement, row)).collect::<Result<_>>()?;
        let mut billed: BTreeSet<&str> = providers.iter().map(String::as_str).collect();
        let own = statement.provider.as_deref().map(super::canonical);
        billed.extend(own.as_deref());
        let matched = matched(&statement.rows, around);
        let is_compared = |(index, call): &(usize, &LedgerCall)| {
            let counts = call.at >= since && call.at < until && !is_within(&statement.superseded, call.at);
            matched.contains_key(index) || (counts && billed.contains(call.provider.as_str()))
        };
        let within: Vec<(usize, &LedgerCall)> = around.iter().enumerate().filter(is_compared).collect();
        let inside: Vec<&LedgerCall> = within.iter().map(|(_, call)| *call).collect();
        let key_kind = shared_kind(&[Name::KeyId, Name::Key], &statement.rows, &inside);
        let space_kind = shared_kind(&[Name::Workspace], &statement.rows, &inside);
        let key_of_row = |row: &StatementRow, provider: &str| {
            let text = |kind: Name| row.names.get(&kind).cloned();
            let start = floor(row.start, length);
            let stated = if by_request { 0 } else { row.end.millis() - row.start.millis() };
            BillCellKey {
                start,
                end: start.plus(length.max(stated)),
                provider: provider.to_owned(),
                model: model_key(&text(Name::Model).unwrap_or_default()),
                key: key_kind.and_then(text),
                workspace: space_kind.and_then(text),
            }
        };
        let mut cells: BTreeMap<BillCellKey, BillCell<'a>> = BTreeMap::new();
        let taken: BTreeSet<*const StatementRow> = matched.values().map(|row| std::ptr::from_ref(*row)).collect();
        let by_id = !matched.is_empty() && statement.rows.iter().all(|row| row.names.contains_key(&Name::Id));
        for (row, provider) in statement.rows.iter().zip(&providers) {
            let cell = cells.entry(key_of_row(row, provider)).or_default();
            cell.rows.push(row);
            if by_id && !taken.contains(&std::ptr::from_ref(row)) {
                cell.rows_without_call.push(row);
            }
        }
        for (index, call) in within {
            let key = match matched.get(&index) {
                Some(row) => key_of_row(row, &provider_of(name, statement, row)?),
                None => BillCellKey {
                    start: floor(call.at, length),
                    end: floor(call.at, length).plus(length),
                    provider: call.provider.clone(),
                    model: if by_model { call.model_key.clone() } else { String::new() },
                    key: key_kind.and_then(|kind| call.name(kind).cloned()),
                    workspace: space_kind.and_then(|kind| call.name(kind).cloned()),
                },
            };
            let cell = cells.entry(key).or_default();
            cell.calls.push(call);
            if by_id && !matched.contains_key(&index) {
                cell.calls_without_row.push(call);
            }
        }
        Ok(Self { cells, period: (since, until), by_id, by_model })
    }

    /// The cell of the bucket before or after a cell. `Err` if the statement does not cover that bucket.
    pub fn neighbour(&self, key: &BillCellKey, is_before: bool) -> std::result::Result<Option<&BillCell<'a>>, ()> {
        let length = key.end.millis() - key.start.millis();
        let length = if is_before { -length } else { length };
        let (start, end) = (key.start.plus(length), key.end.plus(length));
        if start < self.period.0 || end > self.period.1 {
            return Err(());
        }
        Ok(self.cells.get(&BillCellKey { start, end, ..key.clone() }))
    }

    /// Whether a call is one of the model of a cell.
    pub fn has_model(&self, key: &BillCellKey, call: &LedgerCall) -> bool {
        call.provider == key.provider && (!self.by_model || call.model_key == key.model)
    }
}
