//! Gemini Code Assist: a bucket of a day for each model, with the fraction that remains.

use rust_decimal::Decimal;
use serde_json::Value;

use super::draft::{JsonObject, ObservationDraft, ObservedWindow, text};
use super::length::ONE_DAY;
use crate::model::error::Result;

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

fn bucket(index: usize, fields: &JsonObject, draft: &mut ObservationDraft) {
    let Some(model) = text(fields, &["modelId", "model_id"]) else {
        draft.warn(format!("bucket {} names no model: left out", index + 1));
        return;
    };
    // Requests are what is metered; should anything else be, it is another window of the model.
    let scope = match text(fields, &["tokenType", "token_type"]) {
        None | Some("REQUESTS") => model.to_owned(),
        Some(kind) => format!("{model} {}", kind.to_lowercase()),
    };
    let Some(scope) = draft.scope(&scope) else { return };
    let remaining = draft.number(model, fields, &["remainingFraction", "remaining_fraction"]);
    if remaining.is_none() {
        draft.warn(format!("`{scope}` does not say which fraction remains"));
    }
    let used = remaining.and_then(|remaining| draft.fraction(model, Decimal::ONE.checked_sub(remaining)?));
    let resets_at = draft.reset(model, fields, &["resetTime", "reset_time"]);
    draft.see(ObservedWindow { minutes: ONE_DAY, scope: Some(scope), used, resets_at, status: None });
}
