//! A void takes effect whatever the clock shows.

use usage_ledger::time::DAY;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

#[test]
fn a_void_behind_an_amendment_of_the_future_withdraws_the_call_once() {
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let ledger = Ledger::in_memory().unwrap();
    let call = ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now).unwrap().id();
    // The clock was a day ahead, and is right again.
    ledger
        .amend(call, TokenRecord::new("openai", "gpt-5").input(2), "the proxy cut the stream", now.plus(DAY))
        .unwrap();
    let first = ledger.void(call, "a test call", now).unwrap();
    let again = ledger.void(call, "a test call", now).unwrap();
    assert!(first.is_new() && !again.is_new());
    assert_eq!(again.position(), first.position());
    assert_eq!(ledger.provider("openai", now.plus(2 * DAY)).unwrap().all_time.requests, 0);
    assert!(ledger.verify().unwrap().ok);
}
