//! Gemini Code Assist: a daily bucket for each model, with the remaining fraction.

use rust_decimal::Decimal;
use serde_json::Value;

use super::draft::{JsonObject, ObservationDraft, ObservedWindow, first, text};
use super::length::ONE_DAY;
use crate::model::error::Result;
use crate::model::secrets;

pub(super) fn read(text: &str, draft: &mut ObservationDraft) -> Result<()> {
    let document = draft.json(text)?;
    let document = document.get("response").unwrap_or(&document);
    let Some(buckets) = document.get("buckets").unwrap_or(document).as_array() else {
        return Err(draft.refuse("has no list of `buckets`"));
    };
    for (index, value) in buckets.iter().enumerate() {
        match value {
            Value::Object(fields) => bucket(index, fields, draft),
            _ => draft.warn(format!("bucket {} is not an object: left out", index + 1)),
        }
    }
    draft.warn_if_silent("there is no bucket");
    Ok(())
}

/// Field names of the remaining fraction.
const FRACTION: &[&str] = &["remainingFraction", "remaining_fraction"];
/// Field names of the remaining number of requests.
const AMOUNT: &[&str] = &["remainingAmount", "remaining_amount"];

/// Field names of the reset.
const RESET: &[&str] = &["resetTime", "reset_time"];

/// Whether the fraction is missing because it is zero: the JSON of proto3 omits a zero. It is not zero if the bucket
/// states a remainder otherwise, or has no reset and so no window that could be full.
fn is_omitted_zero(fields: &JsonObject) -> bool {
    let is_named = FRACTION.iter().any(|name| fields.contains_key(*name));
    let rest = first(fields, AMOUNT).and_then(|(_, amount)| super::value::number(amount));
    !is_named && first(fields, RESET).is_some() && rest.is_none_or(|rest| rest.is_zero())
}

fn bucket(index: usize, fields: &JsonObject, draft: &mut ObservationDraft) {
    let Some(model) = text(fields, &["modelId", "model_id"]) else {
        draft.warn(format!("bucket {} names no model: left out", index + 1));
        return;
    };
    // Requests are metered. Any other unit would be a separate window of the model.
    let scope = match text(fields, &["tokenType", "token_type"]) {
        None | Some("REQUESTS") => model.to_owned(),
        Some(kind) => format!("{model} {}", secrets::text(kind).to_lowercase()),
    };
    let Some(scope) = draft.scope(&scope) else { return };
    let remaining = match first(fields, FRACTION) {
        None if is_omitted_zero(fields) => Some(Decimal::ZERO),
        _ => draft.number(model, fields, FRACTION),
    };
    if remaining.is_none() {
        draft.warn(format!("`{scope}` does not say which fraction remains"));
    }
    let used = remaining.and_then(|remaining| draft.fraction(model, Decimal::ONE.checked_sub(remaining)?));
    let resets_at = draft.reset(model, fields, RESET);
    draft.see(ObservedWindow { minutes: ONE_DAY, scope: Some(scope), used, resets_at, status: None });
}
