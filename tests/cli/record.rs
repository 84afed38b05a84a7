//! `record`: one call, a response, many lines; the same again adds nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::Desk;

const CALL: [&str; 9] =
    ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "120", "--output", "40"];

#[test]
fn every_flag_reaches_the_stored_line() {
    let desk = Desk::new();
    let flags = [
        "--cache-read",
        "3",
        "--cache-write",
        "4",
        "--cache-write-5m",
        "5",
        "--cache-write-1h",
        "6",
        "--reasoning",
        "7",
        "--account",
        "work",
        "--agent",
        "koan",
        "--project",
        "acme",
        "--conversation",
        "c1",
        "--label",
        "mission=42",
        "--label",
        "mode=deep",
        "--cost",
        "0.10",
        "--duration-ms",
        "1500",
        "--key",
        "msg_1",
        "--occurred-at",
        "2026-06-01T10:00:00+02:00",
        "--source",
        "test",
    ];
    desk.at("2026-06-01T09:00:00Z", &[&CALL[..], &flags].concat());
    let line = desk.ok(&["export"]);
    let data = r#""data":{"provider":"anthropic","account":"work","model":"claude-opus-4-5","agent":"koan","conversation":"c1","project":"acme","labels":{"mission":"42","mode":"deep"},"tokens":{"input":120,"cache_read":3,"cache_write_5m":5,"cache_write_1h":6,"cache_write":4,"output":40,"reasoning":7},"cost":"0.1","duration_ms":1500,"keys":["msg_1"]}}"#;
    assert!(line.trim_end().ends_with(data), "{line}");
    assert!(line.contains(r#""occurred_at":"2026-06-01T08:00:00.000Z","recorded_at":"2026-06-01T09:00:00.000Z""#));
    assert!(line.contains(r#""source":"test""#));
}

#[test]
fn what_was_not_reported_is_absent() {
    let desk = Desk::new();
    desk.ok(&["record", "--provider", "ollama", "--input", "0"]);
    assert!(desk.ok(&["export"]).contains(r#""tokens":{"input":0}"#));
}

#[test]
fn the_same_again_is_found_at_its_position() {
    let desk = Desk::new();
    let keyed = [&CALL[..], &["--key", "msg_1"]].concat();
    let first = desk.json(&keyed);
    assert_eq!((&first["schema"], &first["recorded"], &first["duplicates"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(first["positions"], serde_json::json!([1]));
    let again = desk.json(&keyed);
    assert_eq!((&again["recorded"], &again["duplicates"], &again["id"]), (&0.into(), &1.into(), &first["id"]));
    assert!(desk.ok(&keyed).contains("already at position 1"));
    desk.ok(&CALL); // without a key every call is a call of its own
    assert_eq!(desk.ok(&["export"]).lines().count(), 2);
}

#[test]
fn an_alias_becomes_its_provider_and_a_near_miss_gets_a_hint() {
    let desk = Desk::new();
    desk.ok(&["record", "--provider", "claude", "--input", "1"]);
    let odd = desk.command().args(["record", "--provider", "antropic", "--input", "1"]).assert().success();
    let said = String::from_utf8_lossy(&odd.get_output().stderr).into_owned();
    assert!(said.contains("did you mean `anthropic`?"), "{said}");
    let own = desk.command().args(["record", "--provider", "my-gateway", "--input", "1"]).assert().success();
    assert!(own.get_output().stderr.is_empty());
    let providers = desk.json(&["report", "--by", "provider"]);
    let names: Vec<_> = providers["rows"].as_array().unwrap().iter().map(|row| row["provider"].clone()).collect();
    assert_eq!(names, ["anthropic", "antropic", "my-gateway"]);
    desk.ok(&["provider", "declare", "antropic", "--metered"]);
    let declared = desk.command().args(["record", "--provider", "antropic", "--input", "1"]).assert().success();
    assert!(declared.get_output().stderr.is_empty());
}

#[test]
fn a_response_is_read_for_its_usage() {
    let desk = Desk::new();
    let response = r#"{"id":"chatcmpl-1","model":"gpt-5","choices":[{"message":{"content":"secret"}}],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":80}}}"#;
    let done = desk.fed(response, &["record", "--format", "openai-chat", "--project", "acme", "--json"]);
    assert!(done.contains(r#""recorded":1"#));
    // The response's id is the key: the same response adds nothing.
    assert!(desk.fed(response, &["record", "--format", "openai-chat", "--project", "acme", "-"]).contains("already"));
    let shown = desk.json(&["show", "--provider", "openai", "chatcmpl-1"]);
    let data = &shown["event"]["data"];
    assert_eq!(data["tokens"], serde_json::json!({"input": 20, "cache_read": 80, "output": 20}));
    assert_eq!((&data["project"], &data["model"]), (&"acme".into(), &"gpt-5".into()));
    assert!(!desk.ok(&["export"]).contains("secret"));

    let file = desk.dir().join("response.json");
    std::fs::write(&file, response).unwrap();
    let file = file.to_str().unwrap();
    desk.ok(&["record", "--format", "openai-chat", "--provider", "groq", "--key", "mine", file]);
    let shown = desk.json(&["show", "--provider", "groq", "chatcmpl-1"]);
    assert_eq!(shown["event"]["data"]["keys"], serde_json::json!(["mine", "chatcmpl-1"]));
}

#[test]
fn many_lines_are_taken_in_together() {
    let desk = Desk::new();
    let lines = concat!(
        "{\"provider\":\"claude\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_read\":0,\"key\":\"a\",\"occurred_at\":\"2026-06-01T00:00:00Z\"}\n",
        "\r\n",
        "  {\"provider\":\"ollama\",\"reasoning\":5,\"labels\":{\"mission\":\"7\"},\"cost_usd\":0.25,\"account\":null}\r\n",
        "{\"provider\":\"openai\",\"input\":3,\"keys\":[\"b\",\"c\"],\"id\":\"018c3f6e-0000-7000-8000-000000000000\"}",
    );
    let done = desk.fed(lines, &["record", "--jsonl", "-", "--json"]);
    assert_eq!(done, "{\"schema\":1,\"recorded\":3,\"duplicates\":0}\n");
    let export = desk.ok(&["export"]);
    assert_eq!(export.lines().count(), 3);
    assert!(export.contains("018c3f6e-0000-7000-8000-000000000000"));
    let shown = desk.json(&["show", "--provider", "anthropic", "a"]);
    assert_eq!(shown["event"]["occurred_at"], "2026-06-01T00:00:00.000Z");
    // What has a key or an id is known; the other line is another call.
    let again = desk.fed(lines, &["record", "--jsonl", "-", "--json"]);
    assert_eq!(again, "{\"schema\":1,\"recorded\":1,\"duplicates\":2}\n");
}

#[test]
fn many_lines_come_from_a_file_too() {
    let desk = Desk::new();
    let file = desk.dir().join("calls.jsonl");
    let lines: String = (0..3_000)
        .map(|n| format!("{{\"provider\":\"xai\",\"input\":{n},\"key\":\"k{n}\"}}\n"))
        .collect::<Vec<_>>()
        .concat();
    std::fs::write(&file, lines).unwrap();
    assert_eq!(desk.ok(&["record", "--jsonl", file.to_str().unwrap()]), "3,000 records recorded\n");
    assert_eq!(desk.json(&["report"])["total"]["tokens"]["input"], 3_000 * 2_999 / 2);
    desk.ok(&["verify"]);
}

#[test]
fn nothing_in_makes_no_ledger() {
    let desk = Desk::new();
    assert_eq!(desk.fed("\n\n", &["record", "--jsonl", "-"]), "0 records recorded\n");
    assert!(!desk.ledger().exists());
}
