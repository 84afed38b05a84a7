//! Following a ledger: every event once, in order, from any writer.

use std::thread;
use std::time::Duration;

use usage_ledger::event::Payload;
use usage_ledger::store::Options;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

/// A generous timeout: if it passes, an event was missed.
const LONG: Duration = Duration::from_secs(120);

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

fn call(key: &str) -> TokenRecord {
    TokenRecord::new("openai", "gpt-5").input(1).key(key)
}

#[test]
fn a_follower_gets_every_event_of_every_handle_once_in_order() {
    const EACH: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let ledger = Ledger::open(&path).unwrap();
    ledger.record(call("before"), now()).unwrap();
    let mut tail = ledger.tail(0);
    thread::scope(|scope| {
        for writer in 0..2 {
            let clone = ledger.clone();
            let other = Ledger::open(&path).unwrap();
            scope.spawn(move || {
                for n in 0..EACH {
                    clone.record(call(&format!("{writer}-{n}-clone")), now()).unwrap();
                    other.record(call(&format!("{writer}-{n}-other")), now()).unwrap();
                }
            });
        }
        for expected in 1..=4 * EACH + 1 {
            let (position, event) = tail.next_within(LONG).unwrap().expect("an event was missed");
            assert_eq!(position.get(), expected);
            assert!(matches!(event.payload, Payload::TokensRecorded(_)));
        }
    });
    assert!(tail.try_next().unwrap().is_none());
}

#[test]
fn a_follower_begins_at_the_given_position_even_beyond_the_head() {
    let ledger = Ledger::in_memory().unwrap();
    let mut tail = ledger.tail(3);
    for key in ["a", "b"] {
        ledger.record(call(key), now()).unwrap();
        assert!(tail.try_next().unwrap().is_none());
    }
    ledger.record(call("c"), now()).unwrap();
    assert_eq!(tail.try_next().unwrap().unwrap().0.get(), 3);
}

#[test]
fn a_stopped_follower_returns_the_remaining_events_and_ends() {
    let ledger = Ledger::in_memory().unwrap();
    let mut tail = ledger.tail(1);
    let stopper = tail.stopper();
    thread::scope(|scope| {
        // Waits for an event that never arrives, until it is stopped.
        let waits = scope.spawn(|| {
            let first = tail.next().unwrap().unwrap().0.get();
            (first, tail.next().is_none(), tail.next().is_none())
        });
        ledger.record(call("a"), now()).unwrap();
        stopper.stop();
        assert_eq!(waits.join().unwrap(), (1, true, true));
    });
}

#[test]
fn a_read_only_handle_can_follow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let writer = Ledger::open(&path).unwrap();
    let mut tail = Ledger::open_with(&path, Options::new().read_only(true)).unwrap().tail(1);
    assert!(tail.try_next().unwrap().is_none());
    writer.record(call("a"), now()).unwrap();
    assert_eq!(tail.next_within(LONG).unwrap().unwrap().0.get(), 1);
}

#[test]
fn an_event_that_cannot_be_read_is_an_error_after_those_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let ledger = Ledger::open(&path).unwrap();
    ledger.record(call("a"), now()).unwrap();
    ledger.record(call("b"), now()).unwrap();
    let damage = rusqlite::Connection::open(&path).unwrap();
    let names: Vec<String> = damage
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for name in names {
        damage.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    damage.execute_batch("UPDATE events SET body = '{}' WHERE position = 2").unwrap();
    let mut tail = ledger.tail(1);
    assert!(tail.next().unwrap().is_ok());
    assert!(tail.next().unwrap().is_err());
    assert!(tail.next().is_none());
}
