//! `counted_at`, the time of a call's counts if it is later than the call, affects nothing else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use usage_ledger::event::{NewEvent, Payload};
use usage_ledger::import::{self, ImportOptions, ImportReport};
use usage_ledger::internals::{CcusageOptions, ccusage};
use usage_ledger::time::{HOUR, MINUTE, QUARTER};
use usage_ledger::{AsOf, EventId, Ledger, Report, ReportKey, Shred, Timestamp, TokenRecord};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-06-30T12:00:00Z")
}

const MADE: &str = "2026-06-01T23:59:58Z";
const COUNTED_AT: &str = "2026-06-02T00:00:01.500Z";

/// A call that runs over midnight.
fn call(output: u64) -> TokenRecord {
    let mut record = TokenRecord::new("anthropic", "claude-opus-4-6").output(output).agent("claude-code").key("msg_1");
    record = record.conversation("s1").project("acme");
    record.counted_at = Some(at(COUNTED_AT));
    record
}

fn ledger_of(record: TokenRecord) -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    ledger.append([NewEvent::new(record, at(MADE))], now()).unwrap();
    ledger
}

fn record_of(ledger: &Ledger, position: u64) -> TokenRecord {
    match ledger.event(position).unwrap().payload {
        Payload::TokensRecorded(record) => record,
        Payload::TokensAmended(amend) => amend.replacement,
        other => panic!("{other:?}"),
    }
}

/// Output by day in ccusage's daily report.
fn days(ledger: &Ledger, report: &Report) -> BTreeMap<String, u64> {
    let mut out = Vec::new();
    ccusage(&ledger.snapshot().unwrap(), report, CcusageOptions::at(now()), &mut out).unwrap();
    let answer: Value = serde_json::from_slice(&out).unwrap();
    let named = |row: &Value| row.get("period").or_else(|| row.get("date")).unwrap().as_str().unwrap().to_owned();
    let rows = answer["daily"].as_array().unwrap();
    rows.iter().map(|row| (named(row), row["outputTokens"].as_u64().unwrap())).collect()
}

fn by_day(ledger: &Ledger) -> BTreeMap<String, u64> {
    days(ledger, &Report::by(ReportKey::Day))
}

fn one(day: &str, output: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(day.to_owned(), output)])
}

#[test]
fn counted_at_is_stored_only_if_it_is_later() {
    let ledger = ledger_of(call(7));
    let mut plain = call(7).key("msg_2");
    plain.keys.remove(0);
    plain.counted_at = None;
    ledger.append([NewEvent::new(plain, at(MADE))], now()).unwrap();
    let mut lines = Vec::new();
    ledger
        .snapshot()
        .unwrap()
        .lines(1.into(), &mut |_, line| {
            lines.push(line.to_owned());
            Ok(true)
        })
        .unwrap();
    assert!(lines[0].contains(r#""counted_at":"2026-06-02T00:00:01.500Z""#), "{}", lines[0]);
    assert!(!lines[1].contains("counted_at"));
}

#[test]
fn reports_date_by_the_call_and_ccusage_reports_by_its_counts() {
    let ledger = ledger_of(call(7));
    let table = ledger.report(&Report::by(ReportKey::Day)).unwrap();
    assert_eq!(table.rows[0].keys, [Some("2026-06-01".to_owned())]);
    assert_eq!(by_day(&ledger), one("2026-06-02", 7));
    let second = at("2026-06-02T00:00:00Z");
    for agent in [None, Some("claude-code"), Some("codex")] {
        let of = |report: Report| match agent {
            Some(agent) => report.only(ReportKey::Agent, agent).unwrap(),
            None => report,
        };
        let expected = if agent == Some("codex") { BTreeMap::new() } else { one("2026-06-02", 7) };
        assert_eq!(days(&ledger, &of(Report::by(ReportKey::Day).since(second))), expected, "{agent:?}");
        assert_eq!(days(&ledger, &of(Report::by(ReportKey::Day).until(second))), BTreeMap::new());
        // Where projections cannot be cut, single records answer.
        assert_eq!(days(&ledger, &of(Report::by(ReportKey::Day).since(second.plus(1)))), expected);
    }
}

#[test]
fn counted_at_does_not_distinguish_calls() {
    let ledger = ledger_of(call(7));
    for counted_at in [None, Some(at("2026-06-03T00:00:00Z"))] {
        let mut again = call(7);
        again.counted_at = counted_at;
        let outcomes = ledger.append([NewEvent::new(again, at(MADE))], now()).unwrap();
        assert!(!outcomes[0].is_new());
    }
    assert!(ledger.append([NewEvent::new(call(8), at(MADE))], now()).is_err());
    // Shredding does not change it.
    assert_eq!(ledger.shred(&Shred::because("asked").project("acme"), now()).unwrap().events.len(), 1);
    let mut again = call(7);
    again.counted_at = None;
    assert!(!ledger.append([NewEvent::new(again, at(MADE))], now()).unwrap()[0].is_new());
}

#[test]
fn counted_at_survives_corrections_shredding_and_past_queries() {
    let dir = tempfile::tempdir().unwrap();
    for ledger in [Ledger::in_memory().unwrap(), Ledger::open(dir.path().join("usage.db")).unwrap()] {
        ledger.append([NewEvent::new(call(7), at(MADE))], now()).unwrap();
        let id = EventId::from_key("anthropic", "msg_1");
        ledger.revise(id, "a typing error", now(), |_, record| record.tokens.output = Some(70)).unwrap();
        assert_eq!(record_of(&ledger, 2).counted_at, Some(at(COUNTED_AT)));
        assert_eq!(by_day(&ledger), one("2026-06-02", 70));
        let mut past = Vec::new();
        let snapshot = ledger.as_of(AsOf::Position(1.into())).unwrap();
        ccusage(&snapshot, &Report::by(ReportKey::Day), CcusageOptions::at(now()), &mut past).unwrap();
        let past: Value = serde_json::from_slice(&past).unwrap();
        assert_eq!((&past["daily"][0]["period"], &past["daily"][0]["outputTokens"]), (&"2026-06-02".into(), &7.into()));
        drop(snapshot);
        assert_eq!(ledger.shred(&Shred::because("asked").project("acme"), now()).unwrap().events.len(), 2);
        assert_eq!(record_of(&ledger, 1).counted_at, Some(at(COUNTED_AT)));
        assert_eq!(by_day(&ledger), one("2026-06-02", 70));
        assert!(ledger.replay().unwrap().ok && ledger.verify().unwrap().ok);
        // A corrected time takes precedence over the log.
        ledger.revise(id, "a wrong clock", now(), |made, _| *made = at("2026-05-03T10:00:00Z")).unwrap();
        assert_eq!(by_day(&ledger), one("2026-05-03", 70));
        ledger.void(id, "a test call", now().plus(MINUTE)).unwrap();
        assert_eq!(by_day(&ledger), BTreeMap::new());
        assert!(ledger.verify().unwrap().ok);
    }
}

/// A line of a response as Claude Code logs it.
fn line(second: u32, output: u64) -> String {
    format!(
        r#"{{"sessionId":"s1","cwd":"/work","requestId":"req_1","type":"assistant","timestamp":"2026-06-01T10:00:{second:02}.000Z","message":{{"model":"claude-opus-4-6","id":"msg_1","role":"assistant","usage":{{"input_tokens":3,"output_tokens":{output}}}}}}}"#
    ) + "\n"
}

fn import(ledger: &Ledger, home: &Path, lines: &[String]) -> ImportReport {
    let log = home.join(".claude/projects/-work/s1.jsonl");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, lines.concat()).unwrap();
    let options = ImportOptions::new().homes([home.to_owned()]);
    import::run(ledger, &options, now(), &mut |_| {}).unwrap()
}

fn changed(report: &ImportReport) -> (u64, u64) {
    let sum = |count: fn(&import::SourceReport) -> u64| report.sources.iter().map(count).sum();
    (sum(|source| source.recorded), sum(|source| source.amended))
}

#[test]
fn a_growing_log_gives_the_time_of_its_largest_counts() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::in_memory().unwrap();
    let lines = [line(1, 2), line(2, 2), line(4, 90), line(6, 90)];
    let stored = |ledger: &Ledger| {
        let events = 1..=ledger.head().unwrap().position.get();
        let last = events.rev().find(|position| ledger.event(*position).unwrap().payload.kind() != "imported").unwrap();
        (ledger.event(1).unwrap().occurred_at, record_of(ledger, last).counted_at)
    };
    assert_eq!(changed(&import(&ledger, home.path(), &lines[..2])), (1, 0));
    assert_eq!(stored(&ledger), (at("2026-06-01T10:00:01Z"), None));
    assert_eq!(changed(&import(&ledger, home.path(), &lines[..3])), (0, 1));
    assert_eq!(stored(&ledger), (at("2026-06-01T10:00:01Z"), Some(at("2026-06-01T10:00:04Z"))));
    // Another line with the same counts changes nothing.
    assert_eq!(changed(&import(&ledger, home.path(), &lines)), (0, 0));
    let mut whole = Ledger::in_memory().unwrap();
    assert_eq!(changed(&import(&whole, home.path(), &lines)), (1, 0));
    assert_eq!(stored(&mut whole), stored(&ledger));
}

#[test]
fn a_record_without_counted_at_is_not_amended_for_it() {
    let home = tempfile::tempdir().unwrap();
    let lines = [line(1, 2), line(4, 90)];
    let new = Ledger::in_memory().unwrap();
    import(&new, home.path(), &lines);
    let mut before = record_of(&new, 1);
    assert_eq!(before.counted_at.take(), Some(at("2026-06-01T10:00:04Z")));
    let old = Ledger::in_memory().unwrap();
    old.append([NewEvent::new(before, at("2026-06-01T10:00:01Z")).source("claude-code")], now()).unwrap();
    assert_eq!(changed(&import(&old, home.path(), &lines)), (0, 0));
    assert_eq!(changed(&import(&old, home.path(), &[lines[0].clone(), lines[1].clone(), line(7, 95)])), (0, 1));
    let last = old.head().unwrap().position.get() - 1;
    assert_eq!(record_of(&old, last).counted_at, Some(at("2026-06-01T10:00:07Z")));
}

/// Calls on two days: when each was made and counted, and what happened to it.
fn calls() -> impl Strategy<Value = Vec<(i64, i64, u64, u8)>> {
    let later = prop_oneof![Just(0), 0..20_000_i64, 0..3 * HOUR];
    prop::collection::vec((0..48 * HOUR, later, 1_u64..100, 0_u8..6), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn days_are_summed_by_counted_at(calls in calls(), since in 0_i64..48 * 4, offset in 0_usize..3) {
        let zone = ["UTC", "Asia/Kathmandu", "America/New_York"][offset].parse().unwrap();
        let start = at("2026-06-01T00:00:00Z");
        let since = start.plus(since * QUARTER);
        let ledger = Ledger::in_memory().unwrap();
        let (mut expected, mut in_range) = (BTreeMap::new(), BTreeMap::new());
        for (number, (made, later, output, fate)) in calls.into_iter().enumerate() {
            let made = start.plus(made);
            let mut stored = made.plus(later);
            let mut output = output;
            let key = format!("msg_{number}");
            // Every second call has no price.
            let model = ["claude-opus-4-6", "nobody-s"][number % 2];
            let mut record = TokenRecord::new("anthropic", model).output(output).agent("claude-code").key(&*key);
            record.counted_at = (stored > made).then_some(stored);
            ledger.append([NewEvent::new(record, made)], now()).unwrap();
            let id = EventId::from_key("anthropic", &key);
            match fate {
                0 => {
                    ledger.void(id, "a test call", now()).unwrap();
                    continue;
                }
                1 => {
                    output += 1_000;
                    ledger.revise(id, "more", now(), |_, record| record.tokens.output = Some(output)).unwrap();
                }
                2 => {
                    stored = stored.plus(90 * MINUTE);
                    ledger.revise(id, "later", now(), |_, record| record.counted_at = Some(stored)).unwrap();
                }
                _ => {}
            }
            let day = usage_ledger::Zone::day(zone, stored).to_string();
            *expected.entry(day.clone()).or_insert(0) += output;
            if stored >= since {
                *in_range.entry(day).or_insert(0) += output;
            }
        }
        for agent in [None, Some("claude-code")] {
            let ask = |ledger: &Ledger, since: Option<Timestamp>| {
                let mut report = Report::by(ReportKey::Day).tz(zone);
                if let Some(agent) = agent {
                    report = report.only(ReportKey::Agent, agent).unwrap();
                }
                if let Some(since) = since {
                    report = report.since(since);
                }
                days(ledger, &report)
            };
            prop_assert_eq!(&ask(&ledger, None), &expected);
            prop_assert_eq!(&ask(&ledger, Some(since)), &in_range);
        }
        prop_assert!(ledger.verify().unwrap().ok);
    }
}
