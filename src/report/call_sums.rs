//! Sums of calls with their exact times, from the records of blocks.

use std::collections::BTreeSet;

use super::Report;
use super::pricing::{PriceCache, PricedSum};
use crate::ledger::{BlockCalls, CallPart, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::TokenView;
use crate::model::time::{QUARTER, Timestamp};
use crate::model::tokens::Usd;
use crate::projection::blocks::{NumberedNames, blocks_with, place, quarter_of, quarters_between, series_of};
use crate::projection::{Effective, Level, Series, Totals, counted_later};
use crate::readers::price::{Charge, Extras, PriceLookup, Prices, Tariff};
use crate::store::ReadView;

/// The calls of a part of the log that have the same names.
pub(crate) struct CallSum<'c> {
    pub series: &'c Series<'c>,
    /// The first and the last time of a call for the report.
    pub first: Timestamp,
    pub last: Timestamp,
    /// When the first call was made.
    pub made: Timestamp,
    pub totals: Totals,
    /// The sum of the costs that are known. The cost of each call is rounded.
    pub cost: Usd,
    /// Whether the cost of a call is unknown.
    pub unpriced: bool,
}

/// The sum of the calls with the same names.
struct NamedSum {
    /// The key of the finest rollup.
    key: Vec<u8>,
    first: Timestamp,
    last: Timestamp,
    made: Timestamp,
    totals: Totals,
    cost: Usd,
    unpriced: bool,
}

impl NamedSum {
    fn new(key: Vec<u8>) -> Self {
        Self {
            key,
            first: Timestamp::MAX,
            last: Timestamp::MIN,
            made: Timestamp::MAX,
            totals: Totals::default(),
            cost: Usd::default(),
            unpriced: false,
        }
    }

    fn add(&mut self, made: Timestamp, date: Timestamp, totals: &Totals, cost: Option<Usd>) -> Result<()> {
        (self.first, self.last, self.made) = (self.first.min(date), self.last.max(date), self.made.min(made));
        self.totals.add(totals)?;
        match cost {
            Some(cost) => self.cost = self.cost.checked_add(cost)?,
            None => self.unpriced = true,
        }
        Ok(())
    }
}

/// Visits sums that together contain every matching call.
pub(super) fn each(
    snapshot: &Snapshot<'_>,
    report: &Report,
    visit: &mut dyn FnMut(&CallSum<'_>) -> Result<()>,
) -> Result<()> {
    let prices = report.prices_in(snapshot)?;
    let blocks = blocks_of_range(snapshot.view(), report)?;
    snapshot.map_parts(
        blocks.as_ref(),
        &|_| true,
        &|part| match part {
            CallPart::Block(block) => sums_of_block(report, &prices, &block),
            CallPart::Calls(calls) => sums_of_calls(report, &prices, &calls),
        },
        &mut |sums| {
            for NamedSum { key, first, last, made, totals, cost, unpriced } in sums {
                let series = &series_of(&key).ok_or_else(unreadable)?;
                visit(&CallSum { series, first, last, made, totals, cost, unpriced })?;
            }
            Ok(())
        },
    )
}

fn unreadable() -> Error {
    Error::damaged(None, "names in the records of a block are unreadable")
}

/// The blocks that may contain a call of the report's range; `None` if it has no range.
fn blocks_of_range(view: &dyn ReadView, report: &Report) -> Result<Option<BTreeSet<u64>>> {
    let Some(quarters) = quarters_between(report.since, report.until) else { return Ok(None) };
    let mut blocks = blocks_with(view, &quarters)?;
    if report.by_counted_at {
        // Those with a call whose counts appeared in a later quarter of an hour.
        blocks.extend(counted_later(view)?.into_iter().map(|position| place(position).0));
    }
    Ok(Some(blocks))
}

fn sums_of_calls(report: &Report, prices: &Prices, calls: &[Effective]) -> Result<Vec<NamedSum>> {
    let mut sums = Vec::new();
    for call in calls {
        let view = TokenView::from(&call.record);
        let date = report.date(call.at, &call.record);
        if report.covers(date) && report.admits(&Series::of(&view)) {
            let mut key = Vec::new();
            Level::write_key(&mut key, call.at, &view);
            let mut sum = NamedSum::new(key);
            let cost = prices.cost(&call.record, call.at)?;
            sum.add(call.at, date, &Totals::one(&view.tokens, view.cost), cost)?;
            sums.push(sum);
        }
    }
    Ok(sums)
}

/// The records of a block with the same names: their price in a quarter of an hour, and their sum.
struct BlockNames {
    admitted: bool,
    quarter: Option<i64>,
    /// [`PriceLookup::Finer`] if each call needs a lookup of its own.
    price: PriceLookup,
    sum: NamedSum,
}

impl BlockNames {
    fn cost(&mut self, prices: &Prices, at: Timestamp, totals: &Totals) -> Result<Option<Usd>> {
        let quarter = quarter_of(at);
        if self.quarter != Some(quarter) {
            let series = series_of(&self.sum.key).ok_or_else(unreadable)?;
            self.price = price(prices, &series, Timestamp::from_millis(quarter * QUARTER));
            self.quarter = Some(quarter);
        }
        let charge = match &self.price {
            PriceLookup::Rates { rates, .. } => rates.charge(totals.counts()?, totals.requests, &Extras::None),
            PriceLookup::Unknown => None,
            PriceLookup::Finer => {
                let series = series_of(&self.sum.key).ok_or_else(unreadable)?;
                match PriceCache::new(prices).one(&series, at, totals)? {
                    PricedSum::Known(charge) => Some(charge),
                    PricedSum::Unknown | PricedSum::Finer => None,
                }
            }
        };
        Ok(charge.map(Charge::usd))
    }
}

/// The price of the calls of a series in a quarter of an hour, if it is the same for all.
fn price(prices: &Prices, series: &Series<'_>, quarter: Timestamp) -> PriceLookup {
    let Some(model) = series.model else { return PriceLookup::Unknown };
    let tariff = Tariff::from_key(series.tariff.unwrap_or_default());
    if tariff.extras == Extras::None {
        prices.find(series.provider, model, quarter, tariff)
    } else {
        PriceLookup::Finer
    }
}

fn sums_of_block(report: &Report, prices: &Prices, block: &BlockCalls) -> Result<Vec<NamedSum>> {
    let mut known = NumberedNames::default();
    let mut all: Vec<BlockNames> = Vec::new();
    block.each(&mut |column, entry| {
        let date = if report.by_counted_at { entry.counted_at } else { entry.at };
        if !report.covers(date) {
            return Ok(());
        }
        let index = if let Some(index) = known.index(entry.names) {
            index
        } else {
            let key = column.key(entry.names).ok_or_else(|| block.damaged())?;
            let admitted = report.admits(&series_of(&key).ok_or_else(unreadable)?);
            let (quarter, price) = (None, PriceLookup::Unknown);
            all.push(BlockNames { admitted, quarter, price, sum: NamedSum::new(key) });
            known.insert(entry.names, all.len() - 1);
            all.len() - 1
        };
        let Some(names) = all.get_mut(index).filter(|names| names.admitted) else { return Ok(()) };
        let cost = names.cost(prices, entry.at, &entry.totals)?;
        names.sum.add(entry.at, date, &entry.totals, cost)
    })?;
    Ok(all.into_iter().filter(|names| names.admitted).map(|names| names.sum).collect())
}
