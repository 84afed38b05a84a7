//! Many writers and readers of one ledger file: nothing is lost, nothing is counted twice, nobody sees a half.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use usage_ledger::event::NewEvent;
use usage_ledger::{Ledger, Outcome, Position, Report, ReportKey, Timestamp, TokenRecord};

const WRITERS: u64 = 8;

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

/// A call whose size tells whose it is: sums show what is missing or double.
fn call(writer: u64, number: u64) -> TokenRecord {
    TokenRecord::new("openai", "m").project(format!("writer-{writer}")).input(1 + number).output(1_000 * (writer + 1))
}

/// Holds a ledger that `WRITERS` writers gave `each` calls against the sums of those calls.
fn assert_exact(path: &Path, each: u64) {
    let ledger = Ledger::open(path).unwrap();
    let verified = ledger.verify().unwrap();
    assert!(verified.ok, "{:?}", verified.findings);
    assert_eq!(verified.size, WRITERS * each);
    assert_eq!(ledger.head().unwrap().position.get(), WRITERS * each);

    let mut positions = Vec::new();
    let snapshot = ledger.snapshot().unwrap();
    snapshot
        .lines(Position::START, &mut |at, _| {
            positions.push(at.get());
            Ok(true)
        })
        .unwrap();
    assert!(positions.iter().copied().eq(1..=WRITERS * each), "positions have gaps");

    let table = snapshot.report(&Report::by(ReportKey::Project)).unwrap();
    assert_eq!(table.rows.len() as u64, WRITERS);
    for (writer, row) in (0..).zip(&table.rows) {
        assert_eq!(row.keys, [Some(format!("writer-{writer}"))]);
        let (input, output) = ((1..=each).sum::<u64>(), each * 1_000 * (writer + 1));
        assert_eq!(
            (row.usage.requests, row.usage.tokens.total()),
            (each, u128::from(input + output)),
            "writer {writer}"
        );
    }
    let all = snapshot.provider("openai", now()).unwrap().all_time;
    assert_eq!((all.requests, all.tokens.total()), (table.total.requests, table.total.tokens.total()));
}

#[test]
fn eight_writers_lose_nothing_and_readers_see_whole_commits() {
    const EACH: u64 = 250;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let writing = AtomicBool::new(true);
    let positions = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let path = &path;
                scope.spawn(move || {
                    let ledger = Ledger::open(path).unwrap();
                    let mut mine = Vec::new();
                    for number in 0..EACH {
                        match ledger.record(call(writer, number), now()).unwrap() {
                            Outcome::Appended { position, .. } => mine.push(position),
                            Outcome::Existing { position, .. } => panic!("a new call was found at {position}"),
                        }
                    }
                    mine
                })
            })
            .collect();
        scope.spawn(|| {
            let reader = Ledger::open(&path).unwrap();
            let mut last = 0;
            while writing.load(Ordering::SeqCst) {
                let snapshot = reader.snapshot().unwrap();
                let head = snapshot.head().unwrap().position.get();
                let counted = snapshot.report(&Report::by(ReportKey::Day)).unwrap().total.requests;
                assert_eq!(counted, head, "the log and the counters disagree");
                assert!(head >= last, "the log grew shorter");
                last = head;
            }
        });
        let positions: Vec<Vec<Position>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        writing.store(false, Ordering::SeqCst);
        positions
    });
    assert!(positions.iter().all(|mine| mine.is_sorted()), "a writer's calls stand in another order");
    let distinct: BTreeSet<&Position> = positions.iter().flatten().collect();
    assert_eq!(distinct.len() as u64, WRITERS * EACH, "two calls were told the same position");
    assert_exact(&path, EACH);
}

#[test]
fn a_call_reported_concurrently_is_recorded_once() {
    const CALLS: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let start = Barrier::new(8);
    let outcomes: Vec<Vec<Outcome>> = thread::scope(|scope| {
        let reporters: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    let ledger = Ledger::open(&path).unwrap();
                    start.wait();
                    let call = |n| TokenRecord::new("anthropic", "m").input(5).key(format!("msg_{n}"));
                    (0..CALLS).map(|n| ledger.record(call(n), now()).unwrap()).collect()
                })
            })
            .collect();
        reporters.into_iter().map(|reporter| reporter.join().unwrap()).collect()
    });
    for n in 0..CALLS {
        let results: Vec<Outcome> = outcomes.iter().map(|outcomes| outcomes[n]).collect();
        let places: BTreeSet<Position> = results.iter().map(|outcome| outcome.position()).collect();
        assert_eq!(places.len(), 1, "msg_{n} is at {places:?}");
        let appended = results.iter().filter(|outcome| outcome.is_new()).count();
        assert_eq!(appended, 1, "msg_{n} was appended {appended} times");
    }
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.provider("anthropic", now()).unwrap().all_time.tokens.total(), 5 * CALLS as u128);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn concurrent_opens_create_a_missing_file_once() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.db");
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    start.wait();
                    let ledger = Ledger::open(path).unwrap();
                    let events = (0..3).map(|number| NewEvent::new(call(writer, number), now()));
                    ledger.append(events, now()).unwrap();
                });
            }
        });
        assert_exact(&path, 3);
    }
}

/// The same through the command: processes share no memory, only the file.
#[cfg(feature = "cli")]
mod processes {
    use std::io::Write;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::{WRITERS, assert_exact};

    fn line(writer: u64, number: u64) -> String {
        let (input, output) = (1 + number, 1_000 * (writer + 1));
        format!(
            "{{\"provider\":\"openai\",\"model\":\"m\",\"project\":\"writer-{writer}\",\"input\":{input},\
             \"output\":{output}}}\n"
        )
    }

    fn record(path: &Path, lines: &str) -> Child {
        let mut child = Command::new(env!("CARGO_BIN_EXE_usage-ledger"))
            .arg("--ledger")
            .arg(path)
            .args(["--now", "2026-11-23T20:00:00Z", "record", "--jsonl", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child
    }

    #[test]
    fn eight_processes_lose_nothing() {
        const BATCHES: u64 = 5;
        const LINES: u64 = 200;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.db");
        // The first eight find no file at all.
        for batch in 0..BATCHES {
            let children: Vec<Child> = (0..WRITERS)
                .map(|writer| {
                    let numbers = batch * LINES..(batch + 1) * LINES;
                    record(&path, &numbers.map(|number| line(writer, number)).collect::<String>())
                })
                .collect();
            for mut child in children {
                assert!(child.wait().unwrap().success());
            }
        }
        assert_exact(&path, BATCHES * LINES);
    }
}

#[test]
fn housekeeping_during_reads_and_writes_loses_nothing() {
    use usage_ledger::store::{EventStore, SqliteStore};
    const EACH: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut housekeeping = store.housekeeping().unwrap().unwrap();
    let writing = AtomicBool::new(true);
    let log = dir.path().join("usage.db-wal");
    thread::scope(|scope| {
        scope.spawn(|| {
            while writing.load(Ordering::SeqCst) {
                housekeeping();
            }
            housekeeping();
        });
        let ledger = Ledger::with_store(Box::new(store));
        let reader = Ledger::open(&path).unwrap();
        for number in 0..EACH {
            let calls = (0..WRITERS).map(|writer| NewEvent::new(call(writer, number), now()));
            ledger.append(calls, now()).unwrap();
            assert_eq!(reader.head().unwrap().position.get(), WRITERS * (number + 1));
        }
        writing.store(false, Ordering::SeqCst);
    });
    // What was committed is in the file itself, though nobody has closed it yet.
    let kept = dir.path().join("kept.db");
    std::fs::copy(&path, &kept).unwrap();
    assert!(log.exists(), "somebody has closed the ledger");
    assert_exact(&kept, EACH);
    drop(housekeeping);
    assert_exact(&path, EACH);
}
