//! Parses Koan's two counters.

use std::path::Path;

use serde::Deserialize;

use super::row::local_time;
use super::rows;
use crate::import::engine::jsonl;
use crate::import::engine::provider_names::lower_case;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{AccountRef, Payload, Percent, QuotaObserved, TokenRecord, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, HOUR, Timestamp, Zone};
use crate::usage::{AccountAt, COUNTED_BY_AGENT, Limits, WITHOUT_RECORDS, counted_span, exact_share, is_recorded};

/// Koan's default limits in tokens.
const SESSION_LIMIT: u64 = 500_000;
const WEEKLY_LIMIT: u64 = 5_000_000;

#[derive(Deserialize)]
#[serde(expecting = "an object of counters")]
struct KoanState {
    #[serde(default)]
    provider: Option<String>,
    session_start: String,
    session_tokens: u64,
    weekly_start: String,
    weekly_tokens: u64,
    #[serde(default)]
    runs: u64,
}

/// Returns how much of each window was used when the counters were written, if the window was still open, with a key
/// for each event.
///
/// A counter is used only for a window without any row of its instance, for example because rows were rotated. Koan
/// resets its counters when its provider changes and whenever it resumes from a pause, and writes them before the row
/// of the last run that they include. An observation of the provider also takes precedence.
///
/// The inner error states why the document is invalid.
pub(super) fn observations(
    (text, usage_dir): (&str, &Path),
    written: Timestamp,
    zone: Zone,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<std::result::Result<Vec<(Payload, String)>, String>> {
    if !text.trim_start().starts_with('{') {
        return Ok(Err("the counters are not a JSON object: they are left out".to_owned()));
    }
    let state: KoanState = match serde_json::from_str(text) {
        Ok(state) => state,
        Err(error) => return Ok(Err(format!("the counters are left out: {}", jsonl::refusal(&error)))),
    };
    let starts = (local_time(&state.session_start, zone), local_time(&state.weekly_start, zone));
    let (session, weekly) = match starts {
        (Ok(session), Ok(weekly)) => (session, weekly),
        (Err(why), _) | (_, Err(why)) => return Ok(Err(format!("the counters are left out: {why}"))),
    };
    let provider_name = state.provider.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or("claude");
    let Ok(provider) = ProviderId::resolve(&lower_case(provider_name)) else {
        return Ok(Err("the counters are left out: their provider has no valid name".to_owned()));
    };
    let usage = ledger.provider(provider.as_str(), now)?;
    let monday = zone.start_of_day(Zone::monday(zone.day(weekly)));
    let next_monday = zone.start_of_day(Zone::monday(zone.day(monday.plus(7 * DAY + 12 * HOUR))));
    let account = AccountRef::new(provider.as_str(), None);
    let snapshot = ledger.snapshot()?;
    let limits = Limits::at(AccountAt::new(snapshot.view(), &account, now))?;
    let windows = [
        (300, state.session_tokens, usage.session.limit.unwrap_or(SESSION_LIMIT), session, session.plus(5 * HOUR)),
        (10_080, state.weekly_tokens, usage.weekly.limit.unwrap_or(WEEKLY_LIMIT), weekly, next_monday),
    ];
    let mut observations = Vec::new();
    for (minutes, tokens, limit, start, resets_at) in windows {
        if tokens == 0 || written < start || written > resets_at {
            continue;
        }
        let kind = if minutes == 300 { WindowKind::Session } else { WindowKind::Weekly };
        let at = AccountAt::new(snapshot.view(), &account, written);
        let beside = is_recorded(at, &limits, kind)?;
        let span = counted_span(written, &limits, kind);
        let weighs = |record: &TokenRecord| {
            record.provider == provider.as_str() && limits.weights.weigh(record.tokens.counts().map(u128::from)) > 0
        };
        if beside && rows::any(snapshot.view(), usage_dir, span, zone, &weighs)? {
            continue;
        }
        let seen = QuotaObserved {
            provider: provider.clone(),
            account: None,
            window_minutes: minutes,
            scope: None,
            // Koan also limits its percentage to 100.
            used_percent: Some(exact_share(u128::from(tokens), limit).min(Percent::from_hundredths(10_000))),
            resets_at: Some(resets_at),
            status: beside.then(|| WITHOUT_RECORDS.to_owned()),
            feed: COUNTED_BY_AGENT.to_owned(),
        };
        // The id depends on the counter and not on the percentage, so a different limit makes no new event.
        let runs = state.runs;
        let mark = if beside { " beside" } else { "" };
        observations.push((Payload::from(seen), format!("{provider} {minutes} {tokens} {start} {runs}{mark}")));
    }
    Ok(Ok(observations))
}
