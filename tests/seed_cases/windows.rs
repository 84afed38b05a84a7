//! Percentages, windows, switches, overrides, and ledgers that something happened to.

use serde_json::{Value, json};
use usage_ledger::budget::Ask;
use usage_ledger::event::{LimitSet, NewEvent, Paused, Percent, QuotaObserved, WeeklyPolicy, WindowKind};
use usage_ledger::time::{HOUR, MINUTE, SECOND};
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord, Zone};

use super::{Case, Checked, holds, same, unknown};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

pub fn check(case: &Case) -> Checked {
    match case.area.as_str() {
        "percent" => percent(case),
        "session_rollover" => session(case),
        "weekly_rollover" => weekly(case),
        "provider_switch" => switch(case),
        "provider_resolution" => resolution(case),
        "has_api_quota" => quota(case),
        "override" => overridden(case),
        "robustness" => robust(case),
        _ => unknown(case),
    }
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A local time of the cases, without a zone: the host's, which is UTC.
fn local(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

/// A ledger with the seed's default limits, or those given.
fn limited(given: &Value) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let or = |name: &str, default| given.get(name).map_or(default, count);
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

fn percent(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.starts_with("percentage points") {
        // One run's cost is not capped: it may pass the whole window.
        let (tokens, limit) = (count(&given["run_tokens"]), count(&given["session_token_limit"]));
        let points = tokens as f64 / limit as f64 * 100.0;
        let ledger = limited(given);
        for run in 0..5 {
            record(&ledger, "claude", tokens, NOW.plus((run - 4) * 5 * MINUTE));
        }
        // Five runs in twenty minutes: the rate of an hour is that of fifteen runs.
        let burn = ledger.budget("claude", NOW).unwrap().burn.unwrap();
        let found = f64::from(burn.percent_per_hour.hundredths()) / 100.0 / 15.0;
        return holds((found - expect.as_f64().unwrap()).abs() < 0.01, format!("{points}, found {found}"));
    }
    let (window, tokens, limit) = if given.get("weekly_tokens").is_some() {
        ("weekly", count(&given["weekly_tokens"]), given.get("weekly_token_limit").map_or(5_000_000, count))
    } else {
        ("session", count(&given["session_tokens"]), given.get("session_token_limit").map_or(500_000, count))
    };
    let ledger = Ledger::in_memory().unwrap();
    let limits = LimitSet::new("claude").unwrap();
    let limits = if window == "weekly" { limits.weekly(limit) } else { limits.session(limit) };
    if let Err(error) = ledger.set_limit(limits, NOW) {
        return holds(expect.get("error").is_some(), error.to_string());
    }
    if tokens > 0 {
        record(&ledger, "claude", tokens, NOW);
    }
    let usage = ledger.provider("claude", NOW).unwrap();
    let window = if window == "weekly" { usage.weekly } else { usage.session };
    same(json!(window.percent.unwrap().whole()), expect.clone())
}

fn session(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let now = local(given["now"].as_str().unwrap()).unwrap();
    // A window that a clock gone wrong opened in the future was opened now, as far as anybody can tell.
    let opened = given["session_start"].as_str().and_then(local).map(|opened| opened.min(now));
    let (tokens, runs) = (count(&given["session_tokens"]), given.get("runs").map_or(1, count));
    let runs = if tokens > 0 { runs.max(1) } else { runs };
    let ledger = limited(given);
    // What the seed kept as a start and a count, we keep as the calls that made them. One without a time is of now.
    for run in 0..runs {
        let part = tokens / runs + u64::from(run < tokens % runs);
        record(&ledger, "claude", part, opened.unwrap_or(now));
    }
    let usage = ledger.provider("claude", now).unwrap().session;
    for (name, wanted) in expect.as_object().unwrap() {
        let right = match name.as_str() {
            "session_tokens" => json!(usage.usage.tokens.total()) == *wanted,
            "runs" => json!(usage.usage.requests) == *wanted,
            // A window opens at the first use, not when somebody looks: after a reset there is none until then.
            "session_start" => {
                let start = local(wanted.as_str().unwrap()).unwrap();
                usage.started_at.map_or(start == now && usage.usage.requests == 0, |at| at == start.min(now))
            }
            "elapsed_hours" => {
                let elapsed = (now.millis() - usage.started_at.unwrap().millis()) as f64 / HOUR as f64;
                (elapsed - wanted.as_f64().unwrap()).abs() < 1e-9
            }
            "rollover" => json!(usage.started_at != opened) == *wanted,
            "burn_samples" => ledger.budget("claude", now).unwrap().burn.is_none(),
            _ => return unknown(case),
        };
        if !right {
            return Checked::Failed(format!("{name}: wanted {wanted}, found {usage:?}"));
        }
    }
    Checked::Passed
}

/// The seed's week under a Monday rule; it resets later in the cases where the seed is a day late, which are those of
/// a start in the same week.
fn weekly(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(today) = given["today"].as_str() {
        let now = local(&format!("{today}T12:00:00")).unwrap();
        let ledger = limited(given);
        record(&ledger, "claude", 1, now);
        let end = ledger.provider("claude", now).unwrap().weekly.resets_at.unwrap();
        let day = |at| Zone::UTC.day(at);
        return same(json!(format!("{}d", (day(end) - day(now)).num_days())), expect.clone());
    }
    let start = local(given["weekly_start"].as_str().unwrap()).unwrap();
    let now = local(given["now"].as_str().unwrap()).unwrap();
    let tokens = given.get("weekly_tokens").map_or(1, count);
    let ledger = limited(given);
    let mut limit = LimitSet::new("claude").unwrap();
    limit.weekly_policy = Some(WeeklyPolicy::default());
    ledger.set_limit(limit, Timestamp::from_millis(0)).unwrap();
    record(&ledger, "claude", tokens, start);
    let week = ledger.provider("claude", now).unwrap().weekly;
    if let Some(wanted) = expect.get("window_start") {
        return same(week.started_at, local(wanted.as_str().unwrap()));
    }
    same(json!(week.usage.tokens.total()), expect["weekly_tokens"].clone())
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
fn fill(ledger: &Ledger, provider: &str, given: &Value) {
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

fn switch(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let ledger = limited(given);
    if let Some(events) = given["events"].as_array() {
        for (number, event) in events.iter().enumerate() {
            let at = NOW.plus(i64::try_from(number).unwrap() * SECOND);
            match (event[0].as_str().unwrap(), &event[1]) {
                ("switch", to) => {
                    ledger.switch_provider(to.as_str().unwrap(), "", at).unwrap();
                }
                (provider, tokens) => record(&ledger, provider, count(tokens), at),
            }
        }
        let now = NOW.plus(MINUTE);
        for (name, wanted) in expect.as_object().unwrap() {
            let found = if name == "switches" {
                json!(ledger.status(now).unwrap().switches)
            } else if let Some(found) = counters(&ledger, first(events), now).get(name) {
                // Without a provider the one that the case began with is meant.
                found.clone()
            } else if name == "active" {
                let active = ledger.status(now).unwrap().active_provider;
                if active == ProviderId::resolve(wanted.as_str().unwrap()).ok().map(|id| id.to_string()) {
                    continue;
                }
                json!(active)
            } else {
                let found = counters(&ledger, name, now);
                match wanted.as_object() {
                    None => found["session_tokens"].clone(),
                    Some(wanted) => wanted.keys().map(|key| (key.clone(), found[key].clone())).collect(),
                }
            };
            if found != *wanted {
                return Checked::Failed(format!("{name}: {found}, wanted {wanted}"));
            }
        }
        return Checked::Passed;
    }
    if let Some(tokens) = given.get("claude_weekly") {
        record(&ledger, "claude", count(tokens), NOW.plus(-HOUR));
        ledger.switch_provider(given["switch_to"].as_str().unwrap(), "", NOW).unwrap();
        return same(json!(ledger.provider("claude", NOW).unwrap().weekly.usage.tokens.total()), expect.clone());
    }
    let before = given["provider"].as_str().filter(|name| !name.is_empty()).unwrap_or("claude");
    fill(&ledger, before, given);
    let words: Vec<&str> = case.when.split_whitespace().collect();
    let tokens = words.iter().find_map(|word| word.parse::<u64>().ok());
    let Some(after) = words.iter().skip_while(|word| **word != "under").nth(1) else { return unknown(case) };
    if let Some(tokens) = tokens {
        ledger.switch_provider(&after.trim().to_lowercase(), "", NOW).unwrap();
        record(&ledger, after, tokens, NOW);
    }
    for (name, wanted) in expect.as_object().unwrap() {
        let right = match name.as_str() {
            "active" | "provider" => {
                let active = ledger.status(NOW).unwrap().active_provider.unwrap();
                active == ProviderId::resolve(wanted.as_str().unwrap()).unwrap().as_str()
            }
            "session_tokens_before_add" => {
                json!(ledger.provider(after, NOW).unwrap().session.usage.tokens.total()) == *wanted
            }
            "session_tokens" | "weekly_tokens" | "runs" => counters(&ledger, after, NOW)[name] == *wanted,
            provider => {
                let found = counters(&ledger, provider, NOW);
                wanted.as_object().unwrap().iter().all(|(counter, wanted)| found[counter] == *wanted)
            }
        };
        if !right {
            return Checked::Failed(format!("{name}: wanted {wanted}"));
        }
    }
    Checked::Passed
}

fn resolution(case: &Case) -> Checked {
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
        return same(named().to_string(), ProviderId::resolve(expect.as_str().unwrap()).unwrap().to_string());
    }
    if case.when != "credit tokens" {
        return unknown(case);
    }
    // Tokens belong to the provider of the run that used them.
    let run = given["run_provider"].as_str().and_then(|text| text.split_whitespace().next());
    let run = run.map_or_else(|| named().to_string(), str::to_owned);
    let ledger = limited(given);
    if let Some(before) = given.get("claude_before") {
        record(&ledger, "claude", count(before), NOW);
    }
    record(&ledger, &run, count(&given["tokens"]), NOW);
    for (provider, wanted) in expect.as_object().unwrap() {
        let found = ledger.provider(provider, NOW).unwrap().session.usage.tokens.total();
        if json!(found) != *wanted {
            return Checked::Failed(format!("{provider}: {found}, wanted {wanted}"));
        }
    }
    Checked::Passed
}

fn quota(case: &Case) -> Checked {
    let provider = case.given["provider"].as_str().unwrap();
    let provider = if provider.starts_with('<') { "new-provider" } else { provider };
    let mut ask = Ask::new(provider).unwrap().allow_undeclared();
    if let Some(model) = case.given["model"].as_str() {
        ask = ask.model(model);
    }
    same(json!(Ledger::in_memory().unwrap().gate(&ask, NOW).unwrap().metered), case.expect.clone())
}

fn overridden(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let ledger = limited(given);
    if given.get("session_tokens").is_some() {
        fill(&ledger, "claude", given);
    }
    let weekly = ledger.provider("claude", NOW).unwrap().weekly.usage.tokens.total();
    if let Some(seen) = given.get("anchor_session_pct") {
        let at = NOW.plus(-given["anchor_age_s"].as_i64().unwrap() * SECOND);
        let seen = QuotaObserved {
            provider: ProviderId::resolve("claude").unwrap(),
            account: None,
            window_minutes: 300,
            scope: None,
            used_percent: Some(seen.to_string().parse().unwrap()),
            resets_at: Some(NOW.plus(2 * HOUR)),
            status: None,
            feed: "oauth".into(),
        };
        ledger.append([NewEvent::new(seen, at)], at).unwrap();
    }
    let pause = given["pause"].as_str().or(case.when.contains("quota pause").then_some("quota"));
    if let Some(reason) = pause {
        ledger.pause(Paused { reason: reason.into(), until: None, note: None }, NOW).unwrap();
    }
    // `/quota N` and `/quota reset` are a person's word; `/resume` is an event that touches no counter, unless the
    // person adds that the quota was seen to be open again.
    let words: Vec<&str> = case.when.split_whitespace().collect();
    let used = words.iter().find_map(|word| word.trim_end_matches('%').parse::<i64>().ok());
    let mut said = None;
    let mut say = |ledger: &Ledger, used: i64| {
        let used = Percent::from_hundredths(u32::try_from(used.clamp(0, 100)).unwrap() * 100);
        let outcome = ledger.override_usage("claude", WindowKind::Session, used, "test", "", NOW).unwrap();
        said = Some(outcome.position());
    };
    match words.as_slice() {
        ["/quota", "reset", ..] => say(&ledger, 0),
        ["/quota", ..] | ["set", "used", ..] if used.is_some() => say(&ledger, used.unwrap()),
        ["/resume", ..] => {
            ledger.resume("", NOW).unwrap();
            if pause == Some("quota") {
                say(&ledger, 0);
            }
        }
        _ => return unknown(case),
    }
    if let Some(position) = said.filter(|_| case.when.contains("undo") || case.when.contains("void")) {
        let id = ledger.event(position).unwrap().id;
        ledger.void(id, "undone", NOW).unwrap();
    }
    let usage = ledger.provider("claude", NOW).unwrap();
    let session = &usage.session;
    let tokens = session.limit.unwrap() * u64::from(session.percent.unwrap().hundredths()) / 10_000;
    for (name, wanted) in expect.as_object().unwrap() {
        let right = match name.as_str() {
            "session_tokens" if wanted.as_str().is_some() => return unknown(case),
            "session_tokens" if session.overridden.is_some() => json!(tokens) == *wanted,
            "session_tokens" => json!(session.usage.tokens.total()) == *wanted,
            // The seed keeps one run at least, so that its cost of a run does not divide by none; ours never does.
            "runs" if used.is_some_and(|used| used > 0) => json!(session.usage.requests.max(1)) == *wanted,
            "runs" => json!(session.usage.requests) == *wanted,
            "session_start" => session.started_at == Some(NOW),
            "weekly_tokens" => {
                json!(usage.weekly.usage.tokens.total()) == *wanted && weekly == u128::from(count(wanted))
            }
            "pct" => json!(session.percent.unwrap().whole()) == *wanted,
            "burn_samples" => ledger.budget("claude", NOW).unwrap().burn.is_none(),
            "paused" => json!(ledger.status(NOW).unwrap().paused.is_some()) == *wanted,
            "mode_not" => ledger.budget("claude", NOW).unwrap().mode.name() != wanted.as_str().unwrap(),
            // Both numbers are there: the person's, which holds, and the provider's.
            "shown" => {
                let said = session.overridden.as_ref().unwrap().percent;
                session.percent == said
                    && said == Some(used.unwrap().clamp(0, 100).to_string().parse().unwrap())
                    && session.observed.as_ref().unwrap().percent
                        == Some(given["anchor_session_pct"].to_string().parse().unwrap())
            }
            _ => return unknown(case),
        };
        if !right {
            return Checked::Failed(format!("{name}: wanted {wanted}, found {session:?}"));
        }
    }
    Checked::Passed
}

fn robust(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    match case.when.as_str() {
        "refresh" => super::instance::state_file(given, expect),
        "aggregate the day" | "read back" => super::instance::rows(case),
        "total session tokens" => {
            let number = |name: &str| usize::try_from(count(&given[name])).unwrap();
            let (tokens, _) =
                super::gate::together(number("writers"), number("updates_each"), count(&given["tokens_each"]));
            same(json!(tokens), expect.clone())
        }
        "record" if given.get("tokens").is_none() => {
            let Some(times) = given.as_object().unwrap().values().find_map(Value::as_u64) else { return unknown(case) };
            // The same id and content is one event, however often it is told.
            let ledger = Ledger::in_memory().unwrap();
            for _ in 0..times {
                let again = TokenRecord::new("claude", "m").input(5).key("the same");
                ledger.append([NewEvent::new(again, NOW)], NOW).unwrap();
            }
            let found = ledger.provider("claude", NOW).unwrap().all_time.requests;
            same(json!(found), expect.as_object().unwrap().values().next().cloned().unwrap_or_default())
        }
        "record" => {
            // Counts are unsigned; text with a sign is refused where it comes in.
            let record = json!({"provider": "anthropic", "tokens": {"input": given["tokens"]}}).to_string();
            let refused = serde_json::from_str::<TokenRecord>(&record).is_err();
            same(json!(refused), expect["rejected"].clone())
        }
        _ => unknown(case),
    }
}
