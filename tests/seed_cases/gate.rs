//! Budget modes, the ladder, and the cost of a run.

use serde_json::{Value, json};
use usage_ledger::budget::{Marks, Mode, RunRequest, Rung, Tier};
use usage_ledger::event::{BudgetMode, LimitSet, Percent, Thresholds, WindowKind};
use usage_ledger::internals::{BudgetSettings, affordable, run_cost};
use usage_ledger::time::MINUTE;
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord};

use super::{Case, Checked, NOW, Read, holds, members, real, same, unknown, word};

pub fn check(case: &Case) -> Read<Checked> {
    match case.area.as_str() {
        "decide_mode" => decide(case),
        "budget_mode" => budget_mode(case),
        "afford" => afford(case),
        _ => Ok(unknown(case)),
    }
}

/// A percentage; a value that is not a number, or is negative, counts as 0.
pub fn percent(value: &Value) -> Percent {
    let used = value.as_f64().unwrap_or(0.0).max(0.0);
    if used == 0.0 { Percent::default() } else { value.to_string().parse().unwrap() }
}

pub fn mode(name: &str) -> Read<Mode> {
    let actual = Mode::ALL.into_iter().find(|mode| mode.name() == name);
    actual.ok_or_else(|| Checked::Failed(format!("no rule for the mode `{name}`")))
}

fn whole(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap()).unwrap()
}

fn decide(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if given.get("mode_from_tracker").is_some() || case.when == "guard" {
        // A disabled budget never waits, whatever a tracker states, because only the gate decides.
        let full = Percent::from_hundredths(100 * 100);
        let ledger = at_percent("claude", full, full);
        let mut limit = LimitSet::new("claude").unwrap();
        limit.budget_mode = Some(configured_mode(given));
        ledger.set_limit(limit, NOW).unwrap();
        let mode = ledger.budget("claude", NOW).unwrap().mode;
        return Ok(same(json!(mode.name()), expect["mode"].clone()));
    }
    if given.get("available").is_some() || case.when.starts_with("decision line") {
        let rung = Rung::new(mode(word(&given["mode"], "mode")?)?, percent(&given["available"]));
        return Ok(same(json!(rung.to_string()), expect.clone()));
    }
    if case.when != "decide mode" && given.get("session_pct").is_none() {
        return Ok(unknown(case));
    }
    let budget = tracker_mode(given);
    let rung = |name: &str, default: u8| given.get(name).filter(|value| value.is_u64()).map_or(default, whole);
    let at = Thresholds::new(rung("warn_at_percent", 70), rung("stop_at_percent", 85), rung("safety_margin", 10));
    let left = expect.get("available_pct").map(percent);
    // A case may state the mode, what is left, or both.
    let wanted = if left.is_some() && expect["mode"].is_null() { "" } else { word(&expect["mode"], "mode")? };
    Ok(match at {
        Err(error) => holds(
            wanted.contains("error") && error.to_string().contains("warn must be below stop"),
            format!("refused ({error}), wanted {wanted}"),
        ),
        Ok(at) => {
            let weekly = given.get("weekly_pct").map_or_else(Percent::default, percent);
            let ledger = at_percent("claude", percent(&given["session_pct"]), weekly);
            let mut limit = LimitSet::new("claude").unwrap();
            (limit.budget_mode, limit.thresholds) = (Some(budget), Some(at));
            if let Err(error) = ledger.set_limit(limit, NOW) {
                // Settings under which nothing could ever run are refused; the marks agree.
                let mode = Marks::of(at).mode(percent(&given["session_pct"]));
                let refused = wanted.contains("error") || mode.name() == wanted;
                return Ok(holds(refused, format!("refused ({error}), {mode}, wanted {wanted}")));
            }
            let verdict = ledger.budget("claude", NOW).unwrap();
            let available = left.or(verdict.available_percent);
            let mode = if wanted.is_empty() { verdict.mode.name() } else { wanted };
            same((verdict.mode.name().to_owned(), verdict.available_percent), (mode.to_owned(), available))
        }
    })
}

fn budget_mode(case: &Case) -> Read<Checked> {
    let given = &case.given;
    if case.when.contains("warn") {
        let settings = BudgetSettings::from_json(&json!({"budget": given.get("budget").unwrap_or(given)}));
        return Ok(same(json!([settings.thresholds.warn, settings.thresholds.stop]), case.expect.clone()));
    }
    // Flat names such as `usage.budget_mode` stand for nested ones.
    let mut settings = json!({});
    for (name, value) in members(given, "given")? {
        match name.split_once('.') {
            Some((section, key)) => settings[section][key] = value.clone(),
            None => settings[name] = value.clone(),
        }
    }
    let provider = ["provider", "cli_provider"].iter().find_map(|name| given[*name].as_str()).unwrap_or("claude");
    let ledger = Ledger::in_memory().unwrap();
    let metered = match ProviderId::resolve(provider) {
        Ok(id) => ledger.provider(id.as_str(), NOW).unwrap().metered,
        Err(_) => true, // a provider that cannot be asked counts as metered
    };
    let settings = BudgetSettings::from_json(&settings);
    let (mode, trail) = settings.effective_mode(metered);
    assert!(!trail.is_empty(), "a mode has reasons");
    Ok(if case.expect.is_string() { same(json!(mode.name()), case.expect.clone()) } else { unknown(case) })
}

fn afford(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if given.get("tier").is_some() || case.when.starts_with("tier") {
        let routed = given["routing"].as_str() != Some("disabled") && given["routing"] != json!(false);
        let tier = given["tier"].as_str().and_then(|name| name.parse().ok());
        let tier = tier.filter(|_| routed).unwrap_or(Tier::Medium);
        return Ok(holds(
            (f64::from(tier.cost_percent()) / 100.0 - real(expect, "expect")?).abs() < 1e-9,
            format!("{} %", tier.cost_percent()),
        ));
    }
    let budget = tracker_mode(given);
    let session = percent(&given["session_pct"]);
    let weekly = given.get("weekly_pct").map_or_else(Percent::default, percent);
    let left = with_mode(at_percent("claude", session, weekly), budget).budget("claude", NOW).unwrap().rung().left;
    // The seed assumes 5 % for an unknown cost.
    let cost = run_cost(session, given["runs"].as_u64().unwrap_or(0)).unwrap_or(Percent::from_hundredths(500));
    if case.when.starts_with("decide then downgrade") {
        let ledger = after_runs(given, budget);
        for (factor, wanted) in members(expect, "expect")? {
            let of_cost =
                |tier: &Tier| factor.trim_start_matches('x').parse() == Ok(f64::from(tier.cost_percent()) / 100.0);
            let Some(tier) = Tier::ALL.into_iter().find(of_cost) else { return Ok(unknown(case)) };
            let actual = ledger.gate(&RunRequest::new("claude").unwrap().tier(tier), NOW).unwrap().mode;
            if actual.name() != word(wanted, factor)? {
                return Ok(Checked::Failed(format!("{factor}: {actual}, wanted {wanted}")));
            }
        }
        return Ok(Checked::Passed);
    }
    for (name, wanted) in members(expect, "expect")? {
        let right = match name.as_str() {
            "base_cost" => (f64::from(cost.hundredths()) / 100.0 - real(wanted, name)?).abs() < 0.01,
            mode_name => json!(affordable(cost, mode(mode_name)?, Tier::Medium, left)) == *wanted,
        };
        if !right {
            return Ok(Checked::Failed(format!("{name}: wanted {wanted}; cost {cost}, left {left}")));
        }
    }
    Ok(Checked::Passed)
}

/// The budget mode of an agent's settings; an invalid one is `session_only`.
pub fn configured_mode(given: &Value) -> BudgetMode {
    BudgetSettings::from_json(&json!({"usage": {"budget_mode": given["budget_mode"]}})).effective_mode(true).0
}

/// The budget mode of a tracker, which treats any other word as the strictest one, and compares words exactly.
fn tracker_mode(given: &Value) -> BudgetMode {
    given["budget_mode"].as_str().and_then(|word| word.parse().ok()).unwrap_or(BudgetMode::Full)
}

fn with_mode(ledger: Ledger, budget: BudgetMode) -> Ledger {
    let mut limit = LimitSet::new("claude").unwrap();
    limit.budget_mode = Some(budget);
    ledger.set_limit(limit, NOW).unwrap();
    ledger
}

/// A ledger in which a number of runs used a session to a percentage, and the week too.
fn after_runs(given: &Value, budget: BudgetMode) -> Ledger {
    let percents = [&given["session_pct"], &given["weekly_pct"]].map(|used| used.as_u64().unwrap_or(0));
    let (session, weekly) = (percents[0] * 5_000, percents[1] * 50_000);
    let runs = given["runs"].as_u64().unwrap_or(0);
    if runs == 0 {
        // The window was used without a run whose cost is known.
        let used = [&given["session_pct"], &given["weekly_pct"]].map(percent);
        return with_mode(at_percent("claude", used[0], used[1]), budget);
    }
    let ledger = with_mode(limited("claude"), budget);
    if weekly > session {
        let earlier = TokenRecord::new("claude", "m").input(weekly - session);
        ledger.record(earlier, NOW.plus(-12 * 60 * MINUTE)).unwrap();
    }
    for run in 0..runs {
        let tokens = session / runs + u64::from(run < session % runs);
        ledger.record(TokenRecord::new("claude", "m").input(tokens), NOW.plus(-30 * MINUTE)).unwrap();
    }
    ledger
}

/// A ledger with the seed's limits for a provider.
pub fn limited(provider: &str) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new(provider).unwrap().session(500_000).weekly(5_000_000);
    ledger.set_limit(limits, Timestamp::from_millis(0)).unwrap();
    ledger
}

/// A ledger with overrides of both windows.
pub fn at_percent(provider: &str, session: Percent, weekly: Percent) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new(provider).unwrap().session(500_000).weekly(5_000_000);
    ledger.set_limit(limits, NOW).unwrap();
    for (window, used) in [(WindowKind::Session, session), (WindowKind::Weekly, weekly)] {
        ledger.override_usage(provider, window, used, "test", "", NOW).unwrap();
    }
    ledger
}
