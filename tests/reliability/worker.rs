//! A process that performs all kinds of writes, one seeded step after the other.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use usage_ledger::event::{LimitSet, NewEvent, Paused, QuotaObserved};
use usage_ledger::import::{self, ImportOptions};
use usage_ledger::merkle::{Hash, Signer};
use usage_ledger::{Error, EventId, Ledger, ProviderId, Result, Shred, Timestamp, TokenRecord};

use crate::corpus::rng::Rng;
use crate::survey::{Acknowledged, state};

const ORDER: &str = "RELIABILITY_WORKER";
const PROVIDERS: [&str; 3] = ["anthropic", "openai", "ollama"];

/// The command of a worker that performs `steps` on `files/usage.db`, and imports from `home`.
pub fn command(files: &Path, home: &Path, seed: u64, steps: std::ops::Range<u64>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let order = format!("{seed} {} {} {} {}", steps.start, steps.end, files.display(), home.display());
    command.args(["--exact", "worker::worker_process_of_another_test", "--nocapture"]).env(ORDER, order);
    command
}

/// Run by other tests as a process.
#[test]
fn worker_process_of_another_test() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let mut words = order.splitn(5, ' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (seed, from, to) = (number(), number(), number());
    let (files, home) = (words.next().unwrap(), words.next().unwrap());
    let path = Path::new(files).join("usage.db");
    let mut ledger: Option<Ledger> = None;
    for step in from..to {
        let done = match ledger.take().map_or_else(|| Ledger::open(&path), Ok) {
            Ok(opened) => act(ledger.insert(opened), &path, Path::new(home), seed, step),
            Err(error) => Err(error),
        };
        let done = done.and_then(|again| {
            if again {
                drop(ledger.take());
                ledger = Some(Ledger::open(&path)?);
            }
            ledger.as_ref().map(state).transpose()
        });
        let mut line = String::new();
        match done {
            Ok(Some(state)) => writeln!(line, "\nack {step} {} {}", state.size, state.root).unwrap(),
            Ok(None) => {}
            Err(error) => writeln!(line, "\nerr {step} {}", error.to_string().replace('\n', " ")).unwrap(),
        }
        // One write, so that an acknowledgement is complete or missing.
        let mut out = std::io::stdout();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// The steps that a worker's output acknowledges, with the state after each.
pub fn acknowledged(output: &str) -> Vec<(u64, Acknowledged)> {
    let read = |line: &str| {
        let mut words = line.strip_prefix("ack ")?.split(' ');
        let step = words.next()?.parse().ok()?;
        let (size, root) = (words.next()?.parse().ok()?, words.next()?.parse::<Hash>().ok()?);
        Some((step, Acknowledged { size, root }))
    };
    output.lines().filter_map(read).collect()
}

pub fn at(step: u64) -> Timestamp {
    let start: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    start.plus(i64::try_from(step).unwrap() * 60_000)
}

fn call(rng: &mut Rng, step: u64, number: u64) -> TokenRecord {
    let (input, output) = (rng.between(0, 9_999), rng.between(0, 999));
    TokenRecord::new(rng.pick(&PROVIDERS), "model")
        .input(input)
        .output(output)
        .project(format!("project-{}", rng.between(0, 5)))
        .conversation(format!("conversation-{}", rng.between(0, 9)))
        .label("step", step.to_string())
        .key(key(step, number))
}

fn key(step: u64, number: u64) -> String {
    format!("call-{step}-{number}")
}

/// Performs one step; returns true if the ledger must be reopened.
fn act(ledger: &Ledger, path: &Path, home: &Path, seed: u64, step: u64) -> Result<bool> {
    let mut rng = Rng::new(seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let now = at(step);
    let target = EventId::from_key(rng.pick(&PROVIDERS), &key(rng.between(0, step), 0));
    let done = match rng.index(22) {
        0..=5 => ledger.record(call(&mut rng, step, 0), now).map(drop),
        6..=8 => {
            let calls = rng.between(2, 40);
            let events: Vec<_> = (0..calls).map(|n| NewEvent::new(call(&mut rng, step, n), now)).collect();
            ledger.append(events, now).map(drop)
        }
        9 => ledger.void(target, "a test", now).map(drop),
        10 => ledger.amend(target, call(&mut rng, step, 0), "a test", now).map(drop),
        11 => ledger.set_limit(LimitSet::new("anthropic")?.session(rng.between(1, 9_999)), now).map(drop),
        12 => ledger.switch_provider(rng.pick(&PROVIDERS), "a test", now).map(drop),
        13 if rng.chance(500) => ledger.resume("a test", now).map(drop),
        13 => ledger.pause(Paused::new("manual"), now).map(drop),
        14 => {
            let seen = QuotaObserved::new(ProviderId::new("anthropic")?, 300, "test")
                .used("42".parse()?)
                .resets_at(now.plus(7_200_000));
            ledger.append([NewEvent::new(seen, now)], now).map(drop)
        }
        15 => {
            let shred = Shred::because("a test").project(format!("project-{}", rng.between(0, 5)));
            ledger.shred(&shred, now).map(drop)
        }
        16 => ledger.seal(None, now, &Signer::generate("a.example/log")?, now).map(drop),
        17 => ledger.rebuild(),
        18 | 19 => return import(ledger, home, seed, step, now).map(|()| rng.chance(300)),
        20 => return Ok(true),
        _ => {
            // Another connection checkpoints the write-ahead log, as in a long run.
            let how = rng.pick(&["PASSIVE", "TRUNCATE", "RESTART"]);
            let other = rusqlite::Connection::open(path);
            let moved =
                other.and_then(|other| other.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(())));
            drop(moved);
            Ok(())
        }
    };
    match done {
        // A missing target, or a sealed period: nothing is written.
        Err(
            Error::NotFound { .. }
            | Error::Invalid { .. }
            | Error::Conflict { .. }
            | Error::NotPaused
            | Error::NotAmendable { .. }
            | Error::Withdrawn { .. }
            | Error::Unchanged { .. }
            | Error::AlreadySealed { .. },
        ) => Ok(false),
        other => other.map(|()| false),
    }
}

/// Appends lines to an agent's log, and imports them.
fn import(ledger: &Ledger, home: &Path, seed: u64, step: u64, now: Timestamp) -> Result<()> {
    let mut rng = Rng::new(seed ^ !step);
    let log = home.join(".claude/projects/-work").join(format!("session-{}.jsonl", step % 3));
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    let mut lines = String::new();
    for number in 0..rng.between(1, 30) {
        let (input, output) = (rng.between(0, 9_999), rng.between(0, 999));
        writeln!(
            lines,
            r#"{{"type":"assistant","timestamp":"{}","sessionId":"s-{}","cwd":"/work","requestId":"req_{step}_{number}","message":{{"id":"msg_{step}_{number}","type":"message","role":"assistant","model":"claude-opus-4-5","usage":{{"input_tokens":{input},"output_tokens":{output}}}}}}}"#,
            at(step),
            step % 3,
        )
        .unwrap();
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    drop(file);
    run_import(ledger, home, now)
}

fn run_import(ledger: &Ledger, home: &Path, now: Timestamp) -> Result<()> {
    let options = ImportOptions::new().homes([home.to_owned()]);
    import::run(ledger, &options, now, &mut |_| {}).map(drop)
}

/// Imports all that the logs hold.
pub fn import_all(ledger: &Ledger, home: &Path) {
    run_import(ledger, home, at(100_000)).unwrap();
}

/// The message ids that the logs hold.
pub fn logged(home: &Path) -> Vec<String> {
    let Ok(logs) = std::fs::read_dir(home.join(".claude/projects/-work")) else { return Vec::new() };
    let mut ids = Vec::new();
    for log in logs.flatten() {
        for line in std::fs::read_to_string(log.path()).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            ids.push(line["message"]["id"].as_str().unwrap().to_owned());
        }
    }
    ids
}
