//! `serve --otlp`: telemetry is recorded once, also if a log has the same call, and is durable when it is acknowledged.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use cli_support::TestCli;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde_json::{Value, json};

const CLAUDE: &str = include_str!("../fixtures/otlp/claude-code-logs.json");
const CODEX: &str = include_str!("../fixtures/otlp/codex-logs.json");
const GEMINI: &str = include_str!("../fixtures/otlp/gemini-cli-logs.json");
const SPANS: &str = include_str!("../fixtures/otlp/genai-spans.json");
const DETAILS: &str = include_str!("../fixtures/otlp/genai-logs.json");
const METRICS: &str = include_str!("../fixtures/otlp/metrics.json");

/// The examined part of `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// A receiver, which is killed at the end of the test unless it was stopped before.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(cli: &TestCli) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["--json", "serve", "--otlp", "--listen", "127.0.0.1:0"])
            .env_clear()
            .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        Self { child, url: answer["listening"].as_str().unwrap().to_owned() }
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, Vec<u8>) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body.as_ref()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
    }

    /// Sends JSON, and returns the response.
    fn json(&self, path: &str, body: &str) -> Value {
        let (status, answer) = self.post(path, &[("content-type", "application/json")], body);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    fn received(&self) -> Value {
        serde_json::from_str(&ureq::get(&self.url).call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests and tokens of all classes by a key.
fn by(cli: &TestCli, key: &str) -> Vec<(String, u64, [u64; 5])> {
    let report = cli.json(&["report", "--by", key]);
    let row = |row: &Value| {
        let count = |class: &str| row["tokens"][class].as_u64().unwrap();
        let tokens = ["input", "cache_read", "cache_write", "output", "reasoning"].map(count);
        (row[key].as_str().unwrap_or_default().to_owned(), row["requests"].as_u64().unwrap(), tokens)
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

fn models(cli: &TestCli) -> Vec<(String, u64, [u64; 5])> {
    by(cli, "model")
}

const OPUS: [u64; 5] = [3, 1_500, 400, 120, 0];
const HAIKU: [u64; 5] = [250, 0, 0, 12, 0];

fn claude_models() -> Vec<(String, u64, [u64; 5])> {
    vec![("claude-haiku-4-5-20251001".to_owned(), 1, HAIKU), ("claude-opus-4-5-20251101".to_owned(), 1, OPUS)]
}

#[test]
fn calls_of_agents_and_instrumentations_are_recorded() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    for logs in [CLAUDE, CODEX, GEMINI] {
        assert_eq!(serving.json("/v1/logs", logs), json!({}));
    }
    let answer = serving.json("/v1/traces", SPANS);
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("`summon`"), "{answer}");
    // The span of the same call exists already.
    assert_eq!(serving.json("/v1/logs", DETAILS), json!({}));
    let mut expected = claude_models();
    expected.extend([
        ("gemini-3-pro".to_owned(), 1, [620, 300, 0, 50, 70]),
        ("gpt-5-2025-08-07".to_owned(), 1, [300, 100, 0, 30, 20]),
        ("gpt-5-mini".to_owned(), 1, [300, 0, 0, 40, 0]),
        ("gpt-5.2-codex".to_owned(), 2, [600, 1_600, 0, 90, 30]),
        ("text-embedding-3-small".to_owned(), 1, [64, 0, 0, 0, 0]),
    ]);
    assert_eq!(models(&cli), expected);
    let agents: Vec<_> = by(&cli, "agent").into_iter().map(|(agent, calls, _)| (agent, calls)).collect();
    let agents: Vec<_> = agents.iter().map(|(agent, calls)| (&**agent, *calls)).collect();
    assert_eq!(agents, [("claude-code", 2), ("codex", 2), ("gemini-cli", 1), ("support-bot", 3)]);
    let providers: Vec<_> = by(&cli, "provider").into_iter().map(|(provider, calls, _)| (provider, calls)).collect();
    let count = |name: &str| providers.iter().find(|(provider, _)| provider == name).map(|(_, calls)| *calls);
    assert_eq!((count("anthropic"), count("google"), count("openai")), (Some(2), Some(1), Some(5)));
    // Reported cost and duration are recorded; user identity and conversation text are not.
    let exported = cli.ok(&["export"]);
    assert!(exported.contains(r#""cost":"0.0063""#) && exported.contains(r#""duration_ms":3120"#), "{exported}");
    assert!(!exported.contains("someone@example.com") && !exported.contains("secret"), "{exported}");
    let received = serving.received();
    assert_eq!((&received["recorded"], &received["unread"]), (&8.into(), &1.into()));
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

#[test]
fn protobuf_and_gzip_equal_json() {
    let (plain, cli) = (TestCli::new(), TestCli::new());
    Serving::start(&plain).json("/v1/logs", CLAUDE);
    let serving = Serving::start(&cli);
    let logs: ExportLogsServiceRequest = serde_json::from_str(CLAUDE).unwrap();
    let kind = ("content-type", "application/x-protobuf");
    let (status, answer) = serving.post("/v1/logs", &[kind], logs.encode_to_vec());
    assert_eq!((status, ExportLogsServiceResponse::decode(&*answer).unwrap().partial_success), (200, None));
    assert_eq!(models(&cli), models(&plain));
    let spans: ExportTraceServiceRequest = serde_json::from_str(SPANS).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&spans.encode_to_vec()).unwrap();
    let (status, answer) = serving.post("/v1/traces", &[kind, ("content-encoding", "gzip")], packed.finish().unwrap());
    let partial = ExportTraceServiceResponse::decode(&*answer).unwrap().partial_success.unwrap();
    assert_eq!((status, partial.rejected_spans), (200, 1));
    assert_eq!(models(&cli).len(), 5);
}

#[test]
fn a_resent_batch_counts_once_across_processes() {
    let cli = TestCli::new();
    {
        let serving = Serving::start(&cli);
        for _ in 0..2 {
            serving.json("/v1/logs", CLAUDE);
            serving.json("/v1/logs", CODEX);
        }
        assert_eq!(serving.received()["known"], 4);
        // After a kill, everything acknowledged is in the file.
    }
    let before = cli.ok(&["export"]);
    let serving = Serving::start(&cli);
    serving.json("/v1/logs", CLAUDE);
    serving.json("/v1/logs", CODEX);
    assert_eq!(serving.received()["recorded"], 0);
    assert_eq!(cli.ok(&["export"]), before);
    assert_eq!(by(&cli, "agent")[1], ("codex".to_owned(), 2, [600, 1_600, 0, 90, 30]));
}

/// A home with the logs of the agents that sent the telemetry.
fn home(cli: &TestCli) -> PathBuf {
    let home = cli.dir().join("home");
    let claude = home.join(".claude/projects/-home-me-acme");
    fs::create_dir_all(&claude).unwrap();
    let session = "0d9a2c53-6f1d-4b6e-9d7a-0c4b5f0a1e11";
    let line = |second: &str, id: u8, model: &str, usage: Value| {
        json!({
            "type": "assistant", "timestamp": format!("2026-06-01T10:00:{second}Z"), "sessionId": session,
            "cwd": "/home/me/acme", "requestId": format!("req_011CaaaaAAAAaaaaAAAA000{id}"),
            "message": {"id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model,
                "content": [], "usage": usage}
        })
    };
    let opus = json!({"input_tokens": 3, "cache_creation_input_tokens": 400, "cache_read_input_tokens": 1_500,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 300}, "output_tokens": 120});
    let log = line("04.100", 1, "claude-opus-4-5-20251101", opus);
    // The helper's call is in no log, because Claude Code does not log it.
    fs::write(claude.join(format!("{session}.jsonl")), format!("{log}\n")).unwrap();
    let codex = home.join(".codex/sessions/2026/06/01");
    fs::create_dir_all(&codex).unwrap();
    let id = "019a0000-0000-7000-8000-00000000c0de";
    let usage = |input: u64, cached: u64, output: u64, reasoning: u64| {
        json!({"input_tokens": input, "cached_input_tokens": cached, "output_tokens": output,
            "reasoning_output_tokens": reasoning, "total_tokens": input + output})
    };
    let at = |second: &str, kind: &str, payload: Value| {
        json!({"timestamp": format!("2026-06-01T10:00:{second}Z"), "type": kind, "payload": payload}).to_string()
    };
    let count = |second: &str, total: Value, last: Value| {
        let info = json!({"total_token_usage": total, "last_token_usage": last, "model_context_window": 258_400});
        at(second, "event_msg", json!({"type": "token_count", "info": info, "rate_limits": null}))
    };
    let lines = [
        at("00.000", "session_meta", json!({"id": id, "cwd": "/home/me/acme", "model_provider": "openai"})),
        at("01.000", "turn_context", json!({"cwd": "/home/me/acme", "model": "gpt-5.2-codex"})),
        count("04.300", usage(1_000, 600, 80, 30), usage(1_000, 600, 80, 30)),
        count("09.200", usage(2_200, 1_600, 120, 30), usage(1_200, 1_000, 40, 0)),
        // A call that telemetry lacks.
        count("20.000", usage(3_200, 2_200, 130, 30), usage(1_000, 600, 10, 0)),
    ];
    fs::write(codex.join(format!("rollout-2026-06-01T10-00-00-{id}.jsonl")), lines.join("\n") + "\n").unwrap();
    home
}

/// The union of both feeds: by project, model, class and reported cost.
fn whole(cli: &TestCli) -> Value {
    let report = cli.json(&["report", "--by", "agent,model,project,conversation"]);
    json!({"rows": report["rows"], "total": report["total"]})
}

#[test]
fn a_call_in_log_and_telemetry_is_one_record_in_either_order() {
    let (telemetry_first, logs_first, mixed) = (TestCli::new(), TestCli::new(), TestCli::new());
    let import = |cli: &TestCli| cli.json(&["import", "--home", home(cli).to_str().unwrap()]);
    let send = |cli: &TestCli| {
        let serving = Serving::start(cli);
        serving.json("/v1/logs", CLAUDE);
        serving.json("/v1/logs", CODEX);
    };
    send(&telemetry_first);
    let imported = import(&telemetry_first);
    import(&logs_first);
    send(&logs_first);
    // In pieces, and each more than once.
    Serving::start(&mixed).json("/v1/logs", CODEX);
    import(&mixed);
    send(&mixed);
    import(&mixed);
    send(&mixed);
    for cli in [&telemetry_first, &logs_first, &mixed] {
        let expected = [
            ("claude-haiku-4-5-20251001".to_owned(), 1, HAIKU),
            ("claude-opus-4-5-20251101".to_owned(), 1, OPUS),
            ("gpt-5.2-codex".to_owned(), 3, [1_000, 2_200, 0, 100, 30]),
        ];
        assert_eq!(models(cli), expected);
        assert_eq!(whole(cli), whole(&telemetry_first));
        assert_eq!(cli.json(&["verify"])["ok"], true);
        // The project and the lifetime of cache writes come from the log, the cost from telemetry.
        let row = &cli.json(&["report", "--by", "project", "--model", "claude-opus-4-5-20251101"])["rows"][0];
        assert_eq!((&row["project"], &row["cost"]["reported_usd"]), (&"/home/me/acme".into(), &"0.0063".into()));
        assert_eq!((&row["tokens"]["cache_write_1h"], &row["tokens"]["cache_write_5m"]), (&300.into(), &100.into()));
    }
    let codex = imported["sources"].as_array().unwrap().iter().find(|source| source["source"] == "codex").unwrap();
    assert_eq!((&codex["recorded"], &codex["amended"]), (&1.into(), &2.into()));
    // A corrected call stays corrected.
    let id = logs_first.ok(&["log", "--kind", "tokens_recorded", "--json"]);
    let first: Value = serde_json::from_str(id.lines().next().unwrap()).unwrap();
    logs_first.ok(&["void", first["event"]["id"].as_str().unwrap(), "--reason", "a test"]);
    let before = whole(&logs_first);
    send(&logs_first);
    import(&logs_first);
    assert_eq!(whole(&logs_first), before);
}

#[test]
fn a_call_in_telemetry_before_its_log_is_complete_is_one_record() {
    let session = "0d9a2c53-6f1d-4b6e-9d7a-0c4b5f0a1e11";
    let line = |second: &str, output: u64| {
        let usage = json!({"input_tokens": 3, "cache_creation_input_tokens": 400, "cache_read_input_tokens": 1_500,
            "output_tokens": output});
        json!({
            "type": "assistant", "timestamp": format!("2026-06-01T10:00:{second}Z"), "sessionId": session,
            "cwd": "/home/me/acme", "requestId": "req_of_the_log",
            "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-5-20251101",
                "content": [], "usage": usage}
        })
    };
    // Older versions send no request id.
    let telemetry = CLAUDE.replace("\"request_id\"", "\"nothing\"");
    let mut results = Vec::new();
    for order in ["ptf", "tpf", "pft", "tf"] {
        let cli = TestCli::new();
        let home = cli.dir().join("home");
        let claude = home.join(".claude/projects/-home-me-acme");
        fs::create_dir_all(&claude).unwrap();
        let mut log = String::new();
        let mut import = |line: Option<Value>| {
            log.extend(line.map(|line| format!("{line}\n")));
            fs::write(claude.join(format!("{session}.jsonl")), &log).unwrap();
            cli.ok(&["import", "--home", home.to_str().unwrap()]);
        };
        let send = || drop(Serving::start(&cli).json("/v1/logs", &telemetry));
        for step in order.chars() {
            match step {
                'p' => import(Some(line("02.000", 3))),
                'f' => import(Some(line("04.100", 120))),
                _ => send(),
            }
        }
        assert_eq!(models(&cli), claude_models(), "{order}");
        let before = cli.ok(&["export"]);
        import(None);
        send();
        assert_eq!(cli.ok(&["export"]), before, "{order}");
        assert_eq!(cli.json(&["verify"])["ok"], true);
        results.push(whole(&cli));
    }
    assert!(results.iter().all(|one| *one == results[0]), "{results:#?}");
}

#[test]
fn unknown_metric_kinds_are_reported() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    // Parts of other kinds are known, and add nothing.
    let claude = METRICS.replace("\"cacheRead\"", "\"cacheReread\"");
    assert_ne!(claude, METRICS);
    let partial = serving.json("/v1/metrics", &claude)["partialSuccess"].clone();
    assert_eq!(partial["rejectedDataPoints"], "1");
    assert_eq!(partial["errorMessage"], "metric `claude_code.token.usage` of an unknown `type`: `cacheReread`");
    let nameless = METRICS.replace("\"token_type\"", "\"kind_of_token\"");
    assert_ne!(nameless, METRICS);
    let partial = serving.json("/v1/metrics", &nameless)["partialSuccess"].clone();
    assert_eq!(partial["errorMessage"], "metric `codex.turn.token_usage` without `token_type`");
    let received = serving.received();
    let reasons: Vec<&str> = received["reasons"].as_array().unwrap().iter().map(|why| why.as_str().unwrap()).collect();
    assert!(reasons.contains(&"metric `codex.turn.token_usage` without `token_type`"), "{received}");
    assert!(received["unread"].as_u64().unwrap() >= 2, "{received}");
}

#[test]
fn metrics_are_compared_and_never_recorded() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    serving.json("/v1/logs", CLAUDE);
    serving.json("/v1/logs", CODEX);
    let before = cli.ok(&["export"]);
    for _ in 0..2 {
        assert_eq!(serving.json("/v1/metrics", METRICS), json!({}));
    }
    assert_eq!(cli.ok(&["export"]), before);
    let sums = serving.received()["sums"].clone();
    let sum = |model: &str| {
        let sum = sums.as_array().unwrap().iter().find(|sum| sum["model"] == model).unwrap();
        (sum["agent"].as_str().unwrap().to_owned(), sum["stated"].as_u64().unwrap(), sum["recorded"].as_u64().unwrap())
    };
    assert_eq!(sum("claude-opus-4-5-20251101"), ("claude-code".to_owned(), 2_023, 2_023));
    assert_eq!(sum("gpt-5.2-codex"), ("codex".to_owned(), 2_320, 2_320));
    // Not in any metric so far.
    assert_eq!(sum("claude-haiku-4-5-20251001"), ("claude-code".to_owned(), 0, 262));
    // A cumulative sum continues; a delta restarts.
    let later =
        METRICS.replace("1780308060000000000", "1780308120000000000").replace("\"sum\": 2320.0", "\"sum\": 2400.0");
    serving.json("/v1/metrics", &later);
    let sums = serving.received()["sums"].clone();
    let stated: u64 = sums.as_array().unwrap().iter().map(|sum| sum["stated"].as_u64().unwrap()).sum();
    assert_eq!(stated, 2 * 2_023 + 2_400);
}

#[test]
fn invalid_requests_are_refused_with_a_reason() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let (json, protobuf) = (("content-type", "application/json"), ("content-type", "application/x-protobuf"));
    let why = |answer: &[u8]| serde_json::from_slice::<Value>(answer).unwrap()["message"].as_str().unwrap().to_owned();
    let (status, answer) = serving.post("/v1/logs", &[json], "{\"resourceLogs\": 3}");
    assert_eq!(status, 400);
    assert!(why(&answer).contains("cannot be read"), "{}", why(&answer));
    assert_eq!(serving.post("/v1/logs", &[protobuf], [0xff, 0xff, 0xff]).0, 400);
    assert_eq!(serving.post("/v1/logs", &[json, ("content-encoding", "gzip")], "{}").0, 400);
    assert_eq!(serving.post("/v1/logs", &[json, ("content-encoding", "br")], "{}").0, 415);
    assert_eq!(serving.post("/v1/logs", &[("content-type", "text/plain")], "{}").0, 415);
    assert_eq!(serving.post("/v1/profiles", &[json], "{}").0, 404);
    assert_eq!(ureq::get(format!("{}/v1/logs", serving.url)).call().unwrap_err().to_string(), "http status: 405");
    let (status, answer) = serving.post("/v1/logs", &[json], vec![b' '; (16 << 20) + 1]);
    assert_eq!(status, 413);
    assert!(why(&answer).contains("16 MiB"), "{}", why(&answer));
    let (status, answer) = serving.post("/v1/logs", &[protobuf], vec![b' '; (16 << 20) + 1]);
    assert_eq!((status, Status::decode(&*answer).unwrap().code), (413, 3));
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 17 << 20]).unwrap();
    let (status, answer) = serving.post("/v1/logs", &[json, ("content-encoding", "gzip")], bomb.finish().unwrap());
    assert_eq!(status, 413);
    assert!(why(&answer).contains("unpacked"));
    // Telemetry about tokens in an unknown form is reported; other telemetry is ignored.
    let unknown = CODEX.replace("codex.sse_event", "other.event");
    let answer = serving.json("/v1/logs", &unknown);
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "2");
    let wrong = CODEX.replace("\"intValue\": \"1000\"", "\"stringValue\": \"many\"");
    let answer = serving.json("/v1/logs", &wrong);
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("cached_token_count"), "{answer}");
    assert_eq!(models(&cli).len(), 0);
}

#[test]
fn a_sender_is_asked_to_retry_while_another_process_writes() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let other = rusqlite::Connection::open(cli.ledger()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = std::time::Instant::now();
    let post = || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("{}/v1/logs", serving.url)).header("content-type", "application/json");
        let response = request.send(CODEX).unwrap();
        (
            response.status().as_u16(),
            response.headers().get("retry-after").map(|results| results.to_str().unwrap().to_owned()),
        )
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(post)).collect();
        waiting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == (503, Some("1".to_owned()))), "{answers:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(9), "{:?}", started.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    // The server may refuse for the second that it named.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let mut answers = std::iter::repeat_with(|| post().0).take_while(|_| std::time::Instant::now() < patience);
    assert_eq!(answers.find(|status| *status != 503), Some(200));
    assert_eq!(by(&cli, "agent").len(), 1);
}

#[test]
fn every_form_of_protobuf_json_is_read() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    let nan = r#"{"key": "x", "value": {"doubleValue": "NaN"}}, {"key": "y", "value": {"doubleValue": "1.5"}}, "#;
    let logs =
        CODEX.replacen("\"attributes\": [", &format!("\"droppedAttributesCount\": null, \"attributes\": [{nan}"), 1);
    assert_ne!(logs, CODEX);
    assert_eq!(serving.json("/v1/logs", &logs), json!({}));
    assert_eq!(by(&cli, "agent"), [("codex".to_owned(), 2, [600, 1_600, 0, 90, 30])]);
    let empty = r#"{"resourceLogs": [{"resource": null, "scopeLogs": [{"logRecords": null}]}, {"scopeLogs": null}]}"#;
    assert_eq!(serving.json("/v1/logs", empty), json!({}));
    assert_eq!(serving.json("/v1/traces", r#"{"resourceSpans": null}"#), json!({}));
}

#[cfg(unix)]
#[test]
fn the_server_ends_on_a_signal_and_reports_its_counts() {
    use std::io::Read;
    let cli = TestCli::new();
    let mut serving = Serving::start(&cli);
    serving.json("/v1/logs", CODEX);
    let killed = Command::new("kill").args(["-TERM", &serving.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut stdout = String::new();
    serving.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(serving.child.wait().unwrap().success());
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["recorded"], 2);
}

#[test]
fn an_unusable_address_is_an_error() {
    let cli = TestCli::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(cli.fails(2, &["serve", "--otlp", "--listen", &address]).contains("--listen"));
    assert!(cli.fails(2, &["serve", "--listen", &address]).contains("--listen"));
}
