//! What queries cost, in rows that they read: a query whose answer is small does not read the log.

#![allow(clippy::unwrap_used)]

use crate::budget::RunRequest;
use crate::event::{EventKind, LimitSet, NewEvent, ProviderSwitched};
use crate::ledger::EventFilter;
use crate::model::event::NameKind;
use crate::model::time::MINUTE;
use crate::projection::blocks::BLOCK;
use crate::report::{Report, ReportKey};
use crate::store::counting::CountingStore;
use crate::{AsOf, Ledger, Timestamp, TokenRecord};

const START: i64 = 1_780_000_000_000;
/// Events of the ledger: many blocks, and some events behind the last full one.
const EVENTS: u64 = 40 * BLOCK + 300;
/// Rows behind the last full block and of one block, which any query may read.
const FEW: u64 = 300 + 2 * BLOCK;

/// When a call was made: one every two seconds.
fn at(number: u64) -> Timestamp {
    Timestamp::from_millis(START + number as i64 * 2_000 + 7)
}

fn call(number: u64) -> NewEvent {
    let (provider, model) =
        if number.is_multiple_of(3) { ("openai", "gpt-5") } else { ("anthropic", "claude-opus-4-5") };
    let record = TokenRecord::new(provider, model)
        .input(number % 300)
        .output(1 + number % 50)
        .label("team", if number.is_multiple_of(5) { "a" } else { "b" })
        .project(format!("/src/{}", number / 5_000))
        .conversation(format!("c{}", number / 150));
    NewEvent::new(record, at(number)).source("test")
}

fn ledger() -> (Ledger, CountingStore) {
    let store = CountingStore::default();
    let ledger = Ledger::with_store(Box::new(store.clone()));
    let now = at(EVENTS);
    ledger.append((0..9_000).map(call), now).unwrap();
    ledger.append([NewEvent::new(ProviderSwitched::to("openai").unwrap(), at(9_000))], now).unwrap();
    ledger.append((9_001..EVENTS).map(call), now).unwrap();
    (ledger, store)
}

#[test]
fn a_report_reads_single_records_only_where_rollups_cannot_answer() {
    let (ledger, store) = ledger();
    let by = |keys: &[ReportKey]| Report::by_all(keys.iter().cloned());
    let minutes = |report: Report, from: i64, to: i64| {
        report
            .since(Timestamp::from_millis(START + from * MINUTE + 1))
            .until(Timestamp::from_millis(START + to * MINUTE + 2))
    };
    let (window, model, project) = (ReportKey::Window, ReportKey::Model, ReportKey::Project);
    let reports = [
        ("window", by(std::slice::from_ref(&window))),
        ("model and window", by(&[model.clone(), window.clone()])),
        ("project and window", by(&[project.clone(), window.clone()])),
        ("windows of an hour", minutes(by(&[window]), 600, 660)),
        ("five minutes", minutes(by(std::slice::from_ref(&model)), 607, 612)),
        ("ten hours and a bit, by project", minutes(by(&[project]), 77, 679)),
        ("hour", by(&[ReportKey::Hour])),
        ("day in a zone off by a quarter", by(&[ReportKey::Day]).tz("Asia/Kathmandu".parse().unwrap())),
        ("label", by(&[ReportKey::Label("team".to_owned())])),
        ("label filter", by(&[model]).only(ReportKey::Label("team".to_owned()), "a").unwrap()),
        ("conversation", by(&[ReportKey::Conversation])),
    ];
    for (name, report) in reports {
        let (log, _) = store.read.during(|| ledger.report(&report).unwrap());
        assert!(log <= FEW, "{name} read {log} of {EVENTS} rows of the log");
    }
    // A range of five minutes costs what it holds, however long the ledger is.
    let (_, rows) = store.read.during(|| ledger.report(&minutes(by(&[ReportKey::Model]), 607, 612)).unwrap());
    assert!(rows < 200, "{rows} rows of projections");
}

/// A question about some minutes costs the same when the ledger has twice as many blocks.
#[test]
fn a_question_about_some_minutes_reads_no_summaries_of_other_blocks() {
    let (ledger, store) = ledger();
    let (since, until) = (at(18_210), at(18_360));
    let report = Report::by_all([ReportKey::Model]).since(since).until(until);
    let costs = || {
        let (_, of_report) = store.read.during(|| assert_eq!(ledger.report(&report).unwrap().total.requests, 150));
        let filter = EventFilter::between(Some(since), Some(until));
        let mut found = 0;
        let (_, of_search) = store.read.during(|| {
            let mut visit = |_, _: &str| {
                found += 1;
                Ok(true)
            };
            ledger.snapshot().unwrap().find_back(&filter, None, &mut visit).unwrap();
        });
        assert_eq!(found, 150);
        let (_, of_calls) = store.read.during(|| {
            let mut visit = |_| Ok(());
            ledger.snapshot().unwrap().each_call_between(since, until, &mut visit).unwrap();
        });
        [of_report, of_search, of_calls]
    };
    let before = costs();
    assert!(before.iter().all(|rows| *rows < 40), "{before:?} rows of projections for two or three blocks of 40");
    ledger.append((EVENTS..2 * EVENTS).map(call), at(2 * EVENTS)).unwrap();
    let after = costs();
    assert!(before.iter().zip(after).all(|(before, after)| after <= before + 4), "{before:?}, then {after:?}");
}

/// The range of a window begins and ends within quarters of an hour. It divides the uses of no account.
#[test]
fn a_range_that_divides_no_uses_reads_no_single_record() {
    let (ledger, store) = ledger();
    let late = at(EVENTS).plus(6 * crate::model::time::HOUR);
    let record = || TokenRecord::new("anthropic", "claude-opus-4-5").input(7).output(3);
    ledger.append((0..5).map(|n| NewEvent::new(record(), late.plus(n * MINUTE))), late.plus(5 * MINUTE)).unwrap();
    let report = Report::by(ReportKey::Model).since(late).until(late.plus(4 * MINUTE + 1));
    let mut requests = 0;
    let (log, rows) = store.read.during(|| requests = ledger.report(&report).unwrap().total.requests);
    assert_eq!(requests, 5);
    assert!(log == 0 && rows < 50, "{log} rows of the log, {rows} of projections");
    // One use before the range in its first quarter makes it read that quarter.
    let divided = Report::by(ReportKey::Model).since(late.plus(1)).until(late.plus(4 * MINUTE + 1));
    assert_eq!(ledger.report(&divided).unwrap().total.requests, 4);
    let without = Report::by(ReportKey::Model).since(late.plus(4 * MINUTE + 1)).until(late.plus(5 * MINUTE));
    assert_eq!(ledger.report(&without).unwrap().total.requests, 0);
}

#[test]
fn an_event_filter_reads_only_blocks_with_matches() {
    let (ledger, store) = ledger();
    let filter = || EventFilter::between(None, None);
    let none: [&str; 0] = [];
    let filters = [
        ("a rare kind", filter().kinds([EventKind::ProviderSwitched]), 1),
        ("a kind that there is not", filter().kinds([EventKind::Paused]), 0),
        ("a provider", filter().names(NameKind::Provider, ["openai"]), 20),
        ("a project of the past", filter().names(NameKind::Project, ["/src/2"]), 20),
        ("a conversation", filter().names(NameKind::Conversation, ["c17"]), 20),
        ("a project that there is not", filter().names(NameKind::Project, ["/none"]), 0),
        ("a minute", EventFilter::between(Some(at(10_000)), Some(at(10_005))), 5),
        ("no filter", filter().names(NameKind::Model, none), 20),
    ];
    for (name, filter, expected) in filters {
        let snapshot = ledger.snapshot().unwrap();
        let mut found = Vec::new();
        let (log, _) = store.read.during(|| {
            snapshot
                .find_back(&filter, None, &mut |position, line| {
                    if filter.is_named(&crate::event::Event::from_line(position, line)?.payload) {
                        found.push(position);
                    }
                    Ok(found.len() < 20)
                })
                .unwrap();
        });
        assert_eq!(found.len(), expected, "{name}");
        assert!(found.is_sorted_by(|a, b| a > b), "{name}: latest first");
        assert!(log <= FEW, "{name} read {log} of {EVENTS} rows of the log");
    }
}

#[test]
fn a_question_about_the_past_reads_little_and_writes_nothing() {
    let (ledger, store) = ledger();
    let late = TokenRecord::new("openai", "gpt-5").input(1);
    // One call of the past that is recorded last: from its day on, nothing is quite as it was.
    ledger.append([NewEvent::new(late, at(100))], at(EVENTS)).unwrap();
    let by = |key: ReportKey| Report::by_all([key]);
    for position in [1, 500, 9_500, 20_000, 33_000, EVENTS] {
        let (log, rows) = store.read.during(|| {
            let past = ledger.as_of(AsOf::Position(position.into())).unwrap();
            let now = past.moment().unwrap();
            past.status(now).unwrap();
            let total = past.report(&by(ReportKey::Day)).unwrap().total.requests;
            assert_eq!(total, position - u64::from(position > 9_000));
            past.report(&by(ReportKey::Model)).unwrap();
        });
        assert!(log <= 2 * FEW && rows < 3_000, "as of {position}: {log} rows of the log, {rows} of projections");
    }
}

#[test]
fn a_decision_reads_about_as_many_lines_as_it_names() {
    let (ledger, store) = ledger();
    ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), at(EVENTS)).unwrap();
    let snapshot = ledger.snapshot().unwrap();
    let (log, rows) = store.read.during(|| {
        let verdict = snapshot.gate(&RunRequest::new("openai").unwrap(), at(EVENTS)).unwrap();
        assert!(verdict.evidence.len() > 32, "{verdict:?}");
    });
    assert!(log < 400 && rows < 800, "{log} rows of the log, {rows} of projections");
}

/// The ids of calls are random, so each look-up may read a page of the index of ids.
#[test]
fn the_id_of_a_new_call_is_looked_up_once() {
    let store = CountingStore::default();
    let ledger = Ledger::with_store(Box::new(store.clone()));
    let keyed = |n: u64, keys: &[&str]| {
        let record = TokenRecord::new("openai", "gpt-5").input(n);
        NewEvent::new(keys.iter().fold(record, |record, key| record.key(format!("{key}-{n}"))), at(n))
    };
    let one = store.read.ids_during(|| ledger.append((0..200).map(|n| keyed(n, &["a"])), at(0)).unwrap());
    assert_eq!(one, 200);
    let two = store.read.ids_during(|| ledger.append((200..400).map(|n| keyed(n, &["a", "b"])), at(0)).unwrap());
    assert_eq!(two, 400, "one for each key");
    // Its second key finds the call too.
    for keys in [&["a", "b"][..], &["b"]] {
        assert!(!ledger.append([keyed(300, keys)], at(0)).unwrap()[0].is_new());
    }
}
