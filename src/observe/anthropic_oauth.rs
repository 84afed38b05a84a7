//! The usage document of an Anthropic subscription: a window for each key, in per cent.
//!
//! Nothing about it is documented, and its spellings have changed. Keys that are no windows come and go.

use rust_decimal::Decimal;
use serde_json::Value;

use super::claude_statusline::window;
use super::draft::{Draft, Fields, RESETS, USED, Window, first, quoted};
use super::length;
use crate::error::Result;
use crate::event::Percent;

/// The pay-as-you-go credits beside the subscription's windows.
const EXTRA: &str = "extra_usage";

pub(super) fn read(text: &str, draft: &mut Draft) -> Result<()> {
    let document = draft.object(text)?;
    if let Some(error) = document.get("error").filter(|error| !error.is_null()) {
        let kind = error.get("type").and_then(Value::as_str).or(error.as_str()).unwrap_or("of an unknown kind");
        draft.warn(format!("the response is an error, {}: ask again for the usage", quoted(kind)));
        return Ok(());
    }
    for (key, value) in &document {
        let known = matches!(key.as_str(), "five_hour" | "seven_day");
        match value {
            Value::Object(fields) if key == EXTRA => extra(fields, draft),
            Value::Object(fields) if known || first(fields, USED).or(first(fields, RESETS)).is_some() => {
                let Some((minutes, scope)) = window(key, draft) else { continue };
                let used = used(key, fields, draft);
                let resets_at = draft.reset(key, fields, RESETS);
                draft.see(Window { minutes, scope, used, resets_at, status: None });
            }
            Value::Null => {}
            _ if known => draft.warn(format!("{} is not an object: left out", quoted(key))),
            _ => {}
        }
    }
    draft.warn_if_silent("no key names a window: the subscription has none, or the document is another one");
    Ok(())
}

/// A percentage, with a word where it could be a fraction: some clients have been told fractions.
fn used(key: &str, fields: &Fields, draft: &mut Draft) -> Option<Percent> {
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

/// Credits have a monthly limit when there is one.
fn extra(fields: &Fields, draft: &mut Draft) {
    let enabled = fields.get("is_enabled").and_then(Value::as_bool).unwrap_or(false);
    if enabled && first(fields, &["monthly_limit"]).is_some() {
        let used = used(EXTRA, fields, draft);
        let resets_at = draft.reset(EXTRA, fields, RESETS);
        let minutes = resets_at.map_or_else(|| length::month_of(draft.at), length::month_before);
        draft.see(Window { minutes, scope: Some(EXTRA.to_owned()), used, resets_at, status: None });
    }
}
