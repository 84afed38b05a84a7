//! What queries cost, in rows that they read: a query whose answer is small does not read the log.

#![allow(clippy::unwrap_used)]

use crate::event::{EventKind, NewEvent, ProviderSwitched};
use crate::ledger::EventFilter;
use crate::model::event::NameKind;
use crate::model::time::MINUTE;
use crate::projection::blocks::BLOCK;
use crate::report::{Report, ReportKey};
use crate::store::counting::CountingStore;
use crate::{Ledger, Timestamp, TokenRecord};

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
