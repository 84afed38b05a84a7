//! Answers reports from single records. This is slower, but can answer everything.

use super::bucket::Buckets;
use super::pricing::PriceCache;
use super::row_keys::keys;
use super::table::TableBuilder;
use super::windows::{ReportWindows, name_of};
use super::{Report, ReportKey};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{AccountRef, TokenRecord, TokenView};
use crate::model::time::Timestamp;
use crate::projection::{Series, Totals};

/// Visits every matching call with its corrections and its own time.
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

/// Sums all matching records with their corrections.
pub(super) fn all(
    snapshot: &Snapshot<'_>,
    report: &Report,
    costs: &PriceCache<'_>,
    rows: &mut TableBuilder,
) -> Result<()> {
    let buckets = Buckets::new(&report.by, report.zone);
    let by_window = report.by.contains(&ReportKey::Window);
    let windows = by_window.then(|| ReportWindows::read(snapshot.view(), report)).transpose()?;
    covered(snapshot, report, &mut |at, record| {
        let view = TokenView::from(record);
        let series = Series::of(&view);
        let account = AccountRef::new(series.provider, series.account).key();
        let window = windows.as_ref().map(|windows| windows.at(&account, at)).transpose()?.flatten();
        let window = name_of(windows.as_ref(), window)?;
        let names = keys(report, &series, &buckets.at(report.date(at, record)), window);
        let totals = Totals::one(&view.tokens, view.cost);
        let priced = costs.call(&view, at, &totals)?;
        rows.add(&names, &totals, priced).map(|_| ())
    })
}
