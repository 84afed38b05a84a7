//! Backup, restore and repair.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli_support::TestCli;
use rusqlite::Connection;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn record(ledger: &Ledger, n: u64) {
    ledger.record(TokenRecord::new("anthropic", "m").input(n).key(format!("k{n}")), now()).unwrap();
}

fn cli(events: u64) -> TestCli {
    let cli = TestCli::new();
    let ledger = Ledger::open(cli.ledger()).unwrap();
    (0..events).for_each(|n| record(&ledger, n));
    cli
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The files of a directory other than the ledger's.
fn others(cli: &TestCli) -> Vec<String> {
    let entries =
        fs::read_dir(cli.dir()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = entries
        .filter(|name| !["usage.db", "usage.db-wal", "usage.db-shm", "usage.db-queue"].contains(&&**name))
        .collect();
    names.sort();
    names
}

#[test]
fn a_backup_contains_the_ledger_and_a_checkpoint_and_overwrites_no_file() {
    let cli = cli(20);
    let file = cli.dir().join("backup.db");
    let key = cli.dir().join("key");
    let verifier = cli.ok(&["key", "generate", "--name", "a.example/log", text(&key)]).trim().to_owned();
    let done = cli.json(&["backup", text(&file), "--key", text(&key)]);
    assert_eq!((&done["size"], done["root"].as_str().unwrap().len()), (&20.into(), 64));
    let export = cli.ok(&["export"]);
    let other = |args: &[&str]| cli.ok(&[&["--ledger", text(&file)], args].concat());
    assert_eq!(other(&["export"]), export);
    other(&["verify", "--checkpoint", done["checkpoint"].as_str().unwrap(), "--verifier", &verifier]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let bytes = fs::read(&file).unwrap();
    assert!(cli.fails(2, &["backup", text(&file)]).contains("there already"));
    assert!(cli.fails(2, &["backup", text(&cli.ledger())]).contains("the ledger itself"));
    assert!(cli.fails(2, &["backup", text(cli.dir()), "--replace"]).contains("there already"));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    assert_eq!(cli.json(&["backup", text(&file), "--replace"])["size"], 21);
    assert_eq!(others(&cli), ["backup.db", "backup.db.checkpoint", "key"]);
}

#[test]
fn a_backup_during_writes_is_one_consistent_state() {
    let cli = cli(1);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let ledger = Ledger::open(cli.ledger()).unwrap();
            let mut n = 1;
            while !stop.load(Ordering::Relaxed) {
                record(&ledger, n);
                n += 1;
            }
            n
        });
        let ledger = Ledger::open(cli.ledger()).unwrap();
        let mut sizes = Vec::new();
        for n in 0..5 {
            let file = cli.dir().join(format!("{n}.db"));
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
    cli.ok(&["verify"]);
}

#[test]
fn backup_refuses_a_damaged_ledger_and_restore_a_damaged_backup() {
    let cli = cli(20);
    let file = cli.dir().join("backup.db");
    cli.ok(&["backup", text(&file)]);
    for path in [cli.ledger(), file.clone()] {
        Connection::open(path).unwrap().execute_batch("UPDATE tree SET value = zeroblob(length(value))").unwrap();
    }
    let stderr = cli.fails(3, &["backup", text(&cli.dir().join("other.db"))]);
    assert!(stderr.contains("at position 1"), "{stderr}");
    let before = cli.bytes();
    let stderr = cli.fails(3, &["restore", text(&file), "--replace"]);
    assert!(stderr.contains("at position 1") && stderr.contains("backup.db"), "{stderr}");
    assert_eq!(cli.bytes(), before);
    assert_eq!(others(&cli), ["backup.db"]);
}

#[test]
fn restore_replaces_a_ledger_only_with_the_flag_and_keeps_the_old_one() {
    let cli = cli(5);
    let file = cli.dir().join("backup.db");
    cli.ok(&["backup", text(&file)]);
    let then = cli.ok(&["export"]);
    cli.ok(&["record", "--provider", "openai", "--input", "9"]);
    let later = cli.ok(&["export"]);
    assert!(cli.fails(2, &["restore", text(&file)]).contains("--replace"));
    assert!(cli.fails(2, &["restore", text(&cli.ledger()), "--replace"]).contains("the ledger itself"));
    assert_eq!(cli.ok(&["export"]), later);
    let done = cli.json(&["restore", text(&file), "--replace"]);
    assert_eq!((&done["size"], cli.ok(&["export"])), (&5.into(), then));
    cli.ok(&["record", "--provider", "openai", "--input", "10"]);
    cli.ok(&["verify"]);
    // The replaced ledger still has all of its events.
    let former = done["former"].as_str().unwrap();
    assert_eq!(cli.ok(&["--ledger", former, "export"]), later);
    cli.ok(&["--ledger", former, "record", "--provider", "openai", "--input", "11"]);
    cli.ok(&["--ledger", former, "verify"]);
    // A free path needs no replacement.
    let place = cli.dir().join("new/place/usage.db");
    cli.ok(&["--ledger", text(&place), "restore", text(&file)]);
    cli.ok(&["--ledger", text(&place), "verify"]);
}

#[test]
fn restore_does_not_replace_an_open_ledger() {
    let cli = cli(5);
    let file = cli.dir().join("backup.db");
    cli.ok(&["backup", text(&file)]);
    let open = Ledger::open(cli.ledger()).unwrap();
    record(&open, 77);
    let stderr = cli.fails(3, &["restore", text(&file), "--replace"]);
    assert!(stderr.contains("has it open"), "{stderr}");
    record(&open, 78);
    assert_eq!(open.head().unwrap().position.get(), 7);
    drop(open);
    assert_eq!(cli.json(&["verify"])["size"], 7);
    assert_eq!(others(&cli), ["backup.db"]);
}

#[test]
fn restore_does_not_apply_a_leftover_write_ahead_log() {
    let cli = cli(5);
    let file = cli.dir().join("backup.db");
    cli.ok(&["backup", text(&file)]);
    let writer = Ledger::open(cli.ledger()).unwrap();
    record(&writer, 99);
    let log = fs::read(cli.dir().join("usage.db-wal")).unwrap();
    assert!(!log.is_empty());
    drop(writer);
    fs::remove_file(cli.ledger()).unwrap();
    fs::write(cli.dir().join("usage.db-wal"), log).unwrap();
    let stderr = cli.fails(2, &["restore", text(&file)]);
    assert!(stderr.contains("usage.db-wal"), "{stderr}");
    cli.ok(&["restore", text(&file), "--replace"]);
    assert_eq!(cli.json(&["verify"])["size"], 5);
}

#[test]
fn restore_checks_a_backup_against_given_checkpoints() {
    let cli = cli(5);
    let key = cli.dir().join("key");
    let verifier = cli.ok(&["key", "generate", "--name", "a.example/log", text(&key)]).trim().to_owned();
    let file = cli.dir().join("backup.db");
    cli.ok(&["backup", text(&file), "--key", text(&key)]);
    cli.ok(&["record", "--provider", "openai", "--input", "9"]);
    let later = cli.dir().join("later.checkpoint");
    cli.ok(&["checkpoint", "--key", text(&key), "--out", text(&later)]);
    let place = cli.dir().join("restored.db");
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
        cli.command().args(args).assert().get_output().status.code()
    };
    assert_eq!((restore(&later), place.exists()), (Some(3), false), "the backup is older than the checkpoint");
    assert_eq!(restore(&cli.dir().join("backup.db.checkpoint")), Some(0));
}

#[test]
fn a_repair_rebuilds_derived_rows_and_refuses_lost_events() {
    let cli = cli(40);
    let sql = |text: &str| Connection::open(cli.ledger()).unwrap().execute_batch(text).unwrap();
    let export = cli.ok(&["export"]);
    sql("DELETE FROM usage_by_model; UPDATE accounts SET key = x'01'; \
         UPDATE tree SET value = zeroblob(length(value)) WHERE substr(key, 1, 1) = x'01'");
    cli.command().arg("verify").assert().code(1);
    let done = cli.json(&["doctor", "--repair"]);
    assert!(done["ok"].as_bool().unwrap() && !done["repaired"].as_array().unwrap().is_empty(), "{done}");
    cli.ok(&["verify"]);
    assert_eq!((cli.ok(&["export"]), cli.json(&["report"])["total"]["requests"].clone()), (export, 40.into()));
    assert!(cli.ok(&["doctor", "--repair"]).starts_with("nothing to repair"));
    // With a damaged leaf hash nothing is repaired, not even a projection.
    sql("DELETE FROM accounts; UPDATE tree SET value = zeroblob(length(value)) WHERE key = x'000000000000000001'");
    let before = cli.bytes();
    let done = cli.command().args(["--json", "doctor", "--repair"]).assert().code(1);
    let done: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!((&done["ok"], &done["refused"][0]["position"]), (&false.into(), &17.into()));
    assert_eq!(cli.bytes(), before);
}

#[cfg(unix)]
#[test]
fn a_ledger_that_a_killed_restore_named_twice_opens() {
    let cli = crate::cli_support::TestCli::new();
    cli.ok(&["record", "--provider", "ollama", "--input", "1"]);
    // A restore links the former ledger to a second name before it replaces it.
    std::fs::hard_link(cli.ledger(), cli.dir().join("usage.db.replaced-20260610T100000.000")).unwrap();
    cli.ok(&["record", "--provider", "ollama", "--input", "2"]);
    assert_eq!(cli.json(&["report"])["total"]["requests"], 2);
    // Any other second name is refused.
    std::fs::hard_link(cli.ledger(), cli.dir().join("other.db")).unwrap();
    let error = cli.fails(3, &["report"]);
    assert!(error.contains("hard links"), "{error}");
}

#[cfg(unix)]
#[test]
fn restore_does_not_replace_an_unreadable_path() {
    let cli = cli(3);
    let file = cli.dir().join("backup.db");
    cli.ok(&["backup", text(&file)]);
    let ring = cli.dir().join("ring");
    std::os::unix::fs::symlink("ring", &ring).unwrap();
    let error = Ledger::restore(&file, &ring, true, &[]).unwrap_err();
    assert!(error.to_string().contains("ring"), "{error}");
    assert!(fs::symlink_metadata(&ring).unwrap().is_symlink(), "the link was replaced");
}

/// The name of a file beside another.
fn beside(path: &Path, end: &str) -> std::path::PathBuf {
    format!("{}{end}", text(path)).into()
}

#[test]
fn the_log_of_a_moved_ledger_is_neither_applied_nor_lost() {
    let cli = TestCli::new();
    let record = || cli.command().args(["record", "--provider", "openai", "--input", "1"]).assert();
    (0..4).for_each(|_| drop(record().success()));
    let log = beside(&cli.ledger(), "-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0, "the command leaves its log");
    let (moved, backup, source) = (cli.dir().join("moved.db"), cli.dir().join("b.db"), cli.dir().join("a.db"));
    fs::rename(cli.ledger(), &moved).unwrap();
    Ledger::open(&source).unwrap().record(TokenRecord::new("openai", "m").input(7), now()).unwrap();
    let projects = cli.dir().join(".claude/projects/p");
    fs::create_dir_all(&projects).unwrap();
    let line = r#"{"type":"assistant","timestamp":"2026-05-01T10:00:00Z","sessionId":"s","requestId":"r","message":{"id":"m","model":"claude-sonnet-4-5","usage":{"input_tokens":1,"output_tokens":2}}}"#;
    fs::write(projects.join("s.jsonl"), format!("{line}\n")).unwrap();
    let before = fs::read(&log).unwrap();
    for args in [
        &["record", "--provider", "openai", "--input", "2"][..],
        &["import"],
        &["restore", text(&source)],
        &["--ledger", text(&source), "backup", text(&cli.ledger())],
    ] {
        let stderr = cli.fails(2, args);
        assert!(stderr.contains("usage.db-wal is the log of a ledger") && !stderr.contains("--replace"), "{stderr}");
        assert!(!cli.ledger().exists());
    }
    // An empty file is no ledger, and SQLite would delete the log beside it.
    fs::write(cli.ledger(), "").unwrap();
    let record = ["record", "--provider", "openai", "--input", "2"];
    for args in [&record[..], &["import"], &["restore", text(&source)], &["status"], &["export"]] {
        let stderr = cli.fails(2, args);
        assert!(stderr.contains("usage.db-wal is the log of a ledger"), "{stderr}");
    }
    assert!(cli.bytes().is_empty());
    fs::remove_file(cli.ledger()).unwrap();
    assert_eq!(fs::read(&log).unwrap(), before);
    // With the flag, the log is kept under another name.
    let done = cli.json(&["--ledger", text(&source), "backup", "--replace", text(&cli.ledger())]);
    cli.ok(&["verify"]);
    let former = done["former"].as_str().unwrap();
    assert!(former.ends_with("-wal") && fs::read(former).unwrap() == before, "{former}");
    // At the moved ledger it is complete again.
    fs::rename(former, beside(&moved, "-wal")).unwrap();
    assert_eq!(cli.json(&["--ledger", text(&moved), "verify"])["size"], 4);
    assert!(!backup.exists());
}

#[test]
fn a_replaced_backup_takes_no_log_over_and_loses_no_event() {
    let cli = cli(5);
    let file = cli.dir().join("b.db");
    let other = |args: &[&str]| cli.ok(&[&["--ledger", text(&file)], args].concat());
    cli.ok(&["backup", text(&file)]);
    other(&["record", "--provider", "openai", "--input", "999"]);
    let theirs = other(&["export"]);
    assert!(fs::metadata(beside(&file, "-wal")).unwrap().len() > 0);
    cli.ok(&["record", "--provider", "openai", "--input", "6"]);
    // A program that has the backup open could write to it.
    let open = Ledger::open(&file).unwrap();
    let stderr = cli.fails(3, &["backup", "--replace", text(&file)]);
    assert!(stderr.contains("has it open"), "{stderr}");
    drop(open);
    assert_eq!(other(&["export"]), theirs);
    let done = cli.json(&["backup", "--replace", text(&file)]);
    other(&["verify"]);
    assert_eq!(other(&["export"]), cli.ok(&["export"]));
    let former = done["former"].as_str().unwrap();
    assert_eq!(cli.ok(&["--ledger", former, "export"]), theirs);
    let files = others(&cli);
    // Of an earlier state nothing is kept, nor of a file that is no ledger.
    for _ in 0..2 {
        cli.ok(&["record", "--provider", "openai", "--input", "7"]);
        assert!(cli.json(&["backup", "--replace", text(&file)])["former"].is_null());
        assert_eq!(others(&cli), files);
        assert_eq!(other(&["export"]), cli.ok(&["export"]));
        fs::write(&file, "no ledger").unwrap();
    }
    assert!(!beside(&file, "-wal").exists());
    // The log of such a file may be needed by its program.
    fs::write(beside(&file, "-wal"), "a log").unwrap();
    assert!(cli.fails(3, &["backup", "--replace", text(&file)]).contains("not an SQLite database"));
    assert_eq!(fs::read(&file).unwrap(), b"no ledger");
}

#[test]
fn an_empty_file_is_no_backup() {
    let cli = cli(2);
    let (empty, before) = (cli.dir().join("e.db"), cli.ok(&["export"]));
    fs::write(&empty, "").unwrap();
    let stderr = cli.fails(2, &["restore", "--replace", text(&empty)]);
    assert!(stderr.contains("e.db is empty: it is no backup"), "{stderr}");
    assert_eq!((cli.ok(&["export"]), others(&cli)), (before, vec!["e.db".to_owned()]));
}

#[test]
fn a_ledger_of_a_newer_build_is_kept_when_a_backup_replaces_it() {
    let cli = cli(5);
    let file = cli.dir().join("b.db");
    Ledger::open(&file).unwrap().record(TokenRecord::new("openai", "m").input(7), now()).unwrap();
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let theirs = fs::read(&file).unwrap();
    let done = cli.json(&["backup", "--replace", text(&file)]);
    assert_eq!(fs::read(done["former"].as_str().unwrap()).unwrap(), theirs);
    assert_eq!(cli.ok(&["--ledger", text(&file), "export"]), cli.ok(&["export"]));
}

#[test]
fn a_backup_replaces_only_a_checkpoint_that_it_extends() {
    let cli = cli(5);
    let (file, note, key) = (cli.dir().join("b.db"), cli.dir().join("b.db.checkpoint"), cli.dir().join("key"));
    cli.ok(&["key", "generate", text(&key)]);
    let backup = ["backup", "--replace", text(&file), "--key", text(&key)];
    cli.ok(&backup);
    cli.ok(&["record", "--provider", "openai", "--input", "9"]);
    cli.ok(&backup);
    let before = (fs::read(&file).unwrap(), fs::read(&note).unwrap());
    let shorter = cli.dir().join("shorter.db");
    Ledger::open(&shorter).unwrap().record(TokenRecord::new("openai", "m").input(7), now()).unwrap();
    let of_shorter = |code, args: &[&str]| cli.fails(code, &[&["--ledger", text(&shorter)], args].concat());
    // A new backup beside it is refused.
    fs::rename(&file, cli.dir().join("away.db")).unwrap();
    let stderr = of_shorter(1, &["backup", text(&file), "--key", text(&key)]);
    assert!(stderr.contains("b.db.checkpoint is not replaced"), "{stderr}");
    assert!(!file.exists());
    fs::rename(cli.dir().join("away.db"), &file).unwrap();
    assert!((fs::read(&file).unwrap(), fs::read(&note).unwrap()) == before, "something was written");
    // With the flag, it is kept with the ledger that it belongs to.
    let done = cli.json(&[&["--ledger", text(&shorter)], &backup[..]].concat());
    let former = done["former"].as_str().unwrap();
    assert_eq!(cli.ok(&["--ledger", former, "export"]), cli.ok(&["export"]));
    let kept = done["former_checkpoint"].as_str().unwrap();
    assert!(kept == format!("{former}.checkpoint") && fs::read(kept).unwrap() == before.1, "{kept}");
    cli.ok(&backup);
    // So is one of another kind.
    fs::write(&note, "no checkpoint").unwrap();
    let done = cli.json(&backup);
    assert!(done["former"].is_null());
    assert_eq!(fs::read(done["former_checkpoint"].as_str().unwrap()).unwrap(), b"no checkpoint");
    // A backup whose checkpoint cannot be written is there.
    fs::remove_file(&note).unwrap();
    fs::create_dir(&note).unwrap();
    let stderr = cli.fails(3, &backup);
    assert!(stderr.contains("the backup") && stderr.contains("b.db is written, without a checkpoint"), "{stderr}");
    assert!(file.exists());
}
