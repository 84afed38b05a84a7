//! The usage document of an Anthropic subscription: one window per key, in percent, and a list of `limits` that repeats
//! them and adds those of single models.
//!
//! The document is undocumented, and its spellings have changed. Keys that are not windows come and go.

use rust_decimal::Decimal;
use serde_json::Value;

use super::claude_windows::{week_of, window};
use super::draft::{JsonObject, ObservationDraft, ObservedWindow, RESETS, USED, first, quoted, text};
use super::length;
use crate::model::error::Result;
use crate::model::event::Percent;

/// The same in money, next to the credits.
const SPEND: &str = "spend";
/// The pay-as-you-go credits next to the subscription's windows.
const EXTRA: &str = "extra_usage";

pub(super) fn read(document: &str, draft: &mut ObservationDraft) -> Result<()> {
    let document = draft.object(document)?;
    if let Some(error) = document.get("error").filter(|error| !error.is_null()) {
        let kind = error.get("type").and_then(Value::as_str).or(error.as_str()).unwrap_or("of an unknown kind");
        draft.warn(format!("the response is an error, {}: ask again for the usage", quoted(kind)));
        return Ok(());
    }
    for (key, value) in &document {
        let known = matches!(key.as_str(), "five_hour" | "seven_day");
        match value {
            Value::Object(fields) if key == EXTRA => extra(fields, draft),
            _ if key == SPEND => {}
            Value::Object(fields) if known || first(fields, USED).or(first(fields, RESETS)).is_some() => {
                let Some((minutes, scope)) = window(key, draft) else { continue };
                let used = used(key, fields, draft);
                let resets_at = draft.reset(key, fields, RESETS);
                draft.see(ObservedWindow { minutes, scope, used, resets_at, status: None });
            }
            Value::Null => {}
            _ if known => draft.warn(format!("{} is not an object: left out", quoted(key))),
            _ => {}
        }
    }
    for limit in document.get("limits").and_then(Value::as_array).into_iter().flatten() {
        if let Value::Object(fields) = limit {
            listed(fields, draft);
        }
    }
    draft.warn_if_silent("no key names a window: the subscription has none, or the document is another one");
    Ok(())
}

/// A percentage, with a warning if it could be a fraction, because some clients receive fractions.
fn used(key: &str, fields: &JsonObject, draft: &mut ObservationDraft) -> Option<Percent> {
    let number = draft.number(key, fields, USED)?;
    if number > Decimal::ZERO && number < Decimal::ONE {
        let (shown, other) = (number.normalize(), (number * Decimal::ONE_HUNDRED).normalize());
        draft.warn(format!(
            "{} is ambiguous: {shown} is either {shown} % or, as a fraction, {other} %; taken as {shown} %",
            quoted(key)
        ));
    }
    draft.percent(key, number)
}

/// Credits with a limit have a monthly one.
fn extra(fields: &JsonObject, draft: &mut ObservationDraft) {
    let enabled = fields.get("is_enabled").and_then(Value::as_bool).unwrap_or(false);
    if enabled && first(fields, &["monthly_limit"]).is_some() {
        let used = used(EXTRA, fields, draft);
        let resets_at = draft.reset(EXTRA, fields, RESETS);
        let minutes = resets_at.map_or_else(|| length::month_of(draft.at), length::month_before);
        draft.see(ObservedWindow { minutes, scope: Some(EXTRA.to_owned()), used, resets_at, status: None });
    }
}

/// A limit of the list, unless a key already states it.
fn listed(fields: &JsonObject, draft: &mut ObservationDraft) {
    let kind = text(fields, &["kind", "group"]).unwrap_or_default();
    if first(fields, USED).is_none() {
        return;
    }
    let key = match kind {
        "session" => "five_hour".to_owned(),
        "weekly_all" => "seven_day".to_owned(),
        "weekly_scoped" | "weekly" => {
            let about = |what: &str| fields.get("scope")?.get(what)?.as_object();
            let named = |what| about(what).and_then(|fields| text(fields, &["display_name", "id"]));
            let Some(name) = named("model").or_else(|| named("surface")) else {
                draft.warn(format!("a limit of kind {} does not say what it is about: left out", quoted(kind)));
                return;
            };
            week_of(name)
        }
        _ => {
            draft.warn(format!("a limit of kind {} is not known: left out", quoted(kind)));
            return;
        }
    };
    let Some((minutes, scope)) = window(&key, draft) else { return };
    if !draft.observed.observations.iter().any(|seen| seen.window_minutes == minutes && seen.scope == scope) {
        let used = used(&key, fields, draft);
        let resets_at = draft.reset(&key, fields, RESETS);
        draft.see(ObservedWindow { minutes, scope, used, resets_at, status: None });
    }
}
