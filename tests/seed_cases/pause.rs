//! Pauses, their ends, and probes before a run.

use serde_json::{Value, json};
use usage_ledger::budget::{Probe, RunRequest};
use usage_ledger::event::{LimitSet, Paused};
use usage_ledger::internals::BudgetSettings;
use usage_ledger::internals::exhaustion;
use usage_ledger::internals::humanize::duration::{parse_duration, until_reset};
use usage_ledger::internals::resume_at;
use usage_ledger::time::{HOUR, MINUTE, SECOND};
use usage_ledger::{Ledger, Timestamp};

use super::gate::configured_mode;
use super::{Case, Checked, NOW, Read, same, unknown, word};

/// A pause as the seed system wrote it: reason and unix time, 0 for none.
fn seed_pause(given: &Value) -> Option<Paused> {
    let reason = given["reason"].as_str()?.to_owned();
    let at = given["ts"].as_i64().filter(|ts| *ts > 0).map(|ts| Timestamp::from_millis(ts * SECOND));
    let (reason, until, note) = match reason.as_str() {
        "quota" | "timed" | "manual" => (reason, at, None),
        // Every other pause ends five hours after it was written.
        _ => ("timed".to_owned(), at.map(|at| at.plus(5 * HOUR)), Some(reason)),
    };
    Some({
        let mut made = Paused::new(reason);
        made.until = until;
        made.note = note;
        made
    })
}

pub fn pause(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.starts_with("parse pause duration") {
        // No text is no duration.
        let actual = given["text"].as_str().and_then(parse_duration).map(|millis| millis / SECOND);
        return Ok(same(json!(actual), expect.clone()));
    }
    if let Some(left) = given["seconds_left"].as_i64() {
        return Ok(same(json!(until_reset(left * SECOND)), expect.clone()));
    }
    Ok(match case.when.as_str() {
        when if when.starts_with("compute resume time") => {
            // A budget wait ends with the session.
            let session = given["session_start"].as_str().and_then(|start| super::text::around(start, NOW));
            let reset = given["reset"].as_i64().map(|at| Timestamp::from_millis(at * SECOND));
            let reset = reset.or(session.map(|start| start.plus(5 * HOUR)));
            let actual = resume_at(reset, NOW);
            let wanted = match &expect["resume"] {
                Value::Number(at) => at.as_i64().map(|at| Timestamp::from_millis(at * SECOND)),
                text => {
                    let text = word(text, "resume")?;
                    let after = |from: &str| text.strip_prefix(from)?.trim_end_matches('s').parse::<i64>().ok();
                    // A reset that is not known is five hours away.
                    let base = reset.map_or(NOW.plus(5 * HOUR), |reset| reset);
                    let of_now = after("now+").map(|seconds| NOW.plus(seconds * SECOND));
                    of_now.or_else(|| Some(base.plus(after("reset+")? * SECOND)))
                }
            };
            wanted.map_or_else(|| unknown(case), |wanted| same(actual, wanted))
        }
        "should auto-resume" => {
            let start = Timestamp::from_millis(0);
            let now = given["now"].as_i64().map_or(NOW, |now| Timestamp::from_millis(now * SECOND));
            let ledger = Ledger::in_memory().unwrap();
            let pause = seed_pause(given).unwrap_or(Paused::new("unknown"));
            // An invalid end in the seed: a quota pause that only a person ends.
            let pause = match (pause.reason.as_str(), pause.until) {
                ("quota", None) => {
                    let mut made = pause;
                    made.reason = "manual".into();
                    made.note = Some("quota".into());
                    made
                }
                _ => pause,
            };
            ledger.pause(pause, start).unwrap();
            same(json!(ledger.status(now).unwrap().paused.is_none()), expect.clone())
        }
        "claim the pause" => {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("usage.db");
            let pause = Paused::new("quota").until(NOW.plus(1));
            Ledger::open(&path).unwrap().pause(pause, NOW).unwrap();
            let callers = given["callers"].as_u64().unwrap_or(1);
            let winners = std::thread::scope(|scope| {
                let claims: Vec<_> = (0..callers)
                    .map(|_| {
                        scope.spawn(|| {
                            let outcome = Ledger::open(&path).unwrap().resume("the window reset", NOW.plus(2)).unwrap();
                            outcome.is_new()
                        })
                    })
                    .collect();
                claims.into_iter().filter(|_| true).map(|claim| u64::from(claim.join().unwrap())).sum::<u64>()
            });
            same(json!(winners), expect["winners"].clone())
        }
        "quota check" => {
            let actual = super::text::judged(case, given["provider"].as_str().unwrap_or("claude"));
            let result = match actual {
                exhaustion::ScanVerdict::Exhausted(_) => "exhausted",
                exhaustion::ScanVerdict::NotExhausted => "ok",
                exhaustion::ScanVerdict::Unreliable => "unreliable",
            };
            // Only a refusal is recorded, so nothing else can close a gate; an unreliable probe is reported.
            let wanted = expect["result"].as_str().unwrap_or(match expect["exhausted"].as_bool() {
                Some(true) => "exhausted",
                _ => "ok",
            });
            same(result.to_owned(), wanted.to_owned())
        }
        _ => unknown(case),
    })
}

pub fn preflight(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let ledger = Ledger::in_memory().unwrap();
    if given["budget_mode"].is_string() {
        let mut limit = LimitSet::new("claude").unwrap();
        limit.budget_mode = Some(configured_mode(given));
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
        let ask = RunRequest::new(&provider).unwrap();
        let done = ledger.preflight(&ask, ttl, NOW.plus(minutes * MINUTE), probe).unwrap();
        probed += i32::from(done.probed);
        last = Some(done);
    }
    for (name, wanted) in expect.as_object().unwrap() {
        let actual = match name.as_str() {
            "ok" => json!(last.unwrap().ok),
            "probe_called" => json!(probed > 0),
            "probe_calls" => json!(probed),
            // The event contains the text of the refusal.
            "message" | "error" | "detail" | "reason" => {
                let refused = ledger.provider("claude", NOW).unwrap().exhausted.map(|refused| refused.excerpt);
                refused.map_or(Value::Null, Value::from)
            }
            _ => return unknown(case),
        };
        if actual != *wanted {
            return Checked::Failed(format!("{name} is {actual}, wanted {wanted}"));
        }
    }
    Checked::Passed
}

/// The calls of a case: their provider, and the minutes after the first. They are a number, or a list of providers with
/// or without times.
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
        // Every call after the first belongs to the other provider.
        for (name, _) in calls.iter_mut().skip(1) {
            *name = other.as_str().unwrap().to_owned();
        }
    }
    calls
}
