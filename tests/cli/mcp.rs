//! `mcp`: tools for agents, called by the client of the protocol's own library.

use std::collections::BTreeMap;
use std::process::Stdio;

use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, ContentBlock, Tool};
use rmcp::service::{RoleClient, RunningService};
use serde_json::{Value, json};

use crate::cli_support::TestCli;

const NOW: &str = "2026-11-23T20:00:00Z";

pub(crate) type Client = RunningService<RoleClient, ()>;

/// Runs a conversation with a server, and returns the exit code of the server.
fn talk<T>(cli: &TestCli, args: &[&str], conversation: impl AsyncFnOnce(&Client) -> T) -> (T, Option<i32>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = tokio::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["--tz", "UTC", "--now", NOW, "mcp"])
            .args(args)
            .env_clear()
            .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let transport = (server.stdout.take().unwrap(), server.stdin.take().unwrap());
        let client = ().serve(transport).await.unwrap();
        let result = conversation(&client).await;
        client.cancel().await.unwrap();
        (result, server.wait().await.unwrap().code())
    })
}

/// A client of a server with these options, which ends with the client.
pub(crate) async fn connect(cli: &TestCli, args: &[&str]) -> Client {
    let mut server = tokio::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
        .args(["--tz", "UTC", "mcp"])
        .args(args)
        .env_clear()
        .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    ().serve((server.stdout.take().unwrap(), server.stdin.take().unwrap())).await.unwrap()
}

/// The structured answer of a tool, and whether it is a failure.
pub(crate) async fn call(client: &Client, tool: &'static str, arguments: Value) -> (Value, bool) {
    let Value::Object(arguments) = arguments else { panic!("arguments have names") };
    let done = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap();
    let [ContentBlock::Text(shown)] = &done.content[..] else { panic!("{:?}", done.content) };
    let is_error = done.is_error.unwrap_or_default();
    // A problem does not have the shape of the tool's answer, so it is no structured content.
    assert_eq!(done.structured_content.is_none(), is_error, "{tool}");
    let answer = done.structured_content.unwrap_or_else(|| serde_json::from_str(&shown.text).unwrap());
    // The text for people is the same answer, without characters that hide or control a terminal.
    assert_eq!(serde_json::from_str::<Value>(&shown.text).unwrap(), answer);
    let is_hidden = |char: char| char.is_control() || ['\u{202e}', '\u{200b}', '\u{2066}'].contains(&char);
    assert!(!shown.text.contains(is_hidden), "{:?}", shown.text);
    (answer, is_error)
}

#[test]
fn foreign_text_is_visible_in_the_text_of_an_answer() {
    let cli = TestCli::new();
    let hostile = "a\u{202e}b\u{9b}2J\u{200b}\u{1b}[1mc\u{2066}\u{7f}";
    let record = json!({"provider": "anthropic", "model": hostile, "input": 10, "account": hostile});
    cli.ok_with_input(record.to_string(), &["record", "--jsonl", "-"]);
    talk(&cli, &[], async |client| {
        let (report, _) = call(client, "report", json!({"by": ["model"]})).await;
        assert_eq!(report["rows"][0]["model"], hostile);
        call(client, "usage", json!({})).await;
        let (problem, failed) = call(client, "gate", json!({"provider": hostile})).await;
        assert!(failed && problem["detail"].as_str().unwrap().contains(hostile), "{problem}");
    });
}

fn cli() -> TestCli {
    let cli = TestCli::new();
    cli.at(NOW, &["limit", "set", "anthropic", "--session", "1000", "--weekly", "50000"]);
    cli.at(NOW, &["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "120"]);
    cli
}

/// Every reference of a schema leads to one of its definitions.
fn expect_complete(schema: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                let pointer = target.strip_prefix('#').unwrap();
                assert!(schema.pointer(pointer).is_some(), "{target}");
            }
            members.values().for_each(|member| expect_complete(schema, member));
        }
        Value::Array(items) => items.iter().for_each(|item| expect_complete(schema, item)),
        _ => {}
    }
}

fn by_name(tools: Vec<Tool>) -> BTreeMap<String, Tool> {
    tools.into_iter().map(|tool| (tool.name.to_string(), tool)).collect()
}

#[test]
fn every_tool_has_schemas_and_queries_change_nothing() {
    let (tools, code) = talk(&cli(), &[], async |client| client.list_all_tools().await.unwrap());
    assert_eq!(code, Some(0));
    let tools = by_name(tools);
    assert_eq!(tools.keys().collect::<Vec<_>>(), ["explain", "forecast", "gate", "report", "usage"]);
    for (name, tool) in tools {
        assert_eq!(tool.annotations.as_ref().unwrap().read_only_hint, Some(true), "{name}");
        // Each member of an input has one type.
        for (member, schema) in tool.input_schema["properties"].as_object().unwrap() {
            assert!(schema.get("oneOf").is_none() && !schema["type"].is_array(), "{name} {member}: {schema}");
        }
        for schema in [&tool.input_schema, tool.output_schema.as_ref().unwrap()] {
            let schema = Value::Object((**schema).clone());
            assert_eq!(schema["type"], "object", "{name}: {schema}");
            expect_complete(&schema, &schema);
        }
    }
}

#[test]
fn tools_answer_as_the_command_does() {
    let cli = cli();
    let (_, code) = talk(&cli, &[], async |client| {
        for (tool, arguments, args) in [
            ("usage", json!({}), vec!["status"]),
            ("gate", json!({"provider": "anthropic", "need": "deep"}), vec!["gate", "anthropic", "--need", "deep"]),
            ("report", json!({"by": ["model"]}), vec!["report", "--by", "model"]),
        ] {
            let run = cli.command().args(["--now", NOW, "--json"]).args(&args).output().unwrap();
            let printed: Value = serde_json::from_slice(&run.stdout).unwrap();
            assert_eq!(call(client, tool, arguments).await, (printed, false), "{tool}");
        }
        let (explained, _) = call(client, "explain", json!({"provider": "anthropic"})).await;
        assert_eq!(explained["evidence"], json!([1, 2]));
        assert_eq!(explained["events"][1]["event"]["kind"], "tokens_recorded");
        let (forecast, _) = call(client, "forecast", json!({})).await;
        assert_eq!(
            (&forecast["providers"][0]["provider"], &forecast["providers"][0]["percent"]),
            (&json!("anthropic"), &json!(12))
        );
        let (problem, failed) = call(client, "gate", json!({"provider": "antropic"})).await;
        assert!(failed && problem["candidates"] == json!(["anthropic"]), "{problem}");
        let (problem, failed) = call(client, "forecast", json!({"providers": "anthropic"})).await;
        assert!(failed && problem["type"] == "urn:usage-ledger:problem:invalid-input", "{problem}");
    });
    assert_eq!(code, Some(0));
}

#[test]
fn calls_are_recorded_only_with_the_option() {
    let cli = cli();
    let record = json!({"provider": "openai", "model": "gpt-5", "input": 9, "key": "resp_1"});
    let Value::Object(arguments) = record.clone() else { unreachable!() };
    let request = CallToolRequestParams::new("record").with_arguments(arguments);
    let (refused, _) = talk(&cli, &[], async |client| client.call_tool(request).await);
    assert!(refused.unwrap_err().to_string().contains("`record` is no tool"));
    assert_eq!(cli.json(&["report"])["total"]["requests"], 1);
    let ((tools, first, second), _) = talk(&cli, &["--allow-record"], async |client| {
        let tools = by_name(client.list_all_tools().await.unwrap());
        (tools, call(client, "record", record.clone()).await.0, call(client, "record", record.clone()).await.0)
    });
    let hints = tools["record"].annotations.as_ref().unwrap();
    assert_eq!((hints.read_only_hint, hints.idempotent_hint), (Some(false), Some(false)));
    // The reason for that hint: a call without a key is recorded each time.
    let unkeyed = json!({"provider": "openai", "model": "gpt-5", "input": 9});
    talk(&cli, &["--allow-record"], async |client| {
        for _ in 0..2 {
            assert_eq!(call(client, "record", unkeyed.clone()).await.0["recorded"], 1);
        }
    });
    assert_eq!((&first["recorded"], &second["duplicates"]), (&json!(1), &json!(1)));
    assert_eq!(second["positions"], first["positions"]);
    assert_eq!(cli.json(&["report"])["total"]["requests"], 4);
}

#[test]
fn queries_create_no_ledger() {
    let cli = TestCli::new();
    talk(&cli, &[], async |client| call(client, "usage", json!({})).await);
    assert!(!cli.ledger().exists());
}

#[cfg(feature = "web")]
#[test]
fn the_same_response_through_every_interface_is_a_duplicate() {
    use std::io::{BufRead, BufReader, Write};
    // The keys are unsorted, and the numbers have spellings that a parsed value loses.
    let usage =
        r#"{"output_tokens":1e1,"input_tokens":100,"z":123456789012345678901234567890,"cache_read_input_tokens":5}"#;
    let response = format!(r#"{{"usage":{usage},"id":"msg_p","model":"claude-opus-4-5"}}"#);
    let cli = TestCli::new();
    cli.ok_with_input(response.clone(), &["--now", NOW, "record", "--format", "anthropic"]);
    assert!(cli.ok(&["export", "--format", "events"]).contains(usage));
    let mut server = std::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
        .args(["--now", NOW, "mcp", "--allow-record"])
        .env_clear()
        .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
    let mut ask = move |line: &str, is_answered: bool| {
        writeln!(input, "{line}").unwrap();
        let mut answer = String::new();
        if is_answered {
            output.read_line(&mut answer).unwrap();
        }
        answer
    };
    ask(
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
        true,
    );
    ask(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, false);
    let call = format!(r#"{{"response":{response},"format":"anthropic"}}"#);
    let answer = ask(
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"record","arguments":{call}}}}}"#),
        true,
    );
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["result"]["structuredContent"]["duplicates"], 1, "{answer}");
    drop(ask);
    server.wait().unwrap();
    // `rpc` and the HTTP API read the same text.
    let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"record","params":{call}}}"#);
    let answer = cli.ok_with_input(request + "\n", &["--now", NOW, "rpc"]);
    assert!(answer.contains(r#""duplicates":1"#), "{answer}");
}
