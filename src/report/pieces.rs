//! Reads single records of the quarters of an hour that a report cuts, or whose calls have individual prices. It reads
//! only blocks with such a quarter.

use std::collections::HashMap;

use super::Report;
use super::bucket::{Buckets, DayKeys};
use super::pricing::{PriceCache, PricedSum};
use super::row_keys::keys;
use super::table::TableBuilder;
use super::windows::{ReportWindows, name_of};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, Envelope, EventKind, Position, TokenView};
use crate::model::invariant::bug;
use crate::model::time::{QUARTER, Timestamp};
use crate::projection::blocks::{
    NumberedNames, QuarterRanges, StoredColumn, StoredSummary, blocks_with, damaged, full_blocks, place, position_at,
    quarter_of, scan_these, series_of,
};
use crate::projection::{KeyEnds, Level, Series, Totals, corrections_exist, effective, is_corrected};
use crate::store::{GO_ON, Order, ReadView, Row, STOP, Table};

/// The records of a quarter that are read individually.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RecordSelection {
    All,
    /// Those of an account, by its key.
    Account(Vec<u8>),
    /// Those whose price depends on the call, by their price key.
    Price(String),
}

/// The quarters whose records are read individually.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    quarters: HashMap<i64, Vec<RecordSelection>>,
}

impl Pieces {
    fn add(&mut self, quarter: i64, scope: RecordSelection) {
        let scopes = self.quarters.entry(quarter).or_default();
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }

    /// All records of a quarter.
    pub fn all(&mut self, quarter: i64) {
        self.add(quarter, RecordSelection::All);
    }

    /// Those of a series' account.
    pub fn account(&mut self, quarter: i64, series: &Series<'_>) {
        self.add(quarter, RecordSelection::Account(AccountRef::new(series.provider, series.account).key()));
    }

    /// Those with the same price key as a series.
    pub fn price(&mut self, quarter: i64, series: &Series<'_>) {
        self.add(quarter, RecordSelection::Price(price_key(series)));
    }
}

/// Everything that the price of a series depends on, except the time.
fn price_key(series: &Series<'_>) -> String {
    [series.provider, series.model.unwrap_or_default(), series.tariff.unwrap_or_default()].join("\0")
}

/// Adds the records of these quarters to the rows.
pub(super) fn add(
    snapshot: &Snapshot<'_>,
    report: &Report,
    windows: Option<&ReportWindows>,
    pieces: &Pieces,
    costs: &mut PriceCache<'_>,
    rows: &mut TableBuilder,
) -> Result<()> {
    if pieces.quarters.is_empty() {
        return Ok(());
    }
    let view = snapshot.view();
    let buckets = Buckets::new(&report.by, report.zone);
    let corrected = corrections_exist(view)?;
    let mut sums = PieceSums {
        view,
        report,
        level: report.level(),
        windows,
        pieces,
        buckets,
        corrected,
        numbers: HashMap::new(),
        names: Vec::new(),
        sums: HashMap::new(),
    };
    let blocks = blocks_with(view, &QuarterRanges::of(pieces.quarters.keys().copied()))?;
    scan_these(view, &blocks, Order::Ascending, &mut |number, block| {
        match block {
            Some(block) => sums.block(number, block, costs)?,
            None => sums.lines(position_at(number, 0), costs)?,
        }
        GO_ON
    })?;
    sums.lines(position_at(full_blocks(view)?, 0), costs)?;
    sums.finish(costs, rows)
}

/// The names of records, each read once.
struct RecordNames {
    key: Vec<u8>,
    admitted: bool,
    account: Vec<u8>,
    price: String,
}

/// The records of one quarter with the same names, in the same window.
enum QuarterPart {
    Sum(Totals),
    /// The time keys or the price depend on the record.
    Each(Vec<(Timestamp, Totals)>),
}

/// The error for names without an entry, or with an unreadable one.
fn unnumbered(number: usize) -> Error {
    bug!("the names with the index {number} were not read")
}

struct PieceSums<'r> {
    view: &'r dyn ReadView,
    report: &'r Report,
    /// The rollup that separates the keys and filters of the report.
    level: Level,
    windows: Option<&'r ReportWindows>,
    pieces: &'r Pieces,
    buckets: Buckets<'r>,
    corrected: bool,
    numbers: HashMap<Vec<u8>, usize>,
    names: Vec<RecordNames>,
    /// By quarter, number of the names, and window.
    sums: HashMap<(i64, usize, Option<usize>), QuarterPart>,
}

impl PieceSums<'_> {
    /// The index of the names in a key of the finest rollup, as far as the report separates them.
    fn number(&mut self, key: &[u8], ends: KeyEnds) -> Result<usize> {
        let key = self.level.key_in(key, ends)?;
        if let Some(number) = self.numbers.get(&*key) {
            return Ok(*number);
        }
        let key = key.into_owned();
        let unreadable = || Error::damaged(None, "names in the records of a block are unreadable");
        let series = series_of(&key).ok_or_else(unreadable)?;
        let names = RecordNames {
            admitted: self.report.admits(&series),
            account: AccountRef::new(series.provider, series.account).key(),
            price: price_key(&series),
            key: key.clone(),
        };
        self.names.push(names);
        self.numbers.insert(key, self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    /// Whether a time is in one of these quarters and in the report.
    fn is_cut(&self, at: Timestamp) -> bool {
        self.pieces.quarters.contains_key(&quarter_of(at)) && self.report.covers(at)
    }

    /// Adds one record with its corrections.
    fn record(&mut self, number: usize, at: Timestamp, totals: &Totals, costs: &mut PriceCache<'_>) -> Result<()> {
        let quarter = quarter_of(at);
        let Some(scopes) = self.pieces.quarters.get(&quarter) else { return Ok(()) };
        let names = self.names.get(number).ok_or_else(|| unnumbered(number))?;
        let wanted = |scope: &RecordSelection| match scope {
            RecordSelection::All => true,
            RecordSelection::Account(account) => *account == names.account,
            RecordSelection::Price(price) => *price == names.price,
        };
        if !names.admitted || !self.report.covers(at) || !scopes.iter().any(wanted) {
            return Ok(());
        }
        let window = self.windows.map(|windows| windows.at(&names.account, at)).transpose()?.flatten();
        if let Some(part) = self.sums.get_mut(&(quarter, number, window)) {
            return match part {
                QuarterPart::Sum(sum) => sum.add(totals),
                QuarterPart::Each(each) => {
                    each.push((at, *totals));
                    Ok(())
                }
            };
        }
        let series = series_of(&names.key).ok_or_else(|| unnumbered(number))?;
        let start = Timestamp::from_millis(quarter * QUARTER);
        let finer = matches!(self.buckets.of_day(at.utc_day())?, DayKeys::Finer)
            || matches!(costs.row(&series, start, totals)?, PricedSum::Finer);
        let part = if finer { QuarterPart::Each(vec![(at, *totals)]) } else { QuarterPart::Sum(*totals) };
        self.sums.insert((quarter, number, window), part);
        Ok(())
    }

    /// Adds the records of a full block.
    fn block(&mut self, number: u64, block: &StoredSummary<'_>, costs: &mut PriceCache<'_>) -> Result<()> {
        if !block.has_kind(EventKind::TokensRecorded) {
            return Ok(());
        }
        let Some(bytes) = self.view.get(Table::Columns, &number.to_be_bytes())? else {
            return self.lines(position_at(number, 0), costs);
        };
        let column = StoredColumn::read(&bytes).ok_or_else(|| damaged(number))?;
        let corrected = block.corrected().ok_or_else(|| damaged(number))?;
        let mut numbers = NumberedNames::default();
        let (pieces, report) = (self.pieces, self.report);
        // Most neighbours are in the same quarter.
        let mut last = None;
        let mut is_cut = |at: Timestamp| {
            let quarter = quarter_of(at);
            let in_pieces = match last {
                Some((last, in_pieces)) if last == quarter => in_pieces,
                _ => pieces.quarters.contains_key(&quarter),
            };
            last = Some((quarter, in_pieces));
            in_pieces && report.covers(at)
        };
        let read = column.each_at(&mut is_cut, &mut |entry| {
            if corrected.contains(&entry.offset) {
                return Ok(());
            }
            let of_names = if let Some(of_names) = numbers.index(entry.names) {
                of_names
            } else {
                let (key, ends) = column.key_and_ends(entry.names).ok_or_else(|| damaged(number))?;
                let of_names = self.number(&key, ends)?;
                numbers.insert(entry.names, of_names);
                of_names
            };
            self.record(of_names, entry.at, &entry.totals, costs)
        });
        read.ok_or_else(|| damaged(number))??;
        corrected.into_iter().try_for_each(|offset| self.effective(position_at(number, offset), costs))
    }

    /// Adds a corrected record.
    fn effective(&mut self, position: Position, costs: &mut PriceCache<'_>) -> Result<()> {
        match effective(self.view, position, None)? {
            Some(now) if self.is_cut(now.at) => self.view_of(now.at, &TokenView::from(&now.record), costs),
            _ => Ok(()),
        }
    }

    fn view_of(&mut self, at: Timestamp, record: &TokenView<'_>, costs: &mut PriceCache<'_>) -> Result<()> {
        let mut key = Vec::new();
        let ends = Level::write_key(&mut key, Timestamp::default(), record);
        let number = self.number(&key, ends)?;
        self.record(number, at, &Totals::one(&record.tokens, record.cost), costs)
    }

    /// Adds the records from a position up to the end of its block, parsed from their lines.
    fn lines(&mut self, from: Position, costs: &mut PriceCache<'_>) -> Result<()> {
        let (view, (block, _)) = (self.view, place(from));
        view.rows(from, &mut |position, row| {
            if place(position).0 != block {
                return STOP;
            }
            self.line(position, &row, costs)?;
            GO_ON
        })
    }

    fn line(&mut self, position: Position, row: &Row<'_>, costs: &mut PriceCache<'_>) -> Result<()> {
        if !row.is_kind(EventKind::TokensRecorded) {
            return Ok(());
        }
        if self.corrected && is_corrected(self.view, row.id)? {
            return self.effective(position, costs);
        }
        if !self.is_cut(row.occurred_at) {
            return Ok(());
        }
        let envelope = Envelope::parse(position, row.body)?;
        let record: TokenView<'_> = serde_json::from_str(envelope.data.get())
            .map_err(|e| Error::damaged(position, format!("this record is unreadable ({e})")))?;
        self.view_of(row.occurred_at, &record, costs)
    }

    /// Adds the sums to the rows.
    fn finish(mut self, costs: &mut PriceCache<'_>, rows: &mut TableBuilder) -> Result<()> {
        for ((quarter, number, window), part) in std::mem::take(&mut self.sums) {
            let names = self.names.get(number).ok_or_else(|| unnumbered(number))?;
            let series = series_of(&names.key).ok_or_else(|| unnumbered(number))?;
            let start = Timestamp::from_millis(quarter * QUARTER);
            let window = name_of(self.windows, window)?;
            match part {
                QuarterPart::Sum(sum) => {
                    let place = usize::from(start.quarter_of_day());
                    let time: &[String] = match self.buckets.of_day(start.utc_day())? {
                        DayKeys::One(time) => time,
                        DayKeys::Quarters(times) => times.keys(times.number(place)?)?,
                        DayKeys::Finer => return Err(bug!("the quarter {quarter} was summed, but its keys differ")),
                    };
                    let priced = costs.row(&series, start, &sum)?;
                    rows.add(&keys(self.report, &series, time, window), &sum, priced)?;
                }
                QuarterPart::Each(each) => {
                    for (at, totals) in each {
                        let priced = costs.one(&series, at, &totals)?;
                        rows.add(&keys(self.report, &series, &self.buckets.at(at), window), &totals, priced)?;
                    }
                }
            }
        }
        Ok(())
    }
}
