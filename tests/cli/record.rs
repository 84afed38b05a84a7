//! `record`: one call, a response, several lines; repeating adds nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;

const CALL: [&str; 9] =
    ["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "120", "--output", "40"];

#[test]
fn every_flag_reaches_the_stored_line() {
    let cli = TestCli::new();
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
    cli.at("2026-06-01T09:00:00Z", &[&CALL[..], &flags].concat());
    let line = cli.ok(&["export"]);
    let data = r#""data":{"provider":"anthropic","account":"work","model":"claude-opus-4-5","agent":"koan","conversation":"c1","project":"acme","labels":{"mission":"42","mode":"deep"},"tokens":{"input":120,"cache_read":3,"cache_write_5m":5,"cache_write_1h":6,"cache_write":4,"output":40,"reasoning":7},"cost":"0.1","duration_ms":1500,"keys":["msg_1"]}}"#;
    assert!(line.trim_end().ends_with(data), "{line}");
    assert!(line.contains(r#""occurred_at":"2026-06-01T08:00:00.000Z","recorded_at":"2026-06-01T09:00:00.000Z""#));
    assert!(line.contains(r#""source":"test""#));
}

#[test]
fn counts_that_were_not_reported_are_absent() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "ollama", "--input", "0"]);
    assert!(cli.ok(&["export"]).contains(r#""tokens":{"input":0}"#));
}

#[test]
fn recording_again_returns_the_existing_position() {
    let cli = TestCli::new();
    let keyed = [&CALL[..], &["--key", "msg_1"]].concat();
    let first = cli.json(&keyed);
    assert_eq!((&first["schema"], &first["recorded"], &first["duplicates"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(first["positions"], serde_json::json!([1]));
    let again = cli.json(&keyed);
    assert_eq!((&again["recorded"], &again["duplicates"], &again["id"]), (&0.into(), &1.into(), &first["id"]));
    assert!(cli.ok(&keyed).contains("already at position 1"));
    cli.ok(&CALL); // without a key every call is a call of its own
    assert_eq!(cli.ok(&["export"]).lines().count(), 2);
}

#[test]
fn an_alias_becomes_its_provider_and_a_near_miss_gets_a_hint() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "claude", "--input", "1"]);
    let odd = cli.command().args(["record", "--provider", "antropic", "--input", "1"]).assert().success();
    let stderr = String::from_utf8_lossy(&odd.get_output().stderr).into_owned();
    assert!(stderr.contains("did you mean `anthropic`?"), "{stderr}");
    let own = cli.command().args(["record", "--provider", "my-gateway", "--input", "1"]).assert().success();
    assert!(own.get_output().stderr.is_empty());
    let providers = cli.json(&["report", "--by", "provider"]);
    let names: Vec<_> = providers["rows"].as_array().unwrap().iter().map(|row| row["provider"].clone()).collect();
    assert_eq!(names, ["anthropic", "antropic", "my-gateway"]);
    cli.ok(&["provider", "declare", "antropic", "--metered"]);
    let declared = cli.command().args(["record", "--provider", "antropic", "--input", "1"]).assert().success();
    assert!(declared.get_output().stderr.is_empty());
}

#[test]
fn the_usage_of_a_response_is_recorded() {
    let cli = TestCli::new();
    let response = r#"{"id":"chatcmpl-1","model":"gpt-5","choices":[{"message":{"content":"secret"}}],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":80}}}"#;
    let done = cli.ok_with_input(response, &["record", "--format", "openai-chat", "--project", "acme", "--json"]);
    assert!(done.contains(r#""recorded":1"#));
    // The response's id is the key, so the same response adds nothing.
    assert!(
        cli.ok_with_input(response, &["record", "--format", "openai-chat", "--project", "acme", "-"])
            .contains("already")
    );
    let shown = cli.json(&["show", "--provider", "openai", "chatcmpl-1"]);
    let data = &shown["event"]["data"];
    assert_eq!(data["tokens"], serde_json::json!({"input": 20, "cache_read": 80, "output": 20}));
    assert_eq!((&data["project"], &data["model"]), (&"acme".into(), &"gpt-5".into()));
    assert!(!cli.ok(&["export"]).contains("secret"));

    let file = cli.dir().join("response.json");
    std::fs::write(&file, response).unwrap();
    let file = file.to_str().unwrap();
    cli.ok(&["record", "--format", "openai-chat", "--provider", "groq", "--key", "mine", file]);
    let shown = cli.json(&["show", "--provider", "groq", "chatcmpl-1"]);
    assert_eq!(shown["event"]["data"]["keys"], serde_json::json!(["mine", "chatcmpl-1"]));
}

#[test]
fn jsonl_lines_are_recorded_in_one_batch() {
    let cli = TestCli::new();
    let lines = concat!(
        "{\"provider\":\"claude\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_read\":0,\"key\":\"a\",\"occurred_at\":\"2026-06-01T00:00:00Z\"}\n",
        "\r\n",
        "  {\"provider\":\"ollama\",\"reasoning\":5,\"labels\":{\"mission\":\"7\"},\"cost_usd\":0.25,\"account\":null}\r\n",
        "{\"provider\":\"openai\",\"input\":3,\"keys\":[\"b\",\"c\"],\"id\":\"018c3f6e-0000-7000-8000-000000000000\"}",
    );
    let done = cli.ok_with_input(lines, &["record", "--jsonl", "-", "--json"]);
    assert_eq!(done, "{\"schema\":1,\"recorded\":3,\"duplicates\":0}\n");
    let export = cli.ok(&["export"]);
    assert_eq!(export.lines().count(), 3);
    assert!(export.contains("018c3f6e-0000-7000-8000-000000000000"));
    let shown = cli.json(&["show", "--provider", "anthropic", "a"]);
    assert_eq!(shown["event"]["occurred_at"], "2026-06-01T00:00:00.000Z");
    // Lines with a key or an id are known; the other line is a new call.
    let again = cli.ok_with_input(lines, &["record", "--jsonl", "-", "--json"]);
    assert_eq!(again, "{\"schema\":1,\"recorded\":1,\"duplicates\":2}\n");
}

#[test]
fn jsonl_lines_can_come_from_a_file() {
    let cli = TestCli::new();
    let file = cli.dir().join("calls.jsonl");
    let lines: String = (0..3_000)
        .map(|n| format!("{{\"provider\":\"xai\",\"input\":{n},\"key\":\"k{n}\"}}\n"))
        .collect::<Vec<_>>()
        .concat();
    std::fs::write(&file, lines).unwrap();
    assert_eq!(cli.ok(&["record", "--jsonl", file.to_str().unwrap()]), "3,000 records recorded\n");
    assert_eq!(cli.json(&["report"])["total"]["tokens"]["input"], 3_000 * 2_999 / 2);
    cli.ok(&["verify"]);
}

#[test]
fn empty_input_creates_no_ledger() {
    let cli = TestCli::new();
    assert_eq!(cli.ok_with_input("\n\n", &["record", "--jsonl", "-"]), "0 records recorded\n");
    assert!(!cli.ledger().exists());
}

/// The body of a chat completion from a relay that gives every response the same id.
fn of_relay(input: u64, output: u64) -> String {
    format!(r#"{{"id":"chatcmpl-1","model":"gpt-5","usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}}}"#)
}

#[test]
fn responses_with_one_id_are_several_calls_if_prompt_conversation_or_stated_time_differ() {
    let cli = TestCli::new();
    let record = |input, output, more: &[&str]| {
        let arguments = [&["record", "--json", "--format", "openai-chat"], more].concat();
        let done: serde_json::Value =
            serde_json::from_str(&cli.ok_with_input(of_relay(input, output), &arguments)).unwrap();
        done["positions"][0].as_u64().unwrap()
    };
    assert_eq!(record(10, 5, &["--conversation", "a"]), 1);
    // Another prompt, and the same again.
    assert_eq!(record(20, 5, &["--conversation", "a"]), 2);
    assert_eq!(record(20, 5, &["--conversation", "a"]), 2);
    assert_eq!(record(10, 5, &["--conversation", "a"]), 1);
    // Another conversation, and the same again.
    assert_eq!(record(10, 5, &["--conversation", "b"]), 3);
    assert_eq!(record(10, 5, &["--conversation", "b"]), 3);
    // Another time, and the same again.
    let at = ["--conversation", "a", "--occurred-at", "2026-05-31T09:00:00Z"];
    assert_eq!(record(10, 5, &at), 4);
    assert_eq!(record(10, 5, &at), 4);
    // A key that the caller gives names one call.
    assert_eq!(record(30, 5, &["--key", "mine"]), 5);
    assert_eq!(record(30, 5, &["--key", "mine"]), 5);
    assert_eq!(record(30, 5, &["--key", "yours"]), 6);
    let other = cli.fails_with_input(2, of_relay(40, 5), &["record", "--format", "openai-chat", "--key", "mine"]);
    assert!(other.contains("already at position 5 with other content"), "{other}");
    cli.ok(&["verify"]);
}

#[test]
fn a_settled_call_of_a_relay_is_another_call() {
    let cli = TestCli::new();
    let settle = |id: &str, input| {
        let arguments = ["settle", "--json", id, "--format", "openai-chat"];
        let done: serde_json::Value = serde_json::from_str(&cli.ok_with_input(of_relay(input, 5), &arguments)).unwrap();
        done["positions"][0].as_u64().unwrap()
    };
    let reserve = || cli.json(&["reserve", "openai", "100"])["id"].as_str().unwrap().to_owned();
    let (first, second) = (reserve(), reserve());
    let positions = (settle(&first, 10), settle(&second, 20));
    assert_eq!((settle(&first, 10), settle(&second, 20)), positions);
    assert_ne!(positions.0, positions.1);
    assert_eq!(cli.json(&["report"])["total"]["requests"], 2);
}
