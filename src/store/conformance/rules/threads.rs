//! Rules about several handles in threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::store::{EventStore, Table};

use super::super::Factory;
use super::super::support::{LogRow, counter, rows_from};

/// The number of writers in the rules below, and of commits of each.
const WRITERS: u64 = 4;
const COMMITS: u64 = 12;

fn add_one(store: &dyn EventStore) {
    let mut tx = store.write().unwrap();
    let next = counter(&*tx, b"counter") + 1;
    tx.put(Table::EventIndex, b"counter", Some(&next.to_be_bytes())).unwrap();
    tx.commit().unwrap();
}

pub fn no_update_is_lost(factory: &dyn Factory) {
    let (mine, other) = (factory.open(), factory.open());
    let (done, is_done) = channel();
    let mut tx = mine.write().unwrap();
    let before = counter(&*tx, b"counter");
    thread::scope(|scope| {
        scope.spawn(move || {
            add_one(&*other);
            done.send(()).unwrap();
        });
        // The other writer must wait for this one for any length of time.
        let overtaken = is_done.recv_timeout(Duration::from_millis(150)).is_ok();
        tx.put(Table::EventIndex, b"counter", Some(&(before + 1).to_be_bytes())).unwrap();
        tx.commit().unwrap();
        if !overtaken {
            is_done.recv().unwrap();
        }
    });
    assert_eq!(counter(&*mine.read().unwrap(), b"counter"), 2, "one of two updates is lost");

    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let store = factory.open();
                for _ in 0..COMMITS {
                    add_one(&*store);
                }
            });
        }
    });
    assert_eq!(counter(&*mine.read().unwrap(), b"counter"), 2 + WRITERS * COMMITS);
}

/// Appends two rows at a time and stores their count in a projection.
fn write_rows(store: &dyn EventStore, writer: u64) {
    for n in 0..COMMITS {
        let mut tx = store.write().unwrap();
        let lines = [2 * n, 2 * n + 1].map(|k| LogRow::new(1 + writer * 1_000 + k));
        tx.append(&[lines[0].row(), lines[1].row()]).unwrap();
        let count = counter(&*tx, b"rows") + 2;
        tx.put(Table::EventIndex, b"rows", Some(&count.to_be_bytes())).unwrap();
        tx.commit().unwrap();
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs the writers; meanwhile calls `look` repeatedly, and once more at the end.
fn while_writing(factory: &dyn Factory, mut look: impl FnMut(&dyn EventStore)) {
    let reader = factory.open();
    let writing = AtomicBool::new(true);
    thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write_rows(&*factory.open(), writer))).collect();
        let writing = &writing;
        scope.spawn(move || {
            let joined: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            writing.store(false, Ordering::SeqCst);
            assert!(joined.iter().all(Result::is_ok), "a writer failed");
        });
        while writing.load(Ordering::SeqCst) {
            look(&*reader);
            thread::yield_now();
        }
    });
    look(&*reader);
}

pub fn rows_and_values_appear_together(factory: &dyn Factory) {
    while_writing(factory, |reader| {
        let view = reader.read().unwrap();
        let rows = rows_from(&*view, 0).len() as u64;
        assert_eq!(rows, counter(&*view, b"rows"), "a snapshot with rows and values of different commits");
        assert_eq!(rows % 2, 0, "half a commit");
    });
}

pub fn a_follower_misses_nothing(factory: &dyn Factory) {
    // A reader that continues after the last position it saw, like an export.
    let store = factory.open();
    let mut followed = Vec::new();
    let mut next = 1;
    while_writing(factory, |reader| {
        let view = reader.read().unwrap();
        for (at, line) in rows_from(&*view, next) {
            next = at + 1;
            followed.push(line.body);
        }
    });
    let mut log: Vec<String> = rows_from(&*store.read().unwrap(), 0).into_iter().map(|(_, line)| line.body).collect();
    assert_eq!(followed.len() as u64, 2 * WRITERS * COMMITS, "rows became visible behind the reader");
    followed.sort();
    log.sort();
    assert_eq!(followed, log);
}
