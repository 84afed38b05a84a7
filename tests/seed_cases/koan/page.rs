//! The page of percentages, read and written.

use chrono::{Datelike, TimeDelta};
use serde_json::{Value, json};
use usage_ledger::budget::Mode;
use usage_ledger::event::{LimitSet, NewEvent, Percent, QuotaObserved};
use usage_ledger::export::{self, ExportOptions};
use usage_ledger::internals::import::koan;
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord, Zone};

use super::{NOW, PROVIDER, contains, fields, moment, number, text};
use crate::seed_cases_by_area::{Case, Checked};

pub fn usage_md(case: &Case) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.contains("render") {
        return contains(&render(given)?, expect);
    }
    if case.when == "safety margin" {
        let age = (given["age_hours"].as_f64()? * usage_ledger::time::HOUR as f64) as i64;
        let margin = usage_ledger::internals::safety_margin(usage_ledger::event::Thresholds::default().margin, age);
        return Some(super::super::same(json!(margin), expect.clone()));
    }
    given.get("file")?;
    let page = koan::usage_md::parse(text(given, "file").unwrap_or_default());
    // Koan treats an unreadable page as 75 % used, and a missing line as 0.
    let missing = if page.is_malformed() { Percent::from_hundredths(7_500) } else { Percent::default() };
    let of =
        |reading: &Option<koan::usage_md::UsageMdReading>| reading.as_ref().map_or(missing, |reading| reading.percent);
    let (session, weekly) = (of(&page.session), of(&page.weekly));
    let percent = |percent: Percent| json!(f64::from(percent.hundredths()) / 100.0);
    let left = |reading: &Option<koan::usage_md::UsageMdReading>| {
        reading.as_ref().map_or_else(|| json!("unknown"), |reading| json!(reading.resets_in))
    };
    let mut actual = json!({
        "session_pct": percent(session), "weekly_pct": percent(weekly),
        "session_reset": left(&page.session), "weekly_reset": left(&page.weekly),
        "malformed": page.is_malformed(), "warning": page.is_malformed(), "warns": page.is_malformed(),
    });
    if expect.get("mode_full").is_some() {
        actual["mode_full"] = json!(mode(session, weekly).name());
    }
    Some(fields(&actual, expect))
}

/// The mode for the provider's percentages.
fn mode(session: Percent, weekly: Percent) -> Mode {
    let now = moment(&json!(NOW)).unwrap();
    let ledger = Ledger::in_memory().unwrap();
    for (minutes, used) in [(300, session), (10_080, weekly)] {
        ledger
            .append([NewEvent::new(observed(minutes, used, Some(now.plus(usage_ledger::time::HOUR))), now)], now)
            .unwrap();
    }
    ledger.budget(PROVIDER, now).unwrap().mode
}

fn observed(window_minutes: u32, used: Percent, resets_at: Option<Timestamp>) -> QuotaObserved {
    {
        let mut made = QuotaObserved::new(ProviderId::new(PROVIDER).unwrap(), window_minutes, "oauth").used(used);
        made.resets_at = resets_at;
        made
    }
}

/// The page for a state: tokens as records, account percentages as observations.
fn render(given: &Value) -> Option<String> {
    let now = given.get("now").and_then(moment).or_else(|| moment(&json!(NOW)))?;
    let start = given.get("session_start").and_then(moment).unwrap_or(now);
    let ledger = Ledger::in_memory().unwrap();
    let limit = |name: &str, other| number(given, name).unwrap_or(other);
    let limits = LimitSet::new(PROVIDER)
        .unwrap()
        .session(limit("session_token_limit", 500_000))
        .weekly(limit("weekly_token_limit", 5_000_000));
    let long_ago = now.plus(-30 * usage_ledger::time::DAY);
    ledger.set_limit(limits, long_ago).unwrap();
    let session = number(given, "session_tokens").unwrap_or(0);
    let weekly = number(given, "weekly_tokens").unwrap_or(session).saturating_sub(session);
    let day = Zone::UTC.day(now);
    let monday = day - TimeDelta::days(i64::from(day.weekday().num_days_from_monday()));
    let call = |tokens| TokenRecord::new(PROVIDER, "claude-opus-4-5").input(tokens);
    if weekly > 0 {
        ledger.record(call(weekly), Zone::UTC.start_of_day(monday)).unwrap();
    }
    let runs = number(given, "runs").unwrap_or(u64::from(session > 0));
    let cache = |names: [&str; 3]| names.iter().find_map(|name| number(given, name));
    let read = cache(["cache_read", "cache_read_input_tokens", "read"]);
    let created = cache(["cache_creation", "cache_creation_input_tokens", "created"]);
    if read.or(created).is_some() {
        let mut cached = call(number(given, "input").unwrap_or(0)).cache_read(read.unwrap_or(0));
        cached.tokens.cache_write = created;
        ledger.record(cached, Zone::UTC.start_of_day(day)).unwrap();
    }
    for run in 0..runs {
        let share = session / runs + if run == 0 { session % runs } else { 0 };
        ledger.record(call(share), start).unwrap();
    }
    let oauth = given.get("oauth").filter(|oauth| oauth.is_object());
    for (minutes, name) in [(300, "session"), (10_080, "weekly")] {
        let Some(used) = oauth.and_then(|oauth| oauth.get(name)).and_then(Value::as_f64) else { continue };
        let left = oauth.and_then(|oauth| text(oauth, &format!("{name}_reset"))).and_then(koan::usage_md::duration);
        // `0m` means less than a minute: an ended window has no percentage.
        let resets_at = now.plus(left.unwrap_or(usage_ledger::time::HOUR).max(1));
        ledger
            .append([NewEvent::new(observed(minutes, used.to_string().parse().unwrap(), Some(resets_at)), now)], now)
            .unwrap();
    }
    // The rendered provider is the active one, even without usage.
    let mut options = ExportOptions::default();
    (options.now, options.provider, options.zone) = (Some(now), Some(PROVIDER.to_owned()), Zone::UTC);
    let mut page = Vec::new();
    export::find("usage-md").unwrap().export_with(&ledger.snapshot().unwrap(), &options, &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let read = koan::usage_md::parse(&page);
    assert!(read.session.is_some() && read.weekly.is_some() && read.source.is_some(), "does not read back: {page}");
    Some(page)
}
