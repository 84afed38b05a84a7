//! Labels that an import states for the calls of logs, and the causes that a statement then names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::{ImportOptions, SourceReport, preview, run};
use crate::Ledger;
use crate::bill::{Cause, Reconciliation, compare_with_ledger};
use crate::model::event::Payload;
use crate::model::time::{DAY, HOUR, Timestamp};
use crate::model::tokens::TokenClass;
use crate::readers::statement;
use crate::report::{Report, ReportKey};

const MODEL: &str = "claude-haiku-4-5";
/// 2026-05-01.
const FIRST_DAY: i64 = 20_574;

fn at(day: i64, millis: i64) -> Timestamp {
    Timestamp::from_millis((FIRST_DAY + day) * DAY + millis)
}

fn now() -> Timestamp {
    at(20, 0)
}

/// A call in the log of a machine, as the provider bills it.
#[derive(Clone, Debug)]
struct LabelledCall {
    at: Timestamp,
    id: String,
    key: &'static str,
    input: u64,
    output: u64,
}

impl LabelledCall {
    fn line(&self, session: &str) -> String {
        let Self { at, id, input, output, .. } = self;
        format!(
            r#"{{"type":"assistant","sessionId":"{session}","timestamp":"{at}","requestId":"r{id}","message":{{"id":"{id}","model":"{MODEL}","role":"assistant","usage":{{"input_tokens":{input},"output_tokens":{output}}}}}}}"#
        ) + "\n"
    }
}

/// Homes of machines with logs of Claude Code.
struct Homes(tempfile::TempDir);

impl Homes {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn home(&self, machine: &str) -> PathBuf {
        self.0.path().join(machine)
    }

    fn write(&self, machine: &str, calls: &[LabelledCall]) {
        let logs = self.home(machine).join(".claude/projects/p");
        std::fs::create_dir_all(&logs).unwrap();
        let text: String = calls.iter().map(|call| call.line(machine)).collect();
        std::fs::write(logs.join(format!("{machine}.jsonl")), text).unwrap();
    }

    fn options(&self, machine: &str) -> ImportOptions {
        ImportOptions::new().sources(["claude-code"]).homes([self.home(machine)])
    }
}

fn import(ledger: &Ledger, options: &ImportOptions) -> SourceReport {
    run(ledger, options, now(), &mut |_| {}).unwrap().sources.remove(0)
}

fn call(id: u64, day: i64) -> LabelledCall {
    LabelledCall { at: at(day, HOUR), id: format!("m{id}"), key: "k", input: 10 + id, output: 1 }
}

/// The input tokens by the value of a label; calls without it have none.
fn by_label(ledger: &Ledger, name: &str) -> BTreeMap<String, u128> {
    let table = ledger.report(&Report::by(ReportKey::Label(name.to_owned()))).unwrap();
    let input = |row: crate::report::ReportRow| {
        (row.keys[0].clone().unwrap_or_default(), row.usage.tokens.get(TokenClass::Input))
    };
    table.rows.into_iter().map(input).collect()
}

#[test]
fn labels_of_homes_and_of_all_logs_are_stored_with_each_call() {
    let homes = Homes::new();
    homes.write("desktop", &[call(1, 0)]);
    homes.write("laptop", &[call(2, 0)]);
    let options = ImportOptions::new()
        .sources(["claude-code"])
        .homes([homes.home("desktop"), homes.home("laptop")])
        .label("machine", "desktop")
        .label("team", "a")
        .home_label(homes.home("laptop"), "machine", "laptop");
    let ledger = Ledger::in_memory().unwrap();
    assert_eq!(import(&ledger, &options).recorded, 2);
    assert_eq!(by_label(&ledger, "machine"), [("desktop".to_owned(), 11), ("laptop".to_owned(), 12)].into());
    assert_eq!(by_label(&ledger, "team"), [("a".to_owned(), 23)].into());
    assert_eq!(import(&ledger, &options).other_labels, 0);
}

#[test]
fn labels_of_an_imported_log_change_only_on_request() {
    let homes = Homes::new();
    homes.write("laptop", &[call(1, 0), call(2, 0)]);
    let ledger = Ledger::open(homes.home("usage.db")).unwrap();
    let options = homes.options("laptop").label("machine", "old");
    import(&ledger, &options);
    let other = homes.options("laptop").label("machine", "new").label("team", "a");
    let head = ledger.head().unwrap();
    let report = import(&ledger, &other);
    assert_eq!((report.other_labels, report.amended, ledger.head().unwrap()), (1, 0, head));
    // Further calls of the log have the labels of the log, with and without labels in the options.
    homes.write("laptop", &[call(1, 0), call(2, 0), call(3, 1)]);
    assert_eq!(import(&ledger, &other).recorded, 1);
    homes.write("laptop", &[call(1, 0), call(2, 0), call(3, 1), call(4, 1)]);
    let report = import(&ledger, &homes.options("laptop"));
    assert_eq!((report.recorded, report.amended, report.other_labels), (1, 0, 0));
    assert_eq!(by_label(&ledger, "machine"), [("old".to_owned(), 50)].into());
    // A person's correction stays.
    let corrected = ledger.event(1).unwrap().id;
    ledger.revise(corrected, "a person", now(), |_, record| record.tokens.input = Some(5)).unwrap();
    let mut relabel = other.clone();
    relabel.relabel = true;
    let shown = preview(Some(&ledger), &relabel, now(), &mut |_| {}).unwrap();
    assert_eq!((shown.amendments.len(), by_label(&ledger, "team").len()), (3, 1));
    let report = import(&ledger, &relabel);
    assert_eq!((report.amended, report.other_labels, report.duplicates), (3, 0, 0));
    assert_eq!(by_label(&ledger, "machine"), [("new".to_owned(), 39), ("old".to_owned(), 5)].into());
    assert_eq!(by_label(&ledger, "team"), [("a".to_owned(), 39), (String::new(), 5)].into());
    let head = ledger.head().unwrap();
    assert_eq!((import(&ledger, &relabel).amended, import(&ledger, &other).other_labels), (0, 0));
    assert_eq!(ledger.head().unwrap(), head);
    let amended = |position| matches!(ledger.event(position).unwrap().payload, Payload::TokensAmended(_));
    assert_eq!((1..=head.position.get()).filter(|position| amended(*position)).count(), 4);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn a_log_that_cannot_be_read_again_is_reported_and_keeps_its_labels() {
    let homes = Homes::new();
    homes.write("laptop", &[call(1, 0)]);
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, &homes.options("laptop"));
    let log = homes.home("laptop").join(".claude/projects/p/laptop.jsonl");
    std::fs::remove_file(&log).unwrap();
    let mut relabel = homes.options("laptop").label("machine", "a");
    relabel.relabel = true;
    let report = import(&ledger, &relabel);
    assert_eq!((report.amended, report.other_labels), (0, 0));
    assert_eq!(by_label(&ledger, "machine"), [(String::new(), 11)].into());
}

struct LabelRandom(u64);

impl LabelRandom {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// One to three calls on each of some days.
    fn calls(
        &mut self,
        days: std::ops::Range<i64>,
        key: &'static str,
        serial: &mut u64,
        least: u64,
    ) -> Vec<LabelledCall> {
        let mut calls = Vec::new();
        for day in days {
            for _ in 0..=self.below(3) {
                *serial += 1;
                let time = at(day, 2 * HOUR + self.below(70_000_000) as i64);
                let (input, output) = (least + self.below(9_000), 1 + self.below(9_000));
                calls.push(LabelledCall { at: time, id: format!("msg{serial}"), key, input, output });
            }
        }
        calls.sort_by_key(|call| call.at);
        calls
    }
}

/// The Console's usage export of calls.
fn bill<'c>(calls: impl IntoIterator<Item = &'c LabelledCall>) -> String {
    let mut rows: BTreeMap<(i64, &str), (u64, u64)> = BTreeMap::new();
    for call in calls {
        let sums = rows.entry((call.at.millis() / DAY, call.key)).or_default();
        *sums = (sums.0 + call.input, sums.1 + call.output);
    }
    let mut text = "usage_date_utc,model_version,api_key,workspace,usage_input_tokens_no_cache,\
        usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
        usage_output_tokens\n"
        .to_owned();
    for ((day, key), (input, output)) in rows {
        let day = Timestamp::from_millis(day * DAY).to_string();
        writeln!(text, "{},{MODEL},{key},Default,{input},0,0,0,{output}", &day[..10]).unwrap();
    }
    text
}

fn compared(ledger: &Ledger, text: &str) -> Reconciliation {
    let snapshot = ledger.snapshot().unwrap();
    let statement = statement::read("usage.csv", text.as_bytes()).unwrap();
    compare_with_ledger(&snapshot, ("usage.csv", &statement), None, &snapshot.prices().unwrap(), (now(), 0)).unwrap()
}

/// The causes of a comparison: what is named, on which day, and its tokens of input and output.
fn causes(found: &Reconciliation) -> Vec<(String, i64, i128, i128)> {
    let mut named = Vec::new();
    for row in &found.rows {
        for one in &row.causes {
            let name = match &one.cause {
                Cause::AnotherKey { name } => format!("key {name}"),
                Cause::AnotherMachine { machine, .. } => format!("machine {machine}"),
                other => format!("{other:?}"),
            };
            let tokens = |class: &str| one.tokens.get(class).copied().unwrap_or(0);
            named.push((name, row.start.millis() / DAY, tokens("input"), tokens("output")));
        }
    }
    named.sort();
    named
}

/// What the calls that the ledger lacks add on each day.
fn missing(name: &str, calls: &[LabelledCall]) -> Vec<(String, i64, i128, i128)> {
    let mut days: BTreeMap<i64, (i128, i128)> = BTreeMap::new();
    for call in calls {
        let sums = days.entry(call.at.millis() / DAY).or_default();
        *sums = (sums.0 + i128::from(call.input), sums.1 + i128::from(call.output));
    }
    days.into_iter().map(|(day, (input, output))| (name.to_owned(), day, input, output)).collect()
}

#[test]
fn a_second_machine_or_key_of_imported_calls_is_named_to_the_token() {
    for seed in 1..=70 {
        let mut random = LabelRandom(seed);
        let mut serial = 0;
        let homes = Homes::new();
        let desktop = random.calls(0..6, "k1", &mut serial, 1);
        homes.write("desktop", &desktop);

        // The laptop has a key of its own, and its logs were never imported.
        let ledger = Ledger::in_memory().unwrap();
        import(&ledger, &homes.options("desktop").label("machine", "desktop").label("api_key", "k1"));
        let laptop = random.calls(2..5, "k2", &mut serial, 1);
        let found = compared(&ledger, &bill(desktop.iter().chain(&laptop)));
        assert_eq!(causes(&found), missing("key k2", &laptop), "seed {seed}: {found:?}");
        assert!(!found.has_unexplained());

        // Both logs are imported, each with its key. A log of the laptop is lost: only the row of its key differs.
        let ledger = Ledger::in_memory().unwrap();
        homes.write("laptop", &laptop[..laptop.len() - 1]);
        let both = ImportOptions::new()
            .sources(["claude-code"])
            .homes([homes.home("desktop"), homes.home("laptop")])
            .label("api_key", "k1")
            .home_label(homes.home("laptop"), "api_key", "k2");
        import(&ledger, &both);
        let found = compared(&ledger, &bill(desktop.iter().chain(&laptop)));
        assert_eq!(causes(&found), missing("Unknown", &laptop[laptop.len() - 1..]), "seed {seed}: {found:?}");
        let differing: Vec<_> =
            found.rows.iter().filter(|row| !row.causes.is_empty()).map(|row| row.key.as_deref()).collect();
        assert_eq!(differing, [Some("k2")], "seed {seed}");

        // The laptop uses the key of the desktop, and has not been imported since the third day.
        let ledger = Ledger::in_memory().unwrap();
        let early = random.calls(0..3, "k1", &mut serial, 20_000);
        let late = random.calls(4..5, "k1", &mut serial, 1);
        homes.write("laptop", &early);
        for machine in ["desktop", "laptop"] {
            import(&ledger, &homes.options(machine).label("machine", machine).label("api_key", "k1"));
        }
        let found = compared(&ledger, &bill(desktop.iter().chain(&early).chain(&late)));
        assert_eq!(causes(&found), missing("machine laptop", &late), "seed {seed}: {found:?}");
        assert!(!found.has_unexplained());
    }
}
