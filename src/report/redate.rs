//! Dates calls by when their counts were told, where the projections have them at their own times.

use super::Report;
use super::bucket::Buckets;
use super::pricing::Costs;
use super::rollups::keys;
use super::table::Builder;
use crate::model::error::Result;
use crate::model::event::TokenView;
use crate::projection::{Series, Totals, effective, told_later};
use crate::store::ReadView;

/// Moves those calls to where they belong whose counts were told in a later quarter of an hour: within one nothing is cut.
/// False when only the records can tell.
pub(super) fn redate(view: &dyn ReadView, report: &Report, costs: &Costs<'_>, rows: &mut Builder) -> Result<bool> {
    let buckets = Buckets::new(&report.by, report.zone);
    for position in told_later(view)? {
        let Some(now) = effective(view, position, None)? else { continue };
        let record = TokenView::from(&now.record);
        let series = Series::of(&record);
        if !report.admits(&series) {
            continue;
        }
        let date = report.date(now.at, &now.record);
        let places = [now.at, date].map(|at| report.covers(at).then(|| keys(report, &series, &buckets.at(at), None)));
        let [from, to] = &places;
        if from == to {
            continue;
        }
        let totals = Totals::one(&record.tokens, record.cost);
        let priced = costs.call(&record, now.at, &totals)?;
        if let Some(from) = from
            && !rows.take(from, &totals, priced)?
        {
            return Ok(false);
        }
        if let Some(to) = to
            && !rows.add(to, &totals, priced)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}
