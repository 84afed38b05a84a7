use std::collections::HashMap;

use chrono::NaiveDate;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::pricing::PricedSum;
use super::{Report, ReportKey};
use crate::merkle::Hash;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;
use crate::model::tokens::TokenClass;
use crate::projection::Totals;
use crate::readers::price::{Charge, PriceSource};
use crate::usage::Usage;

/// The answer to a report.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let table = ledger.report(&Report::by(ReportKey::Provider))?;
/// assert_eq!((table.position.get(), table.root), (1, ledger.root()?)); // what it rests on
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportTable {
    /// The keys of the rows, in order.
    pub keys: Vec<ReportKey>,
    /// The last event that the answer includes.
    pub position: Position,
    /// The root of the tree at that event.
    pub root: Hash,
    /// Rows, sorted by their keys.
    pub rows: Vec<ReportRow>,
    /// The sum of all rows.
    pub total: Usage,
    /// The sources of the prices of computed costs.
    pub prices: PriceSource,
}

/// One row.
///
/// ```
/// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let table = ledger.report(&Report::by(ReportKey::Provider).and(ReportKey::Project))?;
/// assert_eq!(table.rows[0].keys, [Some("openai".to_owned()), None]); // no project was named
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportRow {
    /// The value of each key; `None` if a record has none.
    pub keys: Vec<Option<String>>,
    /// The usage.
    pub usage: Usage,
}

impl ReportTable {
    /// The rows with the most input and output, at most this many. Cache tokens decide between equal rows, then the
    /// order of the keys.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.record(TokenRecord::new("ollama", "qwen3").input(2), now)?;
    /// let table = ledger.report(&Report::by(ReportKey::Model))?;
    /// assert_eq!(table.top(1)[0].keys, [Some("qwen3".to_owned())]);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn top(&self, limit: usize) -> Vec<&ReportRow> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        let fresh = [TokenClass::Input, TokenClass::Output, TokenClass::Reasoning];
        rows.sort_by_key(|row| {
            let tokens = &row.usage.tokens;
            let sum: u128 = fresh.iter().map(|class| tokens.get(*class)).sum();
            std::cmp::Reverse((sum, tokens.total()))
        });
        rows.truncate(limit);
        rows
    }
}

struct JsonRow<'a>(&'a [ReportKey], &'a ReportRow);

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

impl Serialize for ReportTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<_> = self.rows.iter().map(|row| JsonRow(&self.keys, row)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        let head = serde_json::json!({ "position": self.position, "root": self.root.to_string() });
        map.serialize_entry("head", &head)?;
        map.serialize_entry("rows", &rows)?;
        map.serialize_entry("total", &self.total)?;
        map.serialize_entry("prices", &self.prices)?;
        map.end()
    }
}

/// Sums by their keys. They are boxed, because a table keeps room for twice as many entries as it has.
type SumsByKeys = HashMap<Vec<Option<String>>, Box<RowSum>>;

/// Collects sums by keys.
#[derive(Default)]
pub(super) struct TableBuilder {
    rows: SumsByKeys,
}

impl TableBuilder {
    /// Adds a sum with its price. Returns false if only single records can give the price.
    pub fn add(&mut self, keys: &[Option<String>], totals: &Totals, priced: PricedSum) -> Result<bool> {
        let charge = match priced {
            PricedSum::Known(charge) => Some(charge),
            PricedSum::Unknown => None,
            PricedSum::Finer => return Ok(false),
        };
        if let Some(row) = self.rows.get_mut(keys) {
            row.add(totals, charge)?;
        } else {
            self.rows.entry(keys.to_vec()).or_default().add(totals, charge)?;
        }
        Ok(true)
    }

    /// Subtracts part of a sum. Returns false if only single records can give its price.
    pub fn take(&mut self, keys: &[Option<String>], totals: &Totals, priced: PricedSum) -> Result<bool> {
        let priced = match priced {
            PricedSum::Known(charge) => PricedSum::Known(charge.negated()),
            priced => priced,
        };
        let known = self.add(keys, &totals.negated(), priced)?;
        if self.rows.get(keys).is_some_and(|row| row.totals.is_zero()) {
            self.rows.remove(keys);
        }
        Ok(known)
    }

    /// The finished table.
    pub fn finish(self, report: &Report, position: Position, root: Hash, prices: PriceSource) -> Result<ReportTable> {
        let mut rows = self.rows;
        let mut total = RowSum::default();
        for row in rows.values() {
            total.join(row)?;
        }
        if report.by.is_empty() {
            rows.clear();
        }
        if report.fill {
            fill(report, &mut rows)?;
        }
        let mut sorted: Vec<_> = rows.into_iter().collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let rows = sorted.into_iter().map(|(keys, sum)| Ok(ReportRow { keys, usage: sum.usage()? }));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        Ok(ReportTable { keys: report.by.clone(), position, root, rows, total: total.usage()?, prices })
    }
}

/// Adds days without records.
fn fill(report: &Report, rows: &mut SumsByKeys) -> Result<()> {
    let day = |keys: &Vec<Option<String>>| -> Result<NaiveDate> {
        let text = keys.first().and_then(Option::as_deref);
        text.and_then(|text| text.parse().ok()).ok_or_else(|| bug!("a row of days has the keys {keys:?}"))
    };
    let known = rows.keys().map(day).collect::<Result<Vec<_>>>()?;
    let first = report.since.map(|since| report.zone.day(since)).or_else(|| known.iter().min().copied());
    let last = report.until.map(|until| report.zone.day(until.plus(-1))).or_else(|| known.iter().max().copied());
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    for day in first.iter_days().take_while(|day| *day <= last) {
        rows.entry(vec![Some(day.to_string())]).or_default();
    }
    Ok(())
}

/// A sum and its price.
struct RowSum {
    totals: Totals,
    /// `None` after an overflow.
    charge: Option<Charge>,
    /// Requests with a known price.
    priced: i64,
}

impl Default for RowSum {
    fn default() -> Self {
        Self { totals: Totals::default(), charge: Some(Charge::default()), priced: 0 }
    }
}

fn more(requests: i64, other: i64) -> Result<i64> {
    requests.checked_add(other).ok_or(Error::Overflow { what: "requests" })
}

impl RowSum {
    fn add(&mut self, totals: &Totals, charge: Option<Charge>) -> Result<()> {
        self.totals.add(totals)?;
        if let Some(charge) = charge {
            self.charge = self.charge.and_then(|sum| sum.plus(charge));
            self.priced = more(self.priced, totals.requests)?;
        }
        Ok(())
    }

    fn join(&mut self, other: &Self) -> Result<()> {
        self.totals.add(&other.totals)?;
        self.charge = self.charge.zip(other.charge).and_then(|(sum, more)| sum.plus(more));
        self.priced = more(self.priced, other.priced)?;
        Ok(())
    }

    fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::from_totals(&self.totals)?;
        let Some(charge) = self.charge else { return Ok(usage) };
        if self.priced > 0 {
            usage.cost.usd = Some(charge.usd());
        }
        let unpriced = self.totals.requests.checked_sub(self.priced).and_then(|count| u64::try_from(count).ok());
        usage.cost.unpriced_requests =
            unpriced.ok_or_else(|| Error::damaged(None, "more requests have a price than were made"))?;
        Ok(usage)
    }
}
