//! Prices of tokens: the price table of the build, and custom prices.

mod custom;
mod extras;
mod names;
mod rates;
mod rule;
mod table;
mod tariff;

use serde::Serialize;

use crate::model::error::Result;
use crate::model::event::is_special;
use crate::model::event::{Position, PriceSet, TokenRecord};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use custom::{CustomPrice, CustomPriceMatch};
use extras::ExtraRates;

pub use rates::Rates;

pub(crate) use extras::Extras;
pub(crate) use rates::Charge;
pub(crate) use tariff::Tariff;
pub(crate) use tariff::prompt;

/// Prices of models, in US dollars per million tokens.
///
/// Custom prices take precedence over the table. A custom price applies to every model whose name contains its
/// fragment, and the longest fragment wins. A model without a price has an unknown cost, which is not 0.
///
/// ```
/// use usage_ledger::{TokenRecord, price::Prices};
/// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let prices = Prices::list();
/// let call = TokenRecord::new("anthropic", "claude-haiku-4-5-20251001").input(1_000_000).output(0);
/// assert_eq!(prices.cost(&call, at)?, Some("1".parse()?));
/// assert_eq!(prices.cost(&TokenRecord::new("ollama", "qwen3").input(1), at)?, None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    custom: Vec<CustomPrice>,
    listed: bool,
}

/// The sources of prices.
///
/// ```
/// use usage_ledger::price::Prices;
/// let source = Prices::list().source();
/// assert_eq!(source.table, Some("genai-prices 0.2.1"));
/// assert_eq!(source.sha256.map(str::len), Some(64));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PriceSource {
    /// Name and version of the price table.
    pub table: Option<&'static str>,
    /// The day it was published.
    pub published: Option<&'static str>,
    /// The checksum of its data.
    pub sha256: Option<&'static str>,
    /// The events that set custom prices. Answers in JSON call them `own`.
    #[serde(rename = "own")]
    pub custom: Vec<Position>,
}

/// Identifies the price of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PriceOrigin {
    /// The model of the table that has the price.
    of: &'static str,
    /// The price is for longer prompts than this; 0 for all prompts.
    pub above: u64,
    /// When it applies.
    pub term: Term,
    /// The event that sets it; `None` for the table.
    pub custom: Option<Position>,
}

/// When a price of the table applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    #[default]
    Always,
    /// From a day on.
    Since(chrono::NaiveDate),
    /// Between two times of the day, UTC.
    Daily(&'static str, &'static str),
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Always => Ok(()),
            Self::Since(day) => day.fmt(f),
            Self::Daily(from, until) => write!(f, "{from}-{until}"),
        }
    }
}

/// The result of a price lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // most values are rates, and a box would cost a pointer per lookup
pub(crate) enum PriceLookup {
    Rates {
        rates: Rates,
        origin: PriceOrigin,
    },
    Unknown,
    /// The price depends on the prompt of each call.
    Finer,
}

/// A price with its origin.
///
/// ```
/// use usage_ledger::price::Prices;
/// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let quote = Prices::list().quote("anthropic", "claude-opus-4-5-20251101", at, None, 0).unwrap();
/// assert_eq!((quote.stated_for.as_str(), quote.position), ("claude-opus-4-5", None)); // of the table
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quote {
    /// The prices.
    pub rates: Rates,
    /// The table's name of the model, or the fragment of a custom price.
    pub stated_for: String,
    /// The event that sets it; `None` for the table.
    pub position: Option<Position>,
}

impl Prices {
    /// The table of this build: [genai-prices](https://github.com/pydantic/genai-prices).
    ///
    /// ```
    /// use usage_ledger::price::Prices;
    /// assert!(Prices::list().source().table.is_some());
    /// ```
    pub const fn list() -> Self {
        Self { custom: Vec::new(), listed: true }
    }

    /// No prices at all: every cost is unknown.
    ///
    /// ```
    /// use usage_ledger::price::Prices;
    /// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// assert_eq!(Prices::none().quote("anthropic", "claude-opus-4-5", at, None, 0), None);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn none() -> Self {
        Self { custom: Vec::new(), listed: false }
    }

    /// Parses a price list, which replaces the table: an object of fragments, each with `input`, `output` and
    /// optionally `cache_read`, `cache_write_5m` and `cache_write_1h`. Cached tokens without a price are free, because
    /// a list without them is about input and output alone. `null` is an empty list.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for another shape and for negative prices.
    ///
    /// ```
    /// use usage_ledger::{TokenRecord, price::Prices};
    /// # let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let prices = Prices::from_json(r#"{"gpt-5": {"input": 1, "output": 8}, "gpt-5-mini": {"input": 0.1, "output": 1}}"#)?;
    /// let call = TokenRecord::new("openai", "gpt-5-mini-2026").input(1_000_000);
    /// assert_eq!(prices.cost(&call, at)?, Some("0.1".parse()?));
    /// assert!(Prices::from_json(r#"{"opus": {"input": -1, "output": 75}}"#).is_err());
    /// assert!(Prices::from_json(r#"{"opus": {"in": 15, "output": 75}}"#).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn from_json(json: &str) -> Result<Self> {
        Ok(Self { custom: custom::from_json(json)?, listed: false })
    }

    /// Adds a custom price.
    pub(crate) fn state(&mut self, stated: &PriceSet, position: Position) {
        self.custom.push(CustomPrice::of_event(stated, position));
    }

    /// The sources of these prices.
    ///
    /// ```
    /// use usage_ledger::price::Prices;
    /// assert_eq!(Prices::none().source().table, None);
    /// ```
    pub fn source(&self) -> PriceSource {
        let of_table = |text| self.listed.then_some(text);
        let mut custom: Vec<_> =
            self.custom.iter().map(|custom| custom.position).filter(|position| *position != Position::START).collect();
        custom.sort_unstable();
        PriceSource {
            table: of_table(table::NAME),
            published: of_table(table::DATE),
            sha256: of_table(table::SHA256),
            custom,
        }
    }

    /// The prices of a model at a time, for a service tier (`batch`, `flex`, `priority` …) and a prompt length in
    /// tokens, with their origin.
    ///
    /// ```
    /// use usage_ledger::{TokenClass, price::Prices};
    /// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let prices = Prices::list();
    /// let input = |service, prompt| {
    ///     prices.quote("anthropic", "claude-sonnet-4-5", at, service, prompt).unwrap().rates.of(TokenClass::Input)
    /// };
    /// assert_eq!(input(None, 1_000), Some("3".parse()?));
    /// assert_eq!(input(None, 200_001), Some("6".parse()?));
    /// assert_eq!(input(Some("batch"), 1_000), Some("1.5".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn quote(
        &self,
        provider: &str,
        model: &str,
        at: impl Into<Timestamp>,
        service_tier: Option<&str>,
        prompt: u64,
    ) -> Option<Quote> {
        let service = service_tier.filter(|tier| is_special(tier));
        let (at, tariff) = (at.into(), Tariff { service, prompt, exact: true, ..Tariff::default() });
        if let CustomPriceMatch::By(custom) = custom::find(&self.custom, provider, model, at, tariff) {
            let position = (custom.position != Position::START).then_some(custom.position);
            return Some(Quote { rates: custom.rates, stated_for: custom.fragment().to_owned(), position });
        }
        match self.of_table(provider, model, at, tariff) {
            PriceLookup::Rates { rates, origin } => {
                Some(Quote { rates, stated_for: origin.of.to_owned(), position: None })
            }
            PriceLookup::Unknown | PriceLookup::Finer => None,
        }
    }

    fn of_table(&self, provider: &str, model: &str, at: Timestamp, tariff: Tariff<'_>) -> PriceLookup {
        if self.listed { table::find(provider, model, at, tariff) } else { PriceLookup::Unknown }
    }

    /// The prices that apply to all calls of a tariff.
    pub(crate) fn find(&self, provider: &str, model: &str, at: Timestamp, tariff: Tariff<'_>) -> PriceLookup {
        match custom::find(&self.custom, provider, model, at, tariff) {
            CustomPriceMatch::By(custom) => {
                let stated = (custom.position != Position::START).then_some(custom.position);
                PriceLookup::Rates {
                    rates: self.with_extras(custom.rates, provider, model, at, tariff),
                    origin: PriceOrigin { above: custom.above, custom: stated, ..PriceOrigin::default() },
                }
            }
            CustomPriceMatch::Finer => PriceLookup::Finer,
            CustomPriceMatch::Nothing => self.of_table(provider, model, at, tariff),
        }
    }

    /// Completes a custom price with prices for audio, images and tools: those of the table, or zero if all text is
    /// free.
    fn with_extras(&self, mut rates: Rates, provider: &str, model: &str, at: Timestamp, tariff: Tariff<'_>) -> Rates {
        if tariff.extras == Extras::None {
            return rates;
        }
        if TokenClass::ALL.into_iter().all(|class| rates.of(class) == Some(Usd::default())) {
            rates.extras = ExtraRates::free();
        } else if let PriceLookup::Rates { rates: listed, .. } = self.of_table(provider, model, at, tariff) {
            rates.extras = listed.extras;
        }
        rates
    }

    /// Whether the price of a model may change within the UTC day of an instant. It changes only at quarters of an
    /// hour.
    pub(crate) fn changes_within_day(&self, provider: &str, model: &str, at: Timestamp) -> bool {
        custom::changes_within_day(&self.custom, provider, model, at)
            || (self.listed && table::changes_daily(provider, model))
    }

    /// The cost of a call, if the prices of all its tokens are known, rounded to 10^-12 dollars.
    ///
    /// # Errors
    /// [`Error::Overflow`](crate::Error::Overflow) for a cost of more than 28 digits.
    ///
    /// ```
    /// use usage_ledger::{TokenRecord, event::SERVICE_TIER, price::Prices};
    /// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let call = || TokenRecord::new("anthropic", "claude-sonnet-4-5").input(1_000).output(200).cache_read(10_000);
    /// assert_eq!(Prices::list().cost(&call(), at)?, Some("0.009".parse()?));
    /// assert_eq!(Prices::list().cost(&call().label(SERVICE_TIER, "batch"), at)?, Some("0.0045".parse()?));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn cost(&self, record: &TokenRecord, at: impl Into<Timestamp>) -> Result<Option<Usd>> {
        let Some(rates) = self.of_call(record, at.into()) else { return Ok(None) };
        let extras = Tariff::of_record(record).extras;
        Ok(rates.charge(record.tokens.counts().map(u128::from), 1, &extras).map(Charge::usd))
    }

    /// The prices that apply to a call.
    pub(crate) fn of_call(&self, record: &TokenRecord, at: Timestamp) -> Option<Rates> {
        self.origin_of_call(record, at).map(|(rates, _)| rates)
    }

    /// The prices that apply to a call, and their origin.
    pub(crate) fn origin_of_call(&self, record: &TokenRecord, at: Timestamp) -> Option<(Rates, PriceOrigin)> {
        let tariff = Tariff::of_record(record);
        match self.find(&record.provider, record.model.as_deref()?, at, tariff) {
            PriceLookup::Rates { rates, origin } => Some((rates, origin)),
            PriceLookup::Unknown | PriceLookup::Finer => None,
        }
    }
}
