//! Answers from the projections.

use super::bucket::{Buckets, DayKeys};
use super::pricing::{Costs, Priced};
use super::table::Builder;
use super::{Report, ReportKey};
use crate::model::error::Result;
use crate::model::event::WindowKind;
use crate::model::time::Timestamp;
use crate::model::window::Window;
use crate::projection::{AccountRef, DayRow, Level, Series, scan_days};
use crate::store::{GO_ON, ReadView, STOP};
use crate::usage::{AccountWindows, accounts, sum_between};

fn level(report: &Report) -> Level {
    let mut level = Level::Model;
    for key in report.keys_and_filters() {
        level = level.max(match key {
            ReportKey::Conversation | ReportKey::Label(_) => Level::Conversation,
            ReportKey::Project => Level::Project,
            _ => Level::Model,
        });
    }
    level
}

/// The row's keys in the report's order, from those of its names and those of its time.
pub(super) fn keys(report: &Report, series: &Series<'_>, time: &[String]) -> Vec<Option<String>> {
    let mut time = time.iter();
    let value = |key: &ReportKey| {
        if key.is_time() { time.next().cloned() } else { key.of(series).map(str::to_owned) }
    };
    report.by.iter().map(value).collect()
}

/// Sums days of the rollup that fits. False when only the records can tell.
pub(super) fn days(view: &dyn ReadView, report: &Report, costs: &mut Costs<'_>, rows: &mut Builder) -> Result<bool> {
    if !report.fits_rollups() {
        return Ok(false);
    }
    let mut buckets = Buckets::new(&report.by, report.zone);
    let mut possible = true;
    let first = report.since.map(Timestamp::utc_day);
    let last = report.until.map(|until| until.plus(-1).utc_day());
    scan_days(view, level(report), first, last, &mut |row| {
        if report.admits(&row.series) {
            possible = day(report, row, &mut buckets, costs, rows)?;
        }
        if possible { GO_ON } else { STOP }
    })?;
    Ok(possible)
}

fn day(
    report: &Report,
    row: &DayRow<'_>,
    buckets: &mut Buckets<'_>,
    costs: &mut Costs<'_>,
    rows: &mut Builder,
) -> Result<bool> {
    let start = Timestamp::from_millis(row.day * crate::model::time::DAY);
    let whole = report.covers(start) && report.covers(start.plus(crate::model::time::DAY - 1));
    let by_quarter: Vec<_> = match buckets.of_day(row.day) {
        DayKeys::Finer => return Ok(false),
        DayKeys::One(time) if whole && !costs.changes_within_day(&row.series, start) => {
            let sum = row.sum()?;
            let priced = costs.row(&row.series, start, &sum)?;
            return rows.add(&keys(report, &row.series, time), &sum, priced);
        }
        DayKeys::One(time) => row.quarters()?.into_iter().map(|(quarter, sum)| (quarter, sum, time)).collect(),
        DayKeys::Quarters(times) => row
            .quarters()?
            .into_iter()
            .filter_map(|(quarter, sum)| times.get(usize::from(quarter)).map(|time| (quarter, sum, time)))
            .collect(),
    };
    for (quarter, sum, time) in by_quarter {
        let at = start.plus(i64::from(quarter) * crate::model::time::QUARTER);
        if whole || report.covers(at) {
            let priced = costs.row(&row.series, at, &sum)?;
            if !rows.add(&keys(report, &row.series, time), &sum, priced)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// How a window is named: whose it is and from when to when.
pub(super) fn window_name(account: &AccountRef<'_>, window: &Window) -> String {
    let whose = match &account.account {
        Some(name) => format!("{}@{name}", account.provider),
        None => account.provider.to_string(),
    };
    let second = |at: Timestamp| at.to_chrono().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    format!("{whose} {}/{}", second(window.start), second(window.resets_at))
}

/// Sums session windows of accounts. False when a key or filter needs to know more than the account.
pub(super) fn windows(view: &dyn ReadView, report: &Report, rows: &mut Builder) -> Result<bool> {
    let fits = |key: &ReportKey| matches!(key, ReportKey::Window | ReportKey::Provider | ReportKey::Account);
    if !report.keys_and_filters().all(fits) {
        return Ok(false);
    }
    for account in accounts(view)? {
        let series = Series { provider: &account.provider, account: account.account.as_deref(), ..Series::default() };
        if !report.admits(&series) {
            continue;
        }
        for window in AccountWindows::ever(view, &account)?.all(WindowKind::Session)? {
            let from = report.since.map_or(window.start, |since| since.max(window.start));
            let to = report.until.map_or(window.end, |until| until.min(window.end));
            let sum = sum_between(view, &account, from, to)?;
            if sum.is_zero() {
                continue;
            }
            let name = window_name(&account, &window);
            let value = |key: &ReportKey| match key {
                ReportKey::Window => Some(name.clone()),
                _ => key.of(&series).map(str::to_owned),
            };
            rows.add(&report.by.iter().map(value).collect::<Vec<_>>(), &sum, Priced::Unknown)?;
        }
    }
    Ok(true)
}
