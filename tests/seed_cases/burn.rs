//! How fast a window is used, and warnings about it.

use serde_json::{Value, json};
use usage_ledger::budget::{Mode, Rate};
use usage_ledger::event::{LimitSet, NewEvent, Percent, ProviderDeclared, QuotaObserved, WindowKind};
use usage_ledger::internals::{BudgetSettings, Uses, burn_rate, minutes_left, slowed};
use usage_ledger::time::{HOUR, MINUTE};
use usage_ledger::{Ledger, ProviderId, Timestamp, TokenRecord};

use super::gate::{limited, mode};
use super::{Case, Checked, NOW, Read, members, same, unknown, word};

fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN" | "nan") => Some(f64::NAN),
        Some("inf" | "Infinity") => Some(f64::INFINITY),
        Some("-inf" | "-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

/// The rate of samples. A cost must not be negative, and uses of an earlier window do not count.
fn rate(samples: &[(Timestamp, f64)]) -> Option<Rate> {
    let counts = |(at, cost): &&(Timestamp, f64)| {
        cost.is_finite() && *cost >= 0.0 && *at <= NOW && NOW.millis() - at.millis() < 5 * HOUR
    };
    let counted: Vec<_> = samples.iter().filter(counts).collect();
    let times = || counted.iter().map(|(at, _)| *at);
    let points = counted.iter().map(|(_, cost)| cost).sum();
    burn_rate(&Uses::new(counted.len() as u64, points, times().min()?, times().max()?), NOW)
}

pub fn check(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    // The seed leaves out samples that are no numbers.
    let uses: Vec<(Timestamp, f64)> = given["samples_minutes_ago_and_cost"].as_array().map_or(Vec::new(), |pairs| {
        let sample = |pair: &Value| Some((NOW.plus(-(pair[0].as_f64()? * MINUTE as f64) as i64), number(&pair[1])?));
        pairs.iter().filter_map(sample).collect()
    });
    let used = given["session_pct"].as_f64().unwrap_or(0.0);
    if case.when.starts_with("rate") {
        let rate = rate(&uses);
        let close = |actual: Option<f64>, wanted: &Value| match wanted {
            Value::Null => actual.is_none(),
            Value::String(text) if text.starts_with("> ") => {
                actual.is_some_and(|actual| text[2..].parse().is_ok_and(|least: f64| actual > least))
            }
            // Idle time counts: the rate is the usage divided by the time since the first use.
            Value::String(_) => {
                let first = uses.iter().map(|(at, _)| *at).min();
                let sum: f64 = uses.iter().map(|(_, cost)| cost).sum();
                let minutes = first.map(|first| (NOW.millis() - first.millis()) as f64 / MINUTE as f64);
                actual.zip(minutes).is_some_and(|(actual, minutes)| (actual - sum / minutes).abs() < 1e-9)
            }
            wanted => {
                let near = |actual: f64, wanted: f64| (actual - wanted).abs() < 1e-6 * actual.abs().max(1.0);
                actual.zip(wanted.as_f64()).is_some_and(|(actual, wanted)| near(actual, wanted))
            }
        };
        let modes = [None, Some(Mode::Review), Some(Mode::Implement), Some(Mode::Deep)];
        let left: Vec<Option<f64>> =
            modes.into_iter().map(|mode| rate.and_then(|rate| minutes_left(used, rate, mode))).collect();
        for (name, wanted) in members(expect, "expect")? {
            let right = match (name.as_str(), wanted) {
                ("rate", wanted) => close(rate.map(|rate| rate.per_minute), wanted),
                ("tte", Value::Array(wanted)) => {
                    wanted.len() == left.len() && left.iter().zip(wanted).all(|(actual, wanted)| close(*actual, wanted))
                }
                _ => return Ok(unknown(case)),
            };
            if !right {
                return Ok(Checked::Failed(format!("{name}: wanted {wanted}, found {rate:?} {left:?}")));
            }
        }
        return Ok(Checked::Passed);
    }
    if case.when.starts_with("one-tier downgrade") {
        let rate = rate(&uses);
        for (from, to) in members(expect, "expect")? {
            let actual = slowed(mode(from)?, used, rate);
            if actual.name() != word(to, from)? {
                return Ok(Checked::Failed(format!("{from} becomes {actual}, wanted {to}")));
            }
        }
        return Ok(Checked::Passed);
    }
    if case.when.contains("warning") {
        // Once per window: the caller remembers the window's opening.
        let warned_before = given["warned_this_session"].as_bool().unwrap_or(false);
        return Ok(same(json!(warned(given) && !warned_before), expect.clone()));
    }
    if case.when.contains("reset") || case.when.contains("rollover") {
        // Uses of an earlier window give no rate.
        let ledger = limited("claude");
        for (at, points) in &uses {
            ledger.record(TokenRecord::new("claude", "m").input((points * 5_000.0) as u64), *at).unwrap();
        }
        ledger.override_usage("claude", WindowKind::Session, Percent::default(), "test", "", NOW).unwrap();
        let actual = u8::from(ledger.budget("claude", NOW).unwrap().burn.is_some());
        return Ok(same(json!(actual), expect.get("samples").unwrap_or(expect).clone()));
    }
    Ok(match case.when.as_str() {
        "record sample" => {
            // A cost that is not there is none, and none makes no sample.
            let cost = number(&given["cost_pct"]).unwrap_or(f64::NAN);
            let good: Vec<_> = [20, 15, 10, 5, 0].map(|ago| (NOW.plus(-ago * MINUTE), 1.0)).to_vec();
            let mut with = good.clone();
            with.push((NOW.plus(-MINUTE), cost));
            let stored = rate(&with) != rate(&good);
            same(json!(stored), expect.get("stored").unwrap_or(expect).clone())
        }
        // There is no file of samples that could be damaged: an empty ledger has no rate.
        "load" => {
            let ledger = Ledger::in_memory().unwrap();
            let actual = u8::from(ledger.budget("anthropic", NOW).unwrap().burn.is_some());
            same(json!(actual), expect.get("samples").unwrap_or(expect).clone())
        }
        "samples kept" => {
            let Some(writers) = given["writers"].as_u64() else { return Ok(unknown(case)) };
            let kept = together(usize::try_from(writers).unwrap(), 1, 1);
            same(json!(kept.1), expect.clone())
        }
        _ => unknown(case),
    })
}

/// Whether the gate warns that a session will be exhausted before it resets.
fn warned(given: &Value) -> bool {
    let (Some(left), Some(reset)) = (given["tte_min"].as_f64(), given["minutes_to_reset"].as_f64()) else {
        return false;
    };
    let provider = given["provider"].as_str().unwrap_or("claude");
    let ledger = limited(provider);
    if given["unlimited_quota"] == json!(true) || given["budget_mode"].is_string() {
        let mut limit = LimitSet::new(provider).unwrap();
        let settings =
            json!({"usage": {"budget_mode": given["budget_mode"], "unlimited_quota": given["unlimited_quota"]}});
        limit.budget_mode = Some(BudgetSettings::from_json(&settings).effective_mode(true).0);
        ledger.set_limit(limit, Timestamp::from_millis(1)).unwrap();
    }
    let id = ProviderId::resolve(provider).unwrap();
    if given["has_api_quota"] == json!(false) {
        let declared = ProviderDeclared::new(id.clone(), false);
        ledger.declare(declared, Timestamp::from_millis(1)).unwrap();
    }
    // One percentage point per minute, in five uses of the last twenty minutes; slower for more than a hundred minutes.
    let slower = (left / 100.0).ceil().max(1.0);
    for ago in [20, 15, 10, 5, 0] {
        let tokens = (20_000.0 / slower) as u64;
        ledger.record(TokenRecord::new(provider, "m").input(tokens), NOW.plus(-ago * MINUTE)).unwrap();
    }
    let seen = QuotaObserved::new(id, 300.max(reset as u32 + 30), "oauth")
        .used((100.0 - left / slower).to_string().parse().unwrap())
        .resets_at(NOW.plus((reset * MINUTE as f64) as i64));
    ledger.append([NewEvent::new(seen, NOW)], NOW).unwrap();
    let verdict = ledger.budget(provider, NOW).unwrap();
    verdict.warnings.iter().any(|warning| warning.contains("used up in"))
}

/// Records from several threads in one file: tokens and calls that the ledger counts afterwards.
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
