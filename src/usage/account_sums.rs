//! What an account used between two times.

use crate::model::error::Result;
use crate::model::event::AccountRef;
use crate::model::time::{QUARTER, Timestamp};
use crate::projection::{Level, Totals, scan_days, sum_uses};
use crate::store::{GO_ON, ReadView};

/// The sum of an account over `[from, to)`: whole quarters from the rollup, the edges from single instants.
pub(crate) fn sum_between(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Totals> {
    let key = account.key();
    let first = from.millis().div_euclid(QUARTER) + i64::from(from.millis().rem_euclid(QUARTER) != 0);
    let last = to.millis().div_euclid(QUARTER);
    if first >= last {
        return sum_uses(view, &key, from, to);
    }
    let border = |quarter: i64| Timestamp::from_millis(quarter * QUARTER);
    let mut totals = sum_uses(view, &key, from, border(first))?;
    totals.add(&sum_uses(view, &key, border(last), to)?)?;
    let (first_day, last_day) = (first.div_euclid(96), (last - 1).div_euclid(96));
    scan_days(view, Level::Model, Some(first_day), Some(last_day), &mut |row| {
        if row.series.provider != account.provider || row.series.account != account.account.as_deref() {
            return GO_ON;
        }
        if row.day * 96 >= first && (row.day + 1) * 96 <= last {
            totals.add(&row.sum()?)?;
        } else {
            for (quarter, sum) in row.quarters()? {
                if (first..last).contains(&(row.day * 96 + i64::from(quarter))) {
                    totals.add(&sum)?;
                }
            }
        }
        GO_ON
    })?;
    Ok(totals)
}
