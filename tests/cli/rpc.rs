//! `rpc`: the operations over standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::cli_support::TestCli;

const NOW: &str = "2026-11-23T20:00:00Z";

/// A running process, which ends with the test.
pub(crate) struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    last: u64,
}

impl Session {
    pub(crate) fn start(cli: &TestCli, args: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["--tz", "UTC", "rpc"])
            .args(args)
            .env_clear()
            .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self { child, input, output, last: 0 }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The answer to a request, with the id of that request.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        let answer = self.line();
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(id)), "{answer}");
        answer
    }

    pub(crate) fn result(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.ask(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The code and the problem.
    pub(crate) fn error(&mut self, method: &str, params: &Value) -> (i64, Value) {
        let answer = self.ask(method, params);
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        refused(&answer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(answer: &Value) -> (i64, Value) {
    let data = &answer["error"]["data"];
    for name in ["title", "detail", "remedy"] {
        assert!(!data[name].as_str().unwrap().is_empty(), "{answer}");
    }
    assert_eq!(answer["error"]["message"], data["detail"], "{answer}");
    (answer["error"]["code"].as_i64().unwrap(), data.clone())
}

#[test]
fn answers_equal_those_of_the_command() {
    let cli = TestCli::new();
    let key = cli.dir().join("rpc.key");
    cli.ok(&["key", "generate", key.to_str().unwrap()]);
    cli.at(NOW, &["limit", "set", "anthropic", "--session", "1000", "--weekly", "50000"]);
    cli.at(NOW, &["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "120"]);
    cli.at(NOW, &["switch", "ollama", "--reason", "rate limited"]);
    let mut session = Session::start(&cli, &["--now", NOW, "--key", key.to_str().unwrap()]);
    for (method, params, args) in [
        ("status", json!({}), vec!["status"]),
        ("status", json!({"as_of": "2"}), vec!["--as-of", "2", "status"]),
        ("gate", json!({"provider": "anthropic", "need": "deep"}), vec!["gate", "anthropic", "--need", "deep"]),
        ("gate", json!({"as_of": "2"}), vec!["--as-of", "2", "gate"]),
        ("report", json!({"by": ["day,model"]}), vec!["report", "--by", "day,model"]),
        ("report", json!({"days": 3, "by": ["day"], "fill": true}), {
            vec!["report", "--days", "3", "--by", "day", "--fill"]
        }),
        ("proof", json!({"event": "2"}), vec!["prove", "inclusion", "2", "--key", key.to_str().unwrap()]),
        ("proof", json!({"old": 1, "new": 3}), {
            vec!["prove", "consistency", "1", "3", "--key", key.to_str().unwrap()]
        }),
        ("checkpoint", json!({}), vec!["checkpoint", "--key", key.to_str().unwrap()]),
    ] {
        let run = cli.command().args(["--now", NOW, "--json"]).args(&args).output().unwrap();
        let printed: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(session.result(method, &params), printed, "{method} {params}");
    }
    let lines = cli.ok(&["--json", "log"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(session.result("events", &json!({}))["events"], json!(lines));
    let version = session.result("version", &json!({}));
    assert_eq!(version, json!({"schema": 1, "name": "usage-ledger", "version": env!("CARGO_PKG_VERSION")}));
}

#[test]
fn a_repeated_change_returns_the_existing_event() {
    let cli = TestCli::new();
    let mut session = Session::start(&cli, &[]);
    let wanted = json!({"provider": "openai", "tokens": 50, "key": "call 1"});
    let reservation = session.result("reserve", &wanted);
    assert_eq!(session.result("reserve", &wanted), reservation);
    let other = session.result("reserve", &json!({"provider": "openai", "tokens": 5}));
    for (method, params) in [
        ("record", json!({"provider": "openai", "model": "gpt-5", "input": 9, "key": "resp_1"})),
        ("switch", json!({"provider": "openai", "reason": "a try", "key": "1"})),
        ("settle", json!({"reservation": reservation["id"], "input": 40})),
        ("release", json!({"reservation": other["id"]})),
    ] {
        let (first, second) = (session.result(method, &params), session.result(method, &params));
        assert_eq!((&first["recorded"], &second["recorded"]), (&json!(1), &json!(0)), "{method}");
        assert_eq!((&second["duplicates"], &second["positions"]), (&json!(1), &first["positions"]), "{method}");
    }
    let batch = json!({"records": [
        {"provider": "openai", "model": "gpt-5", "input": 9, "key": "resp_1"},
        {"provider": "openai", "input": 1, "key": "b"},
    ]});
    assert_eq!(session.result("records", &batch), json!({"schema": 1, "recorded": 1, "duplicates": 1}));
    let listed = session.result("events", &json!({"kind": ["tokens_recorded"], "limit": 1}));
    assert_eq!(listed["events"][0]["event"]["source"], "rpc");
    // Another process sees the events.
    assert_eq!(cli.json(&["verify"])["ok"], true);
    assert_eq!(cli.json(&["report"])["total"]["requests"], 3);
}

#[test]
fn an_error_names_the_remedy() {
    let cli = TestCli::new();
    cli.ok(&["limit", "set", "anthropic", "--session", "1000"]);
    let mut session = Session::start(&cli, &[]);
    let near = session.error("gate", &json!({"provider": "antropic"}));
    assert_eq!((near.0, &near.1["candidates"]), (-32_001, &json!(["anthropic"])));
    assert!(near.1["remedy"].as_str().unwrap().contains("allow_undeclared"));
    assert_eq!(near.1["type"], "urn:usage-ledger:problem:unknown-provider");
    for (method, params, code) in [
        ("gate", json!({"providr": "anthropic"}), -32_602),
        ("gate", json!(["anthropic"]), -32_602),
        ("status", json!({"as_of": "99"}), -32_002),
        ("reserve", json!({"provider": "anthropic", "tokens": 99_999}), -32_004),
        ("checkpoint", json!({}), -32_005),
        ("proof", json!({}), -32_602),
        ("proof", json!({"event": "1", "old": 1}), -32_602),
        ("proof", json!({"event": "99"}), -32_002),
        ("version", json!({"of": "x"}), -32_602),
        ("record", json!({"provider": "openai"}), -32_602),
        ("scan", json!({"provider": "openai"}), -32_602),
        ("gat", json!({}), -32_601),
    ] {
        assert_eq!(session.error(method, &params).0, code, "{method} {params}");
    }
    let batch = json!({"records": [{"provider": "openai", "input": 1}, {"provider": "openai", "input": -1}]});
    assert_eq!(session.error("records", &batch).1["record"], 2);
    session.result("record", &json!({"provider": "openai", "input": 1, "key": "k"}));
    let taken = session.error("record", &json!({"provider": "openai", "input": 2, "key": "k"}));
    assert_eq!((taken.0, &taken.1["position"]), (-32_003, &json!(2)));
    // Refused requests write nothing.
    assert_eq!(session.result("events", &json!({}))["head"], 2);
}

#[test]
fn a_refusal_of_the_provider_shuts_the_gate() {
    let cli = TestCli::new();
    let mut session = Session::start(&cli, &["--now", NOW]);
    let text = "HTTP 429 Too Many Requests\nRetry-After: 120\n{\"error\":{\"message\":\"Rate limit reached\"}}";
    let refusal = json!({"provider": "anthropic", "text": text, "stream": "stderr", "key": "req_1"});
    let found = session.result("scan", &refusal);
    assert_eq!((&found["exhausted"], &found["position"]), (&json!(true), &json!(1)));
    assert_eq!(session.result("scan", &refusal), found);
    let mut scan = cli.command();
    scan.args(["--now", NOW, "--json", "scan-output", "anthropic", "--stream", "stderr", "--dry-run"]);
    let printed = scan.write_stdin(text).output().unwrap();
    let mut printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    printed["position"] = json!(1);
    assert_eq!(found, printed);
    let gate = session.result("gate", &json!({"provider": "anthropic"}));
    // Ten minutes after the reset the provider is asked again.
    assert_eq!((&gate["gated"], &gate["resumes_at"]), (&json!(true), &json!("2026-11-23T20:12:00.000Z")));
}

#[test]
fn a_malformed_request_is_answered_and_the_next_one_is_read() {
    let cli = TestCli::new();
    let mut session = Session::start(&cli, &[]);
    for (line, code, id) in [
        ("{\"jsonrpc\":", -32_700, json!(null)),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gate\"} x", -32_700, json!(null)),
        ("7", -32_600, json!(null)),
        ("[]", -32_600, json!(null)),
        ("{\"id\":1,\"method\":\"version\"}", -32_600, json!(1)),
        ("{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"version\"}", -32_600, json!("a")),
        ("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":5}", -32_600, json!(2)),
        ("{\"jsonrpc\":\"2.0\",\"id\":[2],\"method\":\"version\"}", -32_600, json!(null)),
        ("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"report\",\"parms\":{}}", -32_600, json!(3)),
        ("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"nothing\"}", -32_601, json!(null)),
    ] {
        session.send(line);
        let answer = session.line();
        assert_eq!((refused(&answer).0, &answer["id"]), (code, &id), "{line}: {answer}");
    }
    // An overlong line is skipped.
    let long = format!("{{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"{}\"}}", "m".repeat(17 << 20));
    session.send(&long);
    assert_eq!(refused(&session.line()).0, -32_600);
    // A request without an id is executed but not answered; blank lines are ignored.
    session.send("\n{\"jsonrpc\":\"2.0\",\"method\":\"record\",\"params\":{\"provider\":\"openai\",\"input\":1}}");
    session.send(
        "[{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"version\"},{\"jsonrpc\":\"2.0\",\"method\":\"version\"},\
         {\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"events\"},1]",
    );
    let answers = session.line();
    assert_eq!(answers.as_array().unwrap().len(), 3, "{answers}");
    assert_eq!((&answers[0]["id"], &answers[1]["result"]["head"]), (&json!(5), &json!(1)), "{answers}");
    assert_eq!(refused(&answers[2]).0, -32_600);
}

#[test]
fn the_process_ends_with_its_input() {
    let cli = TestCli::new();
    let mut session = Session::start(&cli, &[]);
    session.result("record", &json!({"provider": "openai", "input": 1}));
    // The last request has no line break.
    let mut input = session.input.take().unwrap();
    write!(input, "{{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"version\"}}").unwrap();
    drop(input);
    assert_eq!(session.line()["id"], "last");
    assert_eq!(session.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_closed_output_ends_the_process() {
    let cli = TestCli::new();
    let mut session = Session::start(&cli, &[]);
    session.result("record", &json!({"provider": "openai", "input": 1}));
    drop(session.output.take());
    // A test that starts a process at this moment has a copy of the output for a short while, so one answer may still fit.
    let status = loop {
        if let Some(status) = session.child.try_wait().unwrap() {
            break status;
        }
        // A write fails once the process has ended.
        let _ = writeln!(session.input.as_mut().unwrap(), "{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"version\"}}");
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

#[test]
fn a_parameter_selects_a_past_state() {
    let cli = TestCli::new();
    let run = cli.command().args(["--as-of", "1", "rpc"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
}
