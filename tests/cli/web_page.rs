//! The web page of `serve`, without a browser: its files, who may read them, and the answers behind it.

#![cfg(all(feature = "web", unix))]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Serving;
use crate::cli_support::{TestCli, server};

const NOW: &str = "2026-11-23T20:00:00Z";
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

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

/// The files that a document or module names.
fn files(text: &str) -> Vec<String> {
    let quoted = text.split('"').filter(|part| part.starts_with("/page/") || part.starts_with("./"));
    quoted.map(|part| part.replace("./", "/page/")).collect()
}

#[test]
fn the_page_and_its_files_need_no_token_and_are_kept_by_browsers() {
    let cli = cli();
    let token = cli.dir().join("token");
    std::fs::write(&token, "correct-horse-battery-staple").unwrap();
    for args in [vec![], vec!["--otlp"], vec!["--token-file", token.to_str().unwrap()]] {
        let server = Serving::start(&cli, &args);
        let page = server.send("GET /", &[BROWSER], "");
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{page:?}");
        let policy = page.header("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule) && !policy.contains("unsafe"), "{policy}");
        }
        let mut left = files(&page.body);
        let mut seen: Vec<String> = Vec::new();
        while let Some(path) = left.pop() {
            if seen.contains(&path) {
                continue;
            }
            let file = server.send(&format!("GET {path}"), &[], "");
            assert_eq!(file.status, 200, "{path}");
            assert!(file.body.len() < 100_000 && file.header("x-content-type-options") == Some("nosniff"));
            let tag = file.header("etag").unwrap().to_owned();
            assert_eq!(server.send(&format!("GET {path}"), &[("if-none-match", &tag)], "").status, 304, "{path}");
            left.extend(files(&file.body));
            seen.push(path);
        }
        assert!(seen.len() > 20, "{seen:?}");
        // Data needs the token where there is one, and no file is written to.
        let is_open = !args.contains(&"--token-file");
        assert_eq!(server.get("overview").status, if is_open { 200 } else { 401 });
        assert_eq!(server.send("GET /", &[], "").status, if is_open { 200 } else { 401 });
        assert_eq!(
            server.send("POST /page/app.js", &[("content-type", "application/json")], "{}").status,
            if is_open { 405 } else { 401 }
        );
        assert_eq!(server.send("GET /", &[BROWSER, ("host", "evil.example")], "").status, 403);
    }
    // Telemetry's summary is still what a program gets at the root.
    let server = Serving::start(&cli, &["--otlp"]);
    assert_eq!(server.send("GET /", &[], "").json()["schema"], 1);
}

#[test]
fn views_equal_the_answers_of_the_command() {
    let cli = cli();
    let server = Serving::start(&cli, &["--now", NOW]);
    for (path, args) in [
        ("overview", vec!["--no-import"]),
        ("overview?as_of=2", vec!["--as-of", "2"]),
        ("show?event=2", vec!["show", "2"]),
        ("show?event=msg_1", vec!["show", "msg_1"]),
        ("report?by=model&top=1", vec!["report", "--by", "model", "--top", "1"]),
        ("report?by=model&sort=tokens", vec!["report", "--by", "model", "--sort", "tokens"]),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let run = cli.command().args(["--now", NOW, "--tz", "UTC", "--json"]).args(&args).output().unwrap();
        assert_eq!(answer.json(), serde_json::from_slice::<Value>(&run.stdout).unwrap(), "{path}");
    }
    let findings = cli.command().args(["--now", NOW, "--json", "doctor"]).output().unwrap();
    let findings: Value = serde_json::from_slice(&findings.stdout).unwrap();
    assert_eq!(server.get("warnings").json()["findings"], findings["findings"]);
    for path in [
        "log?limit=0",
        "log?before=x",
        "figure?by=window",
        "figure?by=day,day",
        "summaries?position=99",
        "line?event=2&from=9999",
    ] {
        assert!(matches!(server.get(path).status, 400 | 404), "{path}");
    }
}

/// A browser requests what the page needs at once, and not one module after the other.
#[test]
fn the_document_names_each_module_that_the_first_view_needs() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/page");
    let read = |name: &str| std::fs::read_to_string(page.join(name)).unwrap();
    let (mut needed, mut left) = (std::collections::BTreeSet::new(), vec!["app.js".to_owned()]);
    while let Some(name) = left.pop() {
        let text = read(&name);
        let imports = text.lines().filter(|line| line.starts_with("import "));
        left.extend(imports.filter_map(|line| Some(line.split_once("\"./")?.1.split_once('"')?.0.to_owned())));
        left.retain(|name| !needed.contains(name));
        needed.insert(name);
    }
    needed.remove("app.js");
    let document = read("index.html");
    let preloads = document.lines().filter(|line| line.contains("modulepreload"));
    let preloaded = preloads.map(|line| line.split_once("/page/").unwrap().1.split_once('"').unwrap().0.to_owned());
    assert_eq!(preloaded.collect::<std::collections::BTreeSet<_>>(), needed);
}

#[test]
fn a_stream_of_heads_sends_positions_alone() {
    let cli = cli();
    let server = Serving::start(&cli, &[]);
    let stream = server.open("GET /api/v1/events/stream?heads=true&after=2", &[], "");
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut next = || lines.find(|line| line.starts_with("data: ")).unwrap();
    assert_eq!(next(), r#"data: {"position":4}"#);
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    assert_eq!(next(), r#"data: {"position":5}"#);
    assert_eq!(server.get("events/stream?heads=true&kind=paused").status, 400);
}

#[test]
fn open_starts_the_browser_and_imports_new_calls() {
    let cli = TestCli::new();
    let logs = cli.dir().join(".claude/projects/-home-me-acme");
    std::fs::create_dir_all(&logs).unwrap();
    let line = r#"{"type":"assistant","timestamp":"2026-11-23T19:00:00.000Z","sessionId":"s","requestId":"r","message":{"id":"m","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}"#;
    std::fs::write(logs.join("s.jsonl"), format!("{line}\n")).unwrap();
    let tools = cli.dir().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let (opener, opened) = (tools.join("xdg-open"), cli.dir().join("opened"));
    std::fs::write(&opener, format!("#!/bin/sh\necho \"$1\" > {0}.part && mv {0}.part {0}\n", opened.display()))
        .unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (mut child, address) = server::start(
        Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["--json", "--now", NOW, "serve", "--open", "--listen", "127.0.0.1:0"])
            .env_clear()
            .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
            .env("PATH", format!("{}:/usr/bin:/bin", tools.display())),
    );
    let until = Instant::now() + Duration::from_secs(60);
    let recorded = || cli.json(&["report", "--by", "model"])["total"]["requests"] == json!(1);
    while Instant::now() < until && !(opened.exists() && recorded()) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let page = std::fs::read_to_string(&opened).unwrap();
    assert_eq!(page.trim(), format!("http://{address}/"));
    assert!(recorded());
    child.kill().unwrap();
    child.wait().unwrap();
}
