//! Codex' rate limits from every source: a rollout, the app server, the usage document, headers.
//!
//! Each limit has a primary and a secondary window. Which of them is the session and which the week has changed, and
//! some accounts have only a week. Only the length identifies a window.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

use super::draft::{JsonObject, ObservationDraft, ObservedWindow, USED, quoted, text};
use super::{headers, length};
use crate::model::error::Result;
use crate::model::event::Percent;
use crate::model::time::{MINUTE, SECOND, Timestamp};

/// The limit for the account's whole usage.
const MAIN: &str = "codex";
/// The names of the two windows of a limit in each document.
const SLOTS: [&str; 6] =
    ["primary", "secondary", "primary_window", "secondary_window", "primaryWindow", "secondaryWindow"];
const HEADER: &str = "x-codex-";
/// The maximal age of a line at its receipt without a warning, in milliseconds.
const FRESH: i64 = MINUTE;

pub(super) fn read(text: &str, draft: &mut ObservationDraft) -> Result<()> {
    let document = if text.starts_with('{') { draft.object(text)? } else { JsonObject::new() };
    if document.is_empty() || document.keys().any(|name| name.to_ascii_lowercase().starts_with(HEADER)) {
        from_headers(text, draft)?;
    } else if !nested(&document, draft) {
        return Err(draft.refuse("has no rate limits"));
    }
    draft.warn_if_silent("the rate limits name no window: the account has none, or it is not told here");
    Ok(())
}

/// The limits of a line of a rollout, without warnings about unreadable parts.
#[cfg(feature = "import")]
pub(crate) fn rollout(
    limits: &str,
    at: Timestamp,
    provider: crate::ProviderId,
    feed: &'static str,
) -> Vec<crate::model::event::QuotaObserved> {
    let mut draft = ObservationDraft::logged(super::QuotaFormat::CodexRateLimits, at, provider, feed);
    if let Ok(fields) = serde_json::from_str::<JsonObject>(limits) {
        snapshot(&fields, None, &mut draft);
    }
    draft.observed.observations
}

/// Searches the wrapping objects for the limits. Returns false if there are none.
fn nested(document: &JsonObject, draft: &mut ObservationDraft) -> bool {
    if let Some(written) = text(document, &["timestamp"]).and_then(|at| at.parse::<Timestamp>().ok())
        && (draft.at.millis() - written.millis()).abs() > FRESH
    {
        draft.warn(format!("the line was written at {written} and is taken for what held at {}: hand it in with --occurred-at {written} unless that is meant", draft.at));
    }
    for wrapper in ["payload", "params", "result", "msg"] {
        if let Some(Value::Object(inner)) = document.get(wrapper) {
            return nested(inner, draft);
        }
    }
    if let Some(Value::Object(limits)) = document.get("rateLimitsByLimitId").or(document.get("rate_limits_by_limit_id"))
    {
        for (id, limit) in limits {
            if let Value::Object(fields) = limit {
                snapshot(fields, Some(id), draft);
            }
        }
        return true;
    }
    if let Some(limits) = document.get("rate_limits").or(document.get("rateLimits")) {
        if let Value::Object(fields) = limits {
            snapshot(fields, None, draft);
        }
        return limits.is_object() || limits.is_null();
    }
    if document.contains_key("rate_limit") || document.contains_key("additional_rate_limits") {
        usage_document(document, draft);
        return true;
    }
    if SLOTS.iter().any(|slot| document.contains_key(*slot)) {
        snapshot(document, None, draft);
        return true;
    }
    false
}

/// The account's usage document: the main limit, one for reviews, and others in a list.
fn usage_document(document: &JsonObject, draft: &mut ObservationDraft) {
    for (key, id) in [("rate_limit", MAIN), ("code_review_rate_limit", "code_review")] {
        if let Some(Value::Object(fields)) = document.get(key) {
            snapshot(fields, Some(id), draft);
        }
    }
    for more in document.get("additional_rate_limits").and_then(Value::as_array).into_iter().flatten() {
        let Value::Object(more) = more else { continue };
        let id = text(more, &["limit_name", "metered_feature"]);
        match (more.get("rate_limit"), id) {
            (Some(Value::Object(fields)), Some(id)) => snapshot(fields, Some(id), draft),
            (Some(Value::Object(_)), None) => draft.warn("an additional limit has no name: left out"),
            _ => {}
        }
    }
}

/// One limit with its two windows. `id` is its name if it does not state one itself.
fn snapshot(limit: &JsonObject, id: Option<&str>, draft: &mut ObservationDraft) {
    let id = text(limit, &["limit_id", "limitId"]).or(id);
    // The main limit may have a display name too. For other limits the name is more informative than the id.
    let named = text(limit, &["limit_name", "limitName"]).or(id).filter(|_| id != Some(MAIN));
    let scope = match named {
        None => None,
        Some(name) => match draft.scope(name) {
            None => return,
            scope => scope,
        },
    };
    let slots: Vec<(&str, &JsonObject)> =
        SLOTS.iter().filter_map(|slot| Some((*slot, limit.get(*slot)?.as_object()?))).collect();
    let used: Vec<Option<Percent>> = slots.iter().map(|(slot, fields)| draft.used(slot, fields, USED)).collect();
    let verdict = LimitVerdict::of(limit, &used);
    if verdict == LimitVerdict::Unclear {
        draft.warn("the limit is reached, but neither window is full: which one it is cannot be told");
    }
    for ((slot, fields), used) in slots.into_iter().zip(used) {
        let resets_at = reset(slot, fields, draft);
        if used.is_none() && resets_at.is_none() {
            continue;
        }
        let Some(minutes) = minutes(slot, fields, draft).or_else(|| length::minutes(named?)) else {
            draft.warn(format!("the {} window has no length: left out", quoted(slot)));
            continue;
        };
        let status = verdict.on(used).map(str::to_owned);
        draft.see(ObservedWindow { minutes, scope: scope.clone(), used, resets_at, status });
    }
}

/// The provider's verdict on a limit, which covers both of its windows.
#[derive(Clone, Copy, PartialEq)]
enum LimitVerdict<'l> {
    /// No verdict, or a positive one.
    Fine(Option<&'l str>),
    /// Reached, in a window that is full.
    Reached(&'l str),
    /// Reached, in the only window.
    ReachedInTheOnly(&'l str),
    /// Reached, but no window is full.
    Unclear,
}

impl<'l> LimitVerdict<'l> {
    fn of(limit: &'l JsonObject, used: &[Option<Percent>]) -> Self {
        let flag = |name| limit.get(name).and_then(Value::as_bool);
        let reached = text(limit, &["rate_limit_reached_type", "rateLimitReachedType"])
            .or_else(|| (flag("limit_reached") == Some(true)).then_some("limit_reached"));
        match (reached, used) {
            (Some(reached), used) if used.iter().any(|used| is_full(*used)) => Self::Reached(reached),
            (Some(reached), [_]) => Self::ReachedInTheOnly(reached),
            (Some(_), _) => Self::Unclear,
            (None, _) => Self::Fine((flag("allowed") == Some(true)).then_some("allowed")),
        }
    }

    /// The verdict on a window with this usage.
    fn on(self, used: Option<Percent>) -> Option<&'l str> {
        match self {
            Self::Fine(verdict) => verdict,
            Self::ReachedInTheOnly(verdict) => Some(verdict),
            Self::Reached(verdict) => is_full(used).then_some(verdict),
            Self::Unclear => None,
        }
    }
}

fn is_full(used: Option<Percent>) -> bool {
    used.is_some_and(|used| used.whole() >= 100)
}

fn minutes(slot: &str, fields: &JsonObject, draft: &mut ObservationDraft) -> Option<u32> {
    let names = ["window_minutes", "windowDurationMins", "window_duration_mins", "windowMinutes"];
    let minutes = draft.number(slot, fields, &names).or_else(|| {
        let seconds = draft.number(slot, fields, &["limit_window_seconds", "limitWindowSeconds"])?;
        Some((seconds / Decimal::from(60)).ceil())
    });
    minutes?.to_u32().filter(|minutes| *minutes > 0)
}

/// When a window resets. Older clients state the number of seconds.
fn reset(slot: &str, fields: &JsonObject, draft: &mut ObservationDraft) -> Option<Timestamp> {
    let at = draft.reset(slot, fields, super::draft::RESETS);
    at.or_else(|| {
        let names = ["resets_in_seconds", "resetsInSeconds", "reset_after_seconds", "resetAfterSeconds"];
        let seconds = draft.number(slot, fields, &names)?;
        let millis = seconds.checked_mul(Decimal::from(SECOND))?.to_i64().filter(|millis| *millis >= 0)?;
        Some(draft.at.plus(millis))
    })
}

/// `x-codex-primary-used-percent` and similar, with the limit's name before the slot unless it is the main one.
fn from_headers(text: &str, draft: &mut ObservationDraft) -> Result<()> {
    let headers = headers::read(text, draft)?;
    let mut limits: BTreeMap<String, BTreeMap<&str, JsonObject>> = BTreeMap::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (header, value) in &headers {
        let Some(rest) = header.strip_prefix(HEADER) else { continue };
        let limit = |name: &str| if name.is_empty() { MAIN.to_owned() } else { name.trim_end_matches('-').to_owned() };
        if let Some(before) = rest.strip_suffix("limit-name") {
            names.insert(limit(before), value);
        }
        let slot = |slot| rest.split_once(&format!("{slot}-")).map(|(before, field)| (slot, before, field));
        if let Some((slot, before, field)) = slot("primary").or_else(|| slot("secondary")) {
            let window = limits.entry(limit(before)).or_default().entry(slot).or_default();
            window.insert(field.replace('-', "_"), Value::String(value.clone()));
        }
    }
    for (id, slots) in limits {
        let mut fields: JsonObject =
            slots.into_iter().map(|(slot, window)| (slot.to_owned(), Value::Object(window))).collect();
        if let Some(name) = names.get(&id) {
            fields.insert("limit_name".to_owned(), Value::String((*name).to_owned()));
        }
        snapshot(&fields, Some(&id), draft);
    }
    Ok(())
}
