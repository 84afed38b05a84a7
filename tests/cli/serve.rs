//! `serve` with hostile and careless clients: foreign pages, slow senders, floods, and shutdown.

#![cfg(all(feature = "web", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cli_support::{TestCli, server};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

const CLAUDE: &str = include_str!("../fixtures/otlp/claude-code-logs.json");
const TOKEN: &str = "correct-horse-battery-staple";

struct Serving {
    child: Child,
    address: SocketAddr,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Serving {
    fn start(cli: &TestCli) -> Self {
        Self::with(cli, &["--listen", "127.0.0.1:0"], &[])
    }

    fn with(cli: &TestCli, args: &[&str], env: &[(&str, &str)]) -> Self {
        let (mut child, address) = server::start(
            Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
                .args(["--json", "serve", "--otlp"])
                .args(args)
                .env_clear()
                .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
                .envs(env.iter().copied())
                .stderr(Stdio::piped()),
        );
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], address.port())), stderr }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request with these headers and returns status, head and body of the response.
    fn send(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, String) {
        let mut stream = self.connect();
        let mut head = format!("{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let _ = stream.write_all(body); // a refusal may come before the end of the body
        answer(&mut stream)
    }

    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, String) {
        let host = self.address.to_string();
        let own = [("host", &*host), ("content-type", "application/json")];
        self.send("POST /v1/logs", &[&own, headers].concat(), body)
    }

    fn received(&self) -> Value {
        serde_json::from_str(&self.send("GET /", &[("host", "localhost")], b"").2).unwrap()
    }

    /// Sends a signal and returns the time until the process ends.
    fn end(&mut self, signal: &str) -> Duration {
        let started = Instant::now();
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        started.elapsed()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(stream: &mut TcpStream) -> (u16, String, String) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    // A server that closes before it read everything resets the connection after its response.
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn recorded(cli: &TestCli) -> u64 {
    cli.json(&["report", "--by", "model"])["total"]["requests"].as_u64().unwrap()
}

#[test]
fn a_page_cannot_record_through_the_browser() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let port = serving.address.port();
    let own = format!("127.0.0.1:{port}");
    let send = |headers: &[(&str, &str)]| serving.send("POST /v1/logs", headers, CLAUDE.as_bytes());
    let kind = ("content-type", "application/json");
    // A page whose host name resolves to this machine.
    let rebound = format!("rebind.evil.example:{port}");
    let origin = format!("http://{rebound}");
    for headers in [
        vec![("host", &*rebound), kind],
        vec![("host", &*rebound), ("origin", &*origin), kind],
        vec![("host", &*own), ("origin", "http://evil.example"), kind],
        vec![("host", &*own), ("origin", "null"), kind],
        vec![("host", &*own), ("origin", "http://localhost:3000"), kind],
        vec![("host", &*own), ("sec-fetch-site", "cross-site"), kind],
    ] {
        let (status, _, body) = send(&headers);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["code"]), (403, &7.into()), "{headers:?}");
    }
    assert_eq!(serving.send("GET /", &[("host", &rebound)], b"").0, 403);
    assert_eq!(serving.send("GET http://evil.example/", &[("host", &own)], b"").0, 400);
    assert_eq!(send(&[kind]).0, 400); // no Host
    assert_eq!(send(&[("host", &own), ("host", "localhost"), kind]).0, 400);
    // The content types that a form can send without a preflight are refused.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        assert_eq!(send(&[("host", &own), ("content-type", kind)]).0, 415);
    }
    let (status, head, _) = serving.send("OPTIONS /v1/logs", &[("host", &own), ("origin", "http://evil.example")], b"");
    assert!(status == 403 && !head.contains("access-control"), "{head}");
    assert_eq!(recorded(&cli), 0);
    // Requests of programs, and of the server's own pages.
    let origin = format!("http://{own}");
    assert_eq!(send(&[("host", &own), ("origin", &origin), kind]).0, 200);
    assert_eq!(recorded(&cli), 2);
    for host in ["localhost", "LocalHost:1", "[::1]:9"] {
        let (status, head, _) = serving.send("GET /", &[("host", host)], b"");
        assert!(status == 200 && head.contains("nosniff") && head.contains("frame-ancestors"), "{host}: {head}");
    }
    let (status, head, body) = serving.send("GET /nowhere", &[("host", "localhost")], b"");
    assert!(status == 404 && head.contains("application/problem+json") && body.contains("\"detail\""), "{head} {body}");
}

#[test]
fn requests_on_other_addresses_than_loopback_need_the_token() {
    let cli = TestCli::new();
    let listen = ["--listen", "0.0.0.0:0"];
    let bearer = |token: &str| format!("Bearer {token}");
    // Without a given token, a new one is made and printed once.
    let mut serving = Serving::with(&cli, &listen, &[]);
    let mut line = String::new();
    serving.stderr.read_line(&mut line).unwrap();
    let made = line.trim().rsplit("Bearer ").next().unwrap().to_owned();
    assert_eq!(made.len(), 43, "{line}");
    for headers in [vec![], vec![("authorization", "Bearer wrong")], vec![("authorization", &*made)]] {
        let (status, head, body) = serving.post(&headers, CLAUDE.as_bytes());
        assert!(status == 401 && head.contains("www-authenticate: bearer") && !body.contains(&made), "{head} {body}");
    }
    assert_eq!(serving.send("GET /", &[("host", "localhost")], b"").0, 401);
    assert_eq!(recorded(&cli), 0);
    assert_eq!(serving.post(&[("authorization", &bearer(&made))], CLAUDE.as_bytes()).0, 200);
    assert_eq!(recorded(&cli), 2);
    // A page under a foreign host name is refused before the token is checked.
    assert_eq!(serving.send("GET /", &[("host", "evil.example")], b"").0, 403);
    serving.end("-TERM");
    // The token from a file or the environment is also needed on loopback, and never printed.
    let file = cli.dir().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let file = ["--token-file", file.to_str().unwrap()];
    let env = [("USAGE_LEDGER_TOKEN", TOKEN)];
    let loopback = ["--listen", "127.0.0.1:0", "--host", "ledger.example"];
    for (args, env) in [([listen, file].concat(), &[][..]), (listen.to_vec(), &env), (loopback.to_vec(), &env)] {
        let mut serving = Serving::with(&cli, &args, env);
        assert_eq!(serving.post(&[], CLAUDE.as_bytes()).0, 401);
        assert_eq!(serving.post(&[("authorization", &bearer(TOKEN))], CLAUDE.as_bytes()).0, 200);
        let named = [("host", "ledger.example"), ("authorization", &*bearer(TOKEN))];
        assert_eq!(serving.send("GET /", &named, b"").0, if args.contains(&"--host") { 200 } else { 403 });
        serving.end("-TERM");
        let mut stderr = String::new();
        serving.stderr.read_to_string(&mut stderr).unwrap();
        serving.child.stdout.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(!stderr.contains(TOKEN), "{stderr}");
    }
    let short = cli.command().args(["serve", "--otlp"]).env("USAGE_LEDGER_TOKEN", "hunter2").assert().code(2);
    let stderr = String::from_utf8_lossy(&short.get_output().stderr).into_owned();
    assert!(stderr.contains("USAGE_LEDGER_TOKEN") && !stderr.contains("hunter2"), "{stderr}");
    assert!(!cli.ok(&["serve", "--help"]).contains(TOKEN));
}

#[test]
fn the_server_ends_in_time_whatever_clients_do() {
    for signal in ["-TERM", "-INT"] {
        let cli = TestCli::new();
        let mut serving = Serving::start(&cli);
        let half = |text: &str| {
            let mut stream = serving.connect();
            stream.write_all(text.as_bytes()).unwrap();
            stream
        };
        let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        let mut body = half(&format!("{head}content-length: 1000\r\n\r\n{{"));
        let _others = [
            half(""),
            half("POST /v1/lo"),
            half(&head[..head.len() - 3]),
            half(&format!("{head}transfer-encoding: chunked\r\n\r\n5\r\nab")),
            half("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        ];
        // The server has received these requests once it answers a later one.
        serving.post(&[], CLAUDE.as_bytes());
        let took = serving.end(signal);
        assert!(took < Duration::from_secs(5), "{signal} took {took:?}");
        let (status, _, why) = answer(&mut body);
        assert!(status == 503 && why.contains("ending"), "{why}");
        assert_eq!(recorded(&cli), 2);
    }
}

#[test]
fn the_server_ends_in_time_while_another_process_writes() {
    let cli = TestCli::new();
    let mut serving = Serving::start(&cli);
    let other = rusqlite::Connection::open(cli.ledger()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting: Vec<TcpStream> = (0..4).map(|_| serving.connect()).collect();
    for stream in &mut waiting {
        let length = CLAUDE.len();
        let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{CLAUDE}").as_bytes()).unwrap();
    }
    // Queries are answered meanwhile.
    assert_eq!(serving.received()["recorded"], 0);
    let took = serving.end("-TERM");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for stream in &mut waiting {
        assert_eq!(answer(stream).0, 503);
    }
}

#[test]
fn slow_senders_are_disconnected_after_ten_seconds() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let dribble = |begin: String, rest: String| {
        let mut stream = serving.connect();
        thread::spawn(move || {
            let began = Instant::now();
            stream.write_all(begin.as_bytes()).unwrap();
            let mut sender = stream.try_clone().unwrap();
            let sending = thread::spawn(move || {
                for byte in rest.into_bytes() {
                    if sender.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_secs(1));
                }
            });
            let (status, _, why) = answer(&mut stream);
            let took = began.elapsed();
            let _ = stream.shutdown(Shutdown::Both);
            sending.join().unwrap();
            (status, why, took)
        })
    };
    let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let senders = [
        dribble("POST /v1/logs HTTP/1.1\r\n".to_owned(), "x-slow: ".to_owned() + &"a".repeat(60)),
        dribble(format!("{head}content-length: 1000\r\n\r\n"), " ".repeat(60)),
        dribble(format!("{head}transfer-encoding: chunked\r\n\r\n"), "1\r\n \r\n".repeat(10)),
        // Six seconds for the head leave four for the body.
        dribble(format!("{head}content-length: 1000\r\nx: "), format!("ab\r\n\r\n{}", " ".repeat(60))),
        dribble("G".to_owned(), String::new()),
    ];
    for sender in senders {
        let (status, why, took) = sender.join().unwrap();
        assert_eq!(status, 408, "{why}");
        assert!(why.contains("10 s"), "{why}");
        assert!((9.0..12.0).contains(&took.as_secs_f64()), "{took:?}");
    }
    assert_eq!(serving.post(&[], CLAUDE.as_bytes()).0, 200);
}

#[test]
fn gzip_is_unpacked_within_bounds() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let pack = |content: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let post = |body: &[u8]| serving.post(&[("content-encoding", "gzip")], body);
    let members = [pack(CLAUDE.as_bytes()), pack(b" ").repeat(9_999)].concat();
    let (status, _, why) = post(&members);
    assert!(status == 413 && why.contains("members"), "{why}");
    let empty = pack(b"").repeat(10_000);
    assert_eq!(post(&empty).0, 413);
    for size in [2 << 20, 64 << 20] {
        let (status, _, why) = post(&pack(&vec![b' '; size]));
        assert!(status == 413 && why.contains("unpacked"), "{why}");
    }
    assert_eq!(post(&pack(CLAUDE.as_bytes())[..100]).0, 400);
    assert_eq!(recorded(&cli), 0);
    assert_eq!(post(&pack(CLAUDE.as_bytes())).0, 200);
    assert_eq!(recorded(&cli), 2);
}

#[test]
fn connections_and_bytes_in_flight_are_bounded() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let mut idle: Vec<TcpStream> = (0..256).map(|_| serving.connect()).collect();
    let (status, head, why) = answer(&mut serving.connect());
    assert!(status == 503 && head.contains("retry-after") && why.contains("256"), "{head} {why}");
    idle.clear();
    // The server notices closed connections with a delay.
    let patience = Instant::now();
    while serving.post(&[], CLAUDE.as_bytes()).0 != 200 {
        assert!(patience.elapsed() < Duration::from_secs(20));
    }
    let large = 15 << 20;
    let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let head = format!("{head}content-length: {}\r\n\r\n", large + 1);
    let filling: Vec<_> = (0..5)
        .map(|_| {
            let (mut stream, head) = (serving.connect(), head.clone());
            thread::spawn(move || {
                stream.write_all(head.as_bytes()).unwrap();
                // Refused senders are disconnected.
                let sent = stream.write_all(&vec![b' '; large]);
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes);
                (sent.is_ok(), String::from_utf8_lossy(&bytes).into_owned())
            })
        })
        .collect();
    let answers: Vec<_> = filling.into_iter().map(|one| one.join().unwrap()).collect();
    let refused = answers.iter().filter(|(_, answer)| answer.starts_with("HTTP/1.1 429")).count();
    assert!(refused >= 1, "{answers:?}");
    assert_eq!(serving.post(&[], CLAUDE.as_bytes()).0, 200);
}

#[test]
fn the_number_of_names_in_memory_is_bounded() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let long = "m".repeat(5_000);
    let metrics = |from: usize, model: &dyn Fn(usize) -> String| {
        let points: Vec<Value> = (from..from + 3_000)
            .map(|number| {
                json!({"timeUnixNano": "1780308000000000000", "startTimeUnixNano": "1780307000000000000", "asInt": "1",
                    "attributes": [{"key": "type", "value": {"stringValue": "input"}},
                        {"key": "model", "value": {"stringValue": model(number)}}]})
            })
            .collect();
        let sum =
            json!({"name": "claude_code.token.usage", "sum": {"aggregationTemporality": 1, "dataPoints": points}});
        json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [sum]}]}]}).to_string()
    };
    let host = [("host", "localhost"), ("content-type", "application/json")];
    for from in [0, 3_000, 6_000, 9_000, 12_000] {
        let body = metrics(from, &|number| format!("model-{number}"));
        let (status, _, answer) = serving.send("POST /v1/metrics", &host, body.as_bytes());
        assert_eq!(status, 200);
        assert_eq!(answer.contains("10000 series"), from >= 9_000, "{answer}");
    }
    serving.send("POST /v1/metrics", &host, metrics(0, &|number| format!("{long}{}", number % 2)).as_bytes());
    let received = serving.received();
    let sums = received["sums"].as_array().unwrap();
    assert!(sums.len() <= 1_001, "{}", sums.len());
    let stated: u64 = sums.iter().map(|sum| sum["stated"].as_u64().unwrap()).sum();
    assert_eq!(stated, 10_000);
    assert!(sums.iter().all(|sum| sum["model"].as_str().unwrap().len() <= 200));
    assert!(received["reasons"].as_array().unwrap().len() <= 100);
}

/// Waits until something holds, at most a minute.
fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_end_of_the_server_does_not_wait_for_the_command_of_an_alert() {
    let cli = TestCli::new();
    let config = cli.dir().join("config.toml");
    let begun = cli.dir().join("begun");
    std::fs::write(&config, format!("[alerts]\ncommand = \"touch {} && exec sleep 50\"\n", begun.display())).unwrap();
    cli.ok(&["limit", "set", "openai", "--session", "100"]);
    cli.ok(&["alert", "set", "openai", "--session", "50"]);
    cli.ok(&["record", "--provider", "openai", "--input", "90"]);
    let config = [("USAGE_LEDGER_CONFIG", config.to_str().unwrap())];
    let mut serving = Serving::with(&cli, &["--listen", "127.0.0.1:0"], &config);
    until("the command", || begun.exists());
    let took = serving.end("-TERM");
    assert!(took < Duration::from_secs(5), "{took:?}");
    // The attempt is repeated later.
    let list = cli.json(&["alert", "list"]);
    assert_eq!(list["fired"][0]["deliveries"][0]["state"], "failed", "{list}");
}

#[test]
fn the_end_of_the_server_does_not_wait_for_an_import() {
    let cli = TestCli::new();
    let logs = cli.dir().join(".claude/projects/-home-me-acme");
    std::fs::create_dir_all(&logs).unwrap();
    cli.ok(&["record", "--provider", "openai", "--input", "90"]);
    let mut serving = Serving::with(&cli, &["--listen", "127.0.0.1:0", "--open"], &[]);
    let other = rusqlite::Connection::open(cli.ledger()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let line = r#"{"type":"assistant","timestamp":"2026-11-23T19:00:00.000Z","sessionId":"s","requestId":"r","message":{"id":"m","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}"#;
    std::fs::write(logs.join("s.jsonl"), format!("{line}\n")).unwrap();
    // The next import begins within five seconds, and then waits for the lock.
    thread::sleep(Duration::from_millis(6_500));
    let took = serving.end("-TERM");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
