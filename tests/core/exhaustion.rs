//! Real messages and prose against the rules: `tests/fixtures/exhaustion.jsonl`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::Deserialize;
use usage_ledger::exhaustion::{Stream, detect, reset, rules};
use usage_ledger::{Timestamp, Zone};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    provider: String,
    stream: String,
    text: String,
    /// When it is read, on a host in UTC.
    now: Timestamp,
    rule: Option<String>,
    resets_at: Option<Timestamp>,
}

fn corpus() -> Vec<Line> {
    include_str!("../fixtures/exhaustion.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stream(name: &str) -> Stream {
    match name {
        "stderr" => Stream::Stderr,
        "stdout_ok" => Stream::StdoutOk,
        "stdout_failed" => Stream::StdoutFailed,
        "transcript" => Stream::Transcript,
        _ => panic!("no stream {name}"),
    }
}

#[test]
fn every_line_of_the_corpus_is_recognised_for_what_it_is() {
    let wrong: Vec<String> = corpus()
        .iter()
        .filter_map(|line| {
            let found = detect(&line.provider, stream(&line.stream), &line.text);
            let rule = found.as_ref().map(|found| found.rule);
            let at = found.and_then(|found| found.reset(line.now, Zone::UTC)).and_then(|reset| reset.at);
            let right = rule == line.rule.as_deref() && at == line.resets_at;
            (!right).then(|| format!("{line:?}: found {rule:?}, {at:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_is_hit_by_the_corpus() {
    let hit: BTreeSet<String> = corpus().into_iter().filter_map(|line| line.rule).collect();
    let known: BTreeSet<String> = rules().iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(known.len(), rules().len(), "ids are unique");
    assert_eq!(hit, known);
}

#[test]
fn ids_are_kebab_case() {
    for rule in rules() {
        let kebab = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        assert!(rule.id.chars().all(kebab), "{}", rule.id);
    }
}

#[test]
fn what_is_far_off_on_a_long_line_is_not_tied_together() {
    let filler = "\"whitespace-linter\",".repeat(4_500);
    let text = format!("{{\"cmds\":[\"usage-credits\",{filler}\"recap\"],\"status\":\"rejected\",\"v\":\"quota\"}}");
    for provider in ["claude", "codex", "copilot", "cline", "haze", "grok", "ollama", "gemini", "someone"] {
        for stream in [Stream::Stderr, Stream::StdoutOk, Stream::StdoutFailed, Stream::Transcript] {
            assert_eq!(detect(provider, stream, &text), None, "{provider} {stream:?}");
        }
    }
}

#[test]
fn an_excerpt_is_short_whole_characters_around_the_hit() {
    let text = format!("first\n{}Error: out of credits{}\nlast", "é".repeat(5_000), "∙\u{1b}[0m\t".repeat(5_000));
    let found = detect("claude", Stream::StdoutFailed, &text).unwrap();
    assert!(found.excerpt.contains("Error: out of credits"), "{}", found.excerpt);
    assert!(found.excerpt.chars().count() <= 300);
    assert!(!found.excerpt.chars().any(char::is_control));
}

/// Texts made of the words that the grammars know, so that they get far into them.
fn wordy() -> impl Strategy<Value = String> {
    let words = [
        "resets",
        "reset",
        "will reset at",
        "resetsAt",
        "Retry-After:",
        "try again in",
        "try again at",
        "in",
        "at",
        "tomorrow",
        "today",
        "Mon",
        "Sunday",
        "Feb 29",
        "Feb 30",
        "Oct 9, 2026",
        "31 Dec",
        "10am",
        "12:60pm",
        "13pm",
        "23:59",
        "00:00:00",
        "2026-03-08T02:30",
        "9999-12-31T23:59:59Z",
        "5 hours",
        "1h 30m",
        "99999999d",
        "0s",
        "-5",
        "999999999",
        "1779937200",
        "1779937200000",
        "(UTC)",
        "(Europe/Paris)",
        "(America/New_York)",
        "(Mars/Base)",
        "é",
        "\"",
        "{",
        "\n",
        ",",
        "rate limit",
        "rate_limit_event",
        "\u{1b}[31m",
        "HTTP 429",
        "out of credits",
    ];
    prop::collection::vec((prop::sample::select(words.to_vec()), prop::sample::select(vec!["", " ", ": "])), 0..12)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, gap)| [word, gap]).collect())
}

fn moments() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (1_600_000_000_000_i64..2_000_000_000_000).prop_map(Timestamp::from_millis),
        any::<i64>().prop_map(Timestamp::from_millis),
    ]
}

proptest! {
    #[test]
    fn no_reset_lies_in_the_past(text in prop_oneof![wordy(), any::<String>()], now in moments(), zone in 0..4_usize) {
        let names = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"];
        let zone: Zone = names.get(zone).unwrap().parse().unwrap();
        let found = [Some(reset::parse(&text, now, zone)), reset::find(&text, now, zone)];
        for reset in found.into_iter().flatten() {
            let given = reset.phrase.starts_with("resetsAt ");
            prop_assert!(given || reset.at.is_none_or(|at| at > now), "{reset:?} at {now}");
        }
    }

    #[test]
    fn no_text_is_too_odd(text in prop_oneof![wordy(), any::<String>()], now in moments()) {
        for provider in ["claude", "codex", "copilot", "cline", "haze", "ollama", "groq", "", "Ä"] {
            for stream in [Stream::Stderr, Stream::StdoutOk, Stream::StdoutFailed, Stream::Transcript] {
                if let Some(found) = detect(provider, stream, &text) {
                    prop_assert!(found.excerpt.chars().count() <= 300);
                    let _ = found.reset(now, Zone::UTC);
                }
            }
        }
    }
}
