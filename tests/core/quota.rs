//! Parses providers' documents about quota windows; malformed ones are warnings or errors, never wrong numbers.
//!
//! The cases are in `tests/fixtures/observe/<format>/*.json`. An observation is written as `minutes | scope | used
//! percent | resets at | status`, with `-` for a missing value.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use usage_ledger::event::{Percent, QuotaObserved};
use usage_ledger::quota::{self, Observed, QuotaFormat, changed};
use usage_ledger::{Error, Ledger, ProviderId, Timestamp};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

/// Every case of a format: its name, its text, the time of its receipt, and the expected result.
fn cases(format: QuotaFormat) -> Vec<(String, String, Timestamp, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/observe").join(format.name());
    let mut observed = Vec::new();
    for file in fs::read_dir(directory).unwrap() {
        let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        for case in cases {
            let text = match &case["document"] {
                Value::String(text) => text.clone(),
                document => document.to_string(),
            };
            let at = case["at"].as_str().map_or(now(), |at| at.parse().unwrap());
            observed.push((format!("{format}: {}", case["name"].as_str().unwrap()), text, at, case));
        }
    }
    assert!(observed.len() > 5, "{format} has cases");
    observed
}

fn shown(seen: &QuotaObserved) -> String {
    let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    format!(
        "{} | {} | {} | {} | {}",
        seen.window_minutes,
        or(seen.scope.clone()),
        or(seen.used_percent.map(|used| used.to_string())),
        or(seen.resets_at.map(|at| at.to_string())),
        or(seen.status.clone())
    )
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_document_is_parsed_to_its_windows() {
    for format in QuotaFormat::ALL {
        for (name, text, at, case) in cases(format) {
            let observed = quota::observe(format, &text, at);
            if let Some(wanted) = case["error"].as_str() {
                let Err(Error::Invalid { what }) = observed else { panic!("{name}: {observed:?}") };
                assert!(what.contains(wanted), "{name}: {what}");
                assert!(what.contains(format.name()) && what.contains(format.wants()), "{name}: {what}");
                continue;
            }
            let Observed { observations, warnings, .. } = observed.unwrap_or_else(|error| panic!("{name}: {error}"));
            let (mut observed, mut wanted): (Vec<_>, _) =
                (observations.iter().map(shown).collect(), strings(&case["observations"]));
            observed.sort();
            wanted.sort();
            assert_eq!(observed, wanted, "{name}: {warnings:?}");
            for wanted in strings(&case["warnings"]) {
                assert!(warnings.iter().any(|warning| warning.contains(&wanted)), "{name}: {wanted} in {warnings:?}");
            }
            assert_eq!(warnings.is_empty(), strings(&case["warnings"]).is_empty(), "{name}: {warnings:?}");
            for seen in &observations {
                assert_eq!((seen.provider.as_str(), seen.account.as_deref()), (format.provider(), None), "{name}");
                assert_eq!(seen.feed, format.name(), "{name}");
            }
        }
    }
}

#[test]
fn no_credential_of_a_document_is_observed() {
    let secret = "sk-ant-api03-Hunter2hunter2Hunter2";
    let used =
        r#"{"used_percent":5,"utilization":5,"window_minutes":300,"resets_at":1795474800,"percent_remaining":5}"#;
    for (format, text) in [
        (QuotaFormat::CodexRateLimits, format!(r#"{{"rate_limits":{{"limit_name":"{secret}","primary":{used}}}}}"#)),
        (QuotaFormat::ClaudeStatusline, format!(r#"{{"rate_limits":{{"seven_day_{secret}":{used}}}}}"#)),
        (
            QuotaFormat::ClaudeStatusline,
            r#"{"rate_limits":{"model_scoped":[{"display_name":"Opus password=Hunter2x","used_percent":5},
                    {"id":"https://me:Hunter2@h/","used_percent":6}]}}"#
                .to_owned(),
        ),
        (QuotaFormat::AnthropicOauth, format!(r#"{{"seven_day_{secret}":{used}}}"#)),
        (QuotaFormat::Copilot, format!(r#"{{"quota_snapshots":{{"{secret}":{used}}}}}"#)),
        (
            QuotaFormat::GeminiBuckets,
            format!(
                r#"{{"buckets":[{{"modelId":"m","tokenType":"AKIAHUNTER2HUNTER2XX","remainingFraction":0.5}},
                {{"modelId":"{secret}","remainingFraction":0.5}}]}}"#
            ),
        ),
        (
            QuotaFormat::AnthropicHeaders,
            format!(
                "anthropic-ratelimit-unified-7d-{secret}-utilization: 0.5\n\
                 anthropic-ratelimit-unified-representative-claim: seven_day_{secret}\n\
                 anthropic-ratelimit-unified-status: bearer HUNTERabcd\n\
                 anthropic-ratelimit-{secret}-limit: 5\nanthropic-ratelimit-{secret}-remaining: 5\n"
            ),
        ),
        (QuotaFormat::OllamaCloud, format!(r#"{{"session":0.25,"{}{secret}":"x"}}"#, "x ".repeat(22))),
    ] {
        let seen = quota::observe(format, &text, now()).unwrap();
        assert!(!format!("{seen:?}").to_lowercase().contains("hunter"), "{format}: {seen:?}");
    }
}

#[test]
fn a_repeated_document_is_recorded_once() {
    for format in QuotaFormat::ALL {
        for (name, text, at, _) in cases(format) {
            let Ok(seen) = quota::observe(format, &text, at) else { continue };
            let ledger = Ledger::in_memory().unwrap();
            ledger.append(seen.events(at), at).unwrap();
            let count = seen.observations.len() as u64;
            assert_eq!(ledger.head().unwrap().position.get(), count, "{name}: each window is an event");
            ledger.append(seen.events(at), at.plus(60_000)).unwrap();
            assert_eq!(ledger.head().unwrap().position.get(), count, "{name}: told again");
            ledger.append(seen.events(at.plus(1)), at.plus(60_000)).unwrap();
            assert_eq!(ledger.head().unwrap().position.get(), 2 * count, "{name}: at another time");
            assert!(ledger.verify().unwrap().ok, "{name}");
        }
    }
}

#[test]
fn the_provider_and_account_of_a_document_can_be_given() {
    let seen = quota::observe(QuotaFormat::OllamaCloud, r#"{"session":0.5,"weekly":0.1}"#, now()).unwrap();
    let other = seen.clone().of(Some(&ProviderId::new("my-gateway").unwrap()), Some("work"));
    for one in &other.observations {
        assert_eq!((one.provider.as_str(), one.account.as_deref()), ("my-gateway", Some("work")));
    }
    assert_eq!(seen.clone().of(None, None), seen);
    let ids = |seen: &Observed| seen.events(now()).map(|event| event.id).collect::<Vec<_>>();
    assert_ne!(ids(&seen), ids(&other));
}

#[test]
fn repeated_readings_are_not_recorded() {
    let seen = |used: &str, reset: i64, status: Option<&str>| {
        let mut made = QuotaObserved::new(ProviderId::new("openai").unwrap(), 300, "test").used(used.parse().unwrap());
        made.resets_at = (reset >= 0).then(|| Timestamp::from_millis(reset));
        made.status = status.map(str::to_owned);
        made
    };
    let latest = seen("40", 10_000, None);
    assert!(changed(None, &latest));
    for (same, is_news) in [
        (seen("40", 10_000, None), false),
        (seen("40", 12_000, None), false),
        (seen("40", 310_000, None), false),
        (seen("40", 310_001, None), true),
        (seen("40", -1, None), true),
        (seen("40.01", 10_000, None), true),
        (seen("39", 10_000, None), false),
        (seen("40", 10_000, Some("allowed")), true),
        (
            {
                let mut made = latest.clone();
                made.feed = "other".to_owned();
                made
            },
            false,
        ),
        (
            {
                let mut made = latest.clone();
                made.scope = Some("opus".to_owned());
                made
            },
            true,
        ),
        (
            {
                let mut made = latest.clone();
                made.account = Some("work".to_owned());
                made
            },
            true,
        ),
    ] {
        assert_eq!(changed(Some(&latest), &same), is_news, "{same:?}");
    }
}

#[test]
fn format_names_round_trip_and_near_misses_get_a_hint() {
    for format in QuotaFormat::ALL {
        assert_eq!(format.to_string().parse::<QuotaFormat>().unwrap(), format);
        assert!(format.provider().parse::<ProviderId>().unwrap().known().is_some(), "{format}");
    }
    let error = "claude-status-line".parse::<QuotaFormat>().unwrap_err().to_string();
    assert!(error.contains("did you mean `claude-statusline`?") && error.contains("ollama-cloud"), "{error}");
    assert!(!"xml".parse::<QuotaFormat>().unwrap_err().to_string().contains("did you mean"));
}

/// Any JSON, with keys and values of the formats mixed in.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{0,30}(\\.[0-9]{1,30})?%?".prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let keys = [
        "rate_limits",
        "rateLimits",
        "rate_limit",
        "payload",
        "primary",
        "secondary",
        "primary_window",
        "used_percent",
        "window_minutes",
        "resets_at",
        "resets_in_seconds",
        "limit_window_seconds",
        "limit_name",
        "five_hour",
        "seven_day",
        "utilization",
        "extra_usage",
        "is_enabled",
        "monthly_limit",
        "buckets",
        "modelId",
        "remainingFraction",
        "resetTime",
        "quota_snapshots",
        "premium_interactions",
        "percent_remaining",
        "entitlement",
        "remaining",
        "overage_count",
        "quota_reset_date",
        "session",
        "weekly",
        "limit_reached",
        "anthropic-ratelimit-unified-5h-utilization",
        "anthropic-ratelimit-unified-5h-reset",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "x-codex-primary-used-percent",
        "x-codex-primary-window-minutes",
        "x-codex-primary-reset-after-seconds",
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let key = prop_oneof![8 => prop::sample::select(keys.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::btree_map(key, inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No input panics, and observations can be recorded and read back.
    #[test]
    fn no_document_makes_the_parser_panic(document in json(), at in any::<i64>(), cut in any::<prop::sample::Index>()) {
        let (text, at) = (document.to_string(), Timestamp::from_millis(at));
        let cut: String = text.chars().take(cut.index(text.len() + 1)).collect();
        let lines: String = text.replace([',', '{', '}'], "\n").replace('"', "");
        for format in QuotaFormat::ALL {
            for text in [&text, &cut, &lines] {
                let Ok(seen) = quota::observe(format, text, at) else { continue };
                for one in &seen.observations {
                    let line = serde_json::to_string(one).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<QuotaObserved>(&line).unwrap(), one);
                    prop_assert!(one.window_minutes > 0 || one.scope.is_some());
                    prop_assert!(one.scope.as_ref().is_none_or(|scope| !scope.is_empty() && !scope.contains('\0')));
                }
            }
        }
    }

    /// Two decimals are exact, in percentages and fractions.
    #[test]
    fn hundredths_are_never_off_by_one(hundredths in 0_u32..20_000) {
        let percent = Percent::from_hundredths(hundredths);
        let fraction = format!("{}.{:04}", hundredths / 10_000, hundredths % 10_000);
        let read = |format, text: String| quota::observe(format, &text, now()).unwrap().observations[0].used_percent;
        let statusline = format!(r#"{{"rate_limits":{{"five_hour":{{"used_percentage":{percent}}}}}}}"#);
        prop_assert_eq!(read(QuotaFormat::ClaudeStatusline, statusline), Some(percent));
        prop_assert_eq!(read(QuotaFormat::OllamaCloud, format!(r#"{{"session":{fraction}}}"#)), Some(percent));
        let header = format!("anthropic-ratelimit-unified-5h-utilization: {fraction}");
        prop_assert_eq!(read(QuotaFormat::AnthropicHeaders, header), Some(percent));
    }
}

/// A ledger with readings of one window: minutes since nine o'clock, used percent, minutes to the reset.
fn week(readings: &[(i64, &str, i64)]) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let nine: Timestamp = "2026-09-23T09:00:00Z".parse().unwrap();
    for (minutes, used, reset) in readings {
        let (at, reset) = (nine.plus(minutes * 60_000), nine.plus(reset * 60_000));
        let seen = observed_weekly(used, reset);
        ledger.append([quota::event(seen, at)], at).unwrap();
    }
    ledger
}

fn weekly_used(ledger: &Ledger, minutes: i64) -> String {
    let nine: Timestamp = "2026-09-23T09:00:00Z".parse().unwrap();
    let usage = ledger.provider("anthropic", nine.plus(minutes * 60_000)).unwrap();
    usage.weekly.percent.map_or_else(|| "-".to_owned(), |used| used.to_string())
}

#[test]
fn a_lower_reading_of_an_idle_feed_does_not_replace_a_higher_one() {
    let readings = [(0, "88", 3_000), (1, "40", 3_000), (2, "41", 3_002)];
    assert_eq!(weekly_used(&week(&readings), 3), "88");
    assert_eq!(weekly_used(&week(&[(0, "88", 3_000), (1, "40", 3_000), (2, "89", 2_999)]), 3), "89");
}

#[test]
fn a_reset_that_the_provider_announces_starts_a_window_within_the_week() {
    let ten_thousand = 7 * 24 * 60;
    let reset = [(0, "88", 3_000), (10, "2", 10 + ten_thousand)];
    assert_eq!(weekly_used(&week(&reset), 11), "2");
    // Another terminal still shows the replaced week.
    let idle = [(0, "88", 3_000), (10, "2", 10 + ten_thousand), (12, "88", 3_000), (13, "100", 3_001)];
    assert_eq!(weekly_used(&week(&idle), 14), "2");
    assert!(!week(&idle).budget("anthropic", "2026-09-23T09:14:00Z".parse::<Timestamp>().unwrap()).unwrap().gated);
    // A reset further away than a week is invalid, so it does not hide later readings.
    let odd = [(0, "7", 3 * ten_thousand), (1, "50", 3_000)];
    assert_eq!(weekly_used(&week(&odd), 2), "50");
}

#[test]
fn an_override_holds_until_a_newer_reading() {
    let ledger = week(&[(0, "88", 3_000)]);
    let at = |minutes: i64| "2026-09-23T09:00:00Z".parse::<Timestamp>().unwrap().plus(minutes * 60_000);
    let override_event = usage_ledger::event::UsageOverridden::new(
        ProviderId::new("anthropic").unwrap(),
        usage_ledger::event::WindowKind::Weekly,
        "5".parse().unwrap(),
        "me",
        "support reset it",
    );
    ledger.append([usage_ledger::event::NewEvent::new(override_event, at(5))], at(5)).unwrap();
    assert_eq!(weekly_used(&ledger, 6), "5");
    let seen = observed_weekly("12", at(3_000));
    assert_eq!(ledger.observe(vec![seen], at(7), at(7)).unwrap().len(), 1, "it is news after a person's word");
    assert_eq!(weekly_used(&ledger, 8), "12");
}

#[test]
fn two_terminals_that_redraw_add_few_events() {
    let ledger = Ledger::in_memory().unwrap();
    let at = |seconds: i64| "2026-09-23T09:00:00Z".parse::<Timestamp>().unwrap().plus(seconds * 1_000);
    let record_reading = |seconds: i64, used: &str, jitter: i64| {
        let seen = observed_weekly(used, at(100_000 + jitter));
        ledger.observe(vec![seen], at(seconds), at(seconds)).unwrap().len()
    };
    let recorded_count: usize =
        (0..20).map(|n| record_reading(10 * n, "88", n % 3) + record_reading(10 * n + 5, "40", 0)).sum();
    assert_eq!(recorded_count, 1);
    assert_eq!((record_reading(250, "89", 0), record_reading(255, "40", 0), record_reading(256, "88", 0)), (1, 0, 0));
    assert_eq!(
        (record_reading(549, "89", 0), record_reading(551, "40", 0), record_reading(552, "89", 60)),
        (0, 0, 1),
        "it still holds"
    );
    assert_eq!((record_reading(600, "3", 200_000), record_reading(601, "89", 0)), (1, 0), "a new week");
}

fn observed_weekly(used: &str, resets_at: Timestamp) -> QuotaObserved {
    QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 7 * 24 * 60, "claude-statusline")
        .used(used.parse().unwrap())
        .resets_at(resets_at)
}
