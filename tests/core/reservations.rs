//! Concurrent callers never exceed a limit together, and reservations of dead callers expire.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Barrier;

use usage_ledger::budget::{Mode, RunRequest};
use usage_ledger::event::{BudgetMode, LimitSet, NewEvent, PriceSet, QuotaExhausted, WindowKind};
use usage_ledger::time::{DAY, HOUR, MINUTE};
use usage_ledger::{Error, Ledger, Outcome, ProviderId, Timestamp, TokenRecord};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

#[test]
fn sixteen_callers_never_exceed_a_limit_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let ledger = Ledger::open(&path).unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
    ledger.record(TokenRecord::new("openai", "gpt-5").input(90), NOW).unwrap();
    let start = Barrier::new(16);
    let granted: u64 = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16_i64)
            .map(|caller| {
                let (start, path) = (&start, &path);
                scope.spawn(move || {
                    let ledger = Ledger::open(path).unwrap();
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
fn money_is_counted_when_the_reservation_is_made() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.set_price(PriceSet::new("openai", "", "1".parse().unwrap(), "1".parse().unwrap()).unwrap(), NOW).unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().usd_day("1".parse().unwrap()), NOW).unwrap();
    ledger.reserve("openai", 50, MINUTE, NOW).unwrap();
    // Another caller, whose clock is ahead, spends the budget. The latest time in the ledger counts.
    ledger.record(TokenRecord::new("openai", "gpt-5").input(2_000_000), NOW.plus(HOUR)).unwrap();
    let refused = ledger.reserve("openai", 50, MINUTE, NOW).unwrap_err();
    assert!(matches!(refused, Error::Gated { .. }), "{refused}");
}

#[test]
fn the_reservation_of_a_dead_caller_expires() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
    ledger.reserve("openai", 1_000, 10 * MINUTE, NOW).unwrap();
    assert!(ledger.reserve("openai", 1, MINUTE, NOW.plus(10 * MINUTE - 1)).is_err());
    ledger.reserve("openai", 1_000, MINUTE, NOW.plus(10 * MINUTE)).unwrap();
    assert!(ledger.budget("openai", NOW.plus(10 * MINUTE)).unwrap().gated, "what is reserved counts as used");
    assert!(!ledger.budget("openai", NOW.plus(11 * MINUTE)).unwrap().gated);
}

#[test]
fn settling_records_the_call_and_frees_the_rest() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), NOW).unwrap();
    let held = ledger.reserve("openai", 800, HOUR, NOW).unwrap();
    let call = || TokenRecord::new("openai", "gpt-5").input(300).key("resp_1");
    ledger.settle(held.id, call(), NOW.plus(MINUTE)).unwrap();
    let usage = ledger.provider("openai", NOW.plus(MINUTE)).unwrap();
    assert_eq!((usage.reserved, usage.session.usage.tokens.total()), (0, 300));
    let settled = ledger.head().unwrap().position;
    let again = ledger.settle(held.id, call(), NOW.plus(2 * MINUTE)).unwrap();
    assert_eq!((again.position().get(), again.is_new()), (3, false));
    assert_eq!(ledger.head().unwrap().position, settled, "settling again adds nothing");
    let other = ledger.reserve("openai", 700, HOUR, NOW.plus(3 * MINUTE)).unwrap();
    let wrong = ledger.settle(other.id, TokenRecord::new("anthropic", "m").input(1), NOW.plus(3 * MINUTE));
    assert!(wrong.is_err());
    assert_eq!(
        ledger.provider("anthropic", NOW.plus(4 * MINUTE)).unwrap().all_time.requests,
        0,
        "nothing half written"
    );
    let released = ledger.release(other.id, "not sent", NOW.plus(4 * MINUTE)).unwrap().position();
    let again = ledger.release(other.id, "twice", NOW.plus(5 * MINUTE)).unwrap();
    assert_eq!((again.position(), again.is_new()), (released, false));
    let late = ledger.settle(other.id, TokenRecord::new("openai", "m").input(1), NOW.plus(5 * MINUTE)).unwrap_err();
    assert!(matches!(late, Error::AlreadyReleased { reservation } if reservation == other.id), "{late}");
    ledger.reserve("openai", 700, HOUR, NOW.plus(5 * MINUTE)).unwrap();
}

#[test]
fn a_call_that_ends_after_its_reservation_expired_is_recorded() {
    let ledger = Ledger::in_memory().unwrap();
    let held = ledger.reserve("openai", 800, MINUTE, NOW).unwrap();
    ledger.settle(held.id, TokenRecord::new("openai", "gpt-5").input(900), NOW.plus(2 * DAY)).unwrap();
    assert_eq!(ledger.provider("openai", NOW.plus(2 * DAY)).unwrap().all_time.tokens.total(), 900);
}

#[test]
fn only_gating_windows_limit_reservations() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.reserve("ollama", u64::from(u32::MAX), HOUR, NOW).unwrap();
    // Without a session window the week counts, as it does for the gate.
    ledger.set_limit(LimitSet::new("mistral").unwrap().weekly(10), NOW).unwrap();
    assert!(matches!(ledger.reserve("mistral", 11, HOUR, NOW), Err(Error::OverBudget { window: "weekly", .. })));
    let mut limit = LimitSet::new("openai").unwrap().session(100).weekly(10);
    ledger.set_limit(limit.clone(), NOW).unwrap();
    ledger.reserve("openai", 11, HOUR, NOW).unwrap();
    limit.budget_mode = Some(BudgetMode::Full);
    ledger.set_limit(limit, NOW).unwrap();
    assert!(matches!(ledger.reserve("openai", 11, HOUR, NOW), Err(Error::OverBudget { window: "weekly", .. })));
    for (tokens, ttl) in [(0, HOUR), (1, 0), (1, DAY + 1)] {
        assert!(ledger.reserve("openai", tokens, ttl, NOW).is_err());
    }
}

#[test]
fn settling_again_with_another_record_is_a_conflict_and_writes_nothing() {
    for key in [None, Some("resp_1")] {
        let ledger = Ledger::in_memory().unwrap();
        let held = ledger.reserve_for("openai", Some("work"), 800, HOUR, NOW).unwrap();
        let call = |tokens, key: Option<&str>| {
            let call = TokenRecord::new("openai", "gpt-5").input(tokens).project("acme");
            key.map_or_else(|| call.clone(), |key| call.clone().key(key))
        };
        let first = ledger.settle_at(held.id, call(300, key), NOW.plus(1), NOW.plus(MINUTE)).unwrap();
        let size = ledger.head().unwrap().position;
        let account = ledger.snapshot().unwrap().account("openai", Some("work"), NOW.plus(MINUTE)).unwrap();
        assert_eq!(account.all_time.tokens.total(), 300, "the record is of the account that was reserved for");
        let again = ledger.settle(held.id, call(300, key), NOW.plus(2 * MINUTE)).unwrap();
        assert_eq!(again, Outcome::Existing { position: first.position(), id: first.id() }, "{key:?}");
        for other in [
            call(301, key),
            call(300, key).project("other"),
            call(300, Some("resp_2")),
            call(300, key).account("home"),
            TokenRecord::new("anthropic", "gpt-5").input(300).project("acme"),
        ] {
            match ledger.settle(held.id, other.clone(), NOW.plus(3 * MINUTE)) {
                Err(Error::Conflict { position, .. }) => assert_eq!(position, first.position(), "{other:?}"),
                wrong => panic!("{key:?} {other:?}: {wrong:?}"),
            }
        }
        assert_eq!(ledger.head().unwrap().position, size, "{key:?}: nothing was written");
        assert!(ledger.verify().unwrap().ok);
    }
}

#[test]
fn a_closed_gate_refuses_a_reservation() {
    let ledger = Ledger::in_memory().unwrap();
    assert!(matches!(ledger.reserve("antropic", 1, HOUR, NOW), Err(Error::UnknownProvider { .. })));
    assert_eq!(ledger.head().unwrap().position.get(), 0);
    ledger.reserve_run(&RunRequest::new("my-gateway").unwrap().allow_undeclared(), 1, HOUR, NOW).unwrap();
    let refused =
        QuotaExhausted::new(ProviderId::new("anthropic").unwrap(), "claude-limit", "You've hit your Opus limit")
            .model("opus")
            .resets_at(NOW.plus(HOUR));
    ledger.append([NewEvent::new(refused, NOW)], NOW).unwrap();
    let run = |model: &str| RunRequest::new("anthropic").unwrap().model(model);
    assert!(matches!(ledger.reserve_run(&run("claude-opus-4-8"), 1, HOUR, NOW), Err(Error::Gated { .. })));
    ledger.reserve_run(&run("claude-sonnet-5"), 1, HOUR, NOW).unwrap();
    ledger.override_usage("openai", WindowKind::Session, "55".parse().unwrap(), "me", "", NOW).unwrap();
    let deep = RunRequest::new("openai").unwrap().need(Mode::Deep);
    assert!(matches!(ledger.reserve_run(&deep, 1, HOUR, NOW), Err(Error::Gated { .. })));
}
