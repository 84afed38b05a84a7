//! Callers that ask at once never pass a limit together, and the dead give back what they held.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Barrier;

use usage_ledger::event::{BudgetMode, LimitSet};
use usage_ledger::time::{DAY, HOUR, MINUTE};
use usage_ledger::{Error, Ledger, Timestamp, TokenRecord};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

#[test]
fn sixteen_callers_never_pass_a_limit_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let mut ledger = Ledger::open(&path).unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
    ledger.record(TokenRecord::new("openai", "gpt-5").input(90), NOW).unwrap();
    let start = Barrier::new(16);
    let granted: u64 = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16_i64)
            .map(|caller| {
                let (start, path) = (&start, &path);
                scope.spawn(move || {
                    let mut ledger = Ledger::open(path).unwrap();
                    start.wait();
                    // Their clocks differ by seconds, forwards and backwards.
                    let now = NOW.plus((caller - 8) * 1_000);
                    let mut granted = 0;
                    for _ in 0..4 {
                        match ledger.reserve("openai", 50, HOUR, now) {
                            Ok(reservation) => granted += reservation.tokens,
                            Err(Error::OverBudget { left, .. }) => assert!(left < 50, "{left} were left"),
                            Err(error) => panic!("{error}"),
                        }
                    }
                    granted
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(granted, 900, "all that fits was granted, and no more");
    assert_eq!(Ledger::open(&path).unwrap().provider("openai", NOW.plus(MINUTE)).unwrap().reserved, 900);
}

#[test]
fn what_a_dead_caller_held_lapses() {
    let mut ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
    ledger.reserve("openai", 1_000, 10 * MINUTE, NOW).unwrap();
    assert!(ledger.reserve("openai", 1, MINUTE, NOW.plus(10 * MINUTE - 1)).is_err());
    ledger.reserve("openai", 1_000, MINUTE, NOW.plus(10 * MINUTE)).unwrap();
    assert!(ledger.budget("openai", NOW.plus(10 * MINUTE)).unwrap().gated, "what is reserved counts as used");
    assert!(!ledger.budget("openai", NOW.plus(11 * MINUTE)).unwrap().gated);
}

#[test]
fn settling_records_the_call_and_frees_the_rest() {
    let mut ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
    let held = ledger.reserve("openai", 800, HOUR, NOW).unwrap();
    let call = || TokenRecord::new("openai", "gpt-5").input(300).key("resp_1");
    ledger.settle(held.id, call(), NOW.plus(MINUTE)).unwrap();
    let usage = ledger.provider("openai", NOW.plus(MINUTE)).unwrap();
    assert_eq!((usage.reserved, usage.session.usage.tokens.total()), (0, 300));
    let again = ledger.settle(held.id, call(), NOW.plus(2 * MINUTE)).unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    let other = ledger.reserve("openai", 700, HOUR, NOW.plus(3 * MINUTE)).unwrap();
    let wrong = ledger.settle(other.id, TokenRecord::new("anthropic", "m").input(1), NOW.plus(3 * MINUTE));
    assert!(wrong.is_err());
    assert_eq!(
        ledger.provider("anthropic", NOW.plus(4 * MINUTE)).unwrap().all_time.requests,
        0,
        "nothing half written"
    );
    ledger.release(other.id, "not sent", NOW.plus(4 * MINUTE)).unwrap();
    assert!(ledger.release(other.id, "twice", NOW.plus(5 * MINUTE)).is_err());
    ledger.reserve("openai", 700, HOUR, NOW.plus(5 * MINUTE)).unwrap();
}

#[test]
fn a_lapsed_call_that_ends_after_all_is_recorded() {
    let mut ledger = Ledger::in_memory().unwrap();
    let held = ledger.reserve("openai", 800, MINUTE, NOW).unwrap();
    ledger.settle(held.id, TokenRecord::new("openai", "gpt-5").input(900), NOW.plus(2 * DAY)).unwrap();
    assert_eq!(ledger.provider("openai", NOW.plus(2 * DAY)).unwrap().all_time.tokens.total(), 900);
}

#[test]
fn only_windows_that_gate_hold_reservations_back() {
    let mut ledger = Ledger::in_memory().unwrap();
    ledger.reserve("ollama", u64::from(u32::MAX), HOUR, NOW).unwrap();
    let mut limit = LimitSet::new("openai").unwrap().weekly(10);
    ledger.set_limit(limit.clone(), NOW).unwrap();
    ledger.reserve("openai", 11, HOUR, NOW).unwrap();
    limit.budget_mode = Some(BudgetMode::Full);
    ledger.set_limit(limit, NOW).unwrap();
    assert!(matches!(ledger.reserve("openai", 11, HOUR, NOW), Err(Error::OverBudget { window: "weekly", .. })));
    for (tokens, ttl) in [(0, HOUR), (1, 0), (1, DAY + 1)] {
        assert!(ledger.reserve("openai", tokens, ttl, NOW).is_err());
    }
}
