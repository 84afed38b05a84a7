//! Budget modes, the ladder, cost, burn, pauses, probes, and what the dashboard shows of them.

use serde_json::{Value, json};
use usage_ledger::budget::{
    Ask, BudgetSettings, Mode, Probe, Rung, Tier, affordable, burn_rate, ladder, minutes_left, run_cost, slowed,
};
use usage_ledger::event::{
    BudgetMode, LimitSet, NewEvent, Paused, Percent, ProviderDeclared, QuotaObserved, Thresholds, WindowKind,
};
use usage_ledger::exhaustion;
use usage_ledger::humanize::duration::{parse_duration, until_reset};
use usage_ledger::time::{HOUR, MINUTE, SECOND};
use usage_ledger::usage::resume_at;
use usage_ledger::{Ledger, Outcome, ProviderId, Timestamp, TokenRecord};

use super::{Case, Checked, holds, same, unknown};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

pub fn check(case: &Case) -> Checked {
    match (case.area.as_str(), case.when.as_str()) {
        ("decide_mode", _) => decide(case),
        ("budget_mode", _) => budget_mode(case),
        ("afford", _) => afford(case),
        ("burn_rate", _) => burn(case),
        ("pause", _) => pause(case),
        ("preflight", _) => preflight(case),
        ("tui", _) => tui(case),
        ("dashboard", _) => dashboard(case),
        _ => unknown(case),
    }
}

fn percent(value: &Value) -> Percent {
    value.to_string().parse().unwrap()
}

fn mode(name: &str) -> Mode {
    Mode::ALL.into_iter().find(|mode| mode.name() == name).unwrap_or_else(|| panic!("no mode {name}"))
}

fn whole(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap()).unwrap()
}

fn decide(case: &Case) -> Checked {
    let given = &case.given;
    if let Some(tracker) = given.get("mode_from_tracker") {
        // A disabled budget never waits, whatever a tracker says: nothing but the gate decides here.
        assert!(tracker.is_string());
        let full = Percent::from_hundredths(100 * 100);
        let ledger = at_percent("claude", full, full);
        let mut limit = LimitSet::new("claude").unwrap();
        limit.budget_mode = Some(given["budget_mode"].as_str().unwrap().parse().unwrap());
        ledger.set_limit(limit, NOW).unwrap();
        let mode = ledger.budget("claude", NOW).unwrap().mode;
        return same(json!(mode.name()), case.expect["mode"].clone());
    }
    if given.get("available").is_some() {
        let rung = Rung { mode: mode(given["mode"].as_str().unwrap()), left: percent(&given["available"]) };
        return same(json!(rung.to_string()), case.expect.clone());
    }
    if given.get("session_pct").is_none() {
        return unknown(case);
    }
    let budget: BudgetMode = given["budget_mode"].as_str().unwrap_or("full").parse().unwrap();
    let rung = |name: &str, default: u8| given.get(name).map_or(default, whole);
    let at = Thresholds::new(rung("warn_at_percent", 70), rung("stop_at_percent", 85), rung("safety_margin", 10));
    let wanted = case.expect["mode"].as_str().unwrap();
    match at {
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
                // Settings under which nothing could ever run are refused; the ladder says the same of them.
                let rung = ladder(percent(&given["session_pct"]), weekly, budget, at);
                let refused = wanted.contains("error") || rung.mode.name() == wanted;
                return holds(refused, format!("refused ({error}), {rung}, wanted {wanted}"));
            }
            let verdict = ledger.budget("claude", NOW).unwrap();
            let available =
                case.expect.get("available_pct").map_or(verdict.available_percent, |left| Some(percent(left)));
            same((verdict.mode.name().to_owned(), verdict.available_percent), (wanted.to_owned(), available))
        }
    }
}

fn budget_mode(case: &Case) -> Checked {
    let given = &case.given;
    if case.when.contains("warn") {
        let settings = BudgetSettings::from_json(&json!({"budget": given.get("budget").unwrap_or(given)}));
        return same(json!([settings.thresholds.warn, settings.thresholds.stop]), case.expect.clone());
    }
    // Flat names such as `usage.budget_mode` stand for nested ones.
    let mut settings = json!({});
    for (name, value) in given.as_object().unwrap() {
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
    if case.expect.is_string() { same(json!(mode.name()), case.expect.clone()) } else { unknown(case) }
}

fn afford(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(tier) = given.get("tier") {
        let routed = given["routing"].as_str() != Some("disabled") && given["routing"] != json!(false);
        let tier = tier.as_str().and_then(|name| name.parse().ok()).filter(|_| routed).unwrap_or(Tier::Medium);
        return holds(
            (f64::from(tier.cost_percent()) / 100.0 - expect.as_f64().unwrap()).abs() < 1e-9,
            format!("{} %", tier.cost_percent()),
        );
    }
    let budget: BudgetMode = given["budget_mode"].as_str().unwrap_or("full").parse().unwrap();
    let session = percent(&given["session_pct"]);
    let rung = ladder(session, percent(&given["weekly_pct"]), budget, Thresholds::default());
    // What is not known the seed takes for 5 %.
    let cost = run_cost(session, given["runs"].as_u64().unwrap()).unwrap_or(Percent::from_hundredths(500));
    if case.when.starts_with("decide then downgrade") {
        let ledger = after_runs(given, budget);
        for (factor, wanted) in expect.as_object().unwrap() {
            let factor: f64 = factor.trim_start_matches('x').parse().unwrap();
            let tier = Tier::ALL.into_iter().find(|tier| f64::from(tier.cost_percent()) / 100.0 == factor).unwrap();
            let found = ledger.gate(&Ask::new("claude").unwrap().tier(tier), NOW).unwrap().mode;
            if found.name() != wanted.as_str().unwrap() {
                return Checked::Failed(format!("x{factor}: {found}, wanted {wanted}"));
            }
        }
        return Checked::Passed;
    }
    if expect.get("base_cost").is_none() {
        return unknown(case);
    }
    let near = (f64::from(cost.hundredths()) / 100.0 - expect["base_cost"].as_f64().unwrap()).abs() < 0.01;
    let fits = |of: Mode| affordable(cost, of, Tier::Medium, rung.left);
    let right = ["review", "implement", "deep"]
        .iter()
        .all(|name| expect.get(*name).is_none_or(|wanted| json!(fits(mode(name))) == *wanted));
    holds(near && right, format!("cost {cost}, left {}", rung.left))
}

/// A ledger in which a session was used up so far by so many runs, and the week besides.
fn after_runs(given: &Value, budget: BudgetMode) -> Ledger {
    let ledger = limited("claude");
    let mut limit = LimitSet::new("claude").unwrap();
    limit.budget_mode = Some(budget);
    ledger.set_limit(limit, Timestamp::from_millis(1)).unwrap();
    let (session, runs) = (given["session_pct"].as_u64().unwrap() * 5_000, given["runs"].as_u64().unwrap());
    for run in 0..runs {
        let tokens = session / runs + u64::from(run < session % runs);
        ledger.record(TokenRecord::new("claude", "m").input(tokens), NOW.plus(-30 * MINUTE)).unwrap();
    }
    ledger
}

fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN" | "nan") => Some(f64::NAN),
        Some("inf" | "Infinity") => Some(f64::INFINITY),
        Some("-inf" | "-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn burn(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let uses: Vec<(Timestamp, f64)> = given["samples_minutes_ago_and_cost"]
        .as_array()
        .map(|pairs| {
            let minutes = |pair: &Value| pair[0].as_f64().unwrap();
            pairs
                .iter()
                .map(|pair| (NOW.plus(-(minutes(pair) * MINUTE as f64) as i64), number(&pair[1]).unwrap()))
                .collect()
        })
        .unwrap_or_default();
    let used = given["session_pct"].as_f64().unwrap_or(0.0);
    if case.when.starts_with("rate") {
        let rate = burn_rate(&uses, NOW);
        let close = |found: Option<f64>, wanted: &Value| match wanted {
            Value::Null => found.is_none(),
            Value::String(text) if text.starts_with("> ") => {
                found.is_some_and(|found| found > text[2..].parse::<f64>().unwrap())
            }
            // Idle time counts: what is used over the time since the first use.
            Value::String(_) => {
                let first = uses.iter().map(|(at, _)| *at).min().unwrap();
                let sum: f64 = uses.iter().map(|(_, cost)| cost).sum();
                let minutes = (NOW.millis() - first.millis()) as f64 / MINUTE as f64;
                found.is_some_and(|found| (found - sum / minutes).abs() < 1e-9)
            }
            wanted => found.is_some_and(|found| (found - wanted.as_f64().unwrap()).abs() < 1e-6 * found.abs().max(1.0)),
        };
        let modes = [None, Some(Mode::Review), Some(Mode::Implement), Some(Mode::Deep)];
        let left: Vec<Option<f64>> =
            modes.into_iter().map(|mode| rate.and_then(|rate| minutes_left(used, rate, mode))).collect();
        let right = left.iter().zip(expect["tte"].as_array().unwrap()).all(|(found, wanted)| close(*found, wanted));
        return holds(close(rate.map(|rate| rate.per_minute), &expect["rate"]) && right, format!("{rate:?} {left:?}"));
    }
    if case.when.starts_with("one-tier downgrade") {
        let rate = burn_rate(&uses, NOW);
        for (from, to) in expect.as_object().unwrap() {
            let found = slowed(mode(from), used, rate);
            if found.name() != to.as_str().unwrap() {
                return Checked::Failed(format!("{from} becomes {found}, wanted {to}"));
            }
        }
        return Checked::Passed;
    }
    if case.when.contains("warning") {
        // Once a window: who is told keeps the window's opening as the key.
        let told = given["warned_this_session"].as_bool().unwrap_or(false);
        return same(json!(warned(given) && !told), expect.clone());
    }
    if case.when.contains("reset") || case.when.contains("rollover") {
        // Uses of an earlier window make no rate.
        let ledger = limited("claude");
        for (at, points) in &uses {
            ledger.record(TokenRecord::new("claude", "m").input((points * 5_000.0) as u64), *at).unwrap();
        }
        ledger.override_usage("claude", WindowKind::Session, Percent::default(), "test", "", NOW).unwrap();
        let found = u8::from(ledger.budget("claude", NOW).unwrap().burn.is_some());
        return same(json!(found), expect.get("samples").unwrap_or(expect).clone());
    }
    match case.when.as_str() {
        "record sample" => {
            let cost = number(&given["cost_pct"]).unwrap();
            let good: Vec<_> = [20, 15, 10, 5, 0].map(|ago| (NOW.plus(-ago * MINUTE), 1.0)).to_vec();
            let mut with = good.clone();
            with.push((NOW.plus(-MINUTE), cost));
            let stored = burn_rate(&with, NOW) != burn_rate(&good, NOW);
            same(json!(stored), expect.get("stored").unwrap_or(expect).clone())
        }
        // There is no file of samples that could be damaged: an empty ledger has none, and says so.
        "load" => {
            let ledger = Ledger::in_memory().unwrap();
            let found = u8::from(ledger.budget("anthropic", NOW).unwrap().burn.is_some());
            same(json!(found), expect.get("samples").unwrap_or(expect).clone())
        }
        "samples kept" => {
            let Some(writers) = given["writers"].as_u64() else { return unknown(case) };
            let kept = together(usize::try_from(writers).unwrap(), 1, 1);
            same(json!(kept.1), expect.clone())
        }
        _ => unknown(case),
    }
}

/// A ledger with the seed's limits for a provider.
fn limited(provider: &str) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new(provider).unwrap().session(500_000).weekly(5_000_000);
    ledger.set_limit(limits, Timestamp::from_millis(0)).unwrap();
    ledger
}

/// Whether the gate warns that a session which lasts so long at its rate is used up before it resets.
fn warned(given: &Value) -> bool {
    let (Some(left), Some(reset)) = (given["tte_min"].as_f64(), given["minutes_to_reset"].as_f64()) else {
        return false;
    };
    let provider = given["provider"].as_str().unwrap_or("claude");
    let ledger = limited(provider);
    let mode = if given["unlimited_quota"] == json!(true) { Some("disabled") } else { given["budget_mode"].as_str() };
    if let Some(mode) = mode {
        let mut limit = LimitSet::new(provider).unwrap();
        limit.budget_mode = Some(mode.parse().unwrap());
        ledger.set_limit(limit, Timestamp::from_millis(1)).unwrap();
    }
    let id = ProviderId::resolve(provider).unwrap();
    if given["has_api_quota"] == json!(false) {
        let declared = ProviderDeclared { provider: id.clone(), account: None, metered: false };
        ledger.declare(declared, Timestamp::from_millis(1)).unwrap();
    }
    // One percentage point a minute, in five uses of the last twenty minutes.
    for ago in [20, 15, 10, 5, 0] {
        ledger.record(TokenRecord::new(provider, "m").input(20_000), NOW.plus(-ago * MINUTE)).unwrap();
    }
    let seen = QuotaObserved {
        provider: id,
        account: None,
        window_minutes: 300.max(reset as u32 + 30),
        scope: None,
        used_percent: Some((100.0 - left).to_string().parse().unwrap()),
        resets_at: Some(NOW.plus((reset * MINUTE as f64) as i64)),
        status: None,
        feed: "oauth".to_owned(),
    };
    ledger.append([NewEvent::new(seen, NOW)], NOW).unwrap();
    let verdict = ledger.budget(provider, NOW).unwrap();
    verdict.warnings.iter().any(|warning| warning.contains("used up in"))
}

/// Records from several threads on one file: tokens and calls that the ledger counts afterwards.
pub fn together(writers: usize, each: usize, tokens: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    Ledger::open(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                let ledger = Ledger::open(&path).unwrap();
                for _ in 0..each {
                    ledger.record(TokenRecord::new("claude", "m").input(tokens), NOW).unwrap();
                }
            });
        }
    });
    let usage = Ledger::open(&path).unwrap().provider("claude", NOW).unwrap();
    (u64::try_from(usage.session.usage.tokens.total()).unwrap(), usage.session.usage.requests)
}

/// A pause as the seed system wrote it: reason and unix time, 0 for none.
fn seed_pause(given: &Value) -> Option<Paused> {
    let reason = given["reason"].as_str()?.to_owned();
    let at = given["ts"].as_i64().filter(|ts| *ts > 0).map(|ts| Timestamp::from_millis(ts * SECOND));
    let (reason, until, note) = match reason.as_str() {
        "quota" | "timed" | "manual" => (reason, at, None),
        // Every other one ends five hours after it was written.
        _ => ("timed".to_owned(), at.map(|at| at.plus(5 * HOUR)), Some(reason)),
    };
    Some(Paused { reason, until, note })
}

fn pause(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.starts_with("parse pause duration") {
        let found = parse_duration(given["text"].as_str().unwrap()).map(|millis| millis / SECOND);
        return same(json!(found), expect.clone());
    }
    if let Some(left) = given["seconds_left"].as_i64() {
        return same(json!(until_reset(left * SECOND)), expect.clone());
    }
    match case.when.as_str() {
        when if when.starts_with("compute resume time") => {
            // A budget wait ends with the session.
            let session = given["session_start"].as_str().and_then(|start| super::text::around(start, NOW));
            let reset = given["reset"].as_i64().map(|at| Timestamp::from_millis(at * SECOND));
            let reset = reset.or(session.map(|start| start.plus(5 * HOUR)));
            let found = resume_at(reset, NOW);
            let wanted = match &expect["resume"] {
                Value::Number(at) => Timestamp::from_millis(at.as_i64().unwrap() * SECOND),
                text => {
                    let text = text.as_str().unwrap();
                    let seconds = |text: &str| text.trim_end_matches('s').parse::<i64>().unwrap();
                    match (text.strip_prefix("now+"), text.strip_prefix("reset+")) {
                        (Some(after), _) => NOW.plus(seconds(after) * SECOND),
                        (_, Some(after)) => reset.unwrap().plus(seconds(after) * SECOND),
                        _ => return unknown(case),
                    }
                }
            };
            same(found, wanted)
        }
        "should auto-resume" => {
            let start = Timestamp::from_millis(0);
            let now = Timestamp::from_millis(given["now"].as_i64().unwrap() * SECOND);
            let ledger = Ledger::in_memory().unwrap();
            let pause = seed_pause(given).unwrap_or(Paused { reason: "unknown".into(), until: None, note: None });
            // The seed's end that is no time at all: a quota pause that nobody may end but a person.
            let pause = match (pause.reason.as_str(), pause.until) {
                ("quota", None) => Paused { reason: "manual".into(), note: Some("quota".into()), ..pause },
                _ => pause,
            };
            ledger.pause(pause, start).unwrap();
            same(json!(ledger.status(now).unwrap().paused.is_none()), expect.clone())
        }
        "claim the pause" => {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("usage.db");
            let pause = Paused { reason: "quota".into(), until: Some(NOW.plus(1)), note: None };
            Ledger::open(&path).unwrap().pause(pause, NOW).unwrap();
            let callers = given["callers"].as_u64().unwrap();
            let winners = std::thread::scope(|scope| {
                let claims: Vec<_> = (0..callers)
                    .map(|_| {
                        scope.spawn(|| {
                            let outcome = Ledger::open(&path).unwrap().resume("the window reset", NOW.plus(2)).unwrap();
                            matches!(outcome, Outcome::Appended(_))
                        })
                    })
                    .collect();
                claims.into_iter().filter(|_| true).map(|claim| u64::from(claim.join().unwrap())).sum::<u64>()
            });
            same(json!(winners), expect["winners"].clone())
        }
        "quota check" => {
            let found = super::text::judged(case, given["provider"].as_str().unwrap_or("claude"));
            let result = match found {
                exhaustion::ScanVerdict::Exhausted(_) => "exhausted",
                exhaustion::ScanVerdict::NotExhausted => "ok",
                exhaustion::ScanVerdict::Unreliable => "unreliable",
            };
            // Only an exhaustion is an event, so nothing else can shut a gate; what is unreliable says so.
            let wanted = expect["result"].as_str().unwrap_or(match expect["exhausted"].as_bool() {
                Some(true) => "exhausted",
                _ => "ok",
            });
            same(result.to_owned(), wanted.to_owned())
        }
        _ => unknown(case),
    }
}

fn preflight(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let ledger = Ledger::in_memory().unwrap();
    if let Some(mode) = given["budget_mode"].as_str() {
        let mut limit = LimitSet::new("claude").unwrap();
        limit.budget_mode = Some(mode.parse().unwrap());
        ledger.set_limit(limit, NOW.plus(-HOUR)).unwrap();
    }
    let settings = match given.get("preflight_cache_minutes") {
        Some(minutes) => BudgetSettings::from_json(&json!({"preflight_cache_minutes": minutes})),
        None => BudgetSettings::from_json(&json!({})),
    };
    let ttl = i64::from(settings.preflight_minutes) * MINUTE;
    let probe = || match &given["probe"] {
        Value::Array(answer) if answer[0] == json!(false) => {
            Probe::Exhausted { excerpt: answer[1].as_str().unwrap_or_default().to_owned(), resets_at: None }
        }
        Value::String(why) => Probe::Failed(why.clone()),
        _ if given["provider"] == json!("raises") => Probe::Failed("the provider raised".to_owned()),
        _ => Probe::Available,
    };
    let gap = given["gap_min"].as_i64().unwrap_or(0);
    let (mut probed, mut last) = (0, None);
    for (provider, minutes) in calls(given, gap) {
        let ask = Ask::new(&provider).unwrap();
        let done = ledger.preflight(&ask, ttl, NOW.plus(minutes * MINUTE), probe).unwrap();
        probed += i32::from(done.probed);
        last = Some(done);
    }
    for (name, wanted) in expect.as_object().unwrap() {
        let found = match name.as_str() {
            "ok" => json!(last.unwrap().ok),
            "probe_called" => json!(probed > 0),
            "probe_calls" => json!(probed),
            // The words of a refusal are kept in the event.
            "message" | "error" | "detail" | "reason" => {
                let refused = ledger.provider("claude", NOW).unwrap().exhausted.map(|refused| refused.excerpt);
                refused.map_or(Value::Null, Value::from)
            }
            _ => return unknown(case),
        };
        if found != *wanted {
            return Checked::Failed(format!("{name} is {found}, wanted {wanted}"));
        }
    }
    Checked::Passed
}

/// The calls of a case: of which provider, and how many minutes after the first. They are counted, or listed as providers
/// with or without a time.
fn calls(given: &Value, gap: i64) -> Vec<(String, i64)> {
    let own = given["provider"].as_str().filter(|name| *name != "raises").unwrap_or("claude").to_owned();
    let list = [&given["calls"], &given["providers"], &given["sequence"]].into_iter().find_map(Value::as_array);
    if let Some(list) = list {
        return list
            .iter()
            .enumerate()
            .map(|(index, call)| {
                let name = call.as_str().or_else(|| call[0].as_str()).or_else(|| call["provider"].as_str());
                let at =
                    [&call[1], &call["at"], &call["minute"], &call["at_min"], call].into_iter().find_map(Value::as_i64);
                (name.unwrap_or(&own).to_owned(), at.unwrap_or(index as i64 * gap))
            })
            .collect();
    }
    let mut calls: Vec<_> = (0..given["calls"].as_i64().unwrap_or(1)).map(|call| (own.clone(), call * gap)).collect();
    let other = given
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, value)| value.is_string() && name.contains("provider") && name.as_str() != "provider");
    if let Some((_, other)) = other {
        // Every call after the first is of the other provider.
        for (name, _) in calls.iter_mut().skip(1) {
            *name = other.as_str().unwrap().to_owned();
        }
    }
    calls
}

/// A ledger whose windows a person has put at these percentages.
fn at_percent(provider: &str, session: Percent, weekly: Percent) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new(provider).unwrap().session(500_000).weekly(5_000_000);
    ledger.set_limit(limits, NOW).unwrap();
    for (window, used) in [(WindowKind::Session, session), (WindowKind::Weekly, weekly)] {
        ledger.override_usage(provider, window, used, "test", "", NOW).unwrap();
    }
    ledger
}

fn tui(case: &Case) -> Checked {
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
        ledger.declare(ProviderDeclared { provider, account: None, metered: false }, NOW).unwrap();
    }
    if let Some(mode) = given["budget_mode"].as_str() {
        let mut limit = LimitSet::new(provider).unwrap();
        limit.budget_mode = Some(mode.parse().unwrap());
        ledger.set_limit(limit, NOW).unwrap();
    }
    if let Some(wanted) = expect.get("mode") {
        let verdict = ledger.budget(provider, NOW).unwrap();
        return same(json!(verdict.mode.name()), wanted.clone());
    }
    if expect.get("treated_as").is_some() {
        // A provider that nobody can ask about counts as metered, and the decision says that nothing is known.
        let ask = Ask::new("unheard-of").unwrap().allow_undeclared();
        let verdict = Ledger::in_memory().unwrap().gate(&ask, NOW).unwrap();
        return holds(verdict.metered && !verdict.warnings.is_empty(), format!("{verdict:?}"));
    }
    super::screen::usage(&ledger, provider, NOW, given, expect)
}

fn dashboard(case: &Case) -> Checked {
    let given = &case.given;
    let ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("claude").unwrap().session(500_000), NOW.plus(-HOUR)).unwrap();
    let samples = given["samples"].as_i64().unwrap_or(5);
    for sample in 0..samples {
        let at = NOW.plus((sample - samples + 1) * 5 * MINUTE);
        ledger.record(TokenRecord::new("claude", "m").input(5_000), at).unwrap();
    }
    if given["paused"] == json!(true) {
        ledger.pause(Paused { reason: "manual".into(), until: None, note: None }, NOW).unwrap();
    }
    let status = ledger.status(NOW).unwrap();
    let found = match (&status.paused, status.providers[0].budget.burn) {
        (Some(_), _) => "paused",
        (None, None) => "warming_up",
        (None, Some(_)) => "normal",
    };
    match &case.expect {
        Value::String(wanted) => same(found.to_owned(), wanted.clone()),
        _ => unknown(case),
    }
}
