//! Real messages and prose against the rules: `tests/fixtures/exhaustion.jsonl`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::Deserialize;
use usage_ledger::internals::exhaustion::{Stream, detect, reset, rules};
use usage_ledger::{Timestamp, Zone};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    provider: String,
    stream: String,
    text: String,
    /// The time of reading, on a host in UTC.
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
        "stderr_ok" => Stream::StderrOk,
        "stdout_ok" => Stream::StdoutOk,
        "stdout_failed" => Stream::StdoutFailed,
        "transcript" => Stream::Transcript,
        _ => panic!("no stream {name}"),
    }
}

#[test]
fn every_line_of_the_corpus_is_classified_correctly() {
    let wrong: Vec<String> = corpus()
        .iter()
        .filter_map(|line| {
            let refusal = detect(&line.provider, stream(&line.stream), &line.text);
            let rule = refusal.as_ref().map(|refusal| refusal.rule);
            let at = refusal.and_then(|refusal| refusal.reset(line.now, Zone::UTC)).and_then(|reset| reset.at);
            let right = rule == line.rule.as_deref() && at == line.resets_at;
            (!right).then(|| format!("{line:?}: found {rule:?}, {at:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_is_hit_by_the_corpus() {
    let book = book().into_iter().map(|entry| entry.rule);
    let hit: BTreeSet<String> = corpus().into_iter().filter_map(|line| line.rule).chain(book).collect();
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
fn distant_phrases_of_a_long_line_do_not_match_together() {
    let filler = "\"whitespace-linter\",".repeat(4_500);
    let text = format!("{{\"cmds\":[\"usage-credits\",{filler}\"recap\"],\"status\":\"rejected\",\"v\":\"quota\"}}");
    for provider in ["claude", "codex", "copilot", "cline", "haze", "grok", "ollama", "gemini", "someone"] {
        for stream in [Stream::Stderr, Stream::StdoutOk, Stream::StdoutFailed, Stream::Transcript] {
            assert_eq!(detect(provider, stream, &text), None, "{provider} {stream:?}");
        }
    }
}

#[test]
fn an_excerpt_is_short_and_cut_at_characters() {
    let text = format!("first\n{}Error: out of credits{}\nlast", "é".repeat(5_000), "∙\u{1b}[0m\t".repeat(5_000));
    let refusal = detect("claude", Stream::StdoutFailed, &text).unwrap();
    assert!(refusal.excerpt.contains("Error: out of credits"), "{}", refusal.excerpt);
    assert!(refusal.excerpt.chars().count() <= 300);
    assert!(!refusal.excerpt.chars().any(char::is_control));
}

#[test]
fn no_credential_is_cut_before_it_is_removed() {
    for secret in ["sk-ant-api03-Hunter2hunt3r2Hunter2", "https://bob:Hunter2hunt3r@h/", "password=Hunter2hunt3r"] {
        for gap in (80..330).step_by(9) {
            let message = "You've hit your limit · resets 3pm (UTC)";
            for text in [
                format!("{} {secret} {} {message} {}", "x".repeat(80), "y".repeat(gap), "z".repeat(200)),
                format!("{} {message} {} {secret} {}", "x".repeat(200), "y".repeat(gap), "z".repeat(80)),
                format!("{} {secret} {} {message}", "x".repeat(5_000), "y".repeat(gap)),
            ] {
                let refusal = detect("claude", Stream::StdoutFailed, &text).unwrap();
                assert!(refusal.excerpt.contains(message) && refusal.excerpt.chars().count() <= 300, "{text}");
                assert!(!refusal.excerpt.to_lowercase().contains("unt"), "{}", refusal.excerpt);
            }
        }
    }
    let text = format!("You've hit your limit · prompt: \"{} text\" end", "private ".repeat(100));
    let refusal = detect("claude", Stream::StdoutFailed, &text).unwrap();
    assert!(!refusal.excerpt.contains("private"), "{}", refusal.excerpt);
}

/// A rule's own message: `tests/fixtures/exhaustion_rules.jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    /// When the message was seen.
    seen: String,
    /// The source.
    source: String,
    provider: String,
    stream: String,
    message: String,
    /// Similar texts that are not refusals, on the same stream.
    near: Vec<String>,
}

fn book() -> Vec<Entry> {
    include_str!("../fixtures/exhaustion_rules.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const STREAMS: [Stream; 5] =
    [Stream::Stderr, Stream::StderrOk, Stream::StdoutOk, Stream::StdoutFailed, Stream::Transcript];

#[test]
fn every_rule_has_a_real_message_with_its_date() {
    let book = book();
    let ids: Vec<&str> = book.iter().map(|entry| entry.rule.as_str()).collect();
    for rule in rules() {
        assert_eq!(ids.iter().filter(|id| **id == rule.id).count(), 1, "{}", rule.id);
    }
    for entry in &book {
        let rule = rules().iter().find(|rule| rule.id == entry.rule).unwrap();
        assert_eq!(rule.seen, entry.seen, "{}", entry.rule);
        assert!(entry.seen.len() == 10 && entry.seen.as_str() > "2025-07" && !entry.source.is_empty(), "{entry:?}");
        let refusal = detect(&entry.provider, stream(&entry.stream), &entry.message).map(|refusal| refusal.rule);
        assert_eq!(refusal, Some(rule.id), "{}", entry.message);
    }
}

#[test]
fn every_rule_has_three_near_misses() {
    let mut wrong = Vec::new();
    for entry in book() {
        let Entry { provider, message, near, .. } = &entry;
        let distinct: std::collections::BTreeSet<_> = near.iter().collect();
        assert!(distinct.len() >= 3, "{} has {} near misses", entry.rule, distinct.len());
        for near in near {
            let miss = detect(provider, stream(&entry.stream), near).map(|refusal| refusal.rule);
            wrong.extend(miss.map(|found| format!("{}: {near} is {found}", entry.rule)));
        }
        // A model that writes about the message, in a successful run.
        let prose = format!("I wrote a test for this message: {} It passes now.", message.replace('\n', " "));
        for on in [Stream::StdoutOk, Stream::StderrOk, Stream::Transcript] {
            assert_eq!(detect(provider, on, &prose), None, "{prose}");
        }
        // A model that writes the message itself, in its own events.
        let answer = serde_json::json!({"type": "assistant", "message": {"role": "assistant", "model": "claude-opus-4-8",
            "content": [{"type": "text", "text": message}]}});
        let item = serde_json::json!({"type": "item.completed", "item": {"type": "agent_message", "text": message}});
        let part = serde_json::json!({"type": "text", "part": {"type": "text", "text": message}});
        let delta = serde_json::json!({"type": "message", "role": "assistant", "content": message, "delta": true});
        let cline = serde_json::json!({"type": "say", "say": "text", "text": message});
        let copilot = serde_json::json!({"type": "assistant.message", "data": {"content": message}});
        for event in [answer, item, part, delta, cline, copilot] {
            for on in STREAMS {
                assert_eq!(detect(provider, on, &event.to_string()), None, "{event} on {on:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A message, and what it says, whichever rule finds that: `tests/fixtures/exhaustion_verdicts.jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    provider: String,
    stream: String,
    text: String,
    now: Timestamp,
    exhausted: bool,
    /// Checked where it is given.
    resets_at: Option<Timestamp>,
    /// Checked where it is given.
    model: Option<String>,
}

#[test]
fn messages_of_2026_are_read_for_what_they_say() {
    let lines = include_str!("../fixtures/exhaustion_verdicts.jsonl").lines();
    let mut wrong = Vec::new();
    for line in lines {
        let message: Message = serde_json::from_str(line).unwrap();
        let found = detect(&message.provider, stream(&message.stream), &message.text);
        let at = found.as_ref().and_then(|found| found.reset(message.now, Zone::UTC)).and_then(|reset| reset.at);
        let right = found.is_some() == message.exhausted
            && (message.resets_at.is_none() || at == message.resets_at)
            && (message.model.is_none() || found.as_ref().and_then(|found| found.model.clone()) == message.model);
        if !right {
            wrong.push(format!("{line}: {:?}, {at:?}", found.map(|found| (found.rule, found.model))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Streams of agents, by the result of the run.
#[test]
fn messages_of_the_client_are_separated_from_model_text_in_every_stream() {
    let model = r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"The line is: You've hit your session limit · resets 10:20pm"}]}}"#;
    let refused = r#"{"type":"assistant","message":{"model":"<synthetic>","role":"assistant","content":[{"type":"text","text":"You've hit your weekly limit · resets 3pm (UTC)"}]},"error":"rate_limit","isApiErrorMessage":true,"timestamp":"2026-02-04T12:00:00Z"}"#;
    let lines = |lines: &[&str]| lines.join("\n");
    let gemini_error = r#"{"type":"result","status":"error","error":{"type":"Error","message":"You have exhausted your capacity on this model. Your quota will reset after 4h28m20s."}}"#;
    for (provider, on, text, wanted) in [
        // The run ended at its limit of turns, or successfully.
        ("claude", Stream::StdoutFailed, lines(&[model, r#"{"type":"result","subtype":"error_max_turns","is_error":true}"#]), None),
        ("claude", Stream::StdoutFailed, lines(&[refused, r#"{"type":"result","subtype":"success","is_error":false,"result":"x"}"#]), None),
        ("claude", Stream::StdoutFailed, "You've hit your session limit\nError: Reached max turns (5)".to_owned(), None),
        ("claude", Stream::StdoutOk, lines(&[model, r#"{"type":"result","subtype":"success","is_error":false,"result":"You've hit your limit · resets 3pm"}"#]), None),
        // A refusal that ends the run with any exit code.
        ("claude", Stream::StdoutOk, lines(&[model, refused]), Some("window-limit")),
        ("claude", Stream::StdoutOk, r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your limit · resets 6pm (UTC)"}"#.to_owned(), Some("own-limit")),
        ("claude", Stream::StdoutFailed, lines(&[model, r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 429 rate limit exc"#]), Some("http-429")),
        ("claude", Stream::StdoutOk, "You've hit your session limit · resets 3pm (UTC)\n/upgrade to increase your usage limit\n".to_owned(), Some("session-limit")),
        ("claude", Stream::StdoutOk, "I added the docs.\n\nYou've hit your session limit · resets 3pm (UTC)\n".to_owned(), None),
        ("claude", Stream::StdoutOk, "```\nYou've hit your session limit · resets 3pm (UTC)\n```\n".to_owned(), None),
        ("claude", Stream::StdoutOk, "I saw this:\n{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"status\":\"rejected\"}}\nin the log.\n".to_owned(), None),
        // One document in place of lines.
        ("claude", Stream::StdoutOk, format!("[{model},{refused}]"), Some("window-limit")),
        ("gemini", Stream::StdoutFailed, "{\n  \"response\": \"Error: quota exceeded\",\n  \"stats\": {}\n}".to_owned(), None),
        ("gemini", Stream::StdoutFailed, "{\n  \"session_id\": \"s\",\n  \"error\": {\"message\": \"RESOURCE_EXHAUSTED\", \"code\": 429}\n}".to_owned(), Some("resource-exhausted")),
        ("gemini", Stream::StdoutOk, gemini_error.to_owned(), Some("resource-exhausted")),
        // A transcript, in which a later reply shows that the quota has reset.
        ("claude", Stream::Transcript, lines(&[model, refused]), Some("window-limit")),
        ("claude", Stream::Transcript, lines(&[refused, model]), None),
        ("claude", Stream::Transcript, lines(&["The line is", "You've hit your session limit · resets 3pm", "and I added it."]), None),
        // Codex reconnects, then continues.
        ("codex", Stream::StdoutOk, lines(&[r#"{"type":"error","message":"Reconnecting... 1/5 (429 Too Many Requests)"}"#, r#"{"type":"turn.completed","usage":{}}"#]), None),
        ("codex", Stream::StdoutOk, r#"{"type":"turn.failed","error":{"message":"You've hit your usage limit. Try again at 3:0"#.to_owned(), Some("codex-error-event")),
        ("codex", Stream::Transcript, r#"{"type":"event_msg","payload":{"type":"error","message":"You've hit your usage limit."}}"#.to_owned(), Some("codex-error-event")),
        ("cline", Stream::StdoutOk, r#"{"type":"ask","ask":"api_req_failed","text":"{\"code\":\"insufficient_credits\",\"message\":\"Not enough credits available\"}"}"#.to_owned(), Some("insufficient-credits")),
        ("copilot", Stream::StdoutOk, r#"{"type":"session.error","data":{"errorType":"quota","message":"402 You have no quota"}}"#.to_owned(), Some("copilot-no-quota")),
        ("zai", Stream::StdoutOk, r#"{"type":"error","error":{"name":"APIError","data":{"message":"Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-07-14 07:49:08","statusCode":429}}}"#.to_owned(), Some("zai-limit-words")),
        // Server overload, and a warning.
        ("claude", Stream::Stderr, "API Error: Server is temporarily limiting requests (not your usage limit) · Rate limited".to_owned(), None),
        ("claude", Stream::Stderr, r#"API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded, rate limit"}}"#.to_owned(), None),
        ("copilot", Stream::Stderr, "You've used 80% of your weekly rate limit".to_owned(), None),
        ("copilot", Stream::Stderr, "You've used 80% of your weekly rate limit\nrate limit exceeded".to_owned(), Some("rate-limit")),
    ] {
        let refusal = detect(provider, on, &text).map(|refusal| refusal.rule);
        assert_eq!(refusal, wanted, "{provider} {on:?}: {text}");
    }
}

#[test]
fn a_refusal_has_its_model_and_its_time() {
    let refusal =
        detect("claude", Stream::StdoutFailed, "You've hit your Opus limit · resets Oct 9, 5pm (UTC)").unwrap();
    assert_eq!((refusal.model.as_deref(), refusal.of_its_model), (Some("opus"), false));
    let refusal = detect("gemini", Stream::Stderr, "You have exhausted your capacity on this model.").unwrap();
    assert_eq!((refusal.model, refusal.of_its_model), (None, true));
    let line = r#"{"type":"assistant","message":{"model":"<synthetic>","content":[{"type":"text","text":"You've hit your limit · resets 3pm (UTC)"}]},"timestamp":"2026-02-04T12:00:00Z"}"#;
    let refusal = detect("claude", Stream::Transcript, line).unwrap();
    assert_eq!(refusal.at, Some("2026-02-04T12:00:00Z".parse().unwrap()));
}

#[test]
fn a_time_without_a_zone_is_in_the_zone_of_the_provider() {
    let now: Timestamp = "2026-07-11T12:00:00Z".parse().unwrap();
    let text = "[1310][Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-07-14 07:49:08]";
    for provider in ["zai", "claude", "zhipu"] {
        let refusal = detect(provider, Stream::StdoutFailed, text).unwrap();
        let at = refusal.reset(now, "Europe/Paris".parse().unwrap()).unwrap().at;
        assert_eq!(at, Some("2026-07-13T23:49:08Z".parse().unwrap()), "{provider}");
    }
    let text = "HTTP 429 Too Many Requests\nRetry-After: 172800";
    let reset = detect("claude", Stream::Stderr, text).unwrap().reset(now, Zone::UTC).unwrap();
    assert_eq!(reset.at, Some("2026-07-13T12:00:00Z".parse().unwrap()), "beside a refusal the header is the reset");
}

#[test]
fn a_date_of_an_old_refusal_does_not_mean_the_next_year() {
    let refusal = detect("claude", Stream::Stderr, "You've hit your limit · resets Nov 23 at 9pm (UTC)").unwrap();
    let reset = |now: &str| refusal.reset(now.parse().unwrap(), Zone::UTC).and_then(|reset| reset.at);
    assert_eq!(reset("2026-11-20T12:00:00Z"), Some("2026-11-23T21:00:00Z".parse().unwrap()));
    for now in ["2026-11-23T21:00:20Z", "2026-11-25T12:00:00Z", "2027-01-20T12:00:00Z"] {
        assert_eq!(reset(now), None, "{now}");
    }
}

#[test]
fn a_refusal_that_is_recognised_by_a_header_reads_the_others() {
    let now = "2026-11-23T21:00:00Z".parse().unwrap();
    let unified = "HTTP 429\nanthropic-ratelimit-unified-5h-reset: 1795474800\n\
                   anthropic-ratelimit-unified-7d-reset: 1795874800\nanthropic-ratelimit-unified-reset: 1795874800\n\
                   anthropic-ratelimit-unified-representative-claim: seven_day\n\
                   anthropic-ratelimit-unified-status: rejected\nretry-after: 406800";
    let tokens = "x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 6h0m0s\nretry-after: 1";
    let minute = "HTTP 429\nanthropic-ratelimit-requests-reset: 2026-11-23T21:00:30Z\n\
                  anthropic-ratelimit-tokens-reset: 2026-11-23T22:00:00Z\nretry-after: 7200";
    let phrase = format!("You've hit your session limit · resets 11pm (UTC)\n{tokens}");
    for (provider, text, wanted) in [
        ("groq", tokens, "2026-11-24T03:00:00Z"),
        ("anthropic", minute, "2026-11-23T23:00:00Z"),
        ("openai", minute, "2026-11-23T23:00:00Z"),
        ("anthropic", unified, "2026-11-28T14:06:40Z"),
        ("anthropic", &phrase, "2026-11-23T23:00:00Z"),
    ] {
        let refusal = detect(provider, Stream::Stderr, text).unwrap();
        let at = refusal.reset(now, Zone::UTC).and_then(|reset| reset.at);
        assert_eq!(at, Some(wanted.parse().unwrap()), "{}: {text}", refusal.rule);
    }
}

/// Texts of words from the grammars, which reach most of their branches.
fn wordy() -> impl Strategy<Value = String> {
    let vocabulary = [
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
        "x-ratelimit-reset-tokens:",
        "x-ratelimit-remaining-tokens: 0\n",
        "out of credits",
    ];
    prop::collection::vec((prop::sample::select(vocabulary.to_vec()), prop::sample::select(vec!["", " ", ": "])), 0..12)
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
    fn no_reset_is_in_the_past(text in prop_oneof![wordy(), any::<String>()], now in moments(), zone in 0..4_usize) {
        let names = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"];
        let zone: Zone = names.get(zone).unwrap().parse().unwrap();
        let refusal = [Some(reset::parse(&text, now, zone)), reset::find(&text, now, zone)];
        for reset in refusal.into_iter().flatten() {
            let given = reset.phrase.starts_with("resetsAt ");
            prop_assert!(given || reset.at.is_none_or(|at| at > now), "{reset:?} at {now}");
        }
    }

    #[test]
    fn no_text_makes_the_scan_panic(text in prop_oneof![wordy(), any::<String>()], now in moments()) {
        for provider in ["claude", "codex", "copilot", "cline", "haze", "ollama", "groq", "", "Ä"] {
            for stream in [Stream::Stderr, Stream::StdoutOk, Stream::StdoutFailed, Stream::Transcript] {
                if let Some(refusal) = detect(provider, stream, &text) {
                    prop_assert!(refusal.excerpt.chars().count() <= 300);
                    let _ = refusal.reset(now, Zone::UTC);
                }
            }
        }
    }
}
