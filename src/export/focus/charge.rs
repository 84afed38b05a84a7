//! Charges: usage grouped by everything that distinguishes rows.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::export::ExportOptions;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{Position, TokenRecord};
use crate::model::event::{SERVICE_TIER, modality_of};
use crate::model::time::Zone;
use crate::model::tokens::{TokenClass, Usd};
use crate::readers::price::{Extras, Term};

/// The metered unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meter {
    Tokens(TokenClass),
    /// Calls, if a price per call applies.
    Requests,
    /// Tokens of a class other than text, such as `input_audio`.
    Modality(String),
    /// Uses of one of the provider's tools.
    Tool(String),
}

impl Meter {
    pub fn name(&self) -> &str {
        match self {
            Self::Modality(name) | Self::Tool(name) => name,
            Self::Tokens(class) => class.name(),
            Self::Requests => "requests",
        }
    }

    /// Returns quantity and unit that a price refers to.
    pub const fn unit(&self) -> (u64, &'static str) {
        match self {
            Self::Tool(_) => (1_000, "Uses"),
            Self::Tokens(_) | Self::Modality(_) => (1_000_000, "Tokens"),
            Self::Requests => (1_000, "Requests"),
        }
    }
}

/// The price of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitPrice {
    pub usd: Usd,
    pub above: u64,
    pub term: Term,
    pub own: Option<Position>,
}

/// The properties that distinguish charges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChargeKey {
    pub day: NaiveDate,
    pub provider: String,
    pub account: Option<String>,
    pub model: Option<String>,
    pub tier: Option<String>,
    pub meter: Meter,
    /// `None` if the price of a call is unknown. As in reports, a call is priced completely or not at all.
    pub price: Option<UnitPrice>,
    /// Project, agent and labels, as JSON.
    pub tags: Option<String>,
}

#[derive(Default)]
pub(super) struct ChargeSum {
    /// In the unit of the meter.
    pub quantity: u128,
    pub requests: u64,
}

/// Sums usage into charges. The price distinguishes charges too, because it depends on the prompt length of each call.
pub(super) fn gather(snapshot: &Snapshot<'_>, options: &ExportOptions) -> Result<BTreeMap<ChargeKey, ChargeSum>> {
    let prices = snapshot.prices()?;
    let mut sums: BTreeMap<ChargeKey, ChargeSum> = BTreeMap::new();
    snapshot.each_call(&mut |_, call| {
        let record = call.record;
        if options.provider.as_ref().is_some_and(|provider| *provider != record.provider) {
            return Ok(());
        }
        let extras = Extras::of(&record.modalities, &record.server_tools);
        let mut quoted = prices.origin_of_call(&record, call.at);
        if let Some((rates, _)) = &quoted
            && rates.charge(record.tokens.counts().map(u128::from), 1, &extras).is_none()
        {
            quoted = None;
        }
        let tags = tags(&record);
        let mut add = |meter: Meter, usd: Option<Usd>, quantity: u64| {
            let price = quoted.as_ref().zip(usd).map(|((_, origin), usd)| UnitPrice {
                usd,
                above: origin.above,
                term: origin.term,
                own: origin.custom,
            });
            let key = ChargeKey {
                day: Zone::UTC.day(call.at),
                provider: record.provider.to_string(),
                account: record.account.clone(),
                model: record.model.clone(),
                tier: record.labels.get(SERVICE_TIER).cloned(),
                meter,
                price,
                tags: tags.clone(),
            };
            let sum = sums.entry(key).or_default();
            sum.quantity += u128::from(quantity);
            sum.requests += 1;
        };
        for class in TokenClass::ALL {
            let apart =
                record.modalities.iter().filter(|(name, _)| modality_of(name).is_some_and(|(of, _)| of == class));
            let apart = apart.fold(0_u128, |sum, (_, tokens)| sum + u128::from(*tokens));
            let Some(all) = record.tokens.get(class) else { continue };
            // Modalities that exceed their class do not add up: the call has no price, and its class is exported whole.
            let text = u64::try_from(apart).ok().and_then(|apart| all.checked_sub(apart)).unwrap_or(all);
            if text > 0 {
                add(Meter::Tokens(class), quoted.as_ref().and_then(|(rates, _)| rates.of(class)), text);
            }
        }
        let tools = record.server_tools.iter().map(|(name, uses)| (Meter::Tool(name.clone()), *uses));
        let modalities = record.modalities.iter().map(|(name, tokens)| (Meter::Modality(name.clone()), *tokens));
        for (meter, count) in modalities.chain(tools).filter(|(_, count)| *count > 0) {
            let usd = quoted.as_ref().and_then(|(rates, _)| rates.of_extra(meter.name()));
            add(meter, usd, count);
        }
        let requests = quoted.as_ref().map(|(rates, _)| rates.requests()).filter(|usd| *usd > Usd::default());
        if requests.is_some() {
            add(Meter::Requests, requests, 1);
        }
        Ok(())
    })?;
    Ok(sums)
}

/// Returns the user's names for a call. A label takes precedence over project and agent with the same name.
fn tags(record: &TokenRecord) -> Option<String> {
    let mut tags: BTreeMap<&str, &str> =
        record.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in [("project", &record.project), ("agent", &record.agent)] {
        if let Some(value) = value {
            tags.entry(name).or_insert(value);
        }
    }
    (!tags.is_empty()).then(|| serde_json::json!(tags).to_string())
}
