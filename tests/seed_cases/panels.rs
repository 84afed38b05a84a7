//! The decision as the dashboard shows it.

use serde_json::{Value, json};
use usage_ledger::budget::RunRequest;
use usage_ledger::event::{LimitSet, Paused, ProviderDeclared};
use usage_ledger::time::{HOUR, MINUTE};
use usage_ledger::{Ledger, ProviderId, TokenRecord};

use super::NOW;
use super::gate::{at_percent, configured_mode, percent};
use super::{Case, Checked, holds, same, unknown};

pub fn tui(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.starts_with("bar") {
        return super::screen::bar(given, expect);
    }
    if case.when == "modal result" {
        return super::screen::modal(given, expect);
    }
    let provider = given["provider"].as_str().filter(|name| *name != "raises").unwrap_or("claude");
    let used = |name: &str| given.get(name).filter(|value| value.is_number()).map_or("10".parse().unwrap(), percent);
    let ledger = at_percent(provider, used("session_pct"), used("weekly_pct"));
    if given["has_api_quota"] == json!(false) {
        let provider = ProviderId::resolve(provider).unwrap();
        ledger.declare(ProviderDeclared::new(provider, false), NOW).unwrap();
    }
    if given["budget_mode"].is_string() {
        let mut limit = LimitSet::new(provider).unwrap();
        limit.budget_mode = Some(configured_mode(given));
        ledger.set_limit(limit, NOW).unwrap();
    }
    if let Some(wanted) = expect.get("mode") {
        let verdict = ledger.budget(provider, NOW).unwrap();
        return same(json!(verdict.mode.name()), wanted.clone());
    }
    if expect.get("treated_as").is_some() {
        // An unknown provider counts as metered, and the decision states that nothing is known.
        let ask = RunRequest::new("unheard-of").unwrap().allow_undeclared();
        let verdict = Ledger::in_memory().unwrap().gate(&ask, NOW).unwrap();
        return holds(verdict.metered && !verdict.warnings.is_empty(), format!("{verdict:?}"));
    }
    super::screen::usage(&ledger, provider, NOW, given, expect)
}

pub fn dashboard(case: &Case) -> Checked {
    let given = &case.given;
    let ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("claude").unwrap().session(500_000), NOW.plus(-HOUR)).unwrap();
    let samples = given["samples"].as_i64().unwrap_or(5);
    for sample in 0..samples {
        let at = NOW.plus((sample - samples + 1) * 5 * MINUTE);
        ledger.record(TokenRecord::new("claude", "m").input(5_000), at).unwrap();
    }
    if given["paused"] == json!(true) {
        ledger.pause(Paused::new("manual"), NOW).unwrap();
    }
    let status = ledger.status(NOW).unwrap();
    let actual = match (&status.paused, status.providers[0].budget.burn) {
        (Some(_), _) => "paused",
        (None, None) => "warming_up",
        (None, Some(_)) => "normal",
    };
    match &case.expect {
        Value::String(wanted) => same(actual.to_owned(), wanted.clone()),
        _ => unknown(case),
    }
}
