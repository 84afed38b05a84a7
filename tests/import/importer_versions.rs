//! Logs that an older importer version read are read again once; usage objects of deleted logs are normalised again.

#![cfg(feature = "import")]

use std::fs;
use std::path::{Path, PathBuf};

use super::agents::Home;
use usage_ledger::event::{Event, Imported, NewEvent, Payload, TokensAmended};
use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::internals;
use usage_ledger::{Ledger, Report, ReportKey, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

fn options(home: &Path) -> ImportOptions {
    ImportOptions::new().sources(["claude-code".to_owned()]).homes([home.to_owned()])
}

fn import(ledger: &Ledger, home: &Path) -> SourceReport {
    import::run(ledger, &options(home), now(), &mut |_| {}).unwrap().sources.remove(0)
}

fn line(session: &str, second: u32, id: &str, output: u64) -> String {
    format!(
        r#"{{"sessionId":"{session}","cwd":"c:\\dev\\app","message":{{"model":"claude-opus-4-6","id":"{id}","role":"assistant","usage":{{"input_tokens":10,"output_tokens":{output}}}}},"requestId":"req_{id}","type":"assistant","timestamp":"2026-11-23T10:00:{second:02}.000Z"}}"#
    ) + "\n"
}

fn write(home: &Path, name: &str, text: &str) -> PathBuf {
    let directory = home.join(".claude/projects/-work");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), text).unwrap();
    directory.join(name)
}

fn events(ledger: &Ledger) -> Vec<Event> {
    let head = ledger.head().unwrap().position.get();
    (1..=head).map(|position| ledger.event(position).unwrap()).collect()
}

/// A ledger of a build without versions, whose records are changed by `older`.
fn old_ledger(home: &Path, older: impl Fn(&mut TokenRecord)) -> Ledger {
    let today = Ledger::in_memory().unwrap();
    import(&today, home);
    let ledger = Ledger::in_memory().unwrap();
    for event in events(&today) {
        let payload = match event.payload {
            Payload::TokensRecorded(mut record) => {
                older(&mut record);
                Payload::from(record)
            }
            Payload::Imported(mut run) => {
                run.version = 0;
                run.files.iter_mut().for_each(|file| file.version = 0);
                Payload::from(run)
            }
            other => other,
        };
        ledger.append([NewEvent::new(payload, event.occurred_at).source("claude-code")], now()).unwrap();
    }
    ledger
}

fn amendments(ledger: &Ledger) -> Vec<TokensAmended> {
    let amended = events(ledger).into_iter().filter_map(|event| match event.payload {
        Payload::TokensAmended(amend) => Some(amend),
        _ => None,
    });
    amended.collect()
}

fn runs(ledger: &Ledger) -> Vec<Imported> {
    let runs = events(ledger).into_iter().filter_map(|event| match event.payload {
        Payload::Imported(run) => Some(run),
        _ => None,
    });
    runs.collect()
}

fn total(ledger: &Ledger) -> (u64, u128) {
    let total = ledger.report(&Report::by(ReportKey::Model)).unwrap().total;
    (total.requests, total.tokens.total())
}

fn projects(ledger: &Ledger) -> Vec<Option<String>> {
    ledger.report(&Report::by(ReportKey::Project)).unwrap().rows.into_iter().map(|mut row| row.keys.remove(0)).collect()
}

/// A second import records nothing.
fn again_is_nothing(ledger: &Ledger, home: &Path) {
    let head = ledger.head().unwrap();
    let report = import(ledger, home);
    assert_eq!((report.recorded, report.amended, report.bytes), (0, 0, 0));
    assert_eq!(ledger.head().unwrap(), head);
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn an_import_states_the_version_of_its_importer() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &line("a", 1, "m1", 5));
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, home.path());
    let run = runs(&ledger).remove(0);
    assert!(run.version >= 1 && run.files[0].version == run.version);
}

#[test]
fn a_log_that_an_older_version_read_is_read_again_once() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &(line("a", 1, "m1", 5) + &line("a", 2, "m2", 7)));
    let ledger = old_ledger(home.path(), |record| {
        record.project = Some(r"c:\dev\app".to_owned());
        // An older version counted more than the usage object states.
        record.tokens.output = record.tokens.output.map(|output| output + 100);
    });
    assert_eq!((projects(&ledger), total(&ledger)), (vec![Some(r"c:\dev\app".to_owned())], (2, 232)));
    let before = ledger.head().unwrap().position;
    // A dry run shows it before.
    let directory = tempfile::tempdir().unwrap();
    let preview =
        internals::import::preview(Some(&stored(&ledger, directory.path())), &options(home.path()), now(), &mut |_| {})
            .unwrap();
    assert_eq!((preview.report.sources[0].amended, preview.amendments.len(), preview.withdrawals.len()), (2, 2, 0));
    let one = &preview.amendments[0];
    assert_eq!(one.before.as_ref().unwrap().tokens.output, one.after.tokens.output.map(|output| output + 100));
    let report = import(&ledger, home.path());
    assert_eq!((report.recorded, report.amended), (0, 2));
    assert_eq!((projects(&ledger), total(&ledger)), (vec![Some(r"C:\dev\app".to_owned())], (2, 32)));
    let amended = amendments(&ledger);
    assert!(amended.iter().all(|amend| amend.reason == "read again by version 3 of the importer"));
    // The earlier events are unchanged.
    assert!(ledger.head().unwrap().position > before);
    again_is_nothing(&ledger, home.path());
    // Lines that the agent writes later are read from where reading stopped.
    let more = line("a", 1, "m1", 5) + &line("a", 2, "m2", 7) + &line("a", 3, "m3", 9);
    write(home.path(), "a.jsonl", &more);
    let report = import(&ledger, home.path());
    assert_eq!((report.recorded, report.duplicates, report.amended), (1, 0, 0));
}

/// The same ledger in a file.
fn stored(ledger: &Ledger, directory: &Path) -> Ledger {
    let stored = Ledger::open(directory.join("usage.db")).unwrap();
    for event in events(ledger) {
        stored.append([NewEvent::new(event.payload, event.occurred_at).source("claude-code")], now()).unwrap();
    }
    stored
}

#[test]
fn reading_an_unchanged_log_again_changes_only_its_version() {
    let home = tempfile::tempdir().unwrap();
    // A resumed session repeats calls, one of them with a smaller count.
    write(home.path(), "a.jsonl", &(line("a", 1, "m1", 5) + &line("a", 2, "m2", 70)));
    write(home.path(), "b.jsonl", &(line("b", 1, "m1", 5) + &line("b", 2, "m2", 7) + &line("b", 3, "m3", 9)));
    let ledger = old_ledger(home.path(), |_| {});
    let (before, counted) = (ledger.head().unwrap().position.get(), total(&ledger));
    assert_eq!(import(&ledger, home.path()).amended, 0);
    assert_eq!((ledger.head().unwrap().position.get(), total(&ledger)), (before + 1, counted));
    again_is_nothing(&ledger, home.path());
}

#[test]
fn corrections_by_a_person_stay() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &line("a", 1, "m1", 5));
    let ledger = old_ledger(home.path(), |record| record.tokens.output = Some(50));
    let target = ledger.event(1).unwrap();
    let Payload::TokensRecorded(mut replacement) = target.payload else { panic!() };
    replacement.tokens.output = Some(1);
    let amend = TokensAmended::new(target.id, "mine", replacement);
    ledger.append([NewEvent::new(amend, now())], now()).unwrap();
    assert_eq!(import(&ledger, home.path()).amended, 0);
    assert_eq!(total(&ledger), (1, 11));
    again_is_nothing(&ledger, home.path());
}

#[test]
fn usage_objects_of_deleted_logs_are_normalised_again() {
    let home = tempfile::tempdir().unwrap();
    let gone = write(home.path(), "a.jsonl", &(line("a", 1, "m1", 5) + &line("a", 2, "m2", 7)));
    write(home.path(), "b.jsonl", &line("b", 3, "m3", 9));
    let ledger =
        old_ledger(home.path(), |record| record.tokens.output = record.tokens.output.map(|output| output + 100));
    fs::remove_file(gone).unwrap();
    let report = import(&ledger, home.path());
    assert_eq!((report.files, report.recorded, report.amended), (1, 0, 3));
    assert_eq!(total(&ledger), (3, 51));
    let reasons: Vec<_> = amendments(&ledger).into_iter().map(|amend| amend.reason).collect();
    assert_eq!(reasons.iter().filter(|reason| reason.contains("its log is gone")).count(), 2);
    again_is_nothing(&ledger, home.path());
}

#[test]
fn calls_of_a_relay_with_one_id_stay_when_a_newer_version_reads_them() {
    let home = tempfile::tempdir().unwrap();
    let relay = |session: &str, second: u32, output: u64| {
        let line = line(session, second, "relay", output).replace(r#""requestId":"req_relay","#, "");
        line.replace(r#""role":"assistant""#, r#""role":"assistant","stop_reason":"end_turn""#)
    };
    write(home.path(), "a.jsonl", &(relay("a", 1, 5) + &relay("a", 20, 6) + &relay("a", 40, 7)));
    write(home.path(), "b.jsonl", &(relay("b", 5, 8) + &relay("b", 25, 9)));
    let ledger = old_ledger(home.path(), |_| {});
    let counted = total(&ledger);
    assert_eq!(counted.0, 5);
    let report = import(&ledger, home.path());
    assert_eq!((report.recorded, report.amended), (0, 0));
    assert_eq!(total(&ledger), counted);
    again_is_nothing(&ledger, home.path());
    // A rewritten log is read from its beginning, together with a new one.
    write(home.path(), "a.jsonl", &(relay("a", 0, 3) + &relay("a", 1, 5) + &relay("a", 20, 6) + &relay("a", 40, 7)));
    write(home.path(), "0.jsonl", &relay("0", 30, 1));
    import(&ledger, home.path());
    assert_eq!(total(&ledger).0, 7);
    assert!(ledger.verify().unwrap().ok);
}

/// An old ledger with a call in it that today's version does not find.
fn with_a_ghost(home: &Path) -> Ledger {
    let ledger = old_ledger(home, |_| {});
    let ghost = TokenRecord::new("anthropic", "claude-opus-4-6").output(1_000).conversation("a").key("ghost");
    let last = ledger.head().unwrap().position;
    let Payload::Imported(run) = ledger.event(last).unwrap().payload else { panic!() };
    // The run stands behind the records that it states.
    let rebuilt = Ledger::in_memory().unwrap();
    for event in events(&ledger).into_iter().take(usize::try_from(last.get() - 1).unwrap()) {
        rebuilt.append([NewEvent::new(event.payload, event.occurred_at).source("claude-code")], now()).unwrap();
    }
    rebuilt.append([NewEvent::new(ghost, now()).source("claude-code")], now()).unwrap();
    rebuilt.append([NewEvent::new(Payload::from(run), now()).source("claude-code")], now()).unwrap();
    rebuilt
}

#[test]
fn a_call_that_a_newer_version_does_not_find_is_withdrawn() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &(line("a", 1, "m1", 5) + &line("a", 2, "m2", 7)));
    let ledger = with_a_ghost(home.path());
    assert_eq!(total(&ledger), (3, 1_032));
    let directory = tempfile::tempdir().unwrap();
    let trial = stored(&ledger, directory.path());
    let preview = internals::import::preview(Some(&trial), &options(home.path()), now(), &mut |_| {}).unwrap();
    assert_eq!((preview.amendments.len(), preview.withdrawals.len()), (0, 1));
    let reason = "read again by version 3 of the importer, which does not find the call in its log";
    assert_eq!(preview.withdrawals[0].reason, reason);
    assert_eq!(import(&ledger, home.path()).amended, 1);
    assert_eq!(total(&ledger), (2, 32));
    again_is_nothing(&ledger, home.path());
}

#[test]
fn a_call_may_have_gone_with_its_line_and_stays() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &(line("a", 1, "m1", 5) + &line("a", 2, "m2", 7)));
    let ledger = with_a_ghost(home.path());
    // Somebody has deleted a line since.
    write(home.path(), "a.jsonl", &line("a", 2, "m2", 7));
    assert_eq!(import(&ledger, home.path()).amended, 0);
    assert_eq!(total(&ledger), (3, 1_032));
    // A second log of the conversation is gone.
    let gone = write(home.path(), "b.jsonl", &line("a", 3, "m3", 9));
    write(home.path(), "a.jsonl", &(line("a", 1, "m1", 5) + &line("a", 2, "m2", 7)));
    let ledger = with_a_ghost(home.path());
    fs::remove_file(gone).unwrap();
    import(&ledger, home.path());
    assert_eq!(total(&ledger), (4, 1_051));
    again_is_nothing(&ledger, home.path());
}

/// The ledger that an older version of any importer would have made.
fn old_ledger_of(home: &Path, source: &'static str, version: u32, older: impl Fn(&mut TokenRecord)) -> Ledger {
    let (today, ledger) = (Ledger::in_memory().unwrap(), Ledger::in_memory().unwrap());
    import::run(&today, &options(home).sources([source.to_owned()]), now(), &mut |_| {}).unwrap();
    for event in events(&today) {
        let payload = match event.payload {
            Payload::TokensRecorded(mut record) => {
                older(&mut record);
                Payload::from(record)
            }
            Payload::Imported(mut run) => {
                run.version = version;
                run.files.iter_mut().for_each(|file| file.version = version);
                Payload::from(run)
            }
            other => other,
        };
        ledger.append([NewEvent::new(payload, event.occurred_at).source(source)], now()).unwrap();
    }
    ledger
}

#[test]
fn old_ledgers_of_cline_and_its_kin_follow_the_current_version() {
    for source in ["cline", "roo-code", "kilo-code"] {
        let home = Home::of(&[source]);
        let home = home.file("");
        let truth = total(&old_ledger_of(&home, source, 1, |_| {}));
        let ledger = old_ledger_of(&home, source, 1, |record| record.tokens.output = Some(1));
        assert_ne!(total(&ledger), truth, "{source}");
        let options = options(&home).sources([source.to_owned()]);
        let report = import::run(&ledger, &options, now(), &mut |_| {}).unwrap().sources.remove(0);
        assert!(report.recorded == 0 && report.amended > 0, "{source}: {report:?}");
        assert_eq!(total(&ledger), truth, "{source}");
        assert!(amendments(&ledger).iter().all(|amend| amend.reason == "read again by version 3 of the importer"));
        let again = import::run(&ledger, &options, now(), &mut |_| {}).unwrap().sources.remove(0);
        assert_eq!((again.recorded, again.amended), (0, 0), "{source}");
    }
}

#[test]
fn usage_objects_of_other_agents_are_counted_anew_when_their_logs_are_gone() {
    for (source, logs) in [("pi", ".pi"), ("llm", ".config/io.datasette.llm")] {
        let home = Home::of(&[source]);
        let (home, logs) = (home.file(""), home.file(logs));
        let truth = total(&old_ledger_of(&home, source, 0, |_| {}));
        let ledger = old_ledger_of(&home, source, 0, |record| {
            record.tokens.input = record.tokens.input.map(|input| input + 1_000);
        });
        assert!(logs.exists(), "{source}");
        fs::remove_dir_all(logs).unwrap();
        let options = options(&home).sources([source.to_owned()]);
        let report = import::run(&ledger, &options, now(), &mut |_| {}).unwrap().sources.remove(0);
        assert!(report.amended > 0, "{source}: {report:?}");
        assert_eq!(total(&ledger), truth, "{source}");
    }
}

#[test]
fn a_dry_run_of_a_first_import_creates_no_ledger() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "a.jsonl", &line("a", 1, "m1", 5));
    let preview = internals::import::preview(None, &options(home.path()), now(), &mut |_| {}).unwrap();
    assert_eq!((preview.report.sources[0].recorded, preview.amendments.len()), (1, 0));
}
