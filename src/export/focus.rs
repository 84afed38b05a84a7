use std::collections::BTreeMap;
use std::io::Write;

use chrono::{Datelike, Days, Months, NaiveDate};
use rust_decimal::Decimal;

use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Sight;
use crate::price::SERVICE_TIER;
use crate::provider::CATALOGUE;
use crate::time::Zone;
use crate::tokens::{TokenClass, Usd};

/// Usage as charges of [FOCUS](https://focus.finops.org) 1.2, the `FinOps` Open Cost and Usage Specification: a row a UTC
/// day, provider, account, model, service tier and token class, in CSV.
///
/// Costs are list prices times quantities. What a subscription bills is not known to a ledger, so billed, contracted and
/// effective cost are the list cost. Where no price is known the unit price is null, the cost 0, as the
/// specification has it, and `x_PriceKnown` says false: filter by it before adding up.
pub(super) struct Focus;

/// The columns. Those of commitments, regions and resources are of no use to tokens; version 1.0 wants them there.
const COLUMNS: [&str; 49] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_PriceKnown",
    "x_PriceTable",
    "x_Requests",
    "x_ServiceTier",
    "x_TokenClass",
];

/// A price is of so many tokens.
const MILLION: u64 = 1_000_000;

/// What a charge is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    day: NaiveDate,
    provider: String,
    account: Option<String>,
    model: Option<String>,
    tier: Option<String>,
    class: TokenClass,
    price: Option<Usd>,
}

#[derive(Default)]
struct Sum {
    tokens: u64,
    requests: u64,
}

impl Exporter for Focus {
    fn name(&self) -> &'static str {
        "focus"
    }

    fn export(&self, sight: &Sight<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        self.export_with(sight, &ExportOptions::default(), out)
    }

    fn export_with(&self, sight: &Sight<'_>, options: &ExportOptions, out: &mut dyn Write) -> Result<(), ExportError> {
        let table = sight.prices()?.source().table.unwrap_or_default();
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS).map_err(std::io::Error::from)?;
        for (key, sum) in gather(sight, options)? {
            writer.write_record(row(&key, &sum, table)).map_err(std::io::Error::from)?;
        }
        Ok(writer.flush()?)
    }
}

/// Charges are told apart by their price too, which depends on the length of each call's prompt.
fn gather(sight: &Sight<'_>, options: &ExportOptions) -> Result<BTreeMap<Key, Sum>, ExportError> {
    let prices = sight.prices()?;
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    sight.each_call(&mut |_, told| {
        let record = told.record;
        if options.provider.as_ref().is_some_and(|provider| *provider != record.provider) {
            return Ok(());
        }
        let rates = prices.of_call(&record, told.at);
        for class in TokenClass::ALL {
            let Some(tokens) = record.tokens.get(class).filter(|tokens| *tokens > 0) else { continue };
            let key = Key {
                day: Zone::UTC.day(told.at),
                provider: record.provider.to_string(),
                account: record.account.clone(),
                model: record.model.clone(),
                tier: record.labels.get(SERVICE_TIER).cloned(),
                class,
                price: rates.and_then(|rates| rates.of(class)),
            };
            let sum = sums.entry(key).or_default();
            sum.tokens = sum.tokens.saturating_add(tokens);
            sum.requests += 1;
        }
        Ok(())
    })?;
    Ok(sums)
}

fn midnight(day: NaiveDate) -> String {
    format!("{day}T00:00:00Z")
}

fn row(key: &Key, sum: &Sum, table: &str) -> [String; COLUMNS.len()] {
    let known = CATALOGUE.iter().find(|known| known.id == key.provider);
    let name = known.map_or_else(|| key.provider.clone(), |known| known.name.to_owned());
    let model = key.model.as_deref().unwrap_or("unknown model");
    let class = key.class.name();
    let month = key.day.with_day(1).unwrap_or(key.day);
    let quantity = Decimal::from(sum.tokens) / Decimal::from(MILLION);
    let price = key.price.map(|usd| usd.to_string());
    let cost = price.as_deref().and_then(|price| price.parse::<Decimal>().ok()).unwrap_or_default() * quantity;
    let cost = cost.normalize().to_string();
    let price = price.unwrap_or_default();
    let next = |day: Option<NaiveDate>| midnight(day.unwrap_or(key.day));
    let tier = key.tier.clone().unwrap_or_default();
    let sku = if tier.is_empty() { format!("{model}/{class}") } else { format!("{model}/{tier}/{class}") };
    let none = String::new;
    [
        cost.clone(),
        key.account.clone().unwrap_or_else(|| key.provider.clone()),
        key.account.clone().unwrap_or_else(|| name.clone()),
        "USD".to_owned(),
        next(month.checked_add_months(Months::new(1))),
        midnight(month),
        "Usage".to_owned(),
        none(),
        format!("{model}: {} tokens", class.replace('_', " ")),
        "Usage-Based".to_owned(),
        next(key.day.checked_add_days(Days::new(1))),
        midnight(key.day),
        none(),
        none(),
        none(),
        none(),
        none(),
        sum.tokens.to_string(),
        "Tokens".to_owned(),
        cost.clone(),
        price.clone(),
        cost.clone(),
        name.clone(),
        cost,
        price,
        "Standard".to_owned(),
        quantity.normalize().to_string(),
        format!("{MILLION} Tokens"),
        name.clone(),
        name.clone(),
        none(),
        none(),
        none(),
        none(),
        none(),
        "AI and Machine Learning".to_owned(),
        format!("{name} models"),
        "Generative AI".to_owned(),
        model.to_owned(),
        class.to_owned(),
        sku,
        none(),
        none(),
        none(),
        key.price.is_some().to_string(),
        table.to_owned(),
        sum.requests.to_string(),
        tier,
        class.to_owned(),
    ]
}
