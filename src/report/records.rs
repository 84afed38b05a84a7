//! Answers from the records themselves: slower, but there is nothing they cannot tell.

use super::bucket::Buckets;
use super::pricing::Costs;
use super::rollups::keys;
use super::table::Builder;
use super::windows::ReportWindows;
use super::{Report, ReportKey};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{TokenRecord, TokenView};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::projection::{AccountRef, Series, Totals};

/// A call as it counts now.
pub(crate) struct PricedCall<'c> {
    /// The time that the report goes by.
    pub at: Timestamp,
    /// When it was made, which is the same or earlier.
    pub made: Timestamp,
    pub record: &'c TokenRecord,
    /// What it costs, if that is known.
    pub cost: Option<Usd>,
}

/// Visits every call as it counts now that a report is of, with its own time.
pub(super) fn covered(
    snapshot: &Snapshot<'_>,
    report: &Report,
    visit: &mut dyn FnMut(Timestamp, &TokenRecord) -> Result<()>,
) -> Result<()> {
    snapshot.each_call(&mut |_, effective| {
        let view = TokenView::from(&effective.record);
        let date = report.date(effective.at, &effective.record);
        if report.covers(date) && report.admits(&Series::of(&view)) {
            visit(effective.at, &effective.record)?;
        }
        Ok(())
    })
}

/// Sums every record as it counts now.
pub(super) fn all(snapshot: &Snapshot<'_>, report: &Report, costs: &Costs<'_>, rows: &mut Builder) -> Result<()> {
    let buckets = Buckets::new(&report.by, report.zone);
    let by_window = report.by.contains(&ReportKey::Window);
    let windows = by_window.then(|| ReportWindows::read(snapshot.view(), report)).transpose()?;
    covered(snapshot, report, &mut |at, record| {
        let view = TokenView::from(record);
        let series = Series::of(&view);
        let account = AccountRef::new(series.provider, series.account).key();
        let window = windows.as_ref().and_then(|windows| windows.name(windows.at(&account, at)?));
        let names = keys(report, &series, &buckets.at(report.date(at, record)), window);
        let totals = Totals::one(&view.tokens, view.cost);
        let priced = costs.call(&view, at, &totals)?;
        rows.add(&names, &totals, priced).map(|_| ())
    })
}
