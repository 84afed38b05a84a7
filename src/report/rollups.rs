//! Answers reports from the rollups.

use std::collections::HashMap;

use super::Report;
use super::bucket::{Buckets, DayKeys};
use super::pieces::Pieces;
use super::pricing::{PriceCache, PricedSum};
use super::row_keys::keys;
use super::table::TableBuilder;
use super::windows::{ContainingWindow, ReportWindows, name_of};
use crate::model::error::Result;
use crate::model::event::AccountRef;
use crate::model::invariant::bug;
use crate::model::time::{DAY, QUARTER, Timestamp};
use crate::projection::{DayRow, Level, Totals, first_from, last_before, scan_days};
use crate::store::{GO_ON, ReadView};

/// Sums the rows of the coarsest suitable rollup. Quarters that it cannot answer are added to `pieces`.
pub(super) fn days(
    view: &dyn ReadView,
    report: &Report,
    windows: Option<&ReportWindows>,
    pieces: &mut Pieces,
    costs: &mut PriceCache<'_>,
    rows: &mut TableBuilder,
) -> Result<()> {
    let buckets = Buckets::new(&report.by, report.zone);
    let mut days = RollupDays { view, report, windows, pieces, costs, rows, buckets, cuts: HashMap::new() };
    let first = report.since.map(Timestamp::utc_day);
    let last = report.until.map(|until| until.plus(-1).utc_day());
    let mut scan = |level: Level| -> Result<bool> {
        let mut has_rows = false;
        scan_days(view, level, first, last, &mut |row| {
            has_rows = true;
            if report.admits(&row.series) {
                days.add(row)?;
            }
            GO_ON
        })?;
        Ok(has_rows)
    };
    let level = report.level();
    // A ledger that this build has not upgraded has no sums by label.
    if !scan(level)? && level == Level::Label {
        scan(Level::Conversation)?;
    }
    Ok(())
}

/// Which uses of an account in a quarter that the range cuts are in the range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CutUses {
    All,
    None,
    Some,
}

struct RollupDays<'r, 'p> {
    view: &'r dyn ReadView,
    report: &'r Report,
    windows: Option<&'r ReportWindows>,
    pieces: &'r mut Pieces,
    costs: &'r mut PriceCache<'p>,
    rows: &'r mut TableBuilder,
    buckets: Buckets<'r>,
    /// By account and quarter.
    cuts: HashMap<(Vec<u8>, i64), CutUses>,
}

/// Consecutive quarters with the same keys, which form one sum.
#[derive(Default)]
struct QuarterRun {
    /// The index of the time keys among those of the day, and the window.
    keys: (usize, Option<usize>),
    first: i64,
    sum: Totals,
}

impl RollupDays<'_, '_> {
    fn add(&mut self, row: &DayRow<'_>) -> Result<()> {
        let start = Timestamp::from_millis(row.day * DAY);
        let whole = self.report.covers(start) && self.report.covers(start.plus(DAY - 1));
        let changes = self.costs.changes_within_day(&row.series, start);
        if whole
            && !changes
            && self.windows.is_none()
            && let DayKeys::One(time) = self.buckets.of_day(row.day)?
        {
            let sum = row.sum()?;
            let priced = self.costs.row(&row.series, start, &sum)?;
            if !matches!(priced, PricedSum::Finer) {
                return self.rows.add(&keys(self.report, &row.series, time, None), &sum, priced).map(|_| ());
            }
        }
        self.quarters(row, whole, changes)
    }

    fn quarters(&mut self, row: &DayRow<'_>, whole: bool, changes: bool) -> Result<()> {
        let account = AccountRef::new(row.series.provider, row.series.account).key();
        let mut stretch: Option<QuarterRun> = None;
        let start = Timestamp::from_millis(row.day * DAY);
        let mut finer = self.is_finer(row, start)?;
        for (number, sum) in row.quarters()? {
            let quarter = row.day * 96 + i64::from(number);
            let at = Timestamp::from_millis(quarter * QUARTER);
            if !whole {
                match (self.report.covers(at), self.report.covers(at.plus(QUARTER - 1))) {
                    (true, true) => {}
                    // A range may be within one quarter.
                    _ if self.report.cuts(quarter) => match self.cut_uses(&account, quarter)? {
                        CutUses::All => {}
                        CutUses::None => continue,
                        CutUses::Some => {
                            self.pieces.account(quarter, &row.series);
                            continue;
                        }
                    },
                    _ => continue,
                }
            }
            let place = match self.buckets.of_day(row.day)? {
                DayKeys::One(_) => 0,
                DayKeys::Quarters(times) => times.number(usize::from(number))?,
                DayKeys::Finer => {
                    self.pieces.all(quarter);
                    continue;
                }
            };
            let window = match self.windows.map(|windows| windows.of_quarter(&account, quarter)).transpose()? {
                Some(ContainingWindow::Border) => {
                    self.pieces.account(quarter, &row.series);
                    continue;
                }
                Some(ContainingWindow::One(window)) => window,
                None => None,
            };
            if changes {
                finer = self.is_finer(row, at)?;
            }
            if finer {
                self.pieces.price(quarter, &row.series);
                continue;
            }
            match &mut stretch {
                Some(open) if open.keys == (place, window) && !changes => open.sum.add(&sum)?,
                _ => {
                    if let Some(done) = stretch.replace(QuarterRun { keys: (place, window), first: quarter, sum }) {
                        self.stretch(row, &done, changes)?;
                    }
                }
            }
        }
        stretch.map_or(Ok(()), |last| self.stretch(row, &last, changes))
    }

    /// Whether the range divides the uses of an account in a quarter. A window begins with a use, so the range of a window
    /// often begins within a quarter without an earlier use, and ends in a quarter without a later one.
    fn cut_uses(&mut self, account: &[u8], quarter: i64) -> Result<CutUses> {
        let key = (account.to_vec(), quarter);
        if let Some(known) = self.cuts.get(&key) {
            return Ok(*known);
        }
        let start = Timestamp::from_millis(quarter * QUARTER);
        let end = start.plus(QUARTER);
        let from = self.report.since.map_or(start, |since| since.max(start));
        let to = self.report.until.map_or(end, |until| until.min(end));
        let has_use = |from: Timestamp, to: Timestamp| {
            Ok(from < to && first_from(self.view, account, from)?.is_some_and(|first| first < to))
        };
        let uses = if from >= to || !has_use(from, to)? {
            CutUses::None
        } else if last_before(self.view, account, from)?.is_some_and(|last| last >= start) || has_use(to, end)? {
            CutUses::Some
        } else {
            CutUses::All
        };
        self.cuts.insert(key, uses);
        Ok(uses)
    }

    /// Whether the price at an instant depends on the single calls of a row.
    fn is_finer(&mut self, row: &DayRow<'_>, at: Timestamp) -> Result<bool> {
        Ok(matches!(self.costs.row(&row.series, at, &Totals::default())?, PricedSum::Finer))
    }

    fn stretch(&mut self, row: &DayRow<'_>, stretch: &QuarterRun, changes: bool) -> Result<()> {
        let at = Timestamp::from_millis(stretch.first * QUARTER);
        let priced = self.costs.row(&row.series, at_of(row.day, at, changes), &stretch.sum)?;
        let (place, window) = stretch.keys;
        let time: &[String] = match self.buckets.of_day(row.day)? {
            DayKeys::One(time) => time,
            DayKeys::Quarters(times) => times.keys(place)?,
            DayKeys::Finer => return Err(bug!("quarters of the day {} were summed, but their keys differ", row.day)),
        };
        let window = name_of(self.windows, window)?;
        self.rows.add(&keys(self.report, &row.series, time, window), &stretch.sum, priced).map(|_| ())
    }
}

/// The time at which the price of a quarter is looked up. A price that is constant for the day is looked up once.
const fn at_of(day: i64, quarter: Timestamp, changes: bool) -> Timestamp {
    if changes { quarter } else { Timestamp::from_millis(day * DAY) }
}
