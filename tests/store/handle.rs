//! One handle shared by threads: its clones write one after the other, and no reader waits for a writer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use usage_ledger::event::NewEvent;
use usage_ledger::store::{EventStore, MemoryStore, Options, SqliteStore};
use usage_ledger::{AsOf, Error, Ledger, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

fn call(key: &str) -> TokenRecord {
    TokenRecord::new("openai", "gpt-5").input(1).key(key)
}

/// A ledger in memory and one in a file.
fn ledgers() -> (tempfile::TempDir, [Ledger; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let file = Ledger::open(dir.path().join("usage.db")).unwrap();
    (dir, [Ledger::in_memory().unwrap(), file])
}

#[test]
fn a_handle_can_be_cloned_and_shared() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    fn is_sync<T: Send + Sync>() {}
    is_shared::<Ledger>();
    is_sync::<SqliteStore>();
    is_sync::<MemoryStore>();
    is_sync::<Box<dyn EventStore>>();
}

#[test]
fn two_queries_can_be_in_one_expression() {
    let (_dir, ledgers) = ledgers();
    for ledger in ledgers {
        ledger.record(call("a"), now()).unwrap();
        let then = AsOf::Position(0.into());
        let both = (ledger.snapshot().unwrap(), ledger.as_of(then).unwrap());
        assert_ne!(both.0.head().unwrap(), both.1.head().unwrap());
        assert_eq!(ledger.snapshot().unwrap().root().unwrap(), ledger.snapshot().unwrap().root().unwrap());
    }
}

#[test]
fn every_acknowledged_event_of_every_thread_is_counted() {
    const WRITERS: u64 = 8;
    const CALLS: u64 = 50;
    let (_dir, ledgers) = ledgers();
    for ledger in ledgers {
        let is_over = AtomicBool::new(false);
        let mut positions = BTreeSet::new();
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let ledger = ledger.clone().source(format!("writer-{writer}"));
                    scope.spawn(move || {
                        let one = |n| ledger.record(call(&format!("{writer}-{n}")), now()).unwrap();
                        (0..CALLS).map(one).collect::<Vec<_>>()
                    })
                })
                .collect();
            for _ in 0..2 {
                let (ledger, is_over) = (ledger.clone(), &is_over);
                scope.spawn(move || {
                    let mut seen = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        // A snapshot never has a log and counters that disagree, and snapshots never go back in time.
                        let snapshot = ledger.snapshot().unwrap();
                        let events = snapshot.head().unwrap().position.get();
                        assert_eq!(snapshot.provider("openai", now()).unwrap().all_time.requests, events);
                        assert!(events >= seen, "{events} after {seen}");
                        seen = events;
                    }
                });
            }
            for writer in writers {
                for outcome in writer.join().unwrap() {
                    assert!(outcome.is_new());
                    assert!(positions.insert(outcome.position().get()), "{outcome:?} was acknowledged twice");
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(positions.into_iter().eq(1..=WRITERS * CALLS));
        assert_eq!(ledger.provider("openai", now()).unwrap().all_time.requests, WRITERS * CALLS);
        assert!(ledger.verify().unwrap().ok);
    }
}

#[test]
fn a_reader_does_not_wait_for_an_open_write() {
    let (_dir, ledgers) = ledgers();
    for ledger in ledgers {
        ledger.record(call("before"), now()).unwrap();
        let ((writing, is_writing), (go_on, goes_on)) = (channel(), channel::<()>());
        thread::scope(|scope| {
            let shared = ledger.clone();
            let writer = scope.spawn(move || {
                // The transaction is open while the iterator produces the events.
                let events = (0..2).map(|n| {
                    if n == 1 {
                        writing.send(()).unwrap();
                        goes_on.recv().unwrap();
                    }
                    NewEvent::new(call(&n.to_string()), now())
                });
                shared.append(events, now()).unwrap().len()
            });
            is_writing.recv().unwrap();
            let kept = ledger.snapshot().unwrap();
            assert_eq!(ledger.clone().provider("openai", now()).unwrap().all_time.requests, 1);
            assert!(ledger.verify().unwrap().ok);
            go_on.send(()).unwrap();
            assert_eq!(writer.join().unwrap(), 2);
            // An earlier snapshot stays unchanged.
            assert_eq!(kept.head().unwrap().position.get(), 1);
            assert_eq!(ledger.head().unwrap().position.get(), 3);
        });
    }
}

#[test]
fn a_write_that_would_deadlock_with_its_thread_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Options::new().busy_timeout_seconds(0).open(&dir.path().join("usage.db")).unwrap();
    let open = store.write().unwrap();
    assert!(matches!(store.write(), Err(Error::Busy { seconds: 0 })));
    drop(open);
    store.write().unwrap().commit().unwrap();
}

#[cfg(unix)]
#[test]
fn a_handle_reads_a_replaced_file_while_an_old_snapshot_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("usage.db"), dir.path().join("other.db"));
    let ledger = Ledger::open(&path).unwrap();
    ledger.record(call("a"), now()).unwrap();
    let old = ledger.snapshot().unwrap();
    drop(Ledger::open(&other).unwrap());
    for end in ["-wal", "-shm"] {
        std::fs::remove_file(dir.path().join(format!("usage.db{end}"))).unwrap();
    }
    std::fs::rename(&other, &path).unwrap();
    assert!(matches!(ledger.record(call("b"), now()), Err(Error::Replaced { .. })));
    assert_eq!(old.head().unwrap().position.get(), 1);
    assert_eq!(ledger.head().unwrap().position.get(), 0);
    ledger.record(call("b"), now()).unwrap();
    drop(old);
    assert_eq!(Ledger::open(&path).unwrap().head().unwrap().position.get(), 1);
}

#[test]
fn a_read_only_handle_can_be_shared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let writer = Ledger::open(&path).unwrap();
    writer.record(call("a"), now()).unwrap();
    let reader = Ledger::open_with(&path, Options::new().read_only(true)).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            let reader = reader.clone();
            scope.spawn(move || {
                let both = (reader.snapshot().unwrap(), reader.snapshot().unwrap());
                assert_eq!(both.0.root().unwrap(), both.1.root().unwrap());
            });
        }
    });
    writer.record(call("b"), now()).unwrap();
    assert_eq!(reader.head().unwrap().position.get(), 2);
    assert!(matches!(reader.record(call("c"), now()), Err(Error::ReadOnly { .. })));
}
