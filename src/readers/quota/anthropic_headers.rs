//! Headers of Anthropic's API.
//!
//! Those of a subscription are `anthropic-ratelimit-unified-…`: the verdict on the request, and for each window the
//! used fraction and its reset in seconds since the epoch. Those of an API key are about the current minute.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::Value;

use super::claude_windows::window as window_of;
use super::draft::{ObservationDraft, ObservedWindow, quoted};
use super::headers::{self, Headers};
use super::length;
use super::value;
use crate::model::error::Result;
use crate::model::secrets;
use crate::model::time::Timestamp;

const PREFIX: &str = "anthropic-ratelimit-";
/// Usage that is paid for beyond the subscription, by the month or otherwise.
const OVERAGE: &str = "overage";
const UNIFIED: &str = "anthropic-ratelimit-unified-";

pub(super) fn read(text: &str, draft: &mut ObservationDraft) -> Result<()> {
    let headers = headers::read(text, draft)?;
    unified(&headers, draft);
    per_minute(&headers, draft);
    draft.warn_if_silent("no `anthropic-ratelimit-…` header tells of a window");
    Ok(())
}

/// The windows that headers name: the text between a prefix and one of the fields.
fn windows<'h>(headers: &'h Headers, prefix: &str, fields: &[&str]) -> BTreeSet<&'h str> {
    let window = |name: &'h String| {
        let (window, field) = name.strip_prefix(prefix)?.rsplit_once('-')?;
        fields.contains(&field).then_some(window)
    };
    headers.keys().filter_map(window).collect()
}

fn number(headers: &Headers, name: &str, draft: &mut ObservationDraft) -> Option<Decimal> {
    let number = value::number(&Value::String(headers.get(name)?.clone()));
    if number.is_none() {
        draft.warn(format!("{} is not a number: left out", quoted(name)));
    }
    number
}

fn instant(headers: &Headers, name: &str, draft: &mut ObservationDraft) -> Option<Timestamp> {
    let at = value::instant(&Value::String(headers.get(name)?.clone()));
    if at.is_none() {
        draft.warn(format!("{} is not a time: left out", quoted(name)));
    }
    at.filter(|at| at.millis() != 0)
}

fn unified(headers: &Headers, draft: &mut ObservationDraft) {
    let verdict = headers.get("anthropic-ratelimit-unified-status");
    let claim =
        headers.get("anthropic-ratelimit-unified-representative-claim").map(|claim| spelled_out(&secrets::text(claim)));
    let mut claimed = false;
    for window in windows(headers, UNIFIED, &["utilization", "reset", "status"]) {
        let header = |field: &str| format!("{UNIFIED}{window}-{field}");
        let fraction = number(headers, &header("utilization"), draft);
        let used = fraction.and_then(|fraction| draft.fraction(window, fraction));
        let resets_at = instant(headers, &header("reset"), draft);
        let name = spelled_out(window);
        let claims = claim.as_ref() == Some(&name);
        claimed |= claims;
        let shared = matches!(name.as_str(), "five_hour" | "seven_day") || name.starts_with(OVERAGE);
        // A verdict that allows the request applies to all shared windows; a refusing one only to the claimed window. The
        // request may be of another model, so it says nothing about the window of one model.
        let general = verdict.filter(|verdict| claims || shared && *verdict == "allowed");
        let status = headers.get(&header("status")).or(general).cloned();
        if let Some(rest) = name.strip_prefix(OVERAGE) {
            // The verdict may also come without a window.
            if used.is_none() && resets_at.is_none() {
                continue;
            }
            match month(rest, resets_at, draft.at) {
                Some(minutes) => draft.see(ObservedWindow { minutes, scope: Some(name), used, resets_at, status }),
                // It then resets with another window, which is not named.
                None if used.is_some_and(|used| used.hundredths() > 0) => {
                    draft.warn(format!("{} does not tell how long its window is: left out", quoted(window)));
                }
                None => {}
            }
        } else if let Some((minutes, scope)) = window_of(&name, draft) {
            draft.see(ObservedWindow { minutes, scope, used, resets_at, status });
        }
    }
    // A refusal may name its window without its use or reset.
    if let Some(verdict) = verdict
        && !claimed
    {
        let resets_at = instant(headers, "anthropic-ratelimit-unified-reset", draft);
        match claim.and_then(|claim| window_of(&claim, draft)) {
            Some((minutes, scope)) => {
                draft.see(ObservedWindow { minutes, scope, used: None, resets_at, status: Some(verdict.clone()) });
            }
            None if verdict != "allowed" => {
                draft.warn(format!("the status {} names no window: left out", quoted(verdict)));
            }
            None => {}
        }
    }
}

/// Minutes of the month that an overage is counted in, if it is a month.
fn month(rest: &str, resets_at: Option<Timestamp>, at: Timestamp) -> Option<u32> {
    match resets_at {
        Some(end) => length::is_month_border(end).then(|| length::month_before(end)),
        None => (rest.is_empty() || rest == "_period_monthly").then(|| length::month_of(at)),
    }
}

/// A window's name in the spelling of claims and other documents of Anthropic: `7d_opus` becomes `seven_day_opus`.
fn spelled_out(window: &str) -> String {
    let name = window.trim().to_ascii_lowercase().replace('-', "_");
    if name == "7d_oi" {
        return "seven_day_overage_included".to_owned();
    }
    for (short, long) in [("5h", "five_hour"), ("7d", "seven_day")] {
        if let Some(rest) = name.strip_prefix(short)
            && (rest.is_empty() || rest.starts_with('_'))
        {
            return format!("{long}{rest}");
        }
    }
    name
}

/// The use of a limit in the current minute: requests, tokens, input tokens, output tokens.
fn per_minute(headers: &Headers, draft: &mut ObservationDraft) {
    let windows = windows(headers, PREFIX, &["limit", "remaining"]);
    for window in windows.into_iter().filter(|window| !window.starts_with("unified")) {
        let header = |field: &str| format!("{PREFIX}{window}-{field}");
        let limit = number(headers, &header("limit"), draft);
        let remaining = number(headers, &header("remaining"), draft);
        let resets_at = instant(headers, &header("reset"), draft);
        let used = match (limit, remaining) {
            (Some(limit), Some(remaining)) => used_share(limit, remaining).and_then(|used| draft.percent(window, used)),
            _ => None,
        };
        if used.is_none() {
            draft.warn(format!("{} has no limit with what remains of it: left out", quoted(window)));
        } else if let Some(scope) = draft.scope(window) {
            draft.see(ObservedWindow { minutes: 1, scope: Some(scope), used, resets_at, status: None });
        }
    }
}

/// The used share of a limit, in percent.
fn used_share(limit: Decimal, remaining: Decimal) -> Option<Decimal> {
    let used = limit.checked_sub(remaining)?.max(Decimal::ZERO);
    used.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(limit).filter(|_| limit > Decimal::ZERO)
}
