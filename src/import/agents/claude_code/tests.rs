use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::*;
use crate::import::engine::parsed_call::ParsedCall;
use crate::model::event::EventData;
use crate::model::tokens::Tokens;
use crate::readers::normalise::{self, UsageFormat};

fn parser() -> Box<dyn LineParser> {
    ClaudeCode.parser(Path::new("/home/dev/.claude/projects/-work/s1.jsonl"), None, Zone::UTC).unwrap()
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

fn usage(output: u64) -> String {
    format!(
        r#"{{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":2000,"cache_creation":{{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":60}},"output_tokens":{output},"service_tier":"standard"}}"#
    )
}

/// Builds a line as the client writes it.
fn line(second: u32, message: &str, request: &str, usage: &str) -> String {
    format!(
        r#"{{"parentUuid":null,"isSidechain":false,"userType":"external","cwd":"/work","sessionId":"s1","version":"2.1.50","message":{{"model":"claude-opus-4-6","id":"{message}","type":"message","role":"assistant","content":[{{"type":"text","text":"say \"usage\": {{}}"}}],"stop_reason":null,"usage":{usage}}},"requestId":"{request}","type":"assistant","uuid":"u","timestamp":"2026-06-01T10:00:{second:02}.000Z"}}"#
    )
}

#[test]
fn of_the_lines_of_a_message_the_largest_counts_at_the_earliest_time() {
    let all = parse(&[
        line(5, "m1", "r1", &usage(1)),
        line(7, "m2", "r2", &usage(9)),
        line(6, "m1", "r1", &usage(50)).replace("claude-opus-4-6", "claude-sonnet-4-6"),
        line(4, "m1", "r1", &usage(50)).replace("\"/work\"", "\"/late\""),
        line(8, "m1", "r1", &usage(20)),
    ]);
    assert_eq!(all.len(), 2);
    let record = &all[0].record;
    assert_eq!(all[0].at.to_string(), "2026-06-01T10:00:04.000Z");
    assert_eq!(record.model.as_deref(), Some("claude-sonnet-4-6"));
    assert_eq!(record.project.as_deref(), Some("/work"));
    assert_eq!(record.keys, ["m1", "r1"]);
    assert_eq!(record.raw.as_ref().unwrap().get(), usage(50));
    assert_eq!(record.normaliser.as_deref(), Some("anthropic/1"));
    assert_eq!((&*record.provider, record.agent.as_deref()), ("anthropic", Some("claude-code")));
    let tokens = Tokens {
        input: Some(3),
        cache_read: Some(2000),
        cache_write_5m: Some(40),
        cache_write_1h: Some(60),
        output: Some(50),
        ..Tokens::default()
    };
    assert_eq!(record.tokens, tokens);
    record.validate().unwrap();
}

#[test]
fn counted_at_is_the_first_line_with_the_largest_total() {
    let counted_at_of_first = |lines: &[String]| parse(lines)[0].record.counted_at.map(|at| at.to_string());
    let lines = [line(4, "m1", "r1", &usage(1)), line(6, "m1", "r1", &usage(50)), line(8, "m1", "r1", &usage(50))];
    assert_eq!(counted_at_of_first(&lines).as_deref(), Some("2026-06-01T10:00:06.000Z"));
    let other = usage(50).replace("standard", "priority"); // says another thing, of as many tokens
    let unordered = [line(9, "m1", "r1", &usage(50)), lines[0].clone(), line(7, "m1", "r1", &other)];
    assert_eq!(counted_at_of_first(&unordered).as_deref(), Some("2026-06-01T10:00:07.000Z"));
    assert_eq!(counted_at_of_first(&lines[1..]), None);
    assert_eq!(counted_at_of_first(&lines[..1]), None);
}

#[test]
fn a_replay_with_another_request_id_is_the_same_call() {
    let replay = line(9, "m1", "r2", &usage(9)).replace("\"isSidechain\":false", "\"isSidechain\":true");
    let all = parse(&[line(5, "m1", "r1", &usage(9)), replay.clone()]);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].record.keys, ["m1", "r1", "r2"]);
    assert!(all[0].record.labels.is_empty());
    assert_eq!(parse(&[replay])[0].record.labels["sidechain"], "true");
}

#[test]
fn usage_that_is_a_copy_does_not_count() {
    let answer = line(5, "m1", "r1", &usage(9));
    let all = parse(&[
        format!(r#"{{"type":"progress","data":{{"message":{answer}}},"timestamp":"2026-06-01T10:00:00Z"}}"#),
        format!(r#"{{"data":{{"message":{answer}}},"type":"progress","timestamp":"2026-06-01T10:00:00Z"}}"#),
        format!(r#"{{"type":"user","message":{{"role":"user"}},"toolUseResult":{{"usage":{}}}}}"#, usage(7)),
        line(5, "m1", "r1", &usage(9)).replace("claude-opus-4-6", "<synthetic>"),
        r#"{"type":"summary","summary":"\"assistant\" \"usage\""}"#.to_owned(),
        "\r".to_owned(),
    ]);
    assert_eq!(all, []);
}

#[test]
fn nulls_do_not_hide_a_call() {
    let nulls = line(5, "m1", "r1", &usage(9))
        .replace("\"/work\"", "null")
        .replace("\"r1\"", "null")
        .replace("\"isSidechain\":false", "\"isSidechain\":null,\"costUSD\":null")
        .replace(r#"{"type":"text""#, r#"{"id":null,"model":null,"type":"text""#);
    let all = parse(&[nulls]);
    assert_eq!(all[0].record.keys, ["m1"]);
    assert_eq!(all[0].record.project, None);
    assert_eq!(all[0].record.cost, None);
}

#[test]
fn the_cost_an_old_client_reported_is_kept_to_the_digit() {
    let old = line(5, "m1", "r1", &usage(9)).replace("\"uuid\"", "\"costUSD\":0.012345678901,\"uuid\"");
    assert_eq!(parse(&[old])[0].record.cost.unwrap().to_string(), "0.012345678901");
}

#[test]
fn an_export_without_types_counts() {
    let bare = format!(
        r#"{{"timestamp":"2026-06-01T10:00:00Z","message":{{"id":"m1","model":"m","usage":{}}},"requestId":"r1"}}"#,
        usage(9)
    );
    assert_eq!(parse(&[bare])[0].record.keys, ["m1", "r1"]);
}

#[test]
fn an_unreadable_line_is_reported_with_the_reason() {
    let good = line(5, "m1", "r1", &usage(9));
    assert!(refused(&good[..good.len() - 40]).starts_with("torn line"));
    assert!(refused(&good[20..]).starts_with("torn line"));
    assert!(refused(&format!("{}{good}", &good[..300])).starts_with("not valid JSON"));
    // A line that was cut and continues with the next line: an answer in it is lost, so it is reported.
    let cut = r#"{"parentUuid":null,"type":"user","message":{"role":"user","content":"cut"#;
    assert!(refused(&format!("{cut}{good}")).starts_with("not valid JSON"));
    assert!(refused(&good.replace("T10:00:05.000Z", "T25:00")).starts_with("unreadable timestamp `2026-06-01T25:00`"));
    assert_eq!(refused(&good.replace("\"timestamp\"", "\"time\"")), "unknown shape: a call without a timestamp");
    assert_eq!(
        refused(&good.replace("\"usage\":{\"input", "\"used\":{\"input")),
        "unknown shape: an assistant message without usage"
    );
    assert_eq!(
        refused(&good.replace("\"message\":{", "\"answer\":{")),
        "unknown shape: an assistant line without a message"
    );
    assert_eq!(
        refused(
            &good
                .replace("\"type\":\"assistant\"", "\"type\":\"ai\"")
                .replace("\"role\":\"assistant\"", "\"role\":\"model\"")
        ),
        "unknown shape: an answer with usage in a line of another type than `assistant`"
    );
    assert_eq!(
        refused(&good.replace("\"type\":\"assistant\"", "\"type\":\"answer\"")),
        "unknown shape: an answer with usage in a line of another type than `assistant`"
    );
    assert!(refused(&good.replace(&usage(9), r#"{"output_tokens":-1}"#)).starts_with("unknown shape"));
    assert!(refused(&good.replace(&usage(9), "{}")).starts_with("unknown shape"));
    let mut broken = good.into_bytes();
    let at = broken.iter().position(|byte| *byte == b'{').unwrap() + 300;
    broken[at] = 0xff;
    assert!(parser().line(&broken).unwrap_err().contains("not valid"));
}

#[test]
fn answers_without_ids_are_separated_by_time() {
    for id in ["null", "\"\""] {
        let nameless = |second| {
            line(second, "m1", "r1", &usage(9))
                .replace("\"id\":\"m1\"", &format!("\"id\":{id}"))
                .replace("\"r1\"", "null")
        };
        let stop = |line: String| line.replace("\"stop_reason\":null", "\"stop_reason\":\"end_turn\"");
        let calls = parse(&[stop(nameless(1)), stop(nameless(10)), stop(nameless(20))]);
        assert_eq!(calls.len(), 3, "{id}");
    }
}

#[test]
fn a_log_states_its_conversation_and_start_time() {
    let mut parser = parser();
    let first = r#"{"type":"file-history-snapshot","snapshot":{"timestamp":"2020-01-01T00:00:00Z"}}"#;
    let second = r#"{"type":"user","sessionId":"s1","timestamp":"2026-06-01T09:00:00Z","message":{}}"#;
    let third = line(5, "m1", "r1", &usage(9)).replace("\"s1\"", "\"another\"");
    for line in [first, second, &third] {
        parser.line(line.as_bytes()).unwrap();
    }
    assert_eq!(parser.conversation(), Some("s1"));
    assert_eq!(parser.began().unwrap().to_string(), "2026-06-01T09:00:00.000Z");
    assert_eq!(parser.take()[0].record.conversation.as_deref(), Some("another"));

    let resume = parser.resume().unwrap();
    let mut later = ClaudeCode.parser(Path::new("x.jsonl"), Some(&resume), Zone::UTC).unwrap();
    later.line(line(9, "m2", "r2", &usage(1)).replace("\"sessionId\":\"s1\",", "").as_bytes()).unwrap();
    assert_eq!((later.conversation(), later.began()), (parser.conversation(), parser.began()));
    assert_eq!(later.take()[0].record.conversation.as_deref(), Some("s1"));
}

#[test]
fn a_call_is_taken_once_and_again_only_when_its_usage_changes() {
    let mut parser = parser();
    parser.line(line(5, "m1", "r1", &usage(1)).as_bytes()).unwrap();
    assert_eq!(parser.take().len(), 1);
    assert_eq!(parser.take().len(), 0);
    parser.line(line(6, "m1", "r1", &usage(9)).as_bytes()).unwrap();
    assert_eq!(parser.take()[0].record.tokens.output, Some(9));
}

#[test]
fn a_subagent_began_with_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("s1/subagents/agent-a1.jsonl");
    fs::create_dir_all(agent.parent().unwrap()).unwrap();
    fs::write(
        dir.path().join("s1.jsonl"),
        "{\"type\":\"summary\"}\n{\"type\":\"user\",\"timestamp\":\"2026-06-01T08:00:00Z\"}\n",
    )
    .unwrap();
    let mut parser = ClaudeCode.parser(&agent, None, Zone::UTC).unwrap();
    parser.line(line(5, "m1", "r1", &usage(9)).as_bytes()).unwrap();
    assert_eq!(parser.began().unwrap().to_string(), "2026-06-01T08:00:00.000Z");
    let later = ClaudeCode.parser(Path::new("elsewhere.jsonl"), Some(&parser.resume().unwrap()), Zone::UTC).unwrap();
    assert_eq!(later.began(), parser.began());
}

#[test]
fn logs_are_searched_in_the_directories_of_clients() {
    let configured =
        |value: &str| DESCRIPTOR.configured(&|name| (name == "CLAUDE_CONFIG_DIR").then(|| value.to_owned()));
    assert_eq!(configured("/a, /b,"), [Path::new("/a/projects"), Path::new("/b/projects")]);
    assert!(configured("").is_empty());
    let moved = |name: &str| (name == "XDG_CONFIG_HOME").then(|| "/x".to_owned());
    let cowork = Path::new("/x/Claude/local-agent-mode-sessions");
    let calls = DESCRIPTOR.configured(&moved);
    assert_eq!(calls.len(), 2);
    assert!(calls.contains(&Path::new("/x/claude/projects").to_owned()) && calls.contains(&cowork.to_owned()));
    assert_eq!(DESCRIPTOR.roots(Path::new("/h"))[0], Path::new("/h/.claude/projects"));
    assert!(ClaudeCode.wants(Path::new("a/agent-1.jsonl")));
    assert!(!ClaudeCode.wants(Path::new("a/agent-1.meta.json")));
}

/// Compares the logs of a real client with the responses of its server.
#[test]
fn the_logs_of_a_real_client_agree_with_the_server() {
    #[derive(Deserialize)]
    struct ClaudeReply<'a> {
        api: String,
        id: Option<String>,
        #[serde(borrow)]
        usage: &'a serde_json::value::RawValue,
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients");
    let mut logs = Vec::new();
    let mut dirs = vec![fixtures.join(".claude/projects")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { logs.extend(Some(path).filter(|path| ClaudeCode.wants(path))) }
        }
    }
    let mut sums: BTreeMap<String, [u64; 7]> = BTreeMap::new();
    for log in logs {
        let mut parser = ClaudeCode.parser(&log, None, Zone::UTC).unwrap();
        for line in fs::read(&log).unwrap().split(|byte| *byte == b'\n') {
            parser.line(line).unwrap();
        }
        for call in parser.take() {
            sums.insert(call.record.keys[0].clone(), call.record.tokens.counts());
        }
    }
    let truth = fs::read_to_string(fixtures.join("truth.jsonl")).unwrap();
    let truth: BTreeMap<String, [u64; 7]> = truth
        .lines()
        .map(|line| serde_json::from_str::<ClaudeReply<'_>>(line).unwrap())
        .filter(|answer| answer.api == "anthropic")
        .map(|answer| {
            let counts = normalise::usage(UsageFormat::Anthropic, answer.usage.get()).unwrap();
            (answer.id.unwrap(), counts.tokens.counts())
        })
        .collect();
    assert_eq!(sums.len(), 15);
    assert_eq!(sums, truth);
}
