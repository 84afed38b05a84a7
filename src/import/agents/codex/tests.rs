use std::collections::BTreeMap;
use std::fs;

use serde_json::value::RawValue;

use serde::Deserialize;

use super::*;
use crate::model::event::EventData;
use crate::model::event::Quality;
use crate::readers::normalise::{self, UsageFormat};

mod forks;
mod searches;
mod tiers;

const FILE: &str =
    "/h/.codex/sessions/2026/06/01/rollout-2026-06-01T10-00-00-0196b1a0-0000-7000-8000-000000000001.jsonl";

fn parser() -> Box<dyn LineParser> {
    Codex.parser(Path::new(FILE), None, Zone::UTC).unwrap()
}

fn parse(lines: &[String]) -> Vec<ParsedCall> {
    let mut parser = parser();
    for line in lines {
        parser.line(line.as_bytes()).unwrap();
    }
    let pending = parser.pending();
    let calls = parser.take();
    assert_eq!((calls.len(), parser.pending()), (pending, 0));
    calls
}

fn refused(line: &str) -> String {
    let mut parser = parser();
    let why = parser.line(line.as_bytes()).unwrap_err();
    assert_eq!(parser.pending(), 0);
    why
}

fn line(second: u32, kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"2026-06-01T10:00:{second:02}.000Z","type":"{kind}","payload":{payload}}}"#)
}

fn meta(id: &str, more: &str) -> String {
    line(0, "session_meta", &format!(r#"{{"id":"{id}","cwd":"/work","instructions":null{more}}}"#))
}

const SPAWNED: &str = r#","source":{"subagent":{"thread_spawn":{"parent_thread_id":"parent","depth":1}}}"#;

fn context(model: &str) -> String {
    line(1, "turn_context", &format!(r#"{{"cwd":"/work","model":"{model}"}}"#))
}

/// Builds a usage object with `calls` times 100 input (60 cached) and 10 output (4 reasoning).
fn usage(calls: u64) -> String {
    let [input, cached, output, reasoning] = [100, 60, 10, 4].map(|count| count * calls);
    let total = input + output;
    format!(
        r#"{{"input_tokens":{input},"cached_input_tokens":{cached},"output_tokens":{output},"reasoning_output_tokens":{reasoning},"total_tokens":{total}}}"#
    )
}

fn key(thread: &str, calls: u64) -> String {
    let [input, cached, output, reasoning] = [100, 60, 10, 4].map(|count| count * calls);
    format!("{thread}/{input}/{cached}/{output}/{reasoning}/{}", input + output)
}

fn count(second: u32, total: &str, last: &str) -> String {
    let info = format!(r#"{{"total_token_usage":{total},"last_token_usage":{last},"model_context_window":258400}}"#);
    line(second, "event_msg", &format!(r#"{{"type":"token_count","info":{info},"rate_limits":null}}"#))
}

fn record(second: u32, response: &str, usage: &str, total: &str) -> String {
    let payload = format!(
        r#"{{"thread_id":"own","response_id":"{response}","usage":{usage},"turn_token_usage":{total},"thread_token_usage":{total}}}"#
    );
    line(second, "token_usage_record", &payload)
}

fn outputs(calls: &[ParsedCall]) -> Vec<u64> {
    calls.iter().map(|call| call.record.tokens.output.unwrap() + call.record.tokens.reasoning.unwrap()).collect()
}

#[test]
fn a_call_counts_when_the_total_changes() {
    let all = parse(&[
        meta("own", r#","model_provider":"openai""#),
        context("gpt-5-codex"),
        line(2, "event_msg", r#"{"type":"token_count","info":null,"rate_limits":{}}"#),
        count(3, &usage(1), &usage(1)),
        count(4, &usage(1), &usage(1)),
        context("gpt-5.2-codex"),
        count(5, &usage(3), &usage(2)),
        count(6, &usage(3), &usage(2)),
    ]);
    assert_eq!(outputs(&all), [10, 20]);
    let record = &all[0].record;
    assert_eq!(all[0].at.to_string(), "2026-06-01T10:00:03.000Z");
    assert_eq!(record.keys, [key("own", 1)]);
    assert_eq!(record.tokens.counts(), [40, 60, 0, 0, 0, 6, 4]);
    assert_eq!(record.raw.as_ref().unwrap().get(), usage(1));
    assert_eq!((&*record.provider, record.agent.as_deref()), ("openai", Some("codex")));
    assert_eq!((record.conversation.as_deref(), record.project.as_deref()), (Some("own"), Some("/work")));
    assert_eq!(record.model.as_deref(), Some("gpt-5-codex"));
    assert_eq!(all[1].record.model.as_deref(), Some("gpt-5.2-codex"));
    record.validate().unwrap();
}

#[test]
fn without_usage_of_the_call_the_change_of_the_total_counts() {
    let all = parse(&[
        meta("own", ""),
        count(3, &usage(2), "null"),
        count(4, &usage(5), "null"),
        // The counter decreased, so it restarted, and its whole value is new.
        count(5, &usage(1), "null"),
    ]);
    assert_eq!(outputs(&all), [20, 30, 10]);
    assert_eq!(
        all.iter().map(|call| call.record.quality).collect::<Vec<_>>(),
        [Quality::Reported, Quality::Derived, Quality::Reported]
    );
    assert_eq!(all[1].record.raw.as_ref().unwrap().get(), usage(5));
    assert!(all[1].record.residual.as_ref().unwrap().contains("200/120/20/8/220"));
}

#[test]
fn a_call_that_disagrees_with_the_total_is_flagged() {
    let all = parse(&[meta("own", ""), count(3, &usage(1), &usage(1)), count(4, &usage(4), &usage(2))]);
    assert_eq!(outputs(&all), [10, 20]);
    assert_eq!(all[1].record.quality, Quality::Derived);
    let residual = all[1].record.residual.as_ref().unwrap();
    assert!(residual.contains("by 300/180/30/12/330") && residual.contains("says 200/120/20/8/220"), "{residual}");
}

#[test]
fn counts_of_synthetic_messages_are_not_calls() {
    let only_total = r#"{"input_tokens":0,"cached_input_tokens":0,"output_tokens":0,"reasoning_output_tokens":0,"total_tokens":258400}"#;
    let all = parse(&[
        meta("own", ""),
        count(3, &usage(1), &usage(1)),
        count(4, &usage(1), only_total),
        count(5, only_total, only_total),
        count(6, &usage(2).replace("220", "258620"), &usage(2)),
    ]);
    assert_eq!(outputs(&all), [10, 20]);
    assert_eq!(all[1].record.quality, Quality::Reported);
}

#[test]
fn a_record_and_its_count_are_one_call_in_either_order() {
    for swap in [false, true] {
        let mut pair = [record(3, "resp_1", &usage(1), &usage(1)), count(4, &usage(1), &usage(1))];
        if swap {
            pair.swap(0, 1);
        }
        let [one, two] = pair;
        let all = parse(&[meta("own", ""), one, two, record(9, "resp_2", &usage(2), &usage(3))]);
        assert_eq!(outputs(&all), [10, 20]);
        assert_eq!(all[0].record.keys, ["resp_1".to_owned(), key("own", 1)]);
        assert_eq!(all[0].at.to_string(), "2026-06-01T10:00:03.000Z");
        assert_eq!(all[0].counted_time().to_string(), "2026-06-01T10:00:04.000Z"); // as the counter says
    }
}

#[test]
fn after_a_compaction_record_and_count_still_meet() {
    // The record's total includes the compaction, the counter's does not.
    let all = parse(&[
        meta("own", ""),
        record(1, "r1", &usage(1), &usage(1)),
        count(1, &usage(1), &usage(1)),
        record(2, "compaction", &usage(7), &usage(8)),
        record(3, "r2", &usage(2), &usage(10)),
        record(4, "r3", &usage(3), &usage(13)),
        count(5, &usage(3), &usage(2)),
        count(6, &usage(6), &usage(3)),
        count(7, &usage(7), &usage(1)),
        record(7, "r4", &usage(1), &usage(14)),
    ]);
    assert_eq!(outputs(&all), [10, 70, 20, 30, 10]);
    assert_eq!(all[2].record.keys, ["r2".to_owned(), key("own", 10), key("own", 3)]);
    assert_eq!(all[4].record.keys, ["r4".to_owned(), key("own", 14), key("own", 7)]);
}

/// Wherever the calls are taken and a later run continues, the sightings are of the same calls.
#[test]
fn interruptions_lose_nothing_and_repeat_nothing() {
    let lines = [
        meta("own", SPAWNED),
        context("m"),
        count(2, &usage(1), &usage(1)),
        count(3, &usage(1), &usage(1)),
        count(4, &usage(3), "null"),
        record(5, "c", &usage(7), &usage(10)),
        record(6, "r2", &usage(2), &usage(12)),
        count(6, &usage(5), &usage(2)),
        count(7, &usage(9), &usage(4)),
        record(7, "r4", &usage(4), &usage(16)),
    ];
    let whole = parse(&lines);
    assert_eq!(outputs(&whole), [10, 20, 70, 20, 40]);
    let mut parser = parser();
    let mut pieces: Vec<ParsedCall> = Vec::new();
    for line in &lines {
        parser.line(line.as_bytes()).unwrap();
        pieces.extend(parser.take());
        let resume = parser.resume().unwrap().to_string();
        parser =
            Codex.parser(Path::new("other.jsonl"), Some(&serde_json::from_str(&resume).unwrap()), Zone::UTC).unwrap();
    }
    assert_eq!(parser.conversation(), Some("own"));
    assert_eq!(parser.began().unwrap().to_string(), "2026-06-01T10:00:00.000Z");
    for call in &whole {
        let same = |piece: &&ParsedCall| piece.record.keys.iter().any(|key| call.record.keys.contains(key));
        let sightings: Vec<&ParsedCall> = pieces.iter().filter(same).collect();
        assert!(!sightings.is_empty());
        for sighting in sightings {
            assert_eq!(sighting.record.tokens, call.record.tokens);
            assert_eq!(sighting.record.model, call.record.model);
        }
    }
    assert!(pieces.iter().all(|piece| whole.iter().any(|call| call.record.keys.contains(&piece.record.keys[0]))));
}

#[test]
fn a_thread_is_identified_by_its_meta_line_or_its_file() {
    let bare = r#"{"id":"bare","timestamp":"2026-06-01T09:00:00.5Z","instructions":"x","git":{}}"#.to_owned();
    let mut parser = parser();
    parser.line(bare.as_bytes()).unwrap();
    parser.line(count(2, &usage(1), &usage(1)).as_bytes()).unwrap();
    assert_eq!(parser.conversation(), Some("bare"));
    assert_eq!(parser.began().unwrap().to_string(), "2026-06-01T09:00:00.500Z");
    assert_eq!(parser.take()[0].record.keys, [key("bare", 1)]);
    let all = parse(&[count(2, &usage(1), &usage(1))]);
    assert_eq!(all[0].record.keys, [key("0196b1a0-0000-7000-8000-000000000001", 1)]);
    assert_eq!(name_of(Path::new("x/session-alpha.jsonl")), "session-alpha");
}

#[test]
fn the_provider_is_that_of_the_start_of_the_thread() {
    let of = |name: &str| {
        let mut lines = vec![meta("own", name), meta("own", r#","model_provider":"late""#)];
        lines.push(count(2, &usage(1), &usage(1)));
        parse(&lines)[0].record.provider.clone()
    };
    assert_eq!(of(""), "openai");
    assert_eq!(of(r#","model_provider":"mock""#), "mock");
    assert_eq!(of(r#","model_provider":"My Provider""#), "my-provider");
}

#[test]
fn an_unreadable_line_is_reported_with_the_reason() {
    let good = count(2, &usage(1), &usage(1));
    assert!(refused(&good[..good.len() - 20]).starts_with("torn line"));
    assert!(refused(&good.replace(":100,", ":,")).starts_with("not valid JSON"));
    assert!(refused(&good.replace("2026-06-01T", "soon")).starts_with("unreadable timestamp of "));
    assert!(refused(&good.replace("\"timestamp\"", "\"time\"")).contains("without a timestamp"));
    assert!(refused(&good.replace("total_token_usage", "sum")).contains("without total_token_usage"));
    assert!(refused(&good.replace(":100,", ":-100,")).starts_with("unknown shape"));
    let beside = r#"{"type":"token_count","input_tokens":1,"output_tokens":2}"#;
    assert!(refused(&line(2, "event_msg", beside)).contains("beside `info`"));
    let nameless = record(2, "", &usage(1), "null");
    assert!(refused(&nameless).contains("without response_id and thread_token_usage"));
    assert!(refused(&record(2, "r", "null", &usage(1))).contains("without usage"));
    // A line that was cut and continues with the next line: its count is lost, so it is reported.
    let cut = r#"{"timestamp":"2026-06-01T10:00:01Z","type":"response_item","payload":{"text":"cut"#;
    assert!(refused(&format!("{cut}{good}")).starts_with("not valid JSON"));
    let mut broken = good.into_bytes();
    broken[90] = 0xff;
    assert!(parser().line(&broken).unwrap_err().contains("not valid UTF-8"));
}

#[test]
fn irrelevant_lines_are_skipped() {
    let all = parse(&[
        line(1, "response_item", r#"{"type":"message","text":"say \"token_count\" and \"usage\""}"#),
        line(1, "event_msg", r#"{"type":"agent_message","message":"x"}"#),
        line(1, "world_state", r#"{"state":{}}"#),
        line(1, "compacted", r#"{"replacement_history":[{"type":"token_count"}]}"#),
        r#"{"record_type":"state"}"#.to_owned(),
        line(1, "event_msg", r#"{"info":null,"type":"token_count"}"#),
        line(1, "turn_context", "null"),
        String::new(),
    ]);
    assert_eq!(all, []);
}

#[test]
fn rollouts_are_searched_in_the_directories_of_clients() {
    let configured = |value: &str| DESCRIPTOR.configured(&|name| (name == "CODEX_HOME").then(|| value.to_owned()));
    let home = |place: &str| [Path::new(place).join("sessions"), Path::new(place).join("archived_sessions")];
    assert_eq!(configured("/c"), home("/c"));
    assert_eq!(configured("/c,/d"), [home("/c,/d"), home("/c"), home("/d")].concat());
    assert!(configured(" ").is_empty());
    assert_eq!(DESCRIPTOR.roots(Path::new("/h")), home("/h/.codex"));
    assert!(Codex.wants(Path::new(FILE)));
}

/// Compares the rollouts of a real client with the responses of its server.
#[test]
fn the_rollouts_of_a_real_client_agree_with_the_server() {
    #[derive(Deserialize)]
    struct CodexReply<'a> {
        api: String,
        id: Option<String>,
        #[serde(borrow)]
        usage: &'a RawValue,
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients");
    let mut sums: BTreeMap<String, [u64; 7]> = BTreeMap::new();
    for entry in fs::read_dir(fixtures.join(".codex/sessions/2026/11/23")).unwrap() {
        let path = entry.unwrap().path();
        let mut parser = Codex.parser(&path, None, Zone::UTC).unwrap();
        for line in fs::read(&path).unwrap().split(|byte| *byte == b'\n') {
            parser.line(line).unwrap();
        }
        for call in parser.take() {
            assert_eq!((&*call.record.provider, call.record.keys.len()), ("mock", 2));
            sums.insert(call.record.keys[0].clone(), call.record.tokens.counts());
        }
    }
    let truth = fs::read_to_string(fixtures.join("truth.jsonl")).unwrap();
    let truth: BTreeMap<String, [u64; 7]> = truth
        .lines()
        .map(|line| serde_json::from_str::<CodexReply<'_>>(line).unwrap())
        .filter(|answer| answer.api == "openai-responses")
        .map(|answer| {
            let counts = normalise::usage(UsageFormat::OpenaiResponses, answer.usage.get()).unwrap();
            (answer.id.unwrap(), counts.tokens.counts())
        })
        .collect();
    assert_eq!(sums.len(), 5);
    assert_eq!(sums, truth);
}

#[test]
fn a_log_is_recognised_by_its_name_with_any_compression() {
    let id = "0196b1a0-0000-7000-8000-000000000001";
    for name in [FILE.to_owned(), format!("{FILE}.zst"), "/x/thread.jsonl".to_owned()] {
        assert!(Codex.wants(Path::new(&name)), "{name}");
    }
    for name in ["/x/history.json", "/x/rollout.zst", "/x/rollout.jsonl.zst.tmp", "/x/.jsonl.lock"] {
        assert!(!Codex.wants(Path::new(name)), "{name}");
    }
    assert_eq!(name_of(Path::new(FILE)), id);
    assert_eq!(name_of(Path::new(&format!("{FILE}.zst"))), id);
    assert_eq!(name_of(Path::new("/x/thread.jsonl.zst")), "thread");
}

#[test]
fn tokens_under_names_that_are_not_known_are_refused() {
    let event = |payload: &str| line(1, "event_msg", payload);
    let good = usage(1);
    let renamed = good.replace("input_tokens", "prompt_tokens").replace("output_tokens", "completion_tokens");
    for (text, why) in [
        (count(1, &renamed, &renamed), "without input_tokens and output_tokens"),
        (count(1, r#"{"totalTokens":505}"#, "null"), "without input_tokens and output_tokens"),
        (event(&format!(r#"{{"type":"token_count","total_token_usage":{good}}}"#)), "beside `info`"),
        (line(1, "token_count", &format!(r#"{{"info":{{"total_token_usage":{good}}}}}"#)), "type `token_count`"),
        (event(&format!(r#"{{"type":"turn_done","usage":{good}}}"#)), "type `turn_done`"),
        (event(&format!(r#"{{"type":"turn_done","token_usage":{good}}}"#)), "type `turn_done`"),
        (line(1, "token_usage_record_v2", &format!(r#"{{"usage":{good}}}"#)), "type `token_usage_record_v2`"),
    ] {
        assert!(refused(&text).contains(why), "{text}");
    }
    let none = parse(&[
        event(&format!(r#"{{"type":"mcp_tool_call_end","result":{{"usage":{good}}}}}"#)),
        event(r#"{"type":"turn_done","usage":null,"input_tokens":null}"#),
        line(1, "response_item", &format!(r#"{{"type":"message","usage":{good}}}"#)),
    ]);
    assert_eq!(none, []);
}

#[test]
fn sessions_of_the_first_clients_are_reported() {
    let path = Path::new("/h/.codex/sessions/rollout-2025-05-01-x.json");
    assert!(Codex.wants(path));
    assert!(matches!(Codex.format(path), LogFormat::Document(_)));
    let document = Codex.document(path, br#"{"session":{},"items":[]}"#, Zone::UTC, None).unwrap();
    assert!(document.calls.is_empty());
    assert!(document.skipped[0].1.contains("tells no token counts"));
}
