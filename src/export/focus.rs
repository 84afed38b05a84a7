mod charge;

use std::io::Write;

use chrono::{Datelike, Days, Months, NaiveDate};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use self::charge::{ChargeKey, ChargeSum, Meter, gather};
use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::provider::CATALOGUE;
use crate::model::spreadsheet::text_cell;

/// Exports usage as charges of [FOCUS](https://focus.finops.org) 1.4, the `FinOps` Open Cost and Usage Specification:
/// one CSV row per UTC day, provider, account, model, service tier, token class, price and set of tags.
///
/// Costs are list prices times quantities, and sum to the computed cost of a report. A ledger does not know what a
/// subscription bills, so billed, contracted and effective cost equal the list cost. If a call's price is unknown, the
/// unit prices are null, the costs are 0 as the specification requires, and `x_PriceKnown` is false: filter by it
/// before summing.
pub(super) struct Focus;

/// The columns. Of the conditional columns of the specification, such as commitments, regions and resources, only those
/// are present whose condition is met.
const COLUMNS: [&str; 40] = [
    "AllocatedMethodDetails",
    "AvailabilityZone",
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
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "Tags",
    "x_PriceKnown",
    "x_PriceTable",
    "x_Requests",
    "x_ServiceTier",
    "x_TokenClass",
];

impl Exporter for Focus {
    fn name(&self) -> &'static str {
        "focus"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        self.export_with(snapshot, &ExportOptions::default(), out)
    }

    fn export_with(
        &self,
        snapshot: &Snapshot<'_>,
        options: &ExportOptions,
        out: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let table = snapshot.prices()?.source().table.unwrap_or_default();
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS)?;
        gather(snapshot, options, &mut |key, sum| {
            let row = FocusRow::new(key, sum)?;
            let values = COLUMNS.map(|column| row.cell(column, table));
            Ok(writer.write_record(values)?)
        })?;
        Ok(writer.flush()?)
    }
}

/// A charge, with values that several columns use.
struct FocusRow<'r> {
    key: &'r ChargeKey,
    sum: &'r ChargeSum,
    /// Of the provider.
    name: String,
    model: &'r str,
    meter: &'r str,
    quantity: Decimal,
    cost: Decimal,
}

impl<'r> FocusRow<'r> {
    fn new(key: &'r ChargeKey, sum: &'r ChargeSum) -> Result<Self> {
        let entry = CATALOGUE.iter().find(|entry| entry.id == key.provider);
        let beyond = |what| Error::Overflow { what };
        let quantity = i128::try_from(sum.quantity).ok().and_then(|sum| Decimal::try_from_i128_with_scale(sum, 0).ok());
        let quantity = quantity.ok_or_else(|| beyond("quantity of a charge"))? / Decimal::from(key.meter.unit().0);
        // A charge without a known price costs 0 here and is marked so in `x_PriceKnown`: the column must not be empty.
        let price = key.price.map_or(Decimal::ZERO, |price| price.usd.to_decimal());
        Ok(Self {
            key,
            sum,
            name: entry.map_or_else(|| key.provider.clone(), |entry| entry.name.to_owned()),
            model: key.model.as_deref().unwrap_or("unknown model"),
            meter: key.meter.name(),
            quantity,
            cost: price.checked_mul(quantity).ok_or_else(|| beyond("cost of a charge"))?,
        })
    }

    /// Returns a cell. Text columns are foreign text; all others are numbers and times from this program.
    fn cell(&self, column: &str, table: &str) -> String {
        let value = self.value(column, table);
        let is_text = value.parse::<Decimal>().is_err();
        if is_text { text_cell(&value).into_owned() } else { value }
    }

    fn value(&self, column: &str, table: &str) -> String {
        let (key, name) = (self.key, &self.name);
        let (of, unit) = key.meter.unit();
        let month = key.day.with_day(1).unwrap_or(key.day);
        let midnight = |day: Option<NaiveDate>| format!("{}T00:00:00Z", day.unwrap_or(key.day));
        match column {
            "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" => self.cost.normalize().to_string(),
            "BillingAccountId" => key.account.clone().unwrap_or_else(|| key.provider.clone()),
            "BillingAccountName" => key.account.clone().unwrap_or_else(|| name.clone()),
            "BillingCurrency" => "USD".to_owned(),
            "BillingPeriodEnd" => midnight(month.checked_add_months(Months::new(1))),
            "BillingPeriodStart" => midnight(Some(month)),
            "ChargeCategory" => "Usage".to_owned(),
            "ChargeDescription" => match &key.meter {
                Meter::Modality(name) => format!("{}: {} tokens", self.model, name.replace('_', " ")),
                Meter::Tool(name) => format!("{}: uses of {}", self.model, name.replace('_', " ")),
                Meter::Tokens(class) => format!("{}: {} tokens", self.model, class.name().replace('_', " ")),
                Meter::Requests => format!("{}: requests", self.model),
            },
            "ChargeFrequency" => "Usage-Based".to_owned(),
            "ChargePeriodEnd" => midnight(key.day.checked_add_days(Days::new(1))),
            "ChargePeriodStart" => midnight(Some(key.day)),
            "ConsumedQuantity" => self.sum.quantity.to_string(),
            "ConsumedUnit" => unit.to_owned(),
            "ContractedUnitPrice" | "ListUnitPrice" => key.price.map(|price| price.usd.to_string()).unwrap_or_default(),
            "HostProviderName" | "InvoiceIssuerName" | "ServiceProviderName" => name.clone(),
            "PricingCategory" => "Standard".to_owned(),
            "PricingQuantity" => self.quantity.normalize().to_string(),
            "PricingUnit" => format!("{of} {unit}"),
            "ServiceCategory" => "AI and Machine Learning".to_owned(),
            "ServiceName" => format!("{name} models"),
            "ServiceSubcategory" => "Generative AI".to_owned(),
            "SkuId" => self.sku(),
            "SkuMeter" | "x_TokenClass" => self.meter.to_owned(),
            "SkuPriceDetails" => self.details(),
            "SkuPriceId" => self.price_id(),
            "Tags" => key.tags.clone().unwrap_or_default(),
            "x_PriceKnown" => key.price.is_some().to_string(),
            "x_PriceTable" => table.to_owned(),
            "x_Requests" => self.sum.requests.to_string(),
            "x_ServiceTier" => key.tier.clone().unwrap_or_default(),
            // Columns that do not apply to tokens.
            _ => String::new(),
        }
    }

    fn sku(&self) -> String {
        format!("{}/{}/{}", self.key.provider, self.model, self.meter)
    }

    /// Identifies a price: whose it is, the model and meter, the service tier, the minimum prompt length, and the time
    /// from which it applies.
    fn price_id(&self) -> String {
        let mut id = self.sku();
        if let Some(tier) = &self.key.tier {
            id = format!("{id}/{tier}");
        }
        let Some(price) = self.key.price else { return format!("{id}/unpriced") };
        if price.above > 0 {
            id = format!("{id}/above {}", price.above);
        }
        match price.own {
            Some(position) => format!("{id}/stated at {position}"),
            None if price.term == crate::readers::price::Term::Always => id,
            None => format!("{id}/{}", price.term),
        }
    }

    /// Returns the properties that all charges with one price share.
    fn details(&self) -> String {
        let mut details = Map::new();
        let mut add = |name: &str, value: String| details.insert(name.to_owned(), Value::from(value));
        add("x_Model", self.model.to_owned());
        add("x_TokenClass", self.meter.to_owned());
        if let Some(tier) = &self.key.tier {
            add("x_ServiceTier", tier.clone());
        }
        if let Some(above) = self.key.price.map(|price| price.above).filter(|above| *above > 0) {
            add("x_PromptAbove", format!("{above} tokens"));
        }
        Value::Object(details).to_string()
    }
}
