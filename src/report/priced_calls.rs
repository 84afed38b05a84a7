//! The priced calls of a report, and variants of its query.

use std::collections::BTreeSet;

use super::{CallSum, Report, ReportKey, call_sums, records};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::TokenRecord;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;

/// A call with its corrections.
pub(crate) struct PricedCall<'c> {
    /// The time of the call for the report.
    pub at: Timestamp,
    /// When the call was made, which is not later.
    pub made: Timestamp,
    pub record: &'c TokenRecord,
    /// Its cost, if known.
    pub cost: Option<Usd>,
}

impl Report {
    /// The keys of the rows.
    pub(crate) fn keys(&self) -> &[ReportKey] {
        &self.by
    }

    /// The same query with other keys.
    pub(crate) fn rekeyed(&self, by: impl IntoIterator<Item = ReportKey>) -> Self {
        Self { by: by.into_iter().collect(), ..self.clone() }
    }

    /// The same query with calls dated by `counted_at`. Prices stay those of the calls' own times.
    pub(crate) fn by_counted_at(&self) -> Self {
        Self { by_counted_at: true, ..self.clone() }
    }

    /// The same query without a time range.
    pub(crate) fn of_all_times(&self) -> Self {
        Self { since: None, until: None, ..self.clone() }
    }

    /// The accepted values of a key; empty if all are.
    pub(crate) fn wanted(&self, key: &ReportKey) -> BTreeSet<&str> {
        self.filters.iter().filter(|(filtered, _)| filtered == key).map(|(_, value)| value.as_str()).collect()
    }

    /// The zone of its days.
    pub(crate) const fn zone(&self) -> Zone {
        self.zone
    }

    /// Visits each matching call in the order of the ledger.
    pub(crate) fn each_call(
        &self,
        snapshot: &Snapshot<'_>,
        visit: &mut dyn FnMut(&PricedCall<'_>) -> Result<()>,
    ) -> Result<()> {
        let prices = self.prices_in(snapshot)?;
        records::covered(snapshot, self, &mut |at, record| {
            let date = self.date(at, record);
            visit(&PricedCall { at: date, made: at, record, cost: prices.cost(record, at)? })
        })
    }

    /// Visits sums of matching calls with the same names, in the order of the ledger. They contain every matching call once.
    pub(crate) fn each_sum(
        &self,
        snapshot: &Snapshot<'_>,
        visit: &mut dyn FnMut(&CallSum<'_>) -> Result<()>,
    ) -> Result<()> {
        call_sums::each(snapshot, self, visit)
    }
}
