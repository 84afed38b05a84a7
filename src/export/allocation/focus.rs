//! Allocated charges in the columns of FOCUS 1.4.

use std::io::Write;

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeZone, Utc};
use serde_json::{Map, Value, json};

use crate::export::ExportError;
use crate::model::error::{Error, Result};
use crate::model::provider::CATALOGUE;
use crate::model::spreadsheet::text_cell;
use crate::model::time::Timestamp;
use crate::report::{AllocatedLine, AllocationReceiver, AllocationTable};

/// The columns. A part has no unit price: it is a share of an amount. So the four costs are equal, and prices are null.
const COLUMNS: [&str; 41] = [
    "AllocatedMethodDetails",
    "AllocatedMethodId",
    "AllocatedTags",
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
    "x_AllocationRule",
    "x_LedgerPosition",
    "x_LedgerRoot",
    "x_Receiver",
];

pub(super) fn write(table: &AllocationTable, out: &mut dyn Write) -> Result<(), ExportError> {
    let periods = FocusPeriods::of(table)?;
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for receiver in &table.receivers {
        for line in &receiver.lines {
            writer.write_record(COLUMNS.map(|column| {
                let value = value(column, table, receiver, line, &periods);
                let is_number = value.parse::<rust_decimal::Decimal>().is_ok();
                if is_number { value } else { text_cell(&value).into_owned() }
            }))?;
        }
    }
    Ok(writer.flush()?)
}

/// The charge period, and the whole months that contain it.
struct FocusPeriods {
    since: String,
    until: String,
    month: String,
    end: String,
}

impl FocusPeriods {
    fn of(table: &AllocationTable) -> Result<Self> {
        let format = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let at = |at: Timestamp| {
            Utc.timestamp_millis_opt(at.millis())
                .single()
                .ok_or_else(|| Error::invalid(format!("{at} is no time of the calendar: choose another period")))
        };
        let month = |at: DateTime<Utc>, later: u32| {
            let first = NaiveDate::from_ymd_opt(at.year(), at.month(), 1)?.checked_add_months(Months::new(later))?;
            Some(format(first.and_hms_opt(0, 0, 0)?.and_utc()))
        };
        let beyond = || Error::invalid("the period ends beyond the calendar: choose another one");
        let (since, until) = (at(table.since)?, at(table.until)?);
        let last = at(table.until.plus(-1))?;
        Ok(Self {
            since: format(since),
            until: format(until),
            month: month(since, 0).ok_or_else(beyond)?,
            end: month(last, 1).ok_or_else(beyond)?,
        })
    }
}

/// Whose charge it is: the key, without the prefix of labels, and the receiver.
fn tags(table: &AllocationTable, receiver: &AllocationReceiver) -> String {
    let key = table.by.strip_prefix("label:").unwrap_or(&table.by);
    receiver.name.as_ref().map(|name| json!({ key: name }).to_string()).unwrap_or_default()
}

fn value(
    column: &str,
    table: &AllocationTable,
    receiver: &AllocationReceiver,
    line: &AllocatedLine,
    periods: &FocusPeriods,
) -> String {
    let provider = CATALOGUE.iter().find(|entry| entry.id == line.provider);
    let name = provider.map_or(line.provider.as_str(), |entry| entry.name);
    let model = line.model.as_deref().unwrap_or("unknown model");
    match column {
        "AllocatedMethodDetails" => line.rule.as_ref().map(|_| details(table, line)).unwrap_or_default(),
        "AllocatedMethodId" | "x_AllocationRule" => line.rule.clone().unwrap_or_default(),
        "AllocatedTags" => line.rule.as_ref().map(|_| tags(table, receiver)).unwrap_or_default(),
        "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" => line.usd.to_string(),
        "BillingAccountId" => line.account.clone().unwrap_or_else(|| line.provider.clone()),
        "BillingAccountName" => line.account.clone().unwrap_or_else(|| name.to_owned()),
        "BillingCurrency" => "USD".to_owned(),
        "BillingPeriodEnd" => periods.end.clone(),
        "BillingPeriodStart" => periods.month.clone(),
        "ChargeCategory" => "Usage".to_owned(),
        "ChargeDescription" => match &line.rule {
            Some(rule) => format!("{model}: share by the rule {rule}"),
            None => format!("{model}: own usage"),
        },
        "ChargeFrequency" => "Usage-Based".to_owned(),
        "ChargePeriodEnd" => periods.until.clone(),
        "ChargePeriodStart" => periods.since.clone(),
        "HostProviderName" | "InvoiceIssuerName" | "ServiceProviderName" => name.to_owned(),
        "PricingCategory" => "Other".to_owned(),
        "ServiceCategory" => "AI and Machine Learning".to_owned(),
        "ServiceName" => format!("{name} models"),
        "ServiceSubcategory" => "Generative AI".to_owned(),
        "SkuId" | "SkuPriceId" => format!("{}/{model}", line.provider),
        "SkuMeter" => "allocated cost".to_owned(),
        "SkuPriceDetails" => json!({ "x_Model": model }).to_string(),
        "Tags" => tags(table, receiver),
        "x_LedgerPosition" => table.position.to_string(),
        "x_LedgerRoot" => table.root.to_string(),
        "x_Receiver" => receiver.name.clone().unwrap_or_default(),
        // Quantities and prices of shares, and columns that do not apply to tokens.
        _ => String::new(),
    }
}

/// The rule, with the event that states its shares.
fn details(table: &AllocationTable, line: &AllocatedLine) -> String {
    let mut details = Map::new();
    if let Some(rule) = table.rules.iter().find(|rule| Some(&rule.name) == line.rule.as_ref()) {
        details.insert("x_Rule".to_owned(), Value::from(rule.name.clone()));
        details.insert("x_Position".to_owned(), Value::from(rule.position.get()));
        details.insert("x_SplitCost".to_owned(), Value::from(rule.cost.to_string()));
    }
    Value::Object(details).to_string()
}
