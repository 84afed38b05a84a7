//! The HTTP API of `serve`, on real sockets: the shapes of `--json`, the guards, entity tags and the stream.

#![cfg(all(feature = "web", unix))]

use crate::cli_support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use cli_support::{TestCli, server};
use serde_json::{Value, json};

const NOW: &str = "2026-11-23T20:00:00Z";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A running server, which ends with the test.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// The kind of the problem and its remedy.
    fn problem(&self) -> (String, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let answer = self.json();
        assert_eq!(answer["status"], self.status, "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        assert!(!text("remedy").is_empty() && !text("title").is_empty() && !text("detail").is_empty(), "{answer}");
        (text("type").trim_start_matches("urn:usage-ledger:problem:").to_owned(), text("remedy"))
    }
}

impl Serving {
    pub(crate) fn start(cli: &TestCli, args: &[&str]) -> Self {
        let (child, address) = server::start(
            Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
                .args(["--json", "--tz", "UTC", "serve", "--listen", "127.0.0.1:0"])
                .args(args)
                .env_clear()
                .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())]),
        );
        Self { child, address }
    }

    pub(crate) fn open(&self, request: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut head = format!("{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if headers.iter().all(|(name, _)| *name != "host") {
            write!(head, "host: {}\r\n", self.address).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    pub(crate) fn send(&self, request: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut whole = String::new();
        self.open(request, headers, body).read_to_string(&mut whole).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET /api/v1/{path}"), &[], "")
    }

    fn post(&self, operation: &str, body: &Value) -> Reply {
        self.send(&format!("POST /api/v1/{operation}"), &[JSON], &body.to_string())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A ledger with a limit, two providers and a switch.
fn cli() -> TestCli {
    let cli = TestCli::new();
    for args in [
        vec!["limit", "set", "anthropic", "--session", "1000", "--weekly", "50000"],
        vec!["record", "--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "120", "--key", "msg_1"],
        vec!["switch", "ollama", "--reason", "rate limited"],
        vec!["record", "--provider", "ollama", "--model", "qwen3", "--input", "9", "--project", "acme"],
    ] {
        cli.at(NOW, &args);
    }
    cli
}

#[test]
fn answers_equal_those_of_the_command() {
    let cli = cli();
    cli.ok(&["key", "generate", cli.dir().join("api.key").to_str().unwrap()]);
    let key = cli.dir().join("api.key");
    let server = Serving::start(&cli, &["--now", NOW, "--key", key.to_str().unwrap()]);
    for (path, args) in [
        ("status", vec!["status"]),
        ("status?as_of=2", vec!["--as-of", "2", "status"]),
        ("gate?provider=anthropic&need=deep", vec!["gate", "anthropic", "--need", "deep"]),
        ("gate?provider=claude&tier=complex&model=m", vec!["gate", "claude", "--tier", "complex", "--model", "m"]),
        ("gate?as_of=2026-11-23T20:00:00Z", vec!["--as-of", "2026-11-23T20:00:00Z", "gate"]),
        ("report", vec!["report"]),
        (
            "report?by=day,model&by=project&provider=ollama",
            vec!["report", "--by", "day,model,project", "--provider", "ollama"],
        ),
        ("report?by=model&since=2026-11&until=2026-12&no_cost=true&as_of=4", {
            vec!["--as-of", "4", "report", "--by", "model", "--since", "2026-11", "--until", "2026-12", "--no-cost"]
        }),
        (
            "report?by=day&days=3&fill=true&outcomes=true",
            vec!["report", "--by", "day", "--days", "3", "--fill", "--outcomes"],
        ),
        ("proofs/inclusion?event=2", vec!["prove", "inclusion", "2", "--key", key.to_str().unwrap()]),
        ("proofs/consistency?old=1&new=3", vec!["prove", "consistency", "1", "3", "--key", key.to_str().unwrap()]),
        ("checkpoint", vec!["checkpoint", "--key", key.to_str().unwrap()]),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let run = cli.command().args(["--now", NOW, "--json"]).args(&args).output().unwrap();
        assert_eq!(answer.json(), serde_json::from_slice::<Value>(&run.stdout).unwrap(), "{path}");
    }
    let listed = server.get("events?kind=tokens_recorded").json();
    let lines = cli.ok(&["--json", "log", "--kind", "tokens_recorded"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed["events"], json!(lines));
}

#[test]
fn a_repeated_request_returns_the_existing_event() {
    let cli = TestCli::new();
    let server = Serving::start(&cli, &[]);
    let reservation = server.post("reserve", &json!({"provider": "openai", "tokens": 50, "key": "call 1"})).json();
    for (operation, body) in [
        ("record", json!({"provider": "openai", "model": "gpt-5", "input": 9, "key": "resp_1"})),
        ("record", json!({"provider": "openai", "input": 8, "id": "018c3f6e-0000-7000-8000-000000000000"})),
        ("switch", json!({"provider": "openai", "reason": "a try", "key": "1"})),
        ("settle", json!({"reservation": reservation["id"], "input": 40})),
    ] {
        let (first, second) = (server.post(operation, &body), server.post(operation, &body));
        assert_eq!((first.status, second.status), (200, 200), "{operation}: {first:?} {second:?}");
        let (first, second) = (first.json(), second.json());
        assert_eq!((&first["recorded"], &second["recorded"]), (&json!(1), &json!(0)), "{operation}");
        assert_eq!((&second["duplicates"], &second["positions"]), (&json!(1), &first["positions"]), "{operation}");
        assert_eq!(first["id"], second["id"]);
    }
    let again = server.post("reserve", &json!({"provider": "openai", "tokens": 50, "key": "call 1"})).json();
    assert_eq!(again, reservation);
    let other = server.post("record", &json!({"provider": "openai", "model": "gpt-5", "input": 10, "key": "resp_1"}));
    assert_eq!((other.status, other.problem().0), (409, "conflict".to_owned()));
    assert_eq!(other.json()["position"], 2);
    let lines = "{\"provider\":\"openai\",\"input\":1,\"key\":\"a\"}\n{\"provider\":\"openai\",\"input\":9,\"model\":\"gpt-5\",\"key\":\"resp_1\"}\n";
    let many = server.send("POST /api/v1/records", &[("content-type", "application/x-ndjson")], lines).json();
    assert_eq!(many, json!({"schema": 1, "recorded": 1, "duplicates": 1}));
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

#[test]
fn problem_documents_name_the_remedy() {
    let cli = cli();
    let server = Serving::start(&cli, &[]);
    let near = server.get("gate?provider=antropic");
    assert_eq!((near.status, near.problem().0.as_str()), (422, "unknown-provider"));
    assert_eq!(near.json()["candidates"], json!(["anthropic"]));
    assert!(near.problem().1.contains("allow_undeclared"));
    assert_eq!(server.get("gate?provider=antropic&allow_undeclared=true").status, 200);
    let reserve = json!({"provider": "antropic", "tokens": 5});
    assert_eq!(server.post("reserve", &reserve).status, 422);
    let allowed = json!({"provider": "antropic", "tokens": 5, "allow_undeclared": true});
    assert_eq!(server.post("reserve", &allowed).status, 200);
    let full = server.post("reserve", &json!({"provider": "anthropic", "tokens": 99_999}));
    assert_eq!((full.status, full.problem().0.as_str()), (429, "wait"));
    for (reply, status, kind) in [
        (server.get("report?by=dya"), 400, "invalid-input"),
        (server.get("report?days=0"), 400, "invalid-input"),
        (server.get("report?days=2&since=today"), 400, "invalid-input"),
        (server.get("events?limit=9999"), 400, "invalid-input"),
        (server.get("events?kind=tokens"), 400, "invalid-input"),
        (server.get("status?asof=1"), 400, "invalid-input"),
        (server.get("status?as_of=99"), 404, "not-found"),
        (server.get("proofs/inclusion?event=99"), 404, "not-found"),
        (server.get("checkpoint"), 409, "no-key"),
        (server.post("record", &json!({"provider": "openai"})), 400, "invalid-input"),
        (server.post("record", &json!({"provider": "openai", "inputs": 1})), 400, "invalid-input"),
        (server.post("release", &json!({"reservation": "018c3f6e-0000-7000-8000-000000000000"})), 404, "not-found"),
        (server.post("switch", &json!({"provider": "openai", "why": 1})), 400, "invalid-input"),
        (server.send("POST /api/v1/switch", &[JSON], "{\"provider\":"), 400, "invalid-input"),
        (server.send("POST /api/v1/record", &[], "{}"), 415, "unsupported-media-type"),
        (server.send("POST /api/v1/record", &[("content-type", "text/plain")], "{}"), 415, "unsupported-media-type"),
        (server.send("POST /api/v1/gate", &[JSON], "{}"), 405, "method-not-allowed"),
        (server.get("nothing"), 404, "not-found"),
    ] {
        assert_eq!((reply.status, reply.problem().0.as_str()), (status, kind), "{reply:?}");
    }
    let batch = json!({"records": [{"provider": "openai", "input": 1}, {"provider": "openai", "input": -1}]});
    assert_eq!(server.post("records", &batch).json()["record"], 2);
    // Refused requests write nothing: the ledger has four events and one reservation.
    assert_eq!(server.get("events").json()["head"], 5);
}

#[test]
fn the_api_is_behind_the_same_guards_as_the_pages() {
    let cli = cli();
    let record = json!({"provider": "openai", "input": 999_999}).to_string();
    let server = Serving::start(&cli, &[]);
    for (headers, status) in [
        (vec![JSON, ("host", "evil.example")], 403),
        (vec![JSON, ("origin", "http://evil.example")], 403),
        (vec![JSON, ("sec-fetch-site", "cross-site")], 403),
        (vec![JSON, ("content-encoding", "gzip")], 415),
    ] {
        let refused = server.send("POST /api/v1/record", &headers, &record);
        assert_eq!(refused.status, status, "{headers:?}");
        refused.problem();
    }
    let huge = format!("{{\"provider\":\"openai\",\"model\":\"{}\"}}", "m".repeat(17 << 20));
    assert_eq!(server.send("POST /api/v1/record", &[JSON], &huge).status, 413);
    // No GET request writes.
    for operation in ["record", "records", "switch", "reserve", "settle", "release", "scan"] {
        let refused = server.send(&format!("GET /api/v1/{operation}?provider=openai&input=1"), &[JSON], &record);
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")), "{operation}");
    }
    assert_eq!(server.get("events").json()["head"], 4);
    drop(server);

    let token = cli.dir().join("token");
    std::fs::write(&token, "correct-horse-battery-staple").unwrap();
    let server = Serving::start(&cli, &["--token-file", token.to_str().unwrap()]);
    let refused = server.get("status");
    assert_eq!((refused.status, refused.problem().0.as_str()), (401, "unauthorized"));
    let bearer = [("authorization", "Bearer correct-horse-battery-staple")];
    assert_eq!(server.send("GET /api/v1/status", &bearer, "").status, 200);
}

#[test]
fn an_etag_is_valid_until_the_next_append() {
    let cli = cli();
    let server = Serving::start(&cli, &["--now", NOW]);
    let paths = ["report", "report?days=7", "status", "gate?provider=anthropic", "events", "proofs/inclusion?event=1"];
    let tags: Vec<String> = paths.iter().map(|path| server.get(path).header("etag").unwrap().to_owned()).collect();
    let again = |path: &str, tag: &str| server.send(&format!("GET /api/v1/{path}"), &[("if-none-match", tag)], "");
    for (path, tag) in paths.iter().zip(&tags) {
        let same = again(path, tag);
        assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some(&**tag)), "{path}");
    }
    cli.at(NOW, &["record", "--provider", "anthropic", "--input", "5"]);
    for (path, tag) in paths.iter().zip(&tags) {
        let new = again(path, tag);
        assert_eq!(new.status, 200, "{path}");
        assert_ne!(new.header("etag"), Some(&**tag), "{path}");
    }
}

#[test]
fn a_gate_answer_that_depends_on_the_time_is_never_304() {
    let cli = TestCli::new();
    let server = Serving::start(&cli, &[]);
    let end = usage_ledger::Timestamp::from(chrono::Utc::now()).plus(2_000).to_string();
    cli.ok(&["pause", "--until", &end]);
    let shut = server.get("gate?provider=anthropic");
    assert_eq!(shut.json()["gated"], true);
    let tag = shut.header("etag").unwrap();
    // Nothing is appended; the pause expires.
    loop {
        let now = server.send("GET /api/v1/gate?provider=anthropic", &[("if-none-match", tag)], "");
        if now.status == 200 && now.json()["gated"] == false {
            break;
        }
        assert!(now.status == 304 || now.json()["gated"] == true, "{now:?}");
        thread::yield_now();
    }
}

/// Reads events of a stream: their ids and kinds.
fn follow(reader: &mut impl BufRead, count: usize) -> Vec<(u64, String)> {
    let (mut found, mut id, mut kind) = (Vec::new(), 0, String::new());
    let mut line = String::new();
    while found.len() < count {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the stream ended after {found:?}");
        if let Some(position) = line.strip_prefix("id: ") {
            id = position.trim().parse().unwrap();
        } else if let Some(name) = line.strip_prefix("event: ") {
            kind = name.trim().to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!((&data["position"], &data["event"]["kind"]), (&json!(id), &json!(kind)));
            found.push((id, kind.clone()));
        }
    }
    found
}

#[test]
fn an_event_stream_resumes_after_the_last_event_id() {
    let cli = cli();
    let server = Serving::start(&cli, &[]);
    let stream = |path: &str, headers: &[(&str, &str)]| {
        let mut reader = BufReader::new(server.open(&format!("GET /api/v1/events/stream{path}"), headers, ""));
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
        reader
    };
    let mut seen = stream("", &[("last-event-id", "2")]);
    assert_eq!(follow(&mut seen, 2), [(3, "provider_switched".to_owned()), (4, "tokens_recorded".to_owned())]);
    let mut switches = stream("?after=0&kind=provider_switched", &[]);
    assert_eq!(follow(&mut switches, 1), [(3, "provider_switched".to_owned())]);
    // Another program and the API both write.
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    assert_eq!(follow(&mut seen, 1), [(5, "tokens_recorded".to_owned())]);
    server.post("switch", &json!({"provider": "anthropic"}));
    assert_eq!(follow(&mut seen, 1), [(6, "provider_switched".to_owned())]);
    assert_eq!(follow(&mut switches, 1), [(6, "provider_switched".to_owned())]);
    let beyond = server.send("GET /api/v1/events/stream", &[("last-event-id", "99")], "");
    assert_eq!((beyond.status, beyond.problem().0.as_str()), (404, "not-found"));
    // A header that is no text is no position either: a stream from the end would miss events.
    for wrong in ["x", "\u{e9}"] {
        assert_eq!(server.send("GET /api/v1/events/stream", &[("last-event-id", wrong)], "").status, 400, "{wrong:?}");
    }
}

#[test]
fn after_the_file_is_replaced_no_request_is_acknowledged() {
    let cli = cli();
    let server = Serving::start(&cli, &[]);
    assert_eq!(server.post("record", &json!({"provider": "openai", "input": 1, "key": "a"})).status, 200);
    for name in ["usage.db", "usage.db-wal", "usage.db-shm"] {
        let _ = std::fs::rename(cli.dir().join(name), cli.dir().join(format!("{name}.away")));
    }
    let body = json!({"provider": "openai", "input": 2, "key": "b"});
    let refused = server.post("record", &body);
    assert_eq!((refused.status, refused.problem().0.as_str()), (503, "unavailable"), "{refused:?}");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn the_document_describes_every_route() {
    let cli = TestCli::new();
    let server = Serving::start(&cli, &[]);
    let document = server.get("openapi.json").json();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..2]), Some("3."));
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 29);
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let reply = server.send(&format!("{} {path}", method.to_uppercase()), &[JSON, ("last-event-id", "x")], "");
            assert!(reply.status != 404 && reply.status != 405, "{method} {path}: {reply:?}");
            assert!(operation["responses"][reply.status.to_string()].is_object(), "{method} {path}: {reply:?}");
        }
    }
}
