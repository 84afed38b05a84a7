//! Dates calls by `counted_at`, starting from projections that have them at their own times.

use super::Report;
use super::bucket::Buckets;
use super::pricing::PriceCache;
use super::row_keys::keys;
use super::table::TableBuilder;
use crate::model::error::Result;
use crate::model::event::TokenView;
use crate::projection::{Series, Totals, counted_later, effective};
use crate::store::ReadView;

/// Moves the calls whose counts appeared in a later quarter of an hour; a move within a quarter has no effect. Returns
/// false if only single records can answer.
pub(super) fn redate(
    view: &dyn ReadView,
    report: &Report,
    costs: &PriceCache<'_>,
    rows: &mut TableBuilder,
) -> Result<bool> {
    let buckets = Buckets::new(&report.by, report.zone);
    for position in counted_later(view)? {
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
