//! Custom prices: from events, or from a file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::rates::Rates;
use super::tariff::Tariff;
use crate::model::error::{Error, Result};
use crate::model::event::{Position, PriceSet};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};

/// A price of all models whose name contains a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CustomPrice {
    /// `None` applies to every provider.
    provider: Option<ProviderId>,
    /// In lower case.
    fragment: String,
    from: Timestamp,
    pub above: u64,
    service: Option<String>,
    pub rates: Rates,
    /// The event that sets it; 0 for a file.
    pub position: Position,
}

/// The default price of a cache in percent of the input's price, for reading and for writing: the ratios of most
/// providers.
const READ: i128 = 10;
const WRITE: i128 = 125;

/// A share of the input's price; `None` if it is not a whole number of pico-dollars.
fn cached(input: Usd, percent: i128) -> Option<Usd> {
    Some(Usd::from_picos(input.picos().checked_mul(percent)? / 100))
}

impl CustomPrice {
    pub fn of_event(stated: &PriceSet, position: Position) -> Self {
        let mut rates = Rates::default();
        let (read, write) = (stated.cache_read.or_else(|| cached(stated.input, READ)), stated.cache_write_5m);
        let write = write.or_else(|| cached(stated.input, WRITE));
        for (class, usd) in [
            (TokenClass::Input, Some(stated.input)),
            (TokenClass::CacheRead, read),
            (TokenClass::CacheWrite5m, write),
            (TokenClass::CacheWrite, write),
            (TokenClass::CacheWrite1h, stated.cache_write_1h.or(write)),
            (TokenClass::Output, Some(stated.output)),
            (TokenClass::Reasoning, Some(stated.reasoning.unwrap_or(stated.output))),
        ] {
            rates.set(class, usd);
        }
        Self {
            provider: Some(stated.provider.clone()),
            fragment: stated.model.to_lowercase(),
            from: stated.from.unwrap_or(Timestamp::MIN),
            above: stated.above.unwrap_or(0),
            service: stated.service_tier.clone(),
            rates,
            position,
        }
    }

    pub fn fragment(&self) -> &str {
        &self.fragment
    }

    fn may_be_of(&self, provider: &str, lower: &str, service: Option<&str>) -> bool {
        self.provider.as_ref().is_none_or(|price| price.as_str() == provider)
            && lower.contains(&self.fragment)
            && self.service.as_deref() == service
    }
}

/// Which custom price applies.
pub(super) enum CustomPriceMatch<'p> {
    /// This one.
    By(&'p CustomPrice),
    /// None matches the model.
    Nothing,
    /// The price depends on the prompt of each call.
    Finer,
}

/// The price that applies: of the matching ones the one with the longest fragment, then for the longest prompts, then
/// from the latest time, then the last event.
pub(super) fn find<'p>(
    prices: &'p [CustomPrice],
    provider: &str,
    model: &str,
    at: Timestamp,
    tariff: Tariff<'_>,
) -> CustomPriceMatch<'p> {
    let lower = model.to_lowercase();
    let fits = |price: &&CustomPrice| price.may_be_of(provider, &lower, tariff.service) && price.from <= at;
    if prices.iter().filter(fits).any(|price| price.above > 0 && !tariff.is_exact_for(price.above)) {
        return CustomPriceMatch::Finer;
    }
    prices
        .iter()
        .filter(fits)
        .filter(|price| price.above == 0 || tariff.prompt > price.above)
        .max_by(|a, b| {
            let rank = |price: &CustomPrice| (price.fragment.len(), price.above, price.from);
            rank(a).cmp(&rank(b)).then_with(|| b.fragment.cmp(&a.fragment)).then(a.position.cmp(&b.position))
        })
        .map_or(CustomPriceMatch::Nothing, CustomPriceMatch::By)
}

/// Whether a price that begins within the UTC day of `at` may apply to a model.
pub(super) fn changes_within_day(prices: &[CustomPrice], provider: &str, model: &str, at: Timestamp) -> bool {
    let lower = model.to_lowercase();
    prices.iter().any(|price| {
        let of_day =
            price.from.utc_day() == at.utc_day() && price.from.millis().rem_euclid(crate::model::time::DAY) != 0;
        of_day && price.provider.as_ref().is_none_or(|of| of.as_str() == provider) && lower.contains(&price.fragment)
    })
}

/// An entry of a price file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceLine {
    input: Usd,
    output: Usd,
    #[serde(default)]
    cache_read: Option<Usd>,
    #[serde(default)]
    cache_write_5m: Option<Usd>,
    #[serde(default)]
    cache_write_1h: Option<Usd>,
}

/// Parses a price file: an object of fragments, each with its prices.
pub(super) fn from_json(json: &str) -> Result<Vec<CustomPrice>> {
    let bad = |why: &dyn std::fmt::Display| {
        Error::invalid(format!(
            "the price list cannot be read ({why}): give an object such as \
             {{\"opus\": {{\"input\": 15, \"output\": 75}}}}, in US dollars for a million tokens"
        ))
    };
    let list: Option<BTreeMap<String, PriceLine>> = serde_json::from_str(json).map_err(|error| bad(&error))?;
    let mut prices = Vec::new();
    for (name, line) in list.unwrap_or_default() {
        if name.is_empty() {
            return Err(bad(&"a fragment is empty"));
        }
        let mut rates = Rates::default();
        let read = line.cache_read.or_else(|| cached(line.input, READ));
        let write = line.cache_write_5m.or_else(|| cached(line.input, WRITE));
        for (class, usd) in [
            (TokenClass::Input, Some(line.input)),
            (TokenClass::CacheRead, read),
            // APIs use the shorter lifetime by default.
            (TokenClass::CacheWrite5m, write),
            (TokenClass::CacheWrite, write),
            (TokenClass::CacheWrite1h, line.cache_write_1h.or(write)),
            (TokenClass::Output, Some(line.output)),
            (TokenClass::Reasoning, Some(line.output)),
        ] {
            if usd.is_some_and(|usd| usd < Usd::default()) {
                return Err(bad(&format!("a price of `{name}` is negative")));
            }
            rates.set(class, usd);
        }
        prices.push(CustomPrice {
            provider: None,
            fragment: name.to_lowercase(),
            from: Timestamp::MIN,
            above: 0,
            service: None,
            rates,
            position: Position::START,
        });
    }
    Ok(prices)
}
