//! Percentages, windows and switches.

use serde_json::{Value, json};
use usage_ledger::budget::RunRequest;
use usage_ledger::event::{LimitSet, WeeklyPolicy};
use usage_ledger::time::{HOUR, MINUTE, SECOND};
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord, Zone};

use super::{Case, Checked, NOW, Read, clock, holds, local, members, opening, real, same, unknown, word};

pub fn check(case: &Case) -> Read<Checked> {
    match case.area.as_str() {
        "percent" => percent(case),
        "session_rollover" => session(case),
        "weekly_rollover" => weekly(case),
        "provider_switch" => switch(case),
        "provider_resolution" => resolution(case),
        "has_api_quota" => Ok(quota(case)),
        _ => Ok(unknown(case)),
    }
}

pub fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A ledger with the seed's default limits, or those given.
pub fn limited(given: &Value) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    // The seed divides by at least 1.
    let or = |name: &str, default| given.get(name).and_then(Value::as_u64).map_or(default, |limit| limit.max(1));
    let limits = LimitSet::new("claude").unwrap();
    let limits = limits.session(or("session_token_limit", 500_000)).weekly(or("weekly_token_limit", 5_000_000));
    ledger.set_limit(limits, Timestamp::from_millis(0)).unwrap();
    ledger
}

fn record(ledger: &Ledger, provider: &str, tokens: u64, at: Timestamp) {
    // Agents' settings write names with blanks and capitals; the edge takes those off.
    let provider = provider.trim().to_lowercase();
    ledger.record(TokenRecord::new(&provider, "m").input(tokens), at).unwrap();
}

fn percent(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.starts_with("percentage points") {
        // One run's cost is not capped: it may pass the whole window.
        let limit = given["session_token_limit"].as_u64().unwrap_or(500_000);
        let tokens = count(&given["run_tokens"]);
        let points = tokens as f64 / limit as f64 * 100.0;
        let ledger = limited(given);
        for run in 0..5 {
            record(&ledger, "claude", tokens, NOW.plus((run - 4) * 5 * MINUTE));
        }
        // Five runs in twenty minutes: the rate of an hour is that of fifteen runs.
        let burn = ledger.budget("claude", NOW).unwrap().burn;
        let actual = burn.map_or(0.0, |burn| f64::from(burn.percent_per_hour.hundredths()) / 100.0 / 15.0);
        let near = (actual - real(expect, "expect")?).abs() < 0.01;
        return Ok(holds(near, format!("{points}, found {actual}")));
    }
    // Without a limit that can be one, the seed divides by 1, and a better answer is to refuse it.
    let least = u64::from(expect.get("error").is_none());
    let limit = |name: &str, default| given.get(name).and_then(Value::as_u64).map_or(default, |limit| limit.max(least));
    let (window, tokens, limit) = if given.get("weekly_tokens").is_some() {
        ("weekly", count(&given["weekly_tokens"]), limit("weekly_token_limit", 5_000_000))
    } else {
        ("session", count(&given["session_tokens"]), limit("session_token_limit", 500_000))
    };
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new("claude").unwrap();
    let limits = if window == "weekly" { limits.weekly(limit) } else { limits.session(limit) };
    if let Err(error) = ledger.set_limit(limits, NOW) {
        return Ok(holds(expect.get("error").is_some(), error.to_string()));
    }
    if tokens > 0 {
        record(&ledger, "claude", tokens, NOW);
    }
    let usage = ledger.provider("claude", NOW).unwrap();
    let window = if window == "weekly" { usage.weekly } else { usage.session };
    Ok(same(json!(window.percent.unwrap().whole()), expect.clone()))
}

fn session(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    let now = clock(given)?;
    let opened = opening(given, "session_start", now);
    let (tokens, runs) = (count(&given["session_tokens"]), given.get("runs").map_or(1, count));
    let runs = if tokens > 0 { runs.max(1) } else { runs };
    let ledger = limited(given);
    // What the seed kept as a start and a count, we keep as the calls that made them. One without a time is of now.
    for run in 0..runs {
        let part = tokens / runs + u64::from(run < tokens % runs);
        record(&ledger, "claude", part, opened);
    }
    let usage = ledger.provider("claude", now).unwrap().session;
    for (name, wanted) in members(expect, "expect")? {
        let right = match name.as_str() {
            "session_tokens" => json!(usage.usage.tokens.total()) == *wanted,
            "runs" => json!(usage.usage.requests) == *wanted,
            // A window opens at the first use, not when somebody looks: after a reset there is none until then.
            "session_start" => {
                let Some(start) = local(word(wanted, name)?) else { return Ok(unknown(case)) };
                usage.started_at.map_or(start == now && usage.usage.requests == 0, |at| at == start.min(now))
            }
            "elapsed_hours" => {
                let elapsed = usage.started_at.map_or(0, |start| now.millis() - start.millis()) as f64 / HOUR as f64;
                (elapsed - real(wanted, name)?).abs() < 1e-9
            }
            "rollover" => json!(usage.started_at != Some(opened)) == *wanted,
            "burn_samples" => ledger.budget("claude", now).unwrap().burn.is_none(),
            _ => return Ok(unknown(case)),
        };
        if !right {
            return Ok(Checked::Failed(format!("{name}: wanted {wanted}, found {usage:?}")));
        }
    }
    Ok(Checked::Passed)
}

/// The seed's week under a Monday rule; it resets later in the cases where the seed is a day late, which are those of
/// a start in the same week.
fn weekly(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when != "refresh" && given.get("weekly_start").is_none() {
        let Some(shown) = week_left(given) else { return Ok(unknown(case)) };
        return Ok(same(json!(shown), expect.clone()));
    }
    let now = clock(given)?;
    let start = opening(given, "weekly_start", now);
    let tokens = count(&given["weekly_tokens"]);
    let ledger = limited(given);
    let mut limit = LimitSet::new("claude").unwrap();
    limit.weekly_policy = Some(WeeklyPolicy::default());
    ledger.set_limit(limit, Timestamp::from_millis(0)).unwrap();
    record(&ledger, "claude", tokens, start);
    let week = ledger.provider("claude", now).unwrap().weekly;
    for (name, wanted) in members(expect, "expect")? {
        let right = match name.as_str() {
            "window_start" | "weekly_start" => week.started_at == local(word(wanted, name)?),
            "weekly_tokens" => json!(week.usage.tokens.total()) == *wanted,
            "why" => continue, // a remark of the case's author
            _ => return Ok(unknown(case)),
        };
        if !right {
            return Ok(Checked::Failed(format!("{name}: wanted {wanted}, found {week:?}")));
        }
    }
    Ok(Checked::Passed)
}

/// The days that are left of the week of a day: 7 on a Monday, 1 on a Sunday.
pub fn week_left(given: &Value) -> Option<String> {
    let now = match ["today", "now", "date", "day"].iter().find_map(|name| given[*name].as_str()) {
        Some(today) => local(today).or_else(|| local(&format!("{today}T12:00:00")))?,
        None => NOW,
    };
    let ledger = limited(given);
    record(&ledger, "claude", 1, now);
    let end = ledger.provider("claude", now).unwrap().weekly.resets_at.unwrap();
    let day = |at| Zone::UTC.day(at);
    Some(format!("{}d", (day(end) - day(now)).num_days()))
}

/// Tokens, weekly tokens and calls of a provider, its percentage and what may be taken on.
fn counters(ledger: &Ledger, provider: &str, now: Timestamp) -> Value {
    let provider = provider.trim().to_lowercase();
    let usage = ledger.provider(&provider, now).unwrap();
    let mode = ledger.budget(&provider, now).unwrap().mode;
    json!({
        "pct": usage.session.percent.map(|percent| percent.whole()),
        "session_pct": usage.session.percent.map(|percent| percent.whole()),
        "mode": mode.name(),
        "session_tokens": usage.session.usage.tokens.total(),
        "weekly_tokens": usage.weekly.usage.tokens.total(),
        "runs": usage.session.usage.requests,
    })
}

/// Calls that leave an account's counters as the seed had them: the session's now, the rest of the week's before.
pub fn fill(ledger: &Ledger, provider: &str, given: &Value) {
    let (session, runs) = (count(&given["session_tokens"]), count(&given["runs"]).max(1));
    let weekly = given.get("weekly_tokens").map_or(session, count);
    if weekly > session {
        record(ledger, provider, weekly - session, NOW.plus(-12 * HOUR));
    }
    for run in 0..runs {
        record(ledger, provider, session / runs + u64::from(run < session % runs), NOW.plus(-MINUTE));
    }
}

/// The provider that a case's events begin with.
fn first(events: &[Value]) -> &str {
    events.iter().filter_map(|event| event[0].as_str()).find(|name| *name != "switch").unwrap_or("claude")
}

fn switch(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    let ledger = limited(given);
    if let Some(events) = given["events"].as_array() {
        for (number, event) in events.iter().enumerate() {
            let at = NOW.plus(i64::try_from(number).unwrap() * SECOND);
            match (word(&event[0], "event")?, &event[1]) {
                ("switch", to) => {
                    ledger.switch_provider(word(to, "switch")?, "", at).unwrap();
                }
                (provider, tokens) => record(&ledger, provider, count(tokens), at),
            }
        }
        let now = NOW.plus(MINUTE);
        for (name, wanted) in members(expect, "expect")? {
            let actual = if name == "switches" {
                json!(ledger.status(now).unwrap().switches)
            } else if let Some(actual) = counters(&ledger, first(events), now).get(name) {
                // Without a provider the one that the case began with is meant.
                actual.clone()
            } else if name == "active" {
                let active = ledger.status(now).unwrap().active_provider;
                if active == ProviderId::resolve(word(wanted, name)?).ok().map(|id| id.to_string()) {
                    continue;
                }
                json!(active)
            } else {
                let actual = counters(&ledger, name, now);
                match wanted.as_object() {
                    None => actual["session_tokens"].clone(),
                    Some(wanted) => wanted.keys().map(|key| (key.clone(), actual[key].clone())).collect(),
                }
            };
            if actual != *wanted {
                return Ok(Checked::Failed(format!("{name}: {actual}, wanted {wanted}")));
            }
        }
        return Ok(Checked::Passed);
    }
    if given.get("claude_weekly").is_some() || given.get("switch_to").is_some() {
        record(&ledger, "claude", count(&given["claude_weekly"]), NOW.plus(-HOUR));
        if let Some(to) = given["switch_to"].as_str() {
            ledger.switch_provider(to, "", NOW).unwrap();
        }
        return Ok(same(json!(ledger.provider("claude", NOW).unwrap().weekly.usage.tokens.total()), expect.clone()));
    }
    let before = given["provider"].as_str().filter(|name| !name.is_empty()).unwrap_or("claude");
    fill(&ledger, before, given);
    let words: Vec<&str> = case.when.split_whitespace().collect();
    let tokens = words.iter().find_map(|word| word.parse::<u64>().ok());
    let Some(after) = words.iter().skip_while(|word| **word != "under").nth(1) else { return Ok(unknown(case)) };
    if let Some(tokens) = tokens {
        ledger.switch_provider(&after.trim().to_lowercase(), "", NOW).unwrap();
        record(&ledger, after, tokens, NOW);
    }
    for (name, wanted) in members(expect, "expect")? {
        let right = match name.as_str() {
            "active" | "provider" => {
                let active = ledger.status(NOW).unwrap().active_provider;
                active == ProviderId::resolve(word(wanted, name)?).ok().map(|id| id.to_string())
            }
            "session_tokens_before_add" => {
                json!(ledger.provider(after, NOW).unwrap().session.usage.tokens.total()) == *wanted
            }
            "session_tokens" | "weekly_tokens" | "runs" => counters(&ledger, after, NOW)[name] == *wanted,
            provider => {
                let actual = counters(&ledger, provider, NOW);
                members(wanted, provider)?.iter().all(|(counter, wanted)| actual[counter] == *wanted)
            }
        };
        if !right {
            return Ok(Checked::Failed(format!("{name}: wanted {wanted}")));
        }
    }
    Ok(Checked::Passed)
}

fn resolution(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    let named = || {
        // A role's own setting comes first; it may name a path behind a colon.
        let role = given["role"].as_str().and_then(|role| given["cli"][role].as_str());
        let names = ["KOAN_CLI_PROVIDER", "CLI_PROVIDER", "cli_provider"].map(|name| given[name].as_str());
        let names = std::iter::once(role).chain(names).flatten();
        let mut known = names.filter_map(|name| {
            let name = name.split(':').next().unwrap_or_default().trim().to_lowercase();
            let id = ProviderId::resolve(&name).ok()?;
            let declared = Ledger::in_memory().unwrap().provider(id.as_str(), NOW).unwrap().declared;
            declared.then_some(id)
        });
        known.next().unwrap_or_else(|| ProviderId::resolve("claude").unwrap())
    };
    if case.when == "active provider" {
        let wanted = ProviderId::resolve(word(expect, "expect")?).map(|id| id.to_string());
        return Ok(same(Some(named().to_string()), wanted.ok()));
    }
    if case.when != "credit tokens" {
        return Ok(unknown(case));
    }
    // Tokens belong to the provider of the run that used them.
    let run = given["run_provider"].as_str().and_then(|text| text.split_whitespace().next());
    let run = run.map_or_else(|| named().to_string(), str::to_owned);
    let ledger = limited(given);
    if let Some(before) = given.get("claude_before") {
        record(&ledger, "claude", count(before), NOW);
    }
    record(&ledger, &run, count(&given["tokens"]), NOW);
    for (provider, wanted) in members(expect, "expect")? {
        let actual = ledger.provider(provider, NOW).unwrap().session.usage.tokens.total();
        if json!(actual) != *wanted {
            return Ok(Checked::Failed(format!("{provider}: {actual}, wanted {wanted}")));
        }
    }
    Ok(Checked::Passed)
}

fn quota(case: &Case) -> Checked {
    // The seed asks about Claude where nothing names a provider.
    let provider = case.given["provider"].as_str().unwrap_or("claude");
    let provider = if provider.starts_with('<') { "new-provider" } else { provider };
    let mut ask = RunRequest::new(provider).unwrap().allow_undeclared();
    if let Some(model) = case.given["model"].as_str() {
        ask = ask.model(model);
    }
    same(json!(Ledger::in_memory().unwrap().gate(&ask, NOW).unwrap().metered), case.expect.clone())
}
