//! Logs with replies but without token counts, or without further ones, are reported once, as long as that is true.

#![cfg(feature = "import")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::internals;
use usage_ledger::{Ledger, Timestamp};

const ROLLOUT: &str =
    ".codex/sessions/2026/06/01/rollout-2026-06-01T10-00-00-0196b1a0-0000-7000-8000-000000000001.jsonl";

struct Fixture {
    home: TempDir,
    ledger: Ledger,
}

impl Fixture {
    fn new() -> Self {
        Self { home: TempDir::new().unwrap(), ledger: Ledger::in_memory().unwrap() }
    }

    fn file(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn append(&self, path: &str, lines: &[String]) {
        let file = self.file(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    fn options(&self, source: &str) -> ImportOptions {
        ImportOptions::new().sources([source.to_owned()]).homes([self.home.path().to_owned()])
    }

    fn import(&mut self, source: &str) -> SourceReport {
        let options = self.options(source);
        import::run(&self.ledger, &options, now(), &mut |_| {}).unwrap().sources.remove(0)
    }

    /// The messages of an import about whole files.
    fn messages(&mut self, source: &str) -> Vec<String> {
        self.import(source).skipped.into_iter().map(|skipped| format!("{}: {}", skipped.line, skipped.why)).collect()
    }

    /// How many replies the ledger lacks, as far as known.
    fn skipped(&mut self, source: &str) -> u64 {
        let options = self.options(source);
        let snapshot = self.ledger.snapshot().unwrap();
        internals::import::inventory(&snapshot, &options, now()).unwrap()[0].skipped
    }
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// Sets the time since the last write to a file.
fn rested(file: &Path, minutes: u64) {
    let at = SystemTime::now() - Duration::from_secs(60 * minutes);
    File::options().append(true).open(file).unwrap().set_modified(at).unwrap();
}

fn codex(kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"2026-06-01T10:00:05.000Z","type":"{kind}","payload":{payload}}}"#)
}

fn reply_of(role: &str) -> String {
    codex("response_item", &format!(r#"{{"type":"message","role":"{role}","content":[{{"text":"a secret"}}]}}"#))
}

fn meta(more: &str) -> String {
    codex("session_meta", &format!(r#"{{"id":"own","cwd":"/work","cli_version":"0.31.0"{more}}}"#))
}

fn count() -> String {
    let usage = r#"{"input_tokens":100,"cached_input_tokens":60,"output_tokens":10,"reasoning_output_tokens":4,"total_tokens":110}"#;
    let info = format!(r#"{{"total_token_usage":{usage},"last_token_usage":{usage}}}"#);
    codex("event_msg", &format!(r#"{{"type":"token_count","info":{info},"rate_limits":null}}"#))
}

const DONE: &str = r#"{"type":"task_complete","last_agent_message":"a secret"}"#;
const SILENT: &str = "0: answers without token counts, written by Codex 0.31.0";

#[test]
fn a_rollout_without_counts_is_reported_once_and_withdrawn_when_counts_arrive() {
    let mut fixture = Fixture::new();
    fixture.append(ROLLOUT, &[meta(""), reply_of("user"), reply_of("assistant"), codex("event_msg", DONE)]);
    assert_eq!(fixture.messages("codex"), [SILENT]);
    assert_eq!((fixture.import("codex").skipped, fixture.skipped("codex")), (vec![], 1));
    // It continues without counts, which is already known.
    fixture.append(ROLLOUT, &[reply_of("user"), reply_of("assistant"), codex("event_msg", DONE)]);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 1));
    fixture.append(ROLLOUT, &[reply_of("user"), reply_of("assistant"), count()]);
    let report = fixture.import("codex");
    assert_eq!((report.recorded, report.skipped, fixture.skipped("codex")), (1, vec![], 0));
    fixture.append(ROLLOUT, &[reply_of("assistant"), codex("event_msg", DONE)]);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 0));
}

/// A turn of a client that writes limits and no counts.
fn turn() -> Vec<String> {
    let limits = r#"{"type":"token_count","info":null,"rate_limits":null}"#;
    vec![reply_of("user"), reply_of("assistant"), codex("event_msg", limits), codex("event_msg", DONE)]
}

#[test]
fn several_replies_after_the_last_count_are_reported() {
    const BEHIND: &str = "0: 3 answers without token counts behind the last count, written by Codex 0.31.0";
    let mut fixture = Fixture::new();
    fixture.append(ROLLOUT, &[meta(""), reply_of("user"), reply_of("assistant"), count()]);
    assert_eq!((fixture.import("codex").recorded, fixture.skipped("codex")), (1, 0));
    // One or two missing counts may be interruptions; a repeated count is not a new one.
    for _ in 0..2 {
        fixture.append(ROLLOUT, &turn());
        assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 0));
    }
    fixture.append(ROLLOUT, &[reply_of("user"), reply_of("assistant"), count()]);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 0));
    fixture.append(ROLLOUT, &[codex("event_msg", DONE)]);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![BEHIND.to_owned()], 1));
    fixture.append(ROLLOUT, &turn());
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 1));
    let more = count().replace("110", "220").replace("\"input_tokens\":100", "\"input_tokens\":210");
    fixture.append(ROLLOUT, &[more]);
    assert_eq!((fixture.import("codex").recorded, fixture.skipped("codex")), (1, 0));
    // All in one import, including what a fork repeats of its parent.
    let mut fixture = Fixture::new();
    let turns = [turn(), turn(), turn()].concat();
    fixture.append(ROLLOUT, &[vec![meta(""), reply_of("assistant"), count()], turns.clone()].concat());
    assert_eq!(fixture.messages("codex"), [BEHIND]);
    let mut fixture = Fixture::new();
    let forked = meta(r#","forked_from_id":"parent""#);
    fixture.append(ROLLOUT, &[vec![forked, reply_of("assistant"), count()], turns].concat());
    assert_eq!(fixture.messages("codex"), [""; 0]);
}

#[test]
fn a_reply_in_an_event_alone_is_counted() {
    let mut fixture = Fixture::new();
    let messages = codex("event_msg", r#"{"type":"agent_message","message":"a secret"}"#);
    fixture.append(ROLLOUT, &[meta(""), reply_of("user"), messages, codex("event_msg", DONE)]);
    assert_eq!(fixture.messages("codex"), [SILENT]);
}

#[test]
fn a_running_turn_is_reported_only_after_writing_stopped() {
    let mut fixture = Fixture::new();
    fixture.append(ROLLOUT, &[meta(""), reply_of("user"), reply_of("assistant")]);
    let file = fixture.file(ROLLOUT);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 0));
    let head = fixture.ledger.head().unwrap().position;
    rested(&file, 50);
    assert_eq!(fixture.messages("codex"), [""; 0]);
    assert_eq!(fixture.ledger.head().unwrap().position, head);
    // It is examined again although it has not changed.
    rested(&file, 70);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![SILENT.to_owned()], 1));
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 1));
    // With counts nothing is reported, however old they are.
    let mut fixture = Fixture::new();
    fixture.append(ROLLOUT, &[meta(""), reply_of("user"), reply_of("assistant"), count()]);
    rested(&fixture.file(ROLLOUT), 70);
    assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 0));
}

#[test]
fn the_next_prompt_ends_a_turn_and_the_first_clients_never_counted() {
    let mut fixture = Fixture::new();
    fixture.append(ROLLOUT, &[meta(""), reply_of("user"), reply_of("assistant"), reply_of("user")]);
    assert_eq!(fixture.messages("codex"), [SILENT]);
    let mut fixture = Fixture::new();
    let bare = [
        r#"{"id":"bare","timestamp":"2026-06-01T09:00:00Z","instructions":null}"#,
        r#"{"record_type":"state"}"#,
        r#"{"type":"message","role":"user","content":[]}"#,
        r#"{"type":"message","role":"assistant","content":[]}"#,
    ];
    fixture.append(ROLLOUT, &bare.map(str::to_owned));
    assert_eq!(fixture.messages("codex"), ["0: answers without token counts"]);
}

#[test]
fn empty_and_repeated_replies_are_not_reported() {
    let spawned = r#","forked_from_id":"parent""#;
    for lines in [
        vec![meta(""), reply_of("developer"), reply_of("user"), codex("event_msg", r#"{"type":"task_complete"}"#)],
        // A fork has its parent's replies, but no turn of its own.
        vec![meta(spawned), reply_of("user"), reply_of("assistant"), reply_of("user"), codex("event_msg", DONE)],
    ] {
        let mut fixture = Fixture::new();
        fixture.append(ROLLOUT, &lines);
        rested(&fixture.file(ROLLOUT), 70);
        assert_eq!((fixture.messages("codex"), fixture.skipped("codex")), (vec![], 0), "{lines:?}");
    }
    let mut fixture = Fixture::new();
    let own = [
        meta(spawned),
        reply_of("assistant").replace("10:00:05", "10:00:09"),
        codex("event_msg", DONE).replace("10:00:05", "10:00:09"),
    ];
    fixture.append(ROLLOUT, &own);
    assert_eq!(fixture.messages("codex"), [SILENT]);
}

#[test]
fn limits_alone_are_not_counts_and_unreadable_counts_are_reported() {
    let mut fixture = Fixture::new();
    let limits = codex("event_msg", r#"{"type":"token_count","info":null,"rate_limits":null}"#);
    fixture.append(ROLLOUT, &[meta(""), reply_of("assistant"), limits, codex("event_msg", DONE)]);
    assert_eq!(fixture.messages("codex"), [SILENT]);
    let mut fixture = Fixture::new();
    let renamed = count().replace("total_token_usage", "sum");
    fixture.append(ROLLOUT, &[meta(""), reply_of("assistant"), renamed, codex("event_msg", DONE)]);
    assert_eq!(fixture.messages("codex"), ["3: unknown shape: a token_count without total_token_usage"]);
}

const GEMINI: &str = ".gemini/tmp/work/chats/session-2026-06-01T10-00-s1.jsonl";
const UNCOUNTED: &str = "0: answers without token counts";

fn gemini(kind: &str, id: &str, content: &str, tokens: &str) -> String {
    let at = "2026-06-01T10:00:05Z";
    format!(r#"{{"id":"{id}","timestamp":"{at}","type":"{kind}","content":"{content}"{tokens},"model":"m"}}"#)
}

const TOKENS: &str = r#","tokens":{"input":100,"output":50,"cached":60,"thoughts":9,"tool":4,"total":163}"#;

#[test]
fn a_gemini_cli_chat_without_counts_is_reported_until_counts_arrive() {
    let head = r#"{"sessionId":"s1","startTime":"2026-06-01T10:00:00Z","kind":"main"}"#.to_owned();
    let mut fixture = Fixture::new();
    fixture.append(GEMINI, &[head.clone(), gemini("user", "u1", "hello", "")]);
    assert_eq!(fixture.messages("gemini-cli"), [""; 0]);
    fixture.append(GEMINI, &[gemini("gemini", "a1", "a secret", "")]);
    assert_eq!((fixture.messages("gemini-cli"), fixture.skipped("gemini-cli")), (vec![UNCOUNTED.to_owned()], 1));
    fixture.append(GEMINI, &[gemini("user", "u2", "more", ""), gemini("gemini", "a2", "a secret", "")]);
    assert_eq!((fixture.messages("gemini-cli"), fixture.skipped("gemini-cli")), (vec![], 1));
    fixture.append(GEMINI, &[gemini("gemini", "a2", "a secret", TOKENS)]);
    assert_eq!((fixture.import("gemini-cli").recorded, fixture.skipped("gemini-cli")), (1, 0));
    let more = |ids: &[&str]| ids.iter().map(|id| gemini("gemini", id, "a secret", "")).collect::<Vec<_>>();
    fixture.append(GEMINI, &more(&["a3", "a4"]));
    assert_eq!(fixture.messages("gemini-cli"), [""; 0]);
    fixture.append(GEMINI, &more(&["a5", "a6"]));
    let behind = "0: 4 answers without token counts behind the last count".to_owned();
    assert_eq!((fixture.messages("gemini-cli"), fixture.skipped("gemini-cli")), (vec![behind], 1));
    // A reply without text may wait for its tools, and for its counts.
    let mut fixture = Fixture::new();
    fixture.append(GEMINI, &[head, gemini("gemini", "a1", "", "")]);
    assert_eq!(fixture.messages("gemini-cli"), [""; 0]);
    rested(&fixture.file(GEMINI), 70);
    assert_eq!(fixture.messages("gemini-cli"), [UNCOUNTED]);
    // Counts under another name are refused, and the chat is not reported in addition.
    let mut fixture = Fixture::new();
    fixture.append(GEMINI, &[gemini("gemini", "a1", "x", &TOKENS.replace("tokens", "usageMetadata"))]);
    assert_eq!(fixture.messages("gemini-cli"), ["1: unknown shape: a message whose counts are in `usageMetadata`"]);
}

#[test]
fn a_document_of_an_older_client_without_counts_is_reported() {
    let chat = |answers: &[String]| {
        format!(r#"{{"sessionId":"s1","startTime":"2026-06-01T10:00:00Z","messages":[{}]}}"#, answers.join(","))
    };
    for (path, source, kind) in [
        (".gemini/tmp/work/chats/session-1.json", "gemini-cli", "gemini"),
        (".qwen/tmp/work/chats/session-1.json", "qwen-code", "qwen"),
    ] {
        let mut fixture = Fixture::new();
        let mut messages = vec![gemini("user", "u1", "hello", ""), gemini(kind, "a1", "a secret", "")];
        fixture.append(path, &[chat(&messages)]);
        assert_eq!((fixture.messages(source), fixture.skipped(source)), (vec![UNCOUNTED.to_owned()], 1), "{source}");
        assert_eq!(fixture.messages(source), [""; 0]);
        messages.push(gemini(kind, "a2", "a secret", TOKENS));
        fs::remove_file(fixture.file(path)).unwrap();
        fixture.append(path, &[chat(&messages)]);
        assert_eq!((fixture.import(source).recorded, fixture.skipped(source)), (1, 0), "{source}");
    }
}

#[test]
fn a_qwen_code_chat_without_counts_is_reported_until_counts_arrive() {
    const PATH: &str = ".qwen/projects/-work/chats/s1.jsonl";
    let record = |kind: &str, id: &str, usage: &str| {
        let at = "2026-06-01T10:00:05Z";
        format!(r#"{{"uuid":"{id}","sessionId":"s1","timestamp":"{at}","type":"{kind}","message":{{}}{usage}}}"#)
    };
    let mut fixture = Fixture::new();
    fixture.append(PATH, &[record("user", "u1", ""), record("system", "x1", "")]);
    assert_eq!(fixture.messages("qwen-code"), [""; 0]);
    fixture.append(PATH, &[record("assistant", "a1", "")]);
    assert_eq!((fixture.messages("qwen-code"), fixture.skipped("qwen-code")), (vec![UNCOUNTED.to_owned()], 1));
    fixture.append(PATH, &[record("assistant", "a2", "")]);
    assert_eq!((fixture.messages("qwen-code"), fixture.skipped("qwen-code")), (vec![], 1));
    let usage = r#","usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":50,"totalTokenCount":150}"#;
    fixture.append(PATH, &[record("assistant", "a3", usage)]);
    assert_eq!((fixture.import("qwen-code").recorded, fixture.skipped("qwen-code")), (1, 0));
    fixture.append(PATH, &[record("assistant", "a4", ""), record("assistant", "a5", ""), record("user", "u2", "")]);
    assert_eq!(fixture.messages("qwen-code"), [""; 0]);
    fixture.append(PATH, &[record("assistant", "a6", "")]);
    let behind = "0: 3 answers without token counts behind the last count".to_owned();
    assert_eq!((fixture.messages("qwen-code"), fixture.skipped("qwen-code")), (vec![behind], 1));
}
