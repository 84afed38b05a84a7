//! Compares logs of real clients with the responses of their servers: each reply counts once, with its numbers.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg(feature = "import")]

use crate::corpus;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use corpus::check::import;
use serde_json::Value;
use usage_ledger::event::{Event, Payload};
use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::{Ledger, Position, TokenRecord, Tokens};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients")
}

fn imported() -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, &home());
    ledger
}

fn stored(ledger: &Ledger) -> Vec<(Position, String)> {
    let mut lines = Vec::new();
    let snapshot = ledger.snapshot().unwrap();
    let mut visit = |position, line: &str| {
        lines.push((position, line.to_owned()));
        Ok(true)
    };
    snapshot.lines(1.into(), &mut visit).unwrap();
    lines
}

fn records(ledger: &Ledger) -> BTreeMap<Position, TokenRecord> {
    let record = |(position, line): (Position, String)| match Event::from_line(position, &line).unwrap().payload {
        Payload::TokensRecorded(record) => Some((position, record)),
        Payload::Imported(_) => None,
        other => panic!("nothing of this is corrected: {}", other.kind()),
    };
    stored(ledger).into_iter().filter_map(record).collect()
}

/// The response of a server.
struct Answer {
    provider: &'static str,
    /// The response id, if the client stores it.
    id: Option<String>,
    model: String,
    tokens: Tokens,
}

fn answers() -> Vec<Answer> {
    let text = fs::read_to_string(home().join("truth.jsonl")).unwrap();
    let answer = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        let count = |path: &str| Some(answer.pointer(path).unwrap().as_u64().unwrap());
        let less = |path: &str, part: Option<u64>| Some(count(path)? - part?);
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        let (provider, tokens) = match answer["api"].as_str().unwrap() {
            "anthropic" => (
                "anthropic",
                Tokens {
                    input: count("/usage/input_tokens"),
                    cache_read: count("/usage/cache_read_input_tokens"),
                    cache_write_5m: count("/usage/cache_creation/ephemeral_5m_input_tokens"),
                    cache_write_1h: count("/usage/cache_creation/ephemeral_1h_input_tokens"),
                    output: count("/usage/output_tokens"),
                    ..Tokens::default()
                },
            ),
            "openai-responses" => {
                let cache_read = count("/usage/input_tokens_details/cached_tokens");
                let reasoning = count("/usage/output_tokens_details/reasoning_tokens");
                let input = less("/usage/input_tokens", cache_read);
                let output = less("/usage/output_tokens", reasoning);
                ("mock", Tokens { input, cache_read, output, reasoning, ..Tokens::default() })
            }
            "openai-chat" => {
                let cache_read = count("/usage/prompt_tokens_details/cached_tokens");
                let reasoning = count("/usage/completion_tokens_details/reasoning_tokens");
                let input = less("/usage/prompt_tokens", cache_read);
                let output = less("/usage/completion_tokens", reasoning);
                ("mock", Tokens { input, cache_read, output, reasoning, ..Tokens::default() })
            }
            "gemini" => {
                let cache_read = count("/usage/cachedContentTokenCount");
                let input = less("/usage/promptTokenCount", cache_read);
                let (output, reasoning) = (count("/usage/candidatesTokenCount"), count("/usage/thoughtsTokenCount"));
                ("google", Tokens { input, cache_read, output, reasoning, ..Tokens::default() })
            }
            other => panic!("an API of which nothing is known: {other}"),
        };
        let of_path = |path: String| path.rsplit('/').next().unwrap().split(':').next().unwrap().to_owned();
        let model = text("model").or_else(|| text("path").map(of_path)).unwrap();
        Answer { provider, id: text("id"), model, tokens }
    };
    text.lines().map(answer).collect()
}

/// The recorded counts, without zeros that the client states and the server did not.
fn counted(record: &TokenRecord) -> Tokens {
    Tokens { cache_write: record.tokens.cache_write.filter(|count| *count > 0), ..record.tokens }
}

#[test]
fn every_reply_is_recorded_exactly_once() {
    let ledger = imported();
    let records = records(&ledger);
    let mut recorded = BTreeSet::new();
    let mut missing = Vec::new();
    for answer in answers() {
        let position = match &answer.id {
            Some(id) => ledger.snapshot().unwrap().find(answer.provider, id).unwrap(),
            None => {
                let same = |record: &TokenRecord| {
                    record.provider == answer.provider
                        && record.model.as_ref() == Some(&answer.model)
                        && counted(record) == answer.tokens
                };
                records.iter().find(|(_, record)| same(record)).map(|(position, _)| *position)
            }
        };
        let Some(position) = position else {
            missing.push(answer);
            continue;
        };
        let record = &records[&position];
        assert_eq!(counted(record), answer.tokens, "{:?}", answer.id);
        assert_eq!((&*record.provider, record.model.as_ref()), (answer.provider, Some(&answer.model)));
        assert!(recorded.insert(position), "{:?} is a record of its own", answer.id);
    }
    // OpenCode requested a title, and logged no usage for it.
    assert_eq!(
        missing.iter().map(|answer| (&*answer.model, answer.tokens.output)).collect::<Vec<_>>(),
        [("mock-1", Some(30))]
    );
    assert_eq!(recorded.len(), 24);
    assert_eq!(records.keys().copied().collect::<BTreeSet<_>>(), recorded);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn a_second_import_finds_nothing_new() {
    let ledger = Ledger::in_memory().unwrap();
    let first = import(&ledger, &home());
    let new: BTreeMap<_, _> = first.iter().map(|source| (&*source.source, source.recorded)).collect();
    assert_eq!([new["claude-code"], new["codex"], new["gemini-cli"], new["opencode"]], [15, 5, 2, 2]);
    for source in import(&ledger, &home()) {
        assert_eq!((source.recorded, source.amended, source.bytes), (0, 0, 0), "{}", source.source);
    }
}

#[test]
fn two_homes_can_be_read_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    let copy = |from: &str, to: &Path| {
        fs::create_dir_all(to.join(from).parent().unwrap()).unwrap();
        fs::copy(home().join(from), to.join(from)).unwrap();
    };
    let database = ".local/share/opencode/opencode.db";
    let chat = ".gemini/tmp/a/chats/session-2026-11-23T20-03-ad0b57dc.jsonl";
    copy(database, &one);
    copy(database, &other);
    copy(chat, &other);
    let options = ImportOptions::new().homes([one, other]);
    let ledger = Ledger::in_memory().unwrap();
    let report = import::run(&ledger, &options, corpus::check::now(), &mut |_| {}).unwrap();
    let imported = report.sources.into_iter().filter(|source| source.files > 0);
    let imported: Vec<_> =
        imported.map(|source| (source.source, source.files, source.recorded, source.duplicates)).collect();
    assert_eq!(imported, [("gemini-cli".to_owned(), 1, 2, 0), ("opencode".to_owned(), 2, 2, 2)]);
}

#[test]
fn a_fork_does_not_take_calls_of_its_parent() {
    let ledger = imported();
    let mut calls: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in records(&ledger).into_values() {
        calls.entry(record.conversation.unwrap()).or_default().insert(record.keys[0].clone());
    }
    // The fork's log contains the four calls of `b89c79fd…` and its own two.
    let forked = &calls["b89c79fd-c776-4800-9343-543a3651c16a"];
    let fork = &calls["2d58a6a3-52d9-41f0-b2af-cd74467b9579"];
    let named = |numbers: &[u32]| numbers.iter().map(|n| format!("msg_0113b1c5290000{n:02}")).collect::<BTreeSet<_>>();
    assert_eq!(*forked, named(&[1, 3, 5, 7]));
    assert_eq!(*fork, named(&[9, 11]));
    // A subagent's calls belong to its session.
    assert_eq!(calls["0554f516-48d6-46c3-8a68-c01797633cb8"], named(&[13, 15, 17, 19, 21]));
    // Five of Claude Code, two of Codex, one of Gemini CLI, one of OpenCode.
    assert_eq!(calls.len(), 9);
}

#[test]
fn subagents_and_projects_are_distinguished() {
    let ledger = imported();
    for record in records(&ledger).into_values() {
        let of_subagent = ["msg_0113b1c529000015", "msg_0113b1c529000017", "msg_0113b1c529000019"];
        let labelled = record.labels.get("sidechain").is_some_and(|value| value == "true");
        assert_eq!(labelled, of_subagent.contains(&&*record.keys[0]), "{:?}", record.keys);
        // Gemini CLI names a directory by a short name, unless its list of them exists.
        let of_gemini = record.agent.as_deref() == Some("gemini-cli");
        let projects: &[&str] = if of_gemini { &["a"] } else { &["/home/dev/a", "/home/dev/b"] };
        assert!(record.project.as_deref().is_some_and(|project| projects.contains(&project)));
        assert!(matches!(record.agent.as_deref(), Some("claude-code" | "codex" | "gemini-cli" | "opencode")));
    }
}

#[test]
fn the_usage_object_is_stored_verbatim() {
    let mut logs = String::new();
    for directory in [".claude", ".codex", ".gemini", ".local"] {
        gather(&home().join(directory), &mut logs);
    }
    for record in records(&imported()).into_values() {
        let raw = record.raw.unwrap();
        let usage = ["usage", "tokens"].map(|name| format!(r#""{name}":{}"#, raw.get()));
        let of = |line: &&str| line.contains(&record.keys[0]) && usage.iter().any(|usage| line.contains(usage));
        assert!(logs.lines().any(|line| of(&line)), "{:?} has {usage:?}", record.keys);
    }
}

/// Lines verbatim; of a database its text values, each with its id.
fn gather(path: &Path, into: &mut String) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| gather(&entry.unwrap().path(), into));
    } else if path.extension().is_some_and(|extension| extension == "jsonl") {
        into.push_str(&fs::read_to_string(path).unwrap());
    } else if path.extension().is_some_and(|extension| extension == "db") {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
        let uri = format!("file:{}?immutable=1", path.display());
        let database = rusqlite::Connection::open_with_flags(uri, flags).unwrap();
        let mut rows = database.prepare("SELECT id, data FROM message UNION ALL SELECT id, data FROM part").unwrap();
        let row = |row: &rusqlite::Row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        for row in rows.query_map([], row).unwrap() {
            let (id, data) = row.unwrap();
            into.push_str(&format!("{{\"id\":\"{id}\",{}\n", &data[1..]));
        }
    }
}

/// Every string under the keys of conversation content.
fn texts(value: &Value, conversation_texts: bool, into: &mut BTreeSet<String>) {
    const SPOKEN: &[&str] = &[
        "content",
        "text",
        "input",
        "command",
        "cmd",
        "arguments",
        "output",
        "stdout",
        "aggregated_output",
        "last_agent_message",
        "lastPrompt",
        "prompt",
        "base_instructions",
        "toolUseResult",
        "attachment",
        "state",
    ];
    match value {
        Value::String(text) if conversation_texts => {
            into.insert(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, conversation_texts, into)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            texts(value, key != "usage" && (conversation_texts || SPOKEN.contains(&&**key)), into);
        }),
        _ => {}
    }
}

#[test]
fn no_conversation_text_is_stored() {
    let (mut logs, mut conversation_texts) = (String::new(), BTreeSet::new());
    gather(&home(), &mut logs);
    logs.lines().for_each(|line| texts(&serde_json::from_str(line).unwrap(), false, &mut conversation_texts));
    assert!(
        conversation_texts.contains("please SUBAGENT")
            && conversation_texts.contains("Working on it.")
            && conversation_texts.contains("say hi")
    );
    assert!(conversation_texts.contains("one") && conversation_texts.contains("Done."), "Gemini CLI's and OpenCode's");
    // Names that also occur in texts: models, directories, kinds of content, a subagent with a log of its name.
    let names =
        ["a899085f7acc61206", "/home/dev/a", "/home/dev/b", "gpt-5.1", "gpt-5.2-codex", "text", "model", "user", ""];
    conversation_texts.retain(|text| !names.contains(&&**text));
    for (position, line) in stored(&imported()) {
        let mut kept = BTreeSet::new();
        texts(&serde_json::from_str(&line).unwrap(), true, &mut kept);
        let both: Vec<_> = kept.intersection(&conversation_texts).collect();
        assert!(both.is_empty(), "position {position} keeps {both:?}");
        for text in conversation_texts.iter().filter(|text| text.len() >= 12) {
            assert!(!line.contains(&**text), "position {position} keeps {text:?}");
        }
    }
}

/// A credential in every place where an agent may receive one, and in unreadable lines.
#[test]
fn no_credential_is_stored() {
    const KEY: &str = "sk-ant-api03-hunter2";
    let dir = tempfile::tempdir().unwrap();
    let claude = dir.path().join(".claude/projects/-p/0554f516-48d6-46c3-8a68-c01797633cb8.jsonl");
    let codex =
        dir.path().join(".codex/sessions/rollout-2026-11-23T20-03-04-01a20a01-4170-7580-93ce-bb2245f125b9.jsonl");
    let usage = r#"{"input_tokens":1,"output_tokens":2}"#;
    let whole = format!(
        r#"{{"type":"assistant","timestamp":"2026-11-23T20:00:00Z","cwd":"/p","sessionId":"s","apiKey":"{KEY}","message":{{"id":"msg_1","role":"assistant","model":"m","content":[{{"type":"tool_use","input":{{"env":"KEY={KEY}"}}}}],"usage":{usage}}}}}"#
    );
    let lines = [
        format!(
            r#"{{"type":"user","message":{{"role":"user","content":"my key is {KEY}"}},"timestamp":"2026-11-23T20:00:00Z"}}"#
        ),
        whole.clone(),
        whole.replace("msg_1", "msg_2").replace(r#""usage":{"#, &format!(r#""{KEY}":{{"#)),
        whole.replace("msg_1", "msg_3").replace(r#":1,"#, &format!(r#":"{KEY}","#)),
        whole.replace("msg_1", "msg_4").replace(r#""env":"#, &format!(r#""env":{KEY}"#)),
        format!(r#"{{"assistant" "{KEY}"}}"#),
        format!("{KEY} torn"),
        format!(r#"{{"type":"assistant","message":{{"content":"{KEY}"#),
    ];
    fs::create_dir_all(claude.parent().unwrap()).unwrap();
    fs::write(&claude, lines.join("\n")).unwrap();
    let count = format!(r#"{{"total_token_usage":{usage},"last_token_usage":{usage}}}"#);
    let lines = [
        format!(
            r#"{{"timestamp":"2026-11-23T20:00:00Z","type":"session_meta","payload":{{"id":"t","instructions":"{KEY}","git":{{"repository_url":"https://x:{KEY}@example.com"}}}}}}"#
        ),
        format!(
            r#"{{"timestamp":"2026-11-23T20:00:01Z","type":"event_msg","payload":{{"type":"token_count","info":{count},"rate_limits":{{"plan_type":"{KEY}"}}}}}}"#
        ),
        format!(
            r#"{{"timestamp":"2026-11-23T20:00:01Z","type":"event_msg","payload":{{"type":"token_count","info":"{KEY}"}}}}"#
        ),
        format!(
            r#"{{"timestamp":"2026-11-23T20:00:02Z","type":"event_msg","payload":{{"type":"token_count","info":{{"{KEY}":1}}}}}}"#
        ),
    ];
    fs::create_dir_all(codex.parent().unwrap()).unwrap();
    fs::write(&codex, lines.join("\n")).unwrap();
    let tokens = r#"{"input":1,"output":2,"cached":0,"thoughts":0,"tool":0,"total":3}"#;
    let answer = format!(
        r#"{{"id":"a","timestamp":"2026-11-23T20:00:00Z","type":"gemini","content":"{KEY}","thoughts":["{KEY}"],"tokens":{tokens},"model":"m"}}"#
    );
    let chat = [
        format!(r#"{{"sessionId":"s","startTime":"2026-11-23T20:00:00Z","kind":"main","summary":"{KEY}"}}"#),
        answer.clone(),
        answer.replace(r#""type":"gemini""#, &format!(r#""type":"{KEY}""#)),
        answer.replace(r#""input":1"#, &format!(r#""input":"{KEY}""#)),
    ];
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(".gemini/tmp/p/chats/session-1.jsonl", &chat.join("\n"));
    write(".gemini/tmp/p/chats/session-2.json", &format!(r#"{{"sessionId":"s","apiKey":"{KEY}"}}"#));
    let usage = r#"{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3}"#;
    let answer = format!(
        r#"{{"uuid":"a","sessionId":"s","timestamp":"2026-11-23T20:00:00Z","type":"assistant","message":{{"parts":[{{"text":"{KEY}"}}]}},"usageMetadata":{usage}}}"#
    );
    let chat = [answer.clone(), answer.replace("assistant", KEY), answer.replace(":1,", &format!(r#":"{KEY}","#))];
    write(".qwen/projects/p/chats/s.jsonl", &chat.join("\n"));
    let answer = format!(
        r#"{{"id":"msg_1","sessionID":"s","role":"assistant","modelID":"m","providerID":"mock","system":["{KEY}"],"error":{{"message":"{KEY}"}},"time":{{"created":1795464000000}},"tokens":{{"input":1,"output":2}}}}"#
    );
    write(".local/share/opencode/storage/message/s/msg_1.json", &answer);
    let answer = answer.replace("msg_1", "msg_2").replace(r#""input":1"#, &format!(r#""input":"{KEY}""#));
    write(".local/share/opencode/storage/message/s/msg_2.json", &answer);
    let file = dir.path().join("usage.db");
    let ledger = Ledger::open(&file).unwrap();
    let sources = import(&ledger, dir.path());
    let skipped = |source: &SourceReport| {
        let mut lines: Vec<_> = source.skipped.iter().map(|skipped| skipped.line).collect();
        lines.sort_unstable();
        lines
    };
    let skipped: Vec<_> = sources.iter().filter(|source| source.files > 0).map(skipped).collect();
    assert_eq!(skipped, [vec![3, 4, 5, 6, 7, 8], vec![3, 4], vec![0, 3, 4], vec![2, 3], vec![0]]);
    let new = sources.iter().filter(|source| source.files > 0).map(|source| (&*source.source, source.recorded));
    let each = ["claude-code", "codex", "gemini-cli", "qwen-code", "opencode"].map(|source| (source, 1));
    assert_eq!(new.collect::<Vec<_>>(), each);
    for (position, line) in stored(&ledger) {
        assert!(!line.contains("hunter2"), "position {position}: {line}");
    }
    for name in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = fs::read(&name).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{}", name.display());
    }
}
