use std::fs;

use super::*;
use crate::model::tokens::Tokens;

const FILE: &str = "/h/.gemini/tmp/work/chats/session-2026-06-01T10-00-s1.jsonl";
const SESSION: &str = "ad0b57dc-9fdd-4411-bf5c-07651d89e789";

fn parser() -> Box<dyn LineParser> {
    GeminiCli.parser(Path::new(FILE), None, Zone::UTC).unwrap()
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

fn head(session: &str, kind: &str) -> String {
    format!(r#"{{"sessionId":"{session}","startTime":"2026-06-01T10:00:00Z","kind":"{kind}"}}"#)
}

fn usage(output: u64) -> String {
    let total = 100 + output + 9 + 4;
    format!(r#"{{"input":100,"output":{output},"cached":60,"thoughts":9,"tool":4,"total":{total}}}"#)
}

/// Builds an answer as the client writes it.
fn answer(second: u32, id: &str, output: u64) -> String {
    format!(
        r#"{{"id":"{id}","timestamp":"2026-06-01T10:00:{second:02}Z","type":"gemini","content":"say \"tokens\": {{}}","tokens":{},"model":"gemini-2.5-pro"}}"#,
        usage(output)
    )
}

fn chat(messages: &[String]) -> String {
    format!(
        r#"{{"sessionId":"{SESSION}","projectHash":"h","startTime":"2026-06-01T10:00:00Z","messages":[{}]}}"#,
        messages.join(",")
    )
}

fn document(text: &str) -> Result<Document, String> {
    let path = FILE.replace(".jsonl", ".json");
    assert!(matches!(GeminiCli.format(Path::new(&path)), LogFormat::Document(_)));
    GeminiCli.document(Path::new(&path), text.as_bytes(), Zone::UTC, None).map_err(|refusal| refusal.to_string())
}

#[test]
fn a_message_counts_once_however_often_it_is_written() {
    let replaced = format!(r#"{{"$set":{{"messages":[{},{}]}}}}"#, answer(7, "m1", 30), answer(8, "m2", 5));
    let all = parse(&[
        head(SESSION, "main"),
        r#"{"id":"u","timestamp":"2026-06-01T10:00:01Z","type":"user","content":[{"text":"\"tokens\":{}"}]}"#
            .to_owned(),
        answer(5, "m1", 20),
        replaced,
        answer(6, "m1", 10),
        r#"{"$rewindTo":"u"}"#.to_owned(),
    ]);
    assert_eq!(all.len(), 2);
    let record = &all[0].record;
    assert_eq!(all[0].at.to_string(), "2026-06-01T10:00:05.000Z");
    let tokens =
        Tokens { input: Some(44), cache_read: Some(60), output: Some(30), reasoning: Some(9), ..Tokens::default() };
    assert_eq!(record.tokens, tokens);
    assert_eq!((&*record.provider, record.agent.as_deref()), ("google", Some("gemini-cli")));
    assert_eq!(record.model.as_deref(), Some("gemini-2.5-pro"));
    assert_eq!((record.conversation.as_deref(), record.project.as_deref()), (Some(SESSION), Some("work")));
    assert_eq!(record.keys, [format!("{SESSION}/m1")]);
    assert_eq!(record.raw.as_ref().unwrap().get(), usage(30));
    assert_eq!(record.normaliser.as_deref(), Some("gemini-cli/1"));
    assert!(record.labels.is_empty());
}

#[test]
fn a_document_and_the_lines_that_continue_it_give_the_same_calls() {
    let random = "eb5b38ef-f42c-4e12-b1d0-36e3bf0da9f4";
    let messages = [answer(5, random, 20), answer(6, "m2", 3)];
    let whole = document(&chat(&messages)).unwrap();
    let lines = parse(&[head(SESSION, "main"), messages[0].clone(), messages[1].clone()]);
    assert_eq!(whole.calls, lines);
    assert_eq!(whole.skipped, []);
    assert_eq!(whole.conversation.as_deref(), Some(SESSION));
    assert_eq!(whole.began.unwrap().to_string(), "2026-06-01T10:00:00.000Z");
    // A random id is the same call in every session.
    let resumed = parse(&[head("other", "main"), messages[0].clone()]);
    assert_eq!(resumed[0].record.keys, lines[0].record.keys);
    assert_eq!(lines[0].record.keys, [random]);
}

#[test]
fn a_subagents_calls_are_its_sessions() {
    let path = format!("/h/.gemini/tmp/work/chats/{SESSION}/sub.jsonl");
    assert!(GeminiCli.wants(Path::new(&path)));
    let mut parser = GeminiCli.parser(Path::new(&path), None, Zone::UTC).unwrap();
    for line in [head("sub", "subagent"), answer(5, "m1", 20)] {
        parser.line(line.as_bytes()).unwrap();
    }
    let record = parser.take().remove(0).record;
    assert_eq!((record.conversation.as_deref(), parser.conversation()), (Some(SESSION), Some(SESSION)));
    assert_eq!((&*record.labels["sidechain"], &*record.keys[0]), ("true", "sub/m1"));
}

#[test]
fn a_parser_continues_from_a_stored_state() {
    let mut first = parser();
    first.line(head(SESSION, "subagent").as_bytes()).unwrap();
    let resume = first.resume();
    let mut second = GeminiCli.parser(Path::new(FILE), resume.as_ref(), Zone::UTC).unwrap();
    second.line(answer(5, "m1", 20).as_bytes()).unwrap();
    let record = second.take().remove(0).record;
    assert_eq!(record.conversation.as_deref(), Some(SESSION));
    assert!(record.labels.contains_key("sidechain"));
    assert_eq!(second.began(), first.began());
}

#[test]
fn unknown_content_is_refused_and_never_counted_as_zero() {
    let answer = answer(5, "m1", 20);
    let without = |part: &str| refused(&answer.replace(part, ""));
    assert_eq!(without(r#""id":"m1","#), "unknown shape: an answer with tokens without an id");
    assert_eq!(without(r#""timestamp":"2026-06-01T10:00:05Z","#), "unknown shape: a call without a timestamp");
    assert_eq!(without(r#""type":"gemini","#), "unknown shape: tokens in a message that is no answer");
    assert!(refused(&answer.replace("gemini\",\"content", "new\",\"content")).contains("is no answer"));
    assert!(refused(&answer.replace(r#""input":100"#, r#""input":"100""#)).contains("is the string"));
    let none = r#"{"input":0,"output":0,"cached":0,"thoughts":0,"tool":0,"total":0}"#;
    assert_eq!(refused(&answer.replace(&usage(20), none)), "unknown usage: all counts of an answer are 0");
    assert!(refused(&answer.replace(&usage(20), r#"{"prompt":100,"completion":5}"#)).contains("no token count"));
    let renamed = refused(&answer.replace("\"tokens\"", "\"usageMetadata\""));
    assert_eq!(renamed, "unknown shape: a message whose counts are in `usageMetadata`");
    assert!(refused(&answer[..answer.len() - 9]).starts_with("torn line"));
    assert_eq!(document(r#"{"sessionId":"s","turns":[]}"#).unwrap_err(), "unknown shape: a chat without messages");
    assert!(document("[]").unwrap_err().starts_with("unknown shape"));
    // A malformed message of a document or of a `$set` does not affect the others.
    let bad = answer.replace("\"id\":\"m1\",", "");
    let read = document(&chat(&[bad.clone(), answer.clone()])).unwrap();
    assert_eq!((read.calls.len(), read.skipped.len(), read.skipped[0].0), (1, 1, 1));
    let mut parser = parser();
    parser.line(format!(r#"{{"$set":{{"messages":[{bad},{answer}]}}}}"#).as_bytes()).unwrap_err();
    assert_eq!(parser.pending(), 1);
}

#[test]
fn chats_are_distinguished_from_files_next_to_them() {
    let below = |path: &str| GeminiCli.wants(&Path::new("/h/.gemini/tmp/p").join(path));
    assert!(below("chats/session-1.jsonl") && below("chats/session-1.json") && below("chats/s/sub.jsonl"));
    assert!(!below("logs.json") && !below("checkpoint-x.json") && !below("chats/session.txt"));
    assert_eq!(DESCRIPTOR.roots(Path::new("/h")), [Path::new("/h/.gemini/tmp")]);
    let variable = |name: &str| (name == "GEMINI_CLI_HOME").then(|| "/g".to_owned());
    assert_eq!(DESCRIPTOR.configured(&variable), [Path::new("/g/.gemini/tmp")]);
}

#[test]
fn a_projects_directory_is_found_by_its_short_name_or_hash() {
    let dir = tempfile::tempdir().unwrap();
    let chat = |project: &str| dir.path().join("tmp").join(project).join("chats/session-1.json");
    // The SHA-256 of `/home/dev/a`.
    let hash = "f3fa335fdbf1cdca10fe10555efed08277fe544d618194d9cfcde1f22f28084f";
    assert_eq!(project::of(&chat(hash)).as_deref(), Some(hash), "nothing tells");
    fs::write(dir.path().join("projects.json"), r#"{"projects":{"/home/dev/a":"a"}}"#).unwrap();
    for name in ["a", hash] {
        assert_eq!(project::of(&chat(name)).as_deref(), Some("/home/dev/a"));
    }
    assert_eq!(project::of(&chat("b")).as_deref(), Some("b"));
    fs::create_dir_all(dir.path().join("tmp/b")).unwrap();
    fs::write(dir.path().join("tmp/b/.project_root"), "/home/dev/b\n").unwrap();
    assert_eq!(project::of(&chat("b")).as_deref(), Some("/home/dev/b"));
}
