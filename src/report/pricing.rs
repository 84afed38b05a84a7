//! The price of each sum of a report.

use std::collections::HashMap;

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{EventKind, Payload, Subject, TokenView};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::{Series, Totals, each_event};
use crate::readers::price::{Charge, Extras, PriceLookup, Prices, Tariff};
use crate::store::{GO_ON, Order};

impl Snapshot<'_> {
    /// The prices of this ledger: custom prices first, then the table of the build.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::PriceSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_price(PriceSet::new("ollama", "", "0".parse()?, "0".parse()?)?, now)?;
    /// let prices = ledger.snapshot()?.prices()?;
    /// assert_eq!(prices.source().custom, [1.into()]);
    /// assert!(prices.quote("ollama", "qwen3", now, None, 0).is_some());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn prices(&self) -> Result<Prices> {
        let mut prices = Prices::list();
        each_event(
            self.view(),
            EventKind::PriceSet,
            &Subject::Ledger,
            Timestamp::MAX,
            Order::Ascending,
            &mut |indexed| {
                if let Payload::PriceSet(stated) = &indexed.event.payload {
                    prices.state(stated, indexed.position);
                }
                GO_ON
            },
        )?;
        Ok(prices)
    }
}

/// The cost of a sum.
#[derive(Clone, Copy)]
pub(super) enum PricedSum {
    Known(Charge),
    Unknown,
    /// Only single records can answer.
    Finer,
}

/// Looks up prices, with a cache.
pub(super) struct PriceCache<'p> {
    prices: &'p Prices,
    /// Indices of `lookups` by provider, model and tariff, then by quarter of an hour or day.
    prices_seen: HashMap<String, HashMap<i64, usize>>,
    lookups: Vec<PriceLookup>,
    /// The last key, its time and its index. Neighbouring rows of a rollup often have the same price.
    last: (String, i64, usize),
    /// The next key.
    key: String,
    /// Provider, model and day of the last question whether a price changes within the day, and the answer.
    changes: Option<(String, String, i64, bool)>,
}

impl<'p> PriceCache<'p> {
    pub fn new(prices: &'p Prices) -> Self {
        let last = (String::new(), 0, usize::MAX);
        Self { prices, prices_seen: HashMap::new(), lookups: Vec::new(), last, key: String::new(), changes: None }
    }

    /// Whether the price of a row may change within the UTC day of an instant.
    pub fn changes_within_day(&mut self, series: &Series<'_>, at: Timestamp) -> bool {
        let Some(model) = series.model else { return false };
        let day = at.utc_day();
        match &self.changes {
            Some((provider, of, on, changes)) if provider == series.provider && of == model && *on == day => *changes,
            _ => {
                let changes = self.prices.changes_within_day(series.provider, model, at);
                self.changes = Some((series.provider.to_owned(), model.to_owned(), day, changes));
                changes
            }
        }
    }

    /// The cost of a row's sum at an instant.
    pub fn row(&mut self, series: &Series<'_>, at: Timestamp, totals: &Totals) -> Result<PricedSum> {
        let Some(model) = series.model else { return Ok(PricedSum::Unknown) };
        let tariff = series.tariff.unwrap_or_default();
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        for part in [series.provider, "\0", model, "\0", tariff] {
            key.push_str(part);
        }
        let tariff = Tariff::from_key(tariff);
        let (last, last_at, last_index) = &mut self.last;
        if *last != key || *last_at != at.millis() {
            let mut find = || {
                self.lookups.push(self.prices.find(series.provider, model, at, tariff));
                self.lookups.len() - 1
            };
            if let Some(times) = self.prices_seen.get_mut(&key) {
                *last_index = *times.entry(at.millis()).or_insert_with(find);
            } else {
                *last_index = find();
                self.prices_seen.insert(key.clone(), HashMap::from([(at.millis(), *last_index)]));
            }
            *last_at = at.millis();
            std::mem::swap(last, &mut key);
        }
        self.key = key;
        let lookup = self.lookups.get(*last_index).ok_or_else(|| bug!("no price has the index {last_index}"))?;
        charge(lookup, totals, &tariff.extras)
    }

    /// The cost of one call of a series.
    pub fn one(&self, series: &Series<'_>, at: Timestamp, totals: &Totals) -> Result<PricedSum> {
        let Some(model) = series.model else { return Ok(PricedSum::Unknown) };
        let tariff = Tariff::from_key(series.tariff.unwrap_or_default()).of_counts(totals.counts()?);
        charge(&self.prices.find(series.provider, model, at, tariff), totals, &tariff.extras)
    }

    /// The cost of one call.
    pub fn call(&self, record: &TokenView<'_>, at: Timestamp, totals: &Totals) -> Result<PricedSum> {
        let Some(model) = record.model.as_deref() else { return Ok(PricedSum::Unknown) };
        let tariff = Tariff::of(record);
        charge(&self.prices.find(&record.provider, model, at, tariff), totals, &tariff.extras)
    }
}

fn charge(prices_seen: &PriceLookup, totals: &Totals, extras: &Extras<'_>) -> Result<PricedSum> {
    Ok(match prices_seen {
        PriceLookup::Rates { rates, .. } => {
            rates.charge(totals.counts()?, totals.requests, extras).map_or(PricedSum::Unknown, PricedSum::Known)
        }
        PriceLookup::Unknown => PricedSum::Unknown,
        PriceLookup::Finer => PricedSum::Finer,
    })
}
