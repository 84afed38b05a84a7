//! Overrides of a window, and damaged ledgers.

use serde_json::{Value, json};
use usage_ledger::event::{NewEvent, Paused, Percent, QuotaObserved, WindowKind};
use usage_ledger::time::{HOUR, SECOND};
use usage_ledger::{Ledger, ProviderId, TokenRecord};

use super::windows::{count, fill, limited};
use super::{Case, Checked, NOW, Read, members, same, unknown, word};

pub fn overridden(case: &Case) -> Read<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    let ledger = limited(given);
    if given.get("session_tokens").is_some() {
        fill(&ledger, "claude", given);
    }
    let weekly = ledger.provider("claude", NOW).unwrap().weekly.usage.tokens.total();
    // A provider that states no percentage says nothing; a statement without an age is of now.
    let anchor: Option<Percent> =
        given["anchor_session_pct"].as_number().and_then(|seen| seen.to_string().parse().ok());
    if let Some(seen) = anchor {
        let at = NOW.plus(-given["anchor_age_s"].as_i64().unwrap_or(0) * SECOND);
        let seen = QuotaObserved::new(ProviderId::resolve("claude").unwrap(), 300, "oauth")
            .used(seen)
            .resets_at(NOW.plus(2 * HOUR));
        ledger.append([NewEvent::new(seen, at)], at).unwrap();
    }
    let pause = given["pause"].as_str().or(case.when.contains("quota pause").then_some("quota"));
    if let Some(reason) = pause {
        ledger.pause(Paused::new(reason), NOW).unwrap();
    }
    // `/quota N` and `/quota reset` are overrides. `/resume` is an event that changes no counter, unless the person
    // also states that the quota is available.
    let words: Vec<&str> = case.when.split_whitespace().collect();
    let used = words.iter().find_map(|word| word.trim_end_matches('%').parse::<i64>().ok());
    let mut overridden_percent = None;
    let mut override_with = |ledger: &Ledger, used: i64| {
        let used = Percent::from_hundredths(u32::try_from(used.clamp(0, 100)).unwrap() * 100);
        let outcome = ledger.override_usage("claude", WindowKind::Session, used, "test", "", NOW).unwrap();
        overridden_percent = Some(outcome.position());
    };
    match words.as_slice() {
        ["/quota", "reset", ..] => override_with(&ledger, 0),
        ["/quota", ..] | ["set", "used", ..] if used.is_some() => override_with(&ledger, used.unwrap()),
        ["/resume", ..] => {
            // Without a pause there is nothing to resume, and nothing changes.
            assert_eq!(ledger.resume("", NOW).is_ok(), pause.is_some());
            if pause == Some("quota") {
                override_with(&ledger, 0);
            }
        }
        _ => return Ok(unknown(case)),
    }
    if let Some(position) = overridden_percent.filter(|_| case.when.contains("undo") || case.when.contains("void")) {
        let id = ledger.event(position).unwrap().id;
        ledger.void(id, "undone", NOW).unwrap();
    }
    let usage = ledger.provider("claude", NOW).unwrap();
    let session = &usage.session;
    let tokens = session.limit.unwrap() * u64::from(session.percent.unwrap().hundredths()) / 10_000;
    for (name, wanted) in members(expect, "expect")? {
        let right = match name.as_str() {
            "session_tokens" if wanted.as_str().is_some() => return Ok(unknown(case)),
            "session_tokens" if session.overridden.is_some() => json!(tokens) == *wanted,
            "session_tokens" => json!(session.usage.tokens.total()) == *wanted,
            // The seed keeps at least one run to avoid a division by zero; this crate does not need to.
            "runs" if used.is_some_and(|used| used > 0) => json!(session.usage.requests.max(1)) == *wanted,
            "runs" => json!(session.usage.requests) == *wanted,
            "session_start" => session.started_at == Some(NOW),
            "weekly_tokens" => {
                json!(usage.weekly.usage.tokens.total()) == *wanted && weekly == u128::from(count(wanted))
            }
            "pct" => json!(session.percent.unwrap().whole()) == *wanted,
            "burn_samples" => ledger.budget("claude", NOW).unwrap().burn.is_none(),
            "paused" => json!(ledger.status(NOW).unwrap().paused.is_some()) == *wanted,
            "mode_not" => ledger.budget("claude", NOW).unwrap().mode.name() != word(wanted, name)?,
            // Both numbers are shown: the override, which applies, and the provider's.
            "shown" => {
                let overridden_percent =
                    session.overridden.as_ref().and_then(|overridden_percent| overridden_percent.percent);
                let typed = used.map(|used| Percent::from_hundredths(used.clamp(0, 100) as u32 * 100));
                session.percent == overridden_percent
                    && overridden_percent == typed
                    && session.observed.as_ref().and_then(|seen| seen.percent) == anchor
            }
            _ => return Ok(unknown(case)),
        };
        if !right {
            return Ok(Checked::Failed(format!("{name}: wanted {wanted}, found {session:?}")));
        }
    }
    Ok(Checked::Passed)
}

pub fn robust(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    match case.when.as_str() {
        "refresh" => super::instance::state_file(given, expect),
        "aggregate the day" | "read back" => super::instance::rows(case),
        "total session tokens" => {
            let number = |name: &str| usize::try_from(count(&given[name])).unwrap();
            let (tokens, _) =
                super::burn::together(number("writers"), number("updates_each"), count(&given["tokens_each"]));
            same(json!(tokens), expect.clone())
        }
        "record" if given.get("tokens").is_none() => {
            let Some(times) = given.as_object().unwrap().values().find_map(Value::as_u64) else { return unknown(case) };
            // The same id and content is one event.
            let ledger = Ledger::in_memory().unwrap();
            for _ in 0..times {
                let again = TokenRecord::new("claude", "m").input(5).key("the same");
                ledger.append([NewEvent::new(again, NOW)], NOW).unwrap();
            }
            let actual = ledger.provider("claude", NOW).unwrap().all_time.requests;
            same(json!(actual), expect.as_object().unwrap().values().next().cloned().unwrap_or_default())
        }
        "record" => {
            // Counts are unsigned; text with a sign is refused at the input.
            let record = json!({"provider": "anthropic", "tokens": {"input": given["tokens"]}}).to_string();
            let refused = serde_json::from_str::<TokenRecord>(&record).is_err();
            same(json!(refused), expect["rejected"].clone())
        }
        _ => unknown(case),
    }
}
