//! Backups, restoring from them, and repairs.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli_support::Desk;
use rusqlite::Connection;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn record(ledger: &Ledger, n: u64) {
    ledger.record(TokenRecord::new("anthropic", "m").input(n).key(format!("k{n}")), now()).unwrap();
}

fn desk(events: u64) -> Desk {
    let desk = Desk::new();
    let ledger = Ledger::open(desk.ledger()).unwrap();
    (0..events).for_each(|n| record(&ledger, n));
    desk
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What is in a directory besides the ledger and what SQLite keeps beside it.
fn others(desk: &Desk) -> Vec<String> {
    let entries =
        fs::read_dir(desk.dir()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = entries
        .filter(|name| !["usage.db", "usage.db-wal", "usage.db-shm", "usage.db-queue"].contains(&&**name))
        .collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_the_ledger_with_a_checkpoint_and_takes_no_other_files_place() {
    let desk = desk(20);
    let file = desk.dir().join("backup.db");
    let key = desk.dir().join("key");
    let verifier = desk.ok(&["key", "generate", "--name", "a.example/log", text(&key)]).trim().to_owned();
    let done = desk.json(&["backup", text(&file), "--key", text(&key)]);
    assert_eq!((&done["size"], done["root"].as_str().unwrap().len()), (&20.into(), 64));
    let export = desk.ok(&["export"]);
    let other = |args: &[&str]| desk.ok(&[&["--ledger", text(&file)], args].concat());
    assert_eq!(other(&["export"]), export);
    other(&["verify", "--checkpoint", done["checkpoint"].as_str().unwrap(), "--verifier", &verifier]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let bytes = fs::read(&file).unwrap();
    assert!(desk.fails(2, &["backup", text(&file)]).contains("there already"));
    assert!(desk.fails(2, &["backup", text(&desk.ledger())]).contains("the ledger itself"));
    assert!(desk.fails(2, &["backup", text(desk.dir()), "--replace"]).contains("there already"));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    desk.ok(&["record", "--provider", "openai", "--input", "1"]);
    assert_eq!(desk.json(&["backup", text(&file), "--replace"])["size"], 21);
    assert_eq!(others(&desk), ["backup.db", "backup.db.checkpoint", "key"]);
}

#[test]
fn a_backup_made_while_others_write_is_one_moment() {
    let desk = desk(1);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let ledger = Ledger::open(desk.ledger()).unwrap();
            let mut n = 1;
            while !stop.load(Ordering::Relaxed) {
                record(&ledger, n);
                n += 1;
            }
            n
        });
        let ledger = Ledger::open(desk.ledger()).unwrap();
        let mut sizes = Vec::new();
        for n in 0..5 {
            let file = desk.dir().join(format!("{n}.db"));
            let backup = ledger.backup(&file, false, None).unwrap();
            let copy = Ledger::open(&file).unwrap();
            assert_eq!((copy.head().unwrap().position.get(), copy.root().unwrap()), (backup.size, backup.root));
            assert!(copy.verify().unwrap().ok);
            sizes.push(backup.size);
        }
        stop.store(true, Ordering::Relaxed);
        let all = writer.join().unwrap();
        assert!(sizes.is_sorted() && *sizes.last().unwrap() <= all, "{sizes:?} of {all}");
        assert_eq!(ledger.head().unwrap().position.get(), all, "an acknowledged event is lost");
    });
    desk.ok(&["verify"]);
}

#[test]
fn a_damaged_ledger_has_no_backup_and_a_damaged_backup_restores_nothing() {
    let desk = desk(20);
    let file = desk.dir().join("backup.db");
    desk.ok(&["backup", text(&file)]);
    for path in [desk.ledger(), file.clone()] {
        Connection::open(path).unwrap().execute_batch("UPDATE tree SET value = zeroblob(length(value))").unwrap();
    }
    let said = desk.fails(3, &["backup", text(&desk.dir().join("other.db"))]);
    assert!(said.contains("at position 1"), "{said}");
    let before = desk.bytes();
    let said = desk.fails(3, &["restore", text(&file), "--replace"]);
    assert!(said.contains("at position 1") && said.contains("backup.db"), "{said}");
    assert_eq!(desk.bytes(), before);
    assert_eq!(others(&desk), ["backup.db"]);
}

#[test]
fn restoring_replaces_only_when_told_to_and_loses_nothing() {
    let desk = desk(5);
    let file = desk.dir().join("backup.db");
    desk.ok(&["backup", text(&file)]);
    let then = desk.ok(&["export"]);
    desk.ok(&["record", "--provider", "openai", "--input", "9"]);
    let later = desk.ok(&["export"]);
    assert!(desk.fails(2, &["restore", text(&file)]).contains("--replace"));
    assert!(desk.fails(2, &["restore", text(&desk.ledger()), "--replace"]).contains("the ledger itself"));
    assert_eq!(desk.ok(&["export"]), later);
    let done = desk.json(&["restore", text(&file), "--replace"]);
    assert_eq!((&done["size"], desk.ok(&["export"])), (&5.into(), then));
    desk.ok(&["record", "--provider", "openai", "--input", "10"]);
    desk.ok(&["verify"]);
    // What was replaced is still a ledger, with all of its events.
    let former = done["former"].as_str().unwrap();
    assert_eq!(desk.ok(&["--ledger", former, "export"]), later);
    desk.ok(&["--ledger", former, "record", "--provider", "openai", "--input", "11"]);
    desk.ok(&["--ledger", former, "verify"]);
    // Where nothing is, nothing has to be replaced.
    let place = desk.dir().join("new/place/usage.db");
    desk.ok(&["--ledger", text(&place), "restore", text(&file)]);
    desk.ok(&["--ledger", text(&place), "verify"]);
}

#[test]
fn a_ledger_that_is_open_is_not_replaced() {
    let desk = desk(5);
    let file = desk.dir().join("backup.db");
    desk.ok(&["backup", text(&file)]);
    let open = Ledger::open(desk.ledger()).unwrap();
    record(&open, 77);
    let said = desk.fails(3, &["restore", text(&file), "--replace"]);
    assert!(said.contains("has it open"), "{said}");
    record(&open, 78);
    assert_eq!(open.head().unwrap().position.get(), 7);
    drop(open);
    assert_eq!(desk.json(&["verify"])["size"], 7);
    assert_eq!(others(&desk), ["backup.db"]);
}

#[test]
fn a_log_that_a_lost_ledger_has_left_is_not_taken_for_that_of_the_backup() {
    let desk = desk(5);
    let file = desk.dir().join("backup.db");
    desk.ok(&["backup", text(&file)]);
    let writer = Ledger::open(desk.ledger()).unwrap();
    record(&writer, 99);
    let log = fs::read(desk.dir().join("usage.db-wal")).unwrap();
    assert!(!log.is_empty());
    drop(writer);
    fs::remove_file(desk.ledger()).unwrap();
    fs::write(desk.dir().join("usage.db-wal"), log).unwrap();
    let said = desk.fails(2, &["restore", text(&file)]);
    assert!(said.contains("usage.db-wal"), "{said}");
    desk.ok(&["restore", text(&file), "--replace"]);
    assert_eq!(desk.json(&["verify"])["size"], 5);
}

#[test]
fn a_backup_must_continue_the_checkpoints_it_is_held_against() {
    let desk = desk(5);
    let key = desk.dir().join("key");
    let verifier = desk.ok(&["key", "generate", "--name", "a.example/log", text(&key)]).trim().to_owned();
    let file = desk.dir().join("backup.db");
    desk.ok(&["backup", text(&file), "--key", text(&key)]);
    desk.ok(&["record", "--provider", "openai", "--input", "9"]);
    let later = desk.dir().join("later.checkpoint");
    desk.ok(&["checkpoint", "--key", text(&key), "--out", text(&later)]);
    let place = desk.dir().join("restored.db");
    let restore = |checkpoint: &Path| {
        let args = [
            "--ledger",
            text(&place),
            "restore",
            text(&file),
            "--checkpoint",
            text(checkpoint),
            "--verifier",
            &verifier,
        ];
        desk.command().args(args).assert().get_output().status.code()
    };
    assert_eq!((restore(&later), place.exists()), (Some(3), false), "the backup is older than the checkpoint");
    assert_eq!(restore(&desk.dir().join("backup.db.checkpoint")), Some(0));
}

#[test]
fn a_repair_makes_the_ledger_verify_and_refuses_what_only_a_backup_has() {
    let desk = desk(40);
    let sql = |text: &str| Connection::open(desk.ledger()).unwrap().execute_batch(text).unwrap();
    let export = desk.ok(&["export"]);
    sql("DELETE FROM usage_by_model; UPDATE accounts SET key = x'01'; \
         UPDATE tree SET value = zeroblob(length(value)) WHERE substr(key, 1, 1) = x'01'");
    desk.command().arg("verify").assert().code(1);
    let done = desk.json(&["doctor", "--repair"]);
    assert!(done["ok"].as_bool().unwrap() && !done["repaired"].as_array().unwrap().is_empty(), "{done}");
    desk.ok(&["verify"]);
    assert_eq!((desk.ok(&["export"]), desk.json(&["report"])["total"]["requests"].clone()), (export, 40.into()));
    assert!(desk.ok(&["doctor", "--repair"]).starts_with("nothing to repair"));
    // A leaf hash, and a projection beside it: nothing is touched.
    sql("DELETE FROM accounts; UPDATE tree SET value = zeroblob(length(value)) WHERE key = x'000000000000000001'");
    let before = desk.bytes();
    let done = desk.command().args(["--json", "doctor", "--repair"]).assert().code(1);
    let done: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!((&done["ok"], &done["refused"][0]["position"]), (&false.into(), &17.into()));
    assert_eq!(desk.bytes(), before);
}

#[cfg(unix)]
#[test]
fn a_ledger_that_a_killed_restore_named_twice_opens() {
    let desk = crate::cli_support::Desk::new();
    desk.ok(&["record", "--provider", "ollama", "--input", "1"]);
    // A restore names the former ledger before it replaces it.
    std::fs::hard_link(desk.ledger(), desk.dir().join("usage.db.replaced-20260610T100000.000")).unwrap();
    desk.ok(&["record", "--provider", "ollama", "--input", "2"]);
    assert_eq!(desk.json(&["report"])["total"]["requests"], 2);
    // Any other second name is refused, as before.
    std::fs::hard_link(desk.ledger(), desk.dir().join("other.db")).unwrap();
    let error = desk.fails(3, &["report"]);
    assert!(error.contains("hard links"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_path_that_cannot_be_looked_at_is_not_replaced() {
    let desk = desk(3);
    let file = desk.dir().join("backup.db");
    desk.ok(&["backup", text(&file)]);
    let ring = desk.dir().join("ring");
    std::os::unix::fs::symlink("ring", &ring).unwrap();
    let error = Ledger::restore(&file, &ring, true, &[]).unwrap_err();
    assert!(error.to_string().contains("ring"), "{error}");
    assert!(fs::symlink_metadata(&ring).unwrap().is_symlink(), "the link was replaced");
}
