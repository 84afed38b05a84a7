//! A clock that jumps does not break the order of the ledger.
#![allow(clippy::unwrap_used)]

use usage_ledger::{AsOf, Ledger, Timestamp, TokenRecord};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn recorded_at_never_decreases_and_occurred_at_is_unchanged() {
    let ledger = Ledger::in_memory().unwrap();
    let call = || TokenRecord::new("anthropic", "m").input(1);
    ledger.record(call(), at("2026-06-01T12:00:00Z")).unwrap();
    // The clock is set back an hour, then forward a year, then right again.
    ledger.record(call(), at("2026-06-01T11:00:00Z")).unwrap();
    ledger.record(call(), at("2027-06-01T11:00:00Z")).unwrap();
    ledger.record(call(), at("2026-06-01T12:00:01Z")).unwrap();

    let recorded: Vec<_> = (1..=4_u64).map(|position| ledger.event(position).unwrap().recorded_at).collect();
    assert!(recorded.is_sorted(), "{recorded:?}");
    assert_eq!(ledger.event(2_u64).unwrap().occurred_at, at("2026-06-01T11:00:00Z"));
    assert!(ledger.verify().unwrap().ok);

    // A time of the past selects the events recorded up to it, whatever the clock did.
    let then = ledger.as_of(AsOf::Time(at("2026-06-01T12:00:00Z"))).unwrap();
    assert_eq!(then.head().unwrap().position.get(), 2);
}

#[test]
fn usage_in_the_future_is_in_no_window_yet() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.record(TokenRecord::new("anthropic", "m").input(7), at("2027-01-01T00:00:00Z")).unwrap();
    let usage = ledger.provider("anthropic", at("2026-06-01T00:00:00Z")).unwrap();
    assert_eq!((usage.session.usage.requests, usage.all_time.requests), (0, 0));
}
