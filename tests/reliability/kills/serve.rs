//! Kills `serve` under load.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use usage_ledger::Ledger;

use crate::corpus::rng::Rng;
use crate::scenario::was_killed;
use crate::shim::{Shim, WRITES};
use crate::survey::{Acknowledged, state, survey};

const CLIENTS: u64 = 3;

fn body(id: &str) -> String {
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let text = |text: &str| json!({"stringValue": text});
    let attributes = [
        attribute("event.name", text("api_request")),
        attribute("event.timestamp", text("2026-06-01T12:00:00.000Z")),
        attribute("session.id", text("conversation")),
        attribute("model", text("claude-opus-4-5")),
        attribute("input_tokens", text("5")),
        attribute("output_tokens", text("7")),
        attribute("request_id", text(id)),
    ];
    let record = json!({"timeUnixNano": "1780315200000000000", "body": text("claude_code.api_request"), "attributes": attributes});
    let resource = json!({"attributes": [attribute("service.name", text("claude-code"))]});
    let scope = json!({"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": [record]});
    json!({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}).to_string()
}

/// Starts a server; `None` if it was killed before it listened.
fn start(command: &mut Command) -> (Child, Option<String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let answer: Option<Value> = serde_json::from_str(&line).ok();
    let url = answer.and_then(|answer| Some(answer["listening"].as_str()?.to_owned()));
    (child, url)
}

/// Sends calls until the server is gone; collects the ids of acknowledged ones.
fn load(url: &str, next: &AtomicU64, answered: &Mutex<Vec<String>>, enough: &dyn Fn(usize) -> bool) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.timeout_global(Some(super::PATIENCE)).build().into();
    loop {
        let id = format!("req_{}", next.fetch_add(1, Ordering::SeqCst));
        let sent = agent.post(format!("{url}/v1/logs")).header("content-type", "application/json").send(body(&id));
        match sent {
            Ok(answer) if answer.status() == 200 => {
                let mut all = answered.lock().unwrap();
                all.push(id);
                if enough(all.len()) {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

pub fn kill_under_load(kills: u64, rng: &mut Rng) {
    let scratch = tempfile::tempdir().unwrap();
    let files = scratch.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let path = files.join("usage.db");
    let next = AtomicU64::new(0);
    let answered = Mutex::new(Vec::new());
    let mut known: Vec<Acknowledged> = Vec::new();
    let mut killed = 0;
    for round in 0..kills {
        let mut command = Command::new(crate::program());
        command.env_clear().env("HOME", scratch.path()).env("USAGE_LEDGER", &path).env("TZ", "UTC");
        command.args(["--json", "serve", "--otlp", "--listen", "127.0.0.1:0"]);
        // Half of the kills are at a system call, half after a number of acknowledged calls.
        let by_call = round % 2 == 0;
        let (number, way, goal) = (rng.between(1, 300), super::kill(rng), usize::try_from(rng.between(1, 30)).unwrap());
        if by_call {
            Shim::new(&files, scratch.path()).at(WRITES, number, way).apply(&mut command);
        }
        let (mut child, url) = start(&mut command);
        let before = answered.lock().unwrap().len();
        if let Some(url) = &url {
            let is_enough = |all: usize| !by_call && all >= before + goal;
            std::thread::scope(|scope| {
                let clients: Vec<_> =
                    (0..CLIENTS).map(|_| scope.spawn(|| load(url, &next, &answered, &is_enough))).collect();
                if !by_call {
                    // Waits for the first client that has enough; the others are still sending.
                    while !clients.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                        std::thread::yield_now();
                    }
                    child.kill().unwrap();
                }
            });
        }
        let _ = child.kill();
        killed += u64::from(was_killed(child.wait().unwrap()));
        if !path.exists() {
            assert!(answered.lock().unwrap().is_empty(), "the ledger is gone");
            continue;
        }
        if let Err(why) = survey(&path, known.iter().copied()) {
            panic!("round {round}, {way:?} at call {number}: {why}");
        }
        let ledger = Ledger::open(&path).unwrap();
        known.push(state(&ledger).unwrap());
        let snapshot = ledger.snapshot().unwrap();
        for id in answered.lock().unwrap().iter() {
            let record = snapshot.find("anthropic", id).unwrap();
            assert!(record.is_some(), "round {round}: {id} was answered with 200 and is not there");
        }
    }
    let answered = answered.into_inner().unwrap().len();
    eprintln!("{killed} servers were killed; {answered} calls were answered, all of them are there");
    assert!(killed == kills && answered > 0);
}
