//! Quota windows in rollouts: each change is recorded once, however many logs repeat it.

#![cfg(feature = "import")]
#![allow(clippy::pedantic, clippy::unwrap_used, clippy::indexing_slicing)]

use crate::corpus;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use corpus::Options;
use corpus::check::import;
use serde_json::Value;
use tempfile::TempDir;
use usage_ledger::event::{Event, Payload, QuotaObserved};
use usage_ledger::usage::Basis;
use usage_ledger::{Ledger, Timestamp};

const PARENT: &str = "rollout-2026-11-23T10-00-00-0196b1a0-0000-7000-8000-000000000001.jsonl";
const FORK: &str = "rollout-2026-11-23T10-30-00-0196b1a0-0000-7000-8000-000000000002.jsonl";

fn line(at: &str, kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"2026-11-23T{at}.000Z","type":"{kind}","payload":{payload}}}"#)
}

fn meta(at: &str, id: &str, more: &str) -> String {
    line(at, "session_meta", &format!(r#"{{"id":"{id}","cwd":"/work","model_provider":"openai"{more}}}"#))
}

/// The number of calls so far, and the limits.
fn count(at: &str, calls: u64, limits: &str) -> String {
    let usage = |calls: u64| {
        let (input, output) = (100 * calls, 10 * calls);
        format!(r#"{{"input_tokens":{input},"output_tokens":{output},"total_tokens":{}}}"#, input + output)
    };
    let info = format!(r#"{{"total_token_usage":{},"last_token_usage":{}}}"#, usage(calls), usage(1));
    line(at, "event_msg", &format!(r#"{{"type":"token_count","info":{info},"rate_limits":{limits}}}"#))
}

/// Limits that reset at 12:00, and on the 28th at 09:00.
fn limits(session: &str, jitter: u64, weekly: &str) -> String {
    let (a, b) = (1_795_435_200 + jitter, 1_795_856_400 + jitter);
    format!(
        r#"{{"limit_id":"codex","primary":{{"used_percent":{weekly},"window_minutes":10080,"resets_at":{b}}},"secondary":{{"used_percent":{session},"window_minutes":300,"resets_at":{a}}},"plan_type":"plus"}}"#
    )
}

fn put(home: &Path, name: &str, lines: &[String]) {
    let directory = home.join(".codex/sessions/2026/11/23");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), lines.join("\n") + "\n").unwrap();
}

fn events(ledger: &Ledger) -> Vec<Event> {
    let mut events = Vec::new();
    let mut visit = |position, line: &str| {
        events.push(Event::from_line(position, line).unwrap());
        Ok(true)
    };
    ledger.snapshot().unwrap().lines(1.into(), &mut visit).unwrap();
    events
}

fn observations(ledger: &Ledger) -> Vec<(Timestamp, QuotaObserved)> {
    let observed = |event: Event| match event.payload {
        Payload::QuotaObserved(seen) => {
            assert_eq!((event.source.as_ref(), seen.feed.as_str()), ("codex", "codex-rollout"));
            Some((event.occurred_at, seen))
        }
        _ => None,
    };
    events(ledger).into_iter().filter_map(observed).collect()
}

/// `10:00:05 300 12`
fn readings(ledger: &Ledger) -> Vec<String> {
    let shown = |(at, seen): (Timestamp, QuotaObserved)| {
        format!("{} {} {}", &at.to_string()[11..19], seen.window_minutes, seen.used_percent.unwrap())
    };
    observations(ledger).into_iter().map(shown).collect()
}

fn observed(ledger: &Ledger, home: &Path) -> (u64, u64) {
    let sources = import(ledger, home);
    let codex = sources.iter().find(|source| source.source == "codex").unwrap();
    assert!(codex.skipped.is_empty(), "{:?}", codex.skipped);
    (codex.recorded, codex.observed)
}

fn parent() -> Vec<String> {
    vec![
        meta("10:00:00", "parent", ""),
        line("10:00:01", "event_msg", r#"{"type":"token_count","info":null,"rate_limits":null}"#),
        count("10:00:05", 1, &limits("12", 0, "3")),
        count("10:00:06", 1, &limits("12", 1, "3")),
        count("10:00:20", 2, &limits("12.5", 0, "3")),
        count("10:00:30", 3, &limits("12.5", 2, "3")),
        count("10:00:40", 4, &limits("13", 0, "4")),
    ]
}

const READINGS: [&str; 5] =
    ["10:00:05 10080 3", "10:00:05 300 12", "10:00:20 300 12.5", "10:00:40 10080 4", "10:00:40 300 13"];

#[test]
fn only_changed_readings_are_recorded() {
    let (home, ledger) = (TempDir::new().unwrap(), Ledger::in_memory().unwrap());
    put(home.path(), PARENT, &parent());
    assert_eq!(observed(&ledger, home.path()), (4, 5));
    assert_eq!(readings(&ledger), READINGS);
    assert!(observations(&ledger).iter().all(|(_, seen)| seen.provider.as_str() == "openai" && seen.scope.is_none()));
    let usage = ledger.provider("openai", "2026-11-23T10:00:50Z".parse::<Timestamp>().unwrap()).unwrap();
    assert_eq!((usage.session.percent, usage.session.basis), (Some("13".parse().unwrap()), Basis::Observed));
    assert_eq!(usage.weekly.resets_at, Some("2026-11-28T09:00:00Z".parse().unwrap()));
    assert_eq!(usage.all_time.requests, 4);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn a_growing_log_records_no_change_twice() {
    let (home, ledger) = (TempDir::new().unwrap(), Ledger::in_memory().unwrap());
    let lines = parent();
    for end in 1..=lines.len() {
        put(home.path(), PARENT, &lines[..end]);
        import(&ledger, home.path());
    }
    assert_eq!(readings(&ledger), READINGS);
    // An archived rollout is read from its beginning.
    let [from, to] = ["sessions/2026/11/23", "archived_sessions"].map(|at| home.path().join(".codex").join(at));
    fs::create_dir_all(&to).unwrap();
    fs::rename(from.join(PARENT), to.join(PARENT)).unwrap();
    assert_eq!(observed(&ledger, home.path()), (0, 0));
    assert_eq!(readings(&ledger), READINGS);
}

#[test]
fn readings_repeated_by_a_fork_are_not_recorded() {
    let (home, ledger) = (TempDir::new().unwrap(), Ledger::in_memory().unwrap());
    put(home.path(), PARENT, &parent());
    let own = [count("10:31:00", 5, &limits("20", 0, "4")), count("10:31:09", 6, &limits("20", 0, "5"))];
    // With the old times, and with the time of the fork.
    for (name, id, restamped) in [(FORK, "fork", false), (&FORK.replace("0002", "0003"), "other", true)] {
        let mut lines = vec![meta("10:30:00", id, r#","forked_from_id":"parent""#)];
        lines.extend(parent().into_iter().map(|line| {
            let at = line[26..34].to_owned();
            if restamped { line.replace(&at, "10:30:01") } else { line }
        }));
        lines.extend(own.clone().map(|line| if restamped { line.replace("T10:31", "T10:32") } else { line }));
        put(home.path(), name, &lines);
    }
    let mut wanted: BTreeSet<String> = READINGS.map(str::to_owned).into();
    for minute in [31, 32] {
        wanted.insert(format!("10:{minute}:00 300 20"));
        wanted.insert(format!("10:{minute}:09 10080 5"));
    }
    // A separate log begins with all its readings, and a reading repeated after five minutes confirms the value.
    wanted.insert("10:31:00 10080 4".to_owned());
    wanted.insert("10:32:00 10080 4".to_owned());
    import(&ledger, home.path());
    let observed = readings(&ledger);
    assert_eq!(observed.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(observed.len(), wanted.len(), "nothing is told twice");
}

#[test]
fn unreadable_limits_do_not_affect_counts() {
    let (home, ledger) = (TempDir::new().unwrap(), Ledger::in_memory().unwrap());
    let mut lines = vec![meta("10:00:00", "parent", "")];
    let odd = [
        "7",
        "\"x\"",
        "[]",
        "{}",
        r#"{"primary":5,"secondary":{"used_percent":{}}}"#,
        r#"{"primary":{"used_percent":1e300,"window_minutes":-4}}"#,
    ];
    for (index, odd) in odd.iter().enumerate() {
        lines.push(count(&format!("10:00:{:02}", index + 1), index as u64 + 1, odd));
    }
    put(home.path(), PARENT, &lines);
    assert_eq!(observed(&ledger, home.path()), (6, 0));
}

#[test]
fn a_voided_observation_is_not_recorded_again() {
    let (home, ledger) = (TempDir::new().unwrap(), Ledger::in_memory().unwrap());
    put(home.path(), PARENT, &parent());
    import(&ledger, home.path());
    let first = events(&ledger).into_iter().find(|event| event.payload.kind() == "quota_observed").unwrap();
    ledger.void(first.id, "a test account", corpus::check::now()).unwrap();
    put(home.path(), &FORK.replace("0002", "0004"), &parent());
    assert_eq!(observed(&ledger, home.path()).1, 0);
}

/// For a large corpus with forks and truncated lines: every observation is in a log, and no change is missing.
#[test]
fn observations_equal_the_truth_of_the_corpus() {
    let (home, ledger) = (TempDir::new().unwrap(), Ledger::in_memory().unwrap());
    let truth = Options::small(4).write(home.path());
    import(&ledger, home.path());
    let observed: BTreeSet<(String, String, i64)> = observations(&ledger)
        .into_iter()
        .map(|(at, seen)| {
            (at.to_string(), seen.used_percent.unwrap().to_string(), seen.resets_at.unwrap().millis() / 1_000)
        })
        .collect();
    let (mut all, mut changes) = (BTreeSet::new(), BTreeSet::new());
    for file in truth.files.iter().filter(|file| file.starts_with(".codex")) {
        let text = String::from_utf8_lossy(&fs::read(home.path().join(file)).unwrap()).into_owned();
        let is_fork = text.contains("forked_from_id") || text.contains("thread_spawn");
        let mut latest: Option<(String, i64)> = None;
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let window = &line["payload"]["rate_limits"]["primary"];
            let (Some(used), Some(reset)) = (window["used_percent"].as_f64(), window["resets_at"].as_i64()) else {
                continue;
            };
            let at = line["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().to_string();
            let one = (at, used.to_string(), reset);
            all.insert(one.clone());
            if latest.as_ref().is_none_or(|(known, before)| *known != one.1 || (before - reset).abs() > 2) {
                latest = Some((one.1.clone(), reset));
                if !is_fork {
                    changes.insert(one);
                }
            }
        }
    }
    println!("{} lines, {} changes, {} observed", all.len(), changes.len(), observed.len());
    assert!(changes.len() > 5 && changes.len() < all.len());
    assert!(observed.is_subset(&all), "{:?}", observed.difference(&all).next());
    assert!(changes.is_subset(&observed), "{:?}", changes.difference(&observed).next());
    assert!(observed.len() < all.len());
}
