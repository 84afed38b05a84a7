//! Whatever moment a process dies at, what is left is a whole prefix of what it committed.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use usage_ledger::event::{LimitSet, NewEvent};
use usage_ledger::merkle::Hash;
use usage_ledger::{EventId, Ledger, Report, ReportKey, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

/// How many records a batch has.
const fn size(batch: u64) -> u64 {
    batch % 7 + 1
}

fn key(batch: u64, number: u64) -> String {
    format!("call-{batch}-{number}")
}

fn append_batch(ledger: &Ledger, batch: u64) {
    let call = |number| {
        let record = TokenRecord::new("openai", "m").input(batch + number).key(key(batch, number));
        NewEvent::new(record.label("batch", batch.to_string()), now().plus(1_000 * i64::try_from(batch).unwrap()))
    };
    ledger.append((0..size(batch)).map(call), now()).unwrap();
}

/// What a ledger is at a moment: its length and the root over it.
type State = (u64, Hash);

fn state(ledger: &Ledger) -> State {
    (ledger.head().unwrap().position.get(), ledger.root().unwrap())
}

/// Opens what a crash left and holds everything in it together.
fn survey(path: &Path) -> (State, Ledger) {
    let ledger = Ledger::open(path).unwrap();
    let verified = ledger.verify().unwrap();
    assert!(verified.ok, "{:?}", verified.findings);
    let state = state(&ledger);
    assert_eq!(verified.size, state.0);
    (state, ledger)
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// A run of commits of every kind, and what the ledger was after each; `after` looks at the files as they are then.
fn run(path: &Path, commits: u64, mut after: impl FnMut(State)) {
    let ledger = Ledger::open(path).unwrap();
    for batch in 0..commits {
        match batch % 10 {
            3 => {
                let wrong = EventId::from_key("openai", &key(batch - 1, 0));
                ledger.void(wrong, "a test call", now()).unwrap();
            }
            6 => {
                let wrong = EventId::from_key("openai", &key(batch - 2, 0));
                let right = TokenRecord::new("anthropic", "m").input(1);
                ledger.amend(wrong, right, "another provider", now()).unwrap();
            }
            8 => {
                ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000 + batch), now()).unwrap();
            }
            9 => {
                // Part of the log moves into the main file, as it does in a long run.
                let other = rusqlite::Connection::open(path).unwrap();
                other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            }
            _ => append_batch(&ledger, batch),
        }
        after(state(&ledger));
    }
}

#[test]
fn a_copy_of_the_files_at_each_commit_opens_as_that_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let mut copies = Vec::new();
    run(&path, 50, |state| {
        let copy = dir.path().join(format!("copy-{}.db", copies.len()));
        fs::copy(&path, &copy).unwrap();
        fs::copy(wal(&path), wal(&copy)).unwrap();
        copies.push((copy, state));
    });
    for (number, (copy, state)) in copies.iter().enumerate() {
        assert_eq!(survey(copy).0, *state, "commit {number}");
    }
}

#[test]
fn a_torn_write_ahead_log_opens_as_an_earlier_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let mut states: Vec<State> = vec![(0, Hash::EMPTY)];
    let (mut main, mut log) = (Vec::new(), Vec::new());
    run(&path, 9, |state| {
        states.push(state);
        (main, log) = (fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap());
    });

    let copy = dir.path().join("torn.db");
    let torn = |bytes: &[u8]| {
        fs::write(&copy, &main).unwrap();
        fs::write(wal(&copy), bytes).unwrap();
        let _ = fs::remove_file(copy.with_extension("db-shm"));
        survey(&copy).0
    };
    // Cut off anywhere; cut off and filled with what was on the disk before.
    let mut last = 0;
    let mut reached = BTreeSet::new();
    for cut in (0..=log.len()).step_by(log.len() / 60 + 1).chain([log.len() - 1, log.len()]) {
        let state = torn(&log[..cut]);
        assert!(states.contains(&state), "cut at {cut}: {state:?} was never committed");
        assert!(state.0 >= last, "cut at {cut}: a longer log gives a shorter ledger");
        last = state.0;
        reached.insert(last);
        let mut garbage = log.clone();
        garbage[cut..].fill(0xa5);
        assert_eq!(torn(&garbage), state, "garbage from {cut} on");
    }
    assert_eq!(Some(&torn(&log)), states.last());
    assert!(reached.len() > 5, "the cuts met few commits: {reached:?}");
}

#[test]
fn an_empty_file_is_an_empty_ledger() {
    // A process that died between making the file and making its tables.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    fs::write(&path, []).unwrap();
    assert_eq!(survey(&path).0, (0, Hash::EMPTY));
}

const CHILD: &str = "USAGE_LEDGER_CRASH_CHILD";

/// No test of its own: this is what the next one runs in a process that it kills.
#[test]
fn child_process_that_appends_until_killed() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (from, path) = order.split_once(' ').unwrap();
    let ledger = Ledger::open(path).unwrap();
    for batch in from.parse::<u64>().unwrap().. {
        append_batch(&ledger, batch);
        println!("\nacknowledged {batch}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn acknowledged_events_survive_a_kill_and_no_batch_is_partial() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let mut next = 0;
    // The first ones die while the file is being made.
    for delay in [0, 2, 5, 9, 14, 20, 35, 60, 90, 130, 180, 240] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_process_that_appends_until_killed", "--nocapture"])
            .env(CHILD, format!("{next} {}", path.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let acknowledged =
            stdout.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok()).next_back();

        let (_, ledger) = survey(&path);
        let table = ledger.report(&Report::by(ReportKey::Label("batch".into()))).unwrap();
        let mut batches: Vec<(u64, u64)> =
            table.rows.iter().map(|row| (row.keys[0].as_ref().unwrap().parse().unwrap(), row.usage.requests)).collect();
        batches.sort_unstable();
        let whole: Vec<(u64, u64)> = (0..batches.len() as u64).map(|batch| (batch, size(batch))).collect();
        assert_eq!(batches, whole, "killed after {delay} ms");
        assert!(acknowledged.is_none_or(|batch| batch < whole.len() as u64), "batch {acknowledged:?} is gone");
        next = whole.len() as u64;
    }
    assert!(next > 0, "no child came to commit anything");
}
