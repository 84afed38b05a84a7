use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Report, ReportKey};
use crate::audit::Hash;
use crate::error::Result;
use crate::event::Position;
use crate::projection::Totals;
use crate::usage::Usage;

/// The answer to a report.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let table = ledger.report(&Report::by(ReportKey::Provider))?;
/// assert_eq!((table.position.get(), table.root), (1, ledger.root()?)); // what it rests on
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The keys that tell rows apart, in order.
    pub keys: Vec<ReportKey>,
    /// The last event that the answer knows of.
    pub position: Position,
    /// The root of the tree at that event.
    pub root: Hash,
    /// Rows, sorted by their keys.
    pub rows: Vec<TableRow>,
    /// The sum of all rows.
    pub total: Usage,
}

/// One row.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let table = ledger.report(&Report::by(ReportKey::Provider).and(ReportKey::Project))?;
/// assert_eq!(table.rows[0].keys, [Some("openai".to_owned()), None]); // no project was named
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The value of each key; `None` where a record has none.
    pub keys: Vec<Option<String>>,
    /// What was used.
    pub usage: Usage,
}

struct JsonRow<'a>(&'a [ReportKey], &'a TableRow);

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter().zip(&self.1.keys) {
            map.serialize_entry(&key.name(), value)?;
        }
        map.serialize_entry("requests", &self.1.usage.requests)?;
        map.serialize_entry("tokens", &self.1.usage.tokens)?;
        map.serialize_entry("cost", &self.1.usage.cost)?;
        map.end()
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<_> = self.rows.iter().map(|row| JsonRow(&self.keys, row)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        let head = serde_json::json!({ "position": self.position, "root": self.root.to_string() });
        map.serialize_entry("head", &head)?;
        map.serialize_entry("rows", &rows)?;
        map.serialize_entry("total", &self.total)?;
        map.end()
    }
}

/// Gathers sums by keys.
pub(super) struct Builder<'r> {
    report: &'r Report,
    rows: HashMap<Vec<Option<String>>, Totals>,
    total: Totals,
}

impl<'r> Builder<'r> {
    pub fn new(report: &'r Report) -> Self {
        Self { report, rows: HashMap::new(), total: Totals::default() }
    }

    pub fn add(&mut self, keys: &[Option<String>], totals: &Totals) -> Result<()> {
        self.total.add(totals)?;
        if let Some(row) = self.rows.get_mut(keys) {
            return row.add(totals);
        }
        self.rows.insert(keys.to_vec(), *totals);
        Ok(())
    }

    pub fn finish(self, position: Position, root: Hash) -> Result<Table> {
        let mut rows = self
            .rows
            .into_iter()
            .filter(|_| !self.report.by.is_empty())
            .map(|(keys, totals)| Ok(TableRow { keys, usage: Usage::from_totals(&totals)? }))
            .collect::<Result<Vec<_>>>()?;
        rows.sort_unstable_by(|a, b| a.keys.cmp(&b.keys));
        Ok(Table { keys: self.report.by.clone(), position, root, rows, total: Usage::from_totals(&self.total)? })
    }
}
