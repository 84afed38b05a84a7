//! Locks and identity of the ledger's file: acknowledged events are in the file at the path, whatever other programs
//! do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use usage_ledger::{Error, Ledger, Position, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

fn call(name: &str) -> TokenRecord {
    TokenRecord::new("openai", "m").project(name).input(1)
}

/// Counts the events with another program's SQLite, which removes the write-ahead log on close if no lock prevents it.
fn count_elsewhere(path: &Path) -> u64 {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
                  print(c.execute('select count(*) from events').fetchone()[0])\nc.close()";
    let done = Command::new("python3").args(["-c", script]).arg(path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().parse().unwrap()
}

/// Checks that the ledger contains the calls of exactly these projects.
fn assert_holds(path: &Path, expected: &BTreeSet<String>) {
    let ledger = Ledger::open(path).unwrap();
    let verified = ledger.verify().unwrap();
    assert!(verified.ok, "{:?}", verified.findings);
    let mut held = BTreeSet::new();
    ledger
        .snapshot()
        .unwrap()
        .lines(Position::START, &mut |_, line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            held.insert(event["data"]["project"].as_str().unwrap().to_owned());
            Ok(true)
        })
        .unwrap();
    assert_eq!(&held, expected);
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_handle_keeps_its_locks_when_another_one_opens_and_closes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let one = Ledger::open(&path).unwrap();
    one.record(call("1"), now()).unwrap();
    let other = Ledger::open(&path).unwrap();
    assert_eq!(count_elsewhere(&path), 1);
    one.record(call("2"), now()).unwrap();
    other.record(call("3"), now()).unwrap();
    drop(other);
    assert_eq!(count_elsewhere(&path), 3);
    one.record(call("4"), now()).unwrap();
    assert_eq!(count_elsewhere(&path), 4);
    drop(one);
    assert_holds(&path, &names(&["1", "2", "3", "4"]));
}

#[test]
fn handles_in_threads_lose_nothing_beside_another_program() {
    const THREADS: usize = 4;
    const EACH: usize = 30;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let writing = AtomicBool::new(true);
    let acknowledged: BTreeSet<String> = thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let path = &path;
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    let kept = Ledger::open(path).unwrap();
                    for number in 0..EACH {
                        let name = format!("{thread}-{number}");
                        if number % 3 == 0 {
                            Ledger::open(path).unwrap().record(call(&name), now()).unwrap();
                        } else {
                            kept.record(call(&name), now()).unwrap();
                        }
                        mine.push(name);
                    }
                    mine
                })
            })
            .collect();
        let elsewhere = scope.spawn(|| {
            while writing.load(Ordering::SeqCst) {
                if path.exists() && fs::metadata(&path).unwrap().len() > 0 {
                    count_elsewhere(&path);
                }
            }
        });
        let all = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        writing.store(false, Ordering::SeqCst);
        elsewhere.join().unwrap();
        all
    });
    assert_eq!(acknowledged.len(), THREADS * EACH);
    assert_eq!(count_elsewhere(&path), (THREADS * EACH) as u64);
    assert_holds(&path, &acknowledged);
}

/// What happens to a file in use, and whether a ledger is at the path afterwards.
type Blow = (&'static str, fn(&Path), bool);

fn moved(path: &Path) -> PathBuf {
    path.with_extension("moved")
}

#[cfg(unix)]
const BLOWS: [Blow; 5] = [
    ("deleted", |path| fs::remove_file(path).unwrap(), false),
    ("renamed", |path| fs::rename(path, moved(path)).unwrap(), false),
    (
        "deleted with all that is beside it",
        |path| {
            for end in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{end}", path.display()));
            }
        },
        false,
    ),
    (
        "replaced",
        |path| {
            let other = path.with_extension("other");
            Ledger::open(&other).unwrap().record(call("other"), now()).unwrap();
            for end in ["-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{end}", path.display()));
            }
            fs::rename(&other, path).unwrap();
        },
        true,
    ),
    (
        "robbed of its write-ahead log",
        |path| {
            for end in ["-wal", "-shm"] {
                fs::remove_file(format!("{}{end}", path.display())).unwrap();
            }
        },
        true,
    ),
];

#[cfg(unix)]
#[test]
fn only_writes_to_the_file_at_the_path_are_acknowledged() {
    for (what, strike, is_there) in BLOWS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.db");
        let ledger = Ledger::open(&path).unwrap();
        ledger.record(call("before"), now()).unwrap();
        strike(&path);
        assert!(matches!(ledger.head(), Err(Error::Replaced { .. })), "{what}: read");
        if is_there {
            // The handle has opened the file that is at the path now.
            ledger.record(call("after"), now()).unwrap();
            drop(ledger);
            let held = if what == "replaced" { vec!["other", "after"] } else { vec!["after"] };
            let ledger = Ledger::open(&path).unwrap();
            assert_eq!(ledger.head().unwrap().position.get(), held.len() as u64, "{what}");
        } else {
            for _ in 0..2 {
                let refused = ledger.record(call("lost"), now());
                assert!(matches!(refused, Err(Error::Replaced { .. })), "{what}: {refused:?}");
            }
            assert!(!path.exists(), "{what}: a ledger was made in its place");
            // It can be moved back.
            if moved(&path).exists() {
                fs::rename(moved(&path), &path).unwrap();
                let again = ledger;
                again.record(call("after"), now()).unwrap();
                drop(again);
                assert_holds(&path, &names(&["before", "after"]));
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_write_whose_file_is_deleted_meanwhile_is_not_acknowledged() {
    use usage_ledger::store::{EventStore, SqliteStore, Table};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut tx = store.write().unwrap();
    tx.put(Table::EventIndex, b"key", Some(b"value")).unwrap();
    fs::rename(&path, moved(&path)).unwrap();
    assert!(matches!(tx.commit(), Err(Error::Replaced { .. })));
    fs::rename(moved(&path), &path).unwrap();
    assert_eq!(store.read().unwrap().get(Table::EventIndex, b"key").unwrap(), None);
}

#[cfg(unix)]
#[test]
fn a_file_with_a_second_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, second) = (dir.path().join("usage.db"), dir.path().join("second.db"));
    Ledger::open(&path).unwrap().record(call("1"), now()).unwrap();
    fs::hard_link(&path, &second).unwrap();
    for name in [&path, &second] {
        let refused = Ledger::open(name).map(|_| ()).unwrap_err();
        assert!(matches!(refused, Error::HardLinked { links: 2, .. }), "{refused}");
    }
    fs::remove_file(&second).unwrap();
    assert_holds(&path, &names(&["1"]));
    // A symbolic link is not a second name, because SQLite follows it.
    std::os::unix::fs::symlink(&path, &second).unwrap();
    Ledger::open(&second).unwrap().record(call("2"), now()).unwrap();
    assert_holds(&path, &names(&["1", "2"]));
}
