//! Shredded names are in no file; numbers, proofs and past states stay the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use usage_ledger::event::{
    EventVoided, Imported, ImportedFile, LimitSet, NewEvent, Paused, Payload, QuotaExhausted, Raw, SkippedLine,
    TokensAmended, UsageOverridden, WindowKind,
};
use usage_ledger::store::{Options, SqliteStore};
use usage_ledger::usage::Usage;
use usage_ledger::{
    AsOf, Error, EventId, Ledger, Outcome, ProviderId, Report, ReportKey, ReportRow, Shred, Snapshot, Timestamp,
    TokenRecord,
};

/// The names to shred, as they are written in the file.
const NAMES: [&str; 6] = ["acme-secret", "conversation-77", "mission-x", "msg_777", "raw-detail", "conversation-77/9"];

fn now() -> Timestamp {
    "2026-06-10T07:00:00Z".parse().unwrap()
}

fn call(n: u64) -> TokenRecord {
    TokenRecord::new("anthropic", "a \"model\" \\ of é\u{1}").input(n).output(1).cost("0.25".parse().unwrap())
}

fn named(n: u64) -> TokenRecord {
    let mut record = call(n).project("acme-secret").conversation("conversation-77").label("mission", "mission-x");
    record.raw = Some(Raw::parse(r#"{"detail":"raw-detail","n":1.50}"#).unwrap());
    record.account("team").agent("claude-code")
}

/// A ledger with a project to shred, other projects, and corrections of both.
fn fill(ledger: &Ledger) {
    let key = |n| named(n).key(format!("msg_777{n}")).key(format!("conversation-77/9{n}"));
    for n in 1..=40 {
        ledger.record(key(n), now().plus(i64::try_from(n).unwrap() * 60_000)).unwrap();
        ledger.record(call(n).project("other"), now().plus(i64::try_from(n).unwrap() * 61_000)).unwrap();
    }
    let ids: Vec<EventId> = [1, 3, 5, 2].map(|at| ledger.event(at).unwrap().id).into();
    let later = now().plus(3_600_000);
    ledger.amend(ids[0], key(100), "acme-secret told more", later).unwrap();
    ledger.void(ids[1], "acme-secret did not happen", later).unwrap();
    ledger.amend(ids[2], call(7).project("other"), "not of acme-secret", later).unwrap();
    ledger.amend(ids[3], call(8).project("another"), "wrong", later).unwrap();
    let file = |path: &str, conversation: &str, identity: &str| {
        let mut made = ImportedFile::default();
        made.path = path.to_owned();
        made.identity = Some(identity.to_owned());
        made.size = 9;
        made.conversation = Some(conversation.to_owned());
        made.began = Some(now());
        made.resume = Some(serde_json::json!({"session": conversation}));
        made
    };
    let mut run = Imported::new("claude-code");
    run.files.push(file("/logs/acme-secret/conversation-77.jsonl", "conversation-77", "1:7"));
    run.files.push(file("/logs/other/conversation-1.jsonl", "conversation-1", "1:8"));
    let file = "/logs/acme-secret/conversation-77.jsonl";
    run.skipped.push(SkippedLine::new(file, 4, "not JSON: acme-secret"));
    ledger.append([NewEvent::new(run, later)], later).unwrap();
}

fn shred() -> Shred {
    Shred::because("the customer asked").author("me").project("acme-secret")
}

/// The store's files on the disk.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
    ["", "-wal", "-shm"].map(beside).into_iter().filter_map(|file| Some((file.clone(), fs::read(file).ok()?))).collect()
}

fn holds(bytes: &[u8], name: &str) -> bool {
    bytes.windows(name.len()).any(|window| window == name.as_bytes())
}

fn keys() -> [Report; 3] {
    [
        Report::by(ReportKey::Provider).and(ReportKey::Account).and(ReportKey::Model).and(ReportKey::Agent),
        Report::by(ReportKey::Hour).and(ReportKey::Model),
        Report::by(ReportKey::Window).and(ReportKey::Provider).and(ReportKey::Account),
    ]
}

/// Everything that does not depend on the names.
fn numbers(snapshot: &Snapshot<'_>) -> Vec<(Vec<ReportRow>, Usage)> {
    let tables = keys().map(|report| snapshot.report(&report).unwrap());
    tables.into_iter().map(|table| (table.rows, table.total)).collect()
}

fn position(n: u64) -> AsOf {
    AsOf::Position(n.into())
}

#[test]
fn shredding_removes_every_name_from_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let ledger = Ledger::open(&path).unwrap();
    fill(&ledger);
    for name in NAMES {
        assert!(files(&path).iter().any(|(_, bytes)| holds(bytes, name)), "{name} is not there to begin with");
    }
    let (head, root) = (ledger.head().unwrap().position, ledger.root().unwrap());
    let before = numbers(&ledger.snapshot().unwrap());
    let prefixes: Vec<_> = (0..=head.get()).map(|n| numbers(&ledger.as_of(position(n)).unwrap())).collect();
    let proofs: Vec<_> = (1..=head.get())
        .map(|n| {
            let snapshot = ledger.snapshot().unwrap();
            (snapshot.prove_inclusion(n.into(), None).unwrap(), snapshot.leaf(n.into()).unwrap())
        })
        .collect();

    let done = ledger.shred(&shred(), now().plus(7_200_000)).unwrap();
    assert!(done.erased && done.unerased.is_none() && done.still.is_empty(), "{done:?}");
    // Forty records, their three corrections, and the import.
    assert_eq!(done.events.len(), 40 + 3 + 1, "{:?}", done.events);
    for (file, bytes) in files(&path) {
        for name in NAMES {
            assert!(!holds(&bytes, name), "{name} is in {}", file.display());
        }
        assert!(file.extension().is_none_or(|end| end != "db-wal") || bytes.is_empty());
    }
    assert!(files(&path).iter().any(|(_, bytes)| holds(bytes, "other")), "what was not meant is there");

    assert_eq!(numbers(&ledger.snapshot().unwrap()), before);
    for (n, numbers_then) in prefixes.iter().enumerate() {
        let past = ledger.as_of(position(n as u64)).unwrap();
        assert_eq!(numbers(&past), *numbers_then, "as of {n}");
    }
    for (proof, leaf) in &proofs {
        assert_eq!(ledger.snapshot().unwrap().leaf(proof.position).unwrap(), *leaf);
        proof.verify(leaf, &root).unwrap();
    }
    assert_eq!(ledger.snapshot().unwrap().root_at(head.get()).unwrap(), root);
    let verified = ledger.verify().unwrap();
    assert!(verified.ok && ledger.replay().unwrap().ok, "{:?}", verified.findings);

    let projects = ledger.report(&Report::by(ReportKey::Project)).unwrap();
    let names: Vec<_> = projects.rows.iter().map(|row| row.keys[0].as_deref()).collect();
    assert_eq!(names, [None, Some("another"), Some("other")]);
    // The reopened ledger is equal, and a rebuild changes nothing.
    let again = Ledger::open(&path).unwrap();
    again.rebuild().unwrap();
    assert!(again.verify().unwrap().ok);
    assert_eq!(numbers(&again.snapshot().unwrap()), before);
}

#[test]
fn a_ledger_in_memory_can_be_shredded() {
    let ledger = Ledger::in_memory().unwrap();
    fill(&ledger);
    let before = numbers(&ledger.snapshot().unwrap());
    assert_eq!(ledger.would_shred(&shred()).unwrap().len(), 44);
    let done = ledger.shred(&shred(), now()).unwrap();
    assert_eq!(done.events.len(), 44);
    assert_eq!(numbers(&ledger.snapshot().unwrap()), before);
    ledger
        .snapshot()
        .unwrap()
        .lines(1.into(), &mut |position, line| {
            assert!(!NAMES.iter().any(|name| line.contains(name)), "{position}: {line}");
            Ok(true)
        })
        .unwrap();
    assert!(ledger.verify().unwrap().ok);
    // A second shredding finds nothing.
    let done = ledger.shred(&shred(), now()).unwrap();
    // The import data about the other log are appended again, so that they can be shredded separately.
    assert!(done.events.is_empty() && ledger.head().unwrap().position.get() == 85 + 44 + 1, "{done:?}");
}

#[test]
fn each_natural_key_still_finds_a_shredded_call() {
    let ledger = Ledger::in_memory().unwrap();
    let record = |n| named(n).key("msg_1").key("req_1");
    let first = ledger.record(record(5), now()).unwrap();
    let _ = ledger.shred(&shred(), now()).unwrap();
    let known = Outcome::Existing { position: 1.into(), id: first.id() };
    assert_eq!(ledger.record(record(5), now()).unwrap(), known);
    // Shredded content cannot be compared; everything else is.
    assert_eq!(ledger.record(record(5).project("guess"), now()).unwrap(), known);
    assert!(matches!(ledger.record(record(6), now()), Err(Error::Conflict { .. })));
    assert_eq!(ledger.record(named(5).key("req_1"), now()).unwrap(), known);
    assert!(matches!(ledger.record(named(6).key("req_1"), now()), Err(Error::Conflict { .. })));
    assert_eq!(ledger.snapshot().unwrap().find("anthropic", "req_1").unwrap(), Some(1.into()));
}

#[test]
fn shredding_removes_texts_of_other_events_and_keeps_their_effect() {
    let ledger = Ledger::in_memory().unwrap();
    let provider = ProviderId::new("anthropic").unwrap();
    ledger.set_limit(LimitSet::new("anthropic").unwrap().session(1_000), now()).unwrap();
    ledger.switch_provider("ollama", "Ann said so", now()).unwrap();
    ledger.pause(Paused::new("quota").note("Ann is ill"), now()).unwrap();
    ledger
        .override_with(
            UsageOverridden::new(provider.clone(), WindowKind::Session, "32".parse().unwrap(), "Ann", "Ann read it"),
            now().plus(1),
        )
        .unwrap();
    let refusal = QuotaExhausted::new(provider, "r", "Ann's plan");
    ledger.append([NewEvent::new(refusal, now().plus(2))], now().plus(2)).unwrap();
    let resumed = ledger.head().unwrap().position.get();
    let ask = |ledger: &Ledger| {
        let snapshot = ledger.snapshot().unwrap();
        let mut status = snapshot.status(now().plus(3)).unwrap();
        status.paused = None;
        (snapshot.budget("anthropic", now().plus(3)).unwrap().mode, status.active_provider, status.providers.len())
    };
    let before = ask(&ledger);
    let mut all = Shred::because("a person's matter");
    for at in 2..=resumed {
        all = all.event(ledger.event(at).unwrap().id);
    }
    let _ = ledger.shred(&all, now().plus(9)).unwrap();
    assert_eq!(ask(&ledger), before);
    ledger
        .snapshot()
        .unwrap()
        .lines(1.into(), &mut |_, line| {
            assert!(!line.contains("Ann"), "{line}");
            Ok(true)
        })
        .unwrap();
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn a_pause_with_a_custom_reason_continues_after_its_reason_is_shredded() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.pause(Paused::new("Ann's lunch"), now()).unwrap();
    let id = ledger.event(1).unwrap().id;
    let done = ledger.shred(&Shred::because("a person's matter").event(id), now().plus(1)).unwrap();
    assert_eq!(done.events, [1.into()]);
    assert!(!ledger.event(1).unwrap().to_line().unwrap().contains("Ann"));
    assert_eq!(ledger.status(now().plus(2)).unwrap().paused.unwrap().reason, "shredded");
    ledger.resume("back", now().plus(3)).unwrap();
    assert!(ledger.status(now().plus(4)).unwrap().paused.is_none() && ledger.verify().unwrap().ok);
}

#[test]
fn shredding_of_events_that_must_stay_is_refused_and_writes_nothing() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.record(named(1), now()).unwrap();
    ledger.set_limit(LimitSet::new("anthropic").unwrap().session(1_000), now()).unwrap();
    let _ = ledger.shred(&shred(), now()).unwrap();
    let size = ledger.head().unwrap().position;
    let id = |ledger: &Ledger, at: u64| ledger.event(at).unwrap().id;
    let (limit, word) = (id(&ledger, 2), id(&ledger, 3));
    let missing = EventId::from_key("openai", "none");
    for (asked, why) in [
        (Shred::because("x").event(limit), "it holds numbers"),
        (Shred::because("x").event(word), "which must stay"),
        (Shred::because("x").event(missing), "no event with id"),
        (Shred::because(" ").project("p"), "needs a reason"),
        (Shred::because("x"), "nothing to shred"),
        (Shred::because("acme-secret left").project("acme-secret"), "say it without that name"),
        (Shred::because("x").author("acme-secret").project("acme-secret"), "say it without that name"),
    ] {
        let error = ledger.shred(&asked, now()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(ledger.would_shred(&asked).is_err());
    }
    assert!(ledger.void(word, "give it back", now()).unwrap_err().to_string().contains("is gone"));
    let Payload::EventShredded(mut forged) = ledger.event(3).unwrap().payload else { panic!() };
    forged.position = 2.into();
    assert!(ledger.append([NewEvent::new(forged, now())], now()).is_err());
    assert_eq!(ledger.head().unwrap().position, size);
}

#[test]
fn corrections_before_and_after_a_shredding_both_apply() {
    let team =
        |ledger: &Ledger, at| ledger.snapshot().unwrap().account("anthropic", Some("team"), at).unwrap().all_time;
    let ledger = Ledger::in_memory().unwrap();
    ledger.record(named(10), now()).unwrap();
    let id = ledger.event(1).unwrap().id;
    // A void that precedes its target, and an amendment of an event that never arrives.
    let lost = TokensAmended::new(EventId::from_key("a", "b"), "?", named(3));
    ledger.append([NewEvent::new(lost, now())], now()).unwrap();
    let _ = ledger.shred(&shred(), now()).unwrap();
    ledger.revise(id, "a typing error", now().plus(1), |_, record| record.tokens.input = Some(20)).unwrap();
    assert_eq!(team(&ledger, now().plus(1)).tokens.total(), 21);
    ledger.void(id, "it was none", now().plus(2)).unwrap();
    assert_eq!(team(&ledger, now().plus(2)).requests, 0);
    // The later texts can be shredded too, and their effects stay.
    let _ = ledger.shred(&Shred::because("asked").event(id), now().plus(3)).unwrap();
    assert_eq!(team(&ledger, now().plus(3)).requests, 0);
    let Payload::EventVoided(EventVoided { reason, .. }) = ledger.event(6).unwrap().payload else { panic!() };
    assert_eq!(reason, "");
    assert!(ledger.verify().unwrap().ok);
}

#[test]
fn shredding_names_a_reader_that_still_holds_the_old_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let ledger = Ledger::with_store(Box::new(Options::new().busy_timeout_seconds(1).open(&path).unwrap()));
    fill(&ledger);
    let other = Ledger::with_store(Box::new(SqliteStore::open(&path).unwrap()));
    let reading = other.snapshot().unwrap();
    let done = ledger.shred(&shred(), now()).unwrap();
    let why = done.unerased.unwrap();
    assert!(why.is_store() && why.to_string().contains("erase again"), "{why}");
    assert!(matches!(ledger.erase(), Err(Error::NotErased { .. })));
    // Repeating the request tries to finish the erasure, and reports it.
    let again = ledger.shred(&shred(), now()).unwrap();
    assert!(again.events.is_empty() && !again.erased && again.unerased.is_some(), "{again:?}");
    assert!(files(&path).iter().any(|(_, bytes)| holds(bytes, "acme-secret")));
    // The reader still sees its snapshot. After it ends, the bytes are erased.
    assert!(reading.event(1.into()).unwrap().to_line().unwrap().contains("acme-secret"));
    drop(reading);
    let last = ledger.shred(&shred(), now()).unwrap();
    assert!(last.events.is_empty() && last.erased && last.unerased.is_none(), "{last:?}");
    assert!(!files(&path).iter().any(|(_, bytes)| NAMES.iter().any(|name| holds(bytes, name))));
    assert!(ledger.verify().unwrap().ok);
}

/// A ledger file with a shredded event at position 1, its `event_shredded` at position 2, and an unchanged event at
/// position 3.
fn shredded(path: &Path) -> Connection {
    let ledger = Ledger::open(path).unwrap();
    ledger.record(named(1), now()).unwrap();
    let _ = ledger.shred(&shred(), now()).unwrap();
    ledger.record(named(2).project("other"), now()).unwrap();
    assert!(ledger.verify().unwrap().ok);
    Connection::open(path).unwrap()
}

fn findings(path: &Path) -> Vec<(Option<u64>, String)> {
    let reported = Ledger::open(path).unwrap().verify().unwrap().findings;
    reported.into_iter().map(|finding| (finding.position.map(usage_ledger::Position::get), finding.what)).collect()
}

#[test]
fn triggers_allow_only_the_change_that_shredding_makes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let file = shredded(&path);
    let body = |at: i64| -> String {
        file.query_row("SELECT body FROM events WHERE position = ?", [at], |row| row.get(0)).unwrap()
    };
    let (tombstone, sound) = (body(1), body(3));
    let of_three = tombstone.replace(r#""shredded":1"#, r#""shredded":3"#);
    for (sql, value) in [
        ("UPDATE events SET body = ? WHERE position = 3", of_three.as_str()),
        ("UPDATE events SET body = ? WHERE position = 3", tombstone.as_str()),
        ("UPDATE events SET body = ? WHERE position = 3", "{}"),
        ("UPDATE events SET body = ? WHERE position = 3", "not JSON"),
        ("UPDATE events SET body = ? WHERE position = 3", sound.as_str()),
        ("UPDATE events SET body = ? WHERE position = 1", &tombstone.replace("\"input\":1", "\"input\":2")),
        ("UPDATE events SET body = ? WHERE position = 1", &tombstone.replace("\"by\":2", "\"by\":3")),
        ("UPDATE events SET body = ? WHERE position = 1", sound.as_str()),
        ("UPDATE events SET kind = ? WHERE position = 1", "1"),
        ("UPDATE events SET occurred_at = ? WHERE position = 1", "7"),
        ("UPDATE events SET id = ? WHERE position = 1", "x"),
        ("UPDATE events SET position = ? WHERE position = 1", "9"),
        ("DELETE FROM events WHERE body = ?", tombstone.as_str()),
    ] {
        assert!(file.execute(sql, [value]).is_err(), "{sql} {value}");
    }
    // The trigger allows exactly the tombstone that the event names.
    assert_eq!(file.execute("UPDATE events SET body = ? WHERE position = 1", [&tombstone]).unwrap(), 1);
    assert!(findings(&path).is_empty());
}

#[test]
fn a_tombstone_without_an_event_shredded_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let file = shredded(&path);
    file.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    let body = |at: i64| -> String {
        file.query_row("SELECT body FROM events WHERE position = ?", [at], |row| row.get(0)).unwrap()
    };
    let leaf = |at: u64| Ledger::open(&path).unwrap().snapshot().unwrap().leaf(at.into()).unwrap().to_string();
    let (tombstone, word, sound) = (body(1), body(2), body(3));
    let cases = [
        // A tombstone without an `event_shredded`, with all hashes and counters unchanged.
        (3, format!(r#"{{"shredded":3,"leaf":"{}","by":2,"kept":{sound}}}"#, leaf(3)), 3, "no event_shredded names it"),
        // Other numbers than those that should remain.
        (1, tombstone.replace("\"input\":1", "\"input\":2"), 1, "differ from those in position 2"),
        (1, tombstone.replace("\"by\":2", "\"by\":3"), 1, "differ from those in position 2"),
        (1, tombstone.replace("\"kept\":", "\"kept\": "), 1, "differ from those in position 2"),
        // Another leaf hash.
        (1, tombstone.replace(&leaf(1), &leaf(3)), 1, "does not have the hash"),
        (1, tombstone.replace(&leaf(1), &leaf(3)), 2, "is another"),
        (1, tombstone.replace(&leaf(1), "none"), 1, "does not have the hash"),
        (2, word.replace(&leaf(1), &leaf(3)), 2, "is another"),
        (2, word.replace("\"position\":1", "\"position\":3"), 2, "but that body exists"),
        (2, word.replace("\"position\":1", "\"position\":9"), 2, "exists or never existed"),
        (2, word.replacen("\"target\":\"0", "\"target\":\"1", 1), 2, "is not the event that it names"),
        // The body is restored, or replaced by another one.
        (1, sound.clone(), 2, "but that body exists"),
        (1, tombstone.replace("\"shredded\":1", "\"shredded\":2"), 1, "is that of position 2"),
        (1, r#"{"shredded":1,"leaf":"ab"}"#.to_owned(), 1, "unreadable"),
    ];
    for (at, body, about, what) in cases {
        let whole: String =
            file.query_row("SELECT body FROM events WHERE position = ?", [at], |row| row.get(0)).unwrap();
        assert_ne!(whole, body, "{what}: nothing was changed");
        file.execute("UPDATE events SET body = ? WHERE position = ?", (&body, at)).unwrap();
        let reported = findings(&path);
        assert!(
            reported.iter().any(|(at, message)| *at == Some(about) && message.contains(what)),
            "{body}: {reported:?}"
        );
        file.execute("UPDATE events SET body = ? WHERE position = ?", (&whole, at)).unwrap();
    }
    assert!(findings(&path).is_empty());
}
