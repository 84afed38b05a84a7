use super::*;
use crate::model::tokens::Tokens;

const FILE: &str = "/h/.qwen/projects/-work/chats/s1.jsonl";
const OLD: &str = "/h/.qwen/tmp/0a1b/chats/session-1";
const UUID: &str = "eb5b38ef-f42c-4e12-b1d0-36e3bf0da9f4";

fn parser() -> Box<dyn LineParser> {
    QwenCode.parser(Path::new(FILE), None, Zone::UTC).unwrap()
}

fn parse(parser: &mut dyn LineParser, lines: &[String]) -> Vec<ParsedCall> {
    for line in lines {
        parser.line(line.as_bytes()).unwrap();
    }
    parser.take()
}

fn refused(line: &str) -> String {
    let mut parser = parser();
    let why = parser.line(line.as_bytes()).unwrap_err();
    assert_eq!(parser.pending(), 0);
    why
}

const USAGE: &str = r#"{"promptTokenCount":100,"candidatesTokenCount":50,"thoughtsTokenCount":20,"totalTokenCount":150,"cachedContentTokenCount":40}"#;

/// Builds an answer as the client writes it.
fn answer(session: &str, id: &str) -> String {
    format!(
        r#"{{"uuid":"{id}","parentUuid":null,"sessionId":"{session}","timestamp":"2026-06-01T10:00:05Z","type":"assistant","cwd":"/work","version":"0.5.0","model":"qwen3-coder-plus","message":{{"role":"model","parts":[{{"text":"\"usageMetadata\":{{}}"}}]}},"usageMetadata":{USAGE}}}"#
    )
}

#[test]
fn an_answer_is_a_call() {
    let user = r#"{"uuid":"u","sessionId":"s1","timestamp":"2026-06-01T10:00:01Z","type":"user","cwd":"/work"}"#;
    let statistics = r#"{"uuid":"x","sessionId":"s1","timestamp":"2026-06-01T10:00:06Z","type":"system","subtype":"ui_telemetry","systemPayload":{"input_token_count":100}}"#;
    let mut parser = parser();
    let lines = [user.to_owned(), answer("s1", UUID), answer("s1", UUID), statistics.to_owned()];
    let all = parse(&mut *parser, &lines);
    assert_eq!(all.len(), 1);
    let record = &all[0].record;
    let tokens =
        Tokens { input: Some(60), cache_read: Some(40), output: Some(30), reasoning: Some(20), ..Tokens::default() };
    assert_eq!(record.tokens, tokens);
    assert_eq!((&*record.provider, record.agent.as_deref()), ("alibaba", Some("qwen-code")));
    assert_eq!((record.model.as_deref(), record.project.as_deref()), (Some("qwen3-coder-plus"), Some("/work")));
    assert_eq!((record.conversation.as_deref(), parser.conversation()), (Some("s1"), Some("s1")));
    assert_eq!(record.keys, [UUID]);
    assert_eq!(record.raw.as_ref().unwrap().get(), USAGE);
    assert_eq!(parser.began().unwrap().to_string(), "2026-06-01T10:00:01.000Z");
}

#[test]
fn a_branch_repeats_its_parents_calls_and_starts_after_them() {
    let copied = answer("s2", "m1").replacen('{', r#"{"forkedFrom":{"sessionId":"s1","messageUuid":"m1"},"#, 1);
    let own = answer("s2", "m2").replace("10:00:05", "11:00:00");
    let mut branch = parser();
    let all = parse(&mut *branch, &[copied, own]);
    let parent = parse(&mut *parser(), &[answer("s1", "m1")]);
    assert_eq!(all[0], parent[0]);
    assert_eq!(all[1].record.keys, ["s2/m2"]);
    assert_eq!(branch.began().unwrap().to_string(), "2026-06-01T11:00:00.000Z");
}

#[test]
fn a_subagent_has_its_own_identity() {
    let path = Path::new("/h/.qwen/projects/-work/subagents/s1/agent-1.jsonl");
    assert!(QwenCode.wants(path));
    let line = answer("s1", UUID).replacen('{', r#"{"isSidechain":true,"#, 1);
    let record = parse(&mut *QwenCode.parser(path, None, Zone::UTC).unwrap(), &[line]).remove(0).record;
    assert_eq!(record.labels["sidechain"], "true");
}

#[test]
fn a_parser_continues_from_a_stored_state() {
    let mut first = parser();
    parse(&mut *first, &[answer("s1", "m1")]);
    let mut second = QwenCode.parser(Path::new(FILE), first.resume().as_ref(), Zone::UTC).unwrap();
    let line = answer("s1", "m2").replace(r#""sessionId":"s1","#, "");
    assert_eq!(parse(&mut *second, &[line])[0].record.conversation.as_deref(), Some("s1"));
    assert_eq!(second.began(), first.began());
}

#[test]
fn older_chats_have_the_format_of_gemini_cli() {
    let tokens = r#"{"input":100,"output":50,"cached":40,"thoughts":20,"tool":0,"total":150}"#;
    let message = format!(
        r#"{{"id":"{UUID}","timestamp":"2026-06-01T10:00:05Z","type":"qwen","content":"x","tokens":{tokens},"model":"qwen3-coder-plus"}}"#
    );
    let text = format!(r#"{{"sessionId":"s1","startTime":"2026-06-01T10:00:00Z","messages":[{message}]}}"#);
    let path = format!("{OLD}.json");
    assert!(QwenCode.wants(Path::new(&path)) && matches!(QwenCode.format(Path::new(&path)), LogFormat::Document(_)));
    let whole = QwenCode.document(Path::new(&path), text.as_bytes(), Zone::UTC, None).unwrap();
    let record = &whole.calls[0].record;
    assert_eq!((&*record.provider, record.agent.as_deref()), ("alibaba", Some("qwen-code")));
    assert_eq!((record.tokens.output, record.tokens.reasoning), (Some(30), Some(20)));
    assert_eq!((record.project.as_deref(), &*record.keys[0]), (Some("0a1b"), UUID));
    let path = format!("{OLD}.jsonl");
    assert!(QwenCode.wants(Path::new(&path)));
    let head = r#"{"sessionId":"s1","startTime":"2026-06-01T10:00:00Z","kind":"main"}"#.to_owned();
    assert_eq!(parse(&mut *QwenCode.parser(Path::new(&path), None, Zone::UTC).unwrap(), &[head, message]), whole.calls);
}

#[test]
fn unknown_content_is_refused_and_never_counted_as_zero() {
    let answer = answer("s1", UUID);
    let other = refused(&answer.replace("\"assistant\"", "\"reply\""));
    assert_eq!(other, "unknown shape: usage in a record that is no answer");
    let renamed = refused(&answer.replace("\"usageMetadata\"", "\"usage\""));
    assert_eq!(renamed, "unknown shape: an answer whose counts are in `usage`");
    let anonymous = refused(&answer.replace(&format!(r#""uuid":"{UUID}","#), ""));
    assert_eq!(anonymous, "unknown shape: an answer without a uuid");
    let timeless = refused(&answer.replace(r#""timestamp":"2026-06-01T10:00:05Z","#, ""));
    assert_eq!(timeless, "unknown shape: a call without a timestamp");
    assert!(refused(&answer.replace(USAGE, r#"{"promptTokenCount":"1"}"#)).contains("is the string"));
    assert!(refused(&answer.replace(USAGE, r#"{"in":1,"out":2}"#)).contains("no token count"));
    let none = USAGE.replace(['1', '2', '4', '5'], "0").replace("000", "0").replace("00", "0");
    assert_eq!(refused(&answer.replace(USAGE, &none)), "unknown usage: all counts of an answer are 0");
    assert!(refused(&answer[..answer.len() - 4]).starts_with("torn line"));
}

#[test]
fn chats_are_found_wherever_the_home_is() {
    let places = |home: &str| [Path::new(home).join("projects"), Path::new(home).join("tmp")];
    assert_eq!(DESCRIPTOR.roots(Path::new("/h")), places("/h/.qwen"));
    let variable = |name: &str| match name {
        "QWEN_HOME" => Some("/q".to_owned()),
        "QWEN_RUNTIME_DIR" => Some("/r, /s".to_owned()),
        _ => None,
    };
    assert_eq!(DESCRIPTOR.configured(&variable), [places("/r"), places("/s"), places("/q")].concat());
    for other in ["projects/p/chats/s.json", "projects/p/memory.jsonl", "tmp/p/logs.json", "tmp/p/todos/s.jsonl"] {
        assert!(!QwenCode.wants(&Path::new("/h/.qwen").join(other)), "{other}");
    }
}
