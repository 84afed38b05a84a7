//! A call belongs to the provider that served it, and stays one record if it was attributed to another one before.

#![cfg(feature = "import")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use usage_ledger::event::NewEvent;
use usage_ledger::import::{self, ImportOptions, ImportReport};
use usage_ledger::{Ledger, Report, ReportKey, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

fn line(second: u32, id: &str, model: &str) -> String {
    format!(
        r#"{{"sessionId":"s1","cwd":"/work","message":{{"model":"{model}","id":"{id}","type":"message","role":"assistant","usage":{{"input_tokens":10,"output_tokens":5}}}},"requestId":"req_{id}","type":"assistant","timestamp":"2026-11-23T10:00:{second:02}.000Z"}}"#
    ) + "\n"
}

fn write(home: &Path, name: &str, text: &str) {
    let directory = home.join(".claude/projects/-work");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(name), text).unwrap();
}

fn import(ledger: &Ledger, home: &Path) -> ImportReport {
    let options = ImportOptions::new().sources(["claude-code".to_owned()]).homes([home.to_owned()]);
    import::run(ledger, &options, now(), &mut |_| {}).unwrap()
}

fn providers(ledger: &Ledger) -> Vec<(String, u64)> {
    let report = ledger.report(&Report::by(ReportKey::Provider)).unwrap();
    report.rows.iter().map(|row| (row.keys[0].clone().unwrap_or_default(), row.usage.requests)).collect()
}

fn expected(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(provider, calls)| ((*provider).to_owned(), *calls)).collect()
}

#[test]
fn calls_belong_to_the_provider_that_served_them() {
    let home = tempfile::tempdir().unwrap();
    let calls = [
        ("msg_1", "claude-opus-4-6"),
        ("msg_2", "a-name-of-ones-own"),
        ("msg_bdrk_3", "claude-opus-4-6"),
        ("msg_4", "glm-4.7:cloud"),
        ("msg_5", "qwen3-coder:30b"),
        ("msg_6", "glm-4.6"),
    ];
    let text: String = (0..).zip(calls).map(|(second, (id, model))| line(second, id, model)).collect();
    write(home.path(), "s1.jsonl", &text);
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, home.path());
    let rows = [("anthropic", 2), ("aws-bedrock", 1), ("ollama", 1), ("ollama-cloud", 1), ("zai", 1)];
    assert_eq!(providers(&ledger), expected(&rows));
    // A copy of the log contains the same calls.
    write(home.path(), "s2.jsonl", &text);
    let report = import(&ledger, home.path());
    assert_eq!((report.sources[0].recorded, report.sources[0].amended), (0, 0));
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn a_call_moved_from_anthropic_to_its_provider_stays_one_record() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::in_memory().unwrap();
    let mut before = TokenRecord::new("anthropic", "qwen3-coder:30b").input(10).output(5).agent("claude-code");
    before = before.conversation("s1").project("/work").key("msg_5").key("req_msg_5");
    let at: Timestamp = "2026-11-23T10:00:01Z".parse().unwrap();
    ledger.append([NewEvent::new(before, at).source("claude-code")], now()).unwrap();
    write(home.path(), "s1.jsonl", &line(1, "msg_5", "qwen3-coder:30b"));
    let report = import(&ledger, home.path());
    assert_eq!((report.sources[0].recorded, report.sources[0].amended), (0, 1));
    assert_eq!(providers(&ledger), expected(&[("ollama", 1)]));
    // Under either name it stays the same call.
    write(home.path(), "s2.jsonl", &line(1, "msg_5", "qwen3-coder:30b"));
    let report = import(&ledger, home.path());
    assert_eq!((report.sources[0].recorded, report.sources[0].amended), (0, 0));
    assert_eq!(providers(&ledger), expected(&[("ollama", 1)]));
    assert!(ledger.verify().unwrap().ok);
    assert!(ledger.replay().unwrap().findings.is_empty());
}

fn answer(project: &str, id: &str) -> String {
    let usage = r#""usage":{"input_tokens":1000,"output_tokens":100}"#;
    format!(
        r#"{{"sessionId":"s-{id}","cwd":"{project}","message":{{"model":"claude-sonnet-4-6","id":"{id}","role":"assistant",{usage}}},"type":"assistant","timestamp":"2026-09-01T10:00:05.000Z"}}"#
    ) + "\n"
}

#[test]
fn two_spellings_of_a_drive_letter_are_one_project() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &answer(r"c:\\dev\\app", "a"));
    write(home.path(), "b.jsonl", &answer(r"C:\\dev\\app", "b"));
    write(home.path(), "c.jsonl", &answer(r"\\\\?\\C:\\dev\\app", "c"));
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, home.path());
    let rows = ledger.report(&Report::by(ReportKey::Project)).unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.keys[0].as_deref()).collect::<Vec<_>>(), [Some(r"C:\dev\app")]);
}

#[test]
fn logs_of_cowork_are_read_without_its_audit_log() {
    for place in ["Library/Application Support/Claude", "AppData/Roaming/Claude", ".config/Claude"] {
        for session in ["local_77", "agent/local_ditto_77"] {
            let home = tempfile::tempdir().unwrap();
            let session = home.path().join(place).join("local-agent-mode-sessions/ws-1/grp-1").join(session);
            let logs = session.join(".claude/projects/-sessions-x");
            std::fs::create_dir_all(&logs).unwrap();
            std::fs::write(logs.join("s.jsonl"), answer("/srv/app", "msg_1")).unwrap();
            std::fs::write(session.join("audit.jsonl"), answer("/srv/app", "msg_1").replace(":100}", ":1}")).unwrap();
            let ledger = Ledger::in_memory().unwrap();
            let report = import(&ledger, home.path());
            assert_eq!((report.sources[0].files, report.sources[0].recorded), (1, 1), "{}", session.display());
            assert_eq!(ledger.report(&Report::by(ReportKey::Project)).unwrap().total.tokens.total(), 1_100);
        }
    }
}
