//! Answers from the records themselves: slower, but there is nothing they cannot tell.

use std::collections::HashMap;

use super::bucket::Buckets;
use super::pricing::Costs;
use super::rollups::{keys, window_name};
use super::table::Builder;
use super::{Report, ReportKey};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{TokenRecord, TokenView, WindowKind};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::projection::{AccountRef, Series, Totals};
use crate::usage::AccountWindows;

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
    // Each with its name, which is dear to write.
    let mut windows: HashMap<AccountRef<'static>, Vec<(Timestamp, String)>> = HashMap::new();
    covered(snapshot, report, &mut |at, record| {
        let view = TokenView::from(record);
        let series = Series::of(&view);
        let mut names = keys(report, &series, &buckets.at(report.date(at, record)));
        if by_window {
            let account = AccountRef::new(series.provider, series.account).into_owned();
            if !windows.contains_key(&account) {
                let all = AccountWindows::ever(snapshot.view(), &account)?.all(WindowKind::Session)?;
                let written = all.iter().map(|window| (window.start, window_name(&account, window)));
                windows.insert(account.clone(), written.collect());
            }
            let of_account = windows.get(&account).map(Vec::as_slice).unwrap_or_default();
            let after = of_account.partition_point(|(start, _)| *start <= at);
            let holder = after.checked_sub(1).and_then(|index| of_account.get(index));
            for (key, name) in report.by.iter().zip(&mut names) {
                if *key == ReportKey::Window {
                    *name = holder.map(|(_, name)| name.clone());
                }
            }
        }
        let totals = Totals::one(&view.tokens, view.cost);
        let priced = costs.call(&view, at, &totals)?;
        rows.add(&names, &totals, priced).map(|_| ())
    })
}
