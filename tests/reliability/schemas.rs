//! Ledgers of earlier schemas: this build opens them, upgrades them in one transaction, gives the answers of the
//! original build, appends, and verifies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use usage_ledger::{Ledger, TokenRecord};

use crate::shim::{How, Shim, WRITES};
use crate::survey::survey;
use crate::worker::at;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledgers")
}

/// Every stored ledger.
fn ledgers() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures()).unwrap();
    let mut ledgers: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    ledgers.sort();
    assert!(!ledgers.is_empty());
    ledgers
}

fn ask(ledger: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(crate::program());
    command.env_clear().env("HOME", ledger.parent().unwrap()).env("TZ", "UTC").env("USAGE_LEDGER", ledger);
    let done = command.args(["--now", "2026-06-03T12:00:00Z"]).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{arguments:?} of {}: {stderr}", ledger.display());
    String::from_utf8(done.stdout).unwrap()
}

fn schema(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn ledgers_of_earlier_schemas_are_opened_upgraded_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let newest = dir.path().join("newest.db");
    drop(Ledger::open(&newest).unwrap());
    for kept in ledgers() {
        let copy = dir.path().join(kept.file_name().unwrap());
        fs::copy(&kept, &copy).unwrap();
        let name = kept.file_stem().unwrap().to_str().unwrap();
        assert_eq!(schema(&copy), name.rsplit('-').next().unwrap().parse::<i64>().unwrap(), "the schema in its name");

        let ledgers = survey(&copy, []).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(schema(&copy), schema(&newest), "{name} is not brought to the newest schema");
        let lines = fs::read_to_string(kept.with_extension("jsonl")).unwrap();
        assert_eq!(ask(&copy, &["export", "--format", "events"]), lines, "{name}: the lines");
        let table = |text: &str| {
            let mut table: Value = serde_json::from_str(text).unwrap();
            // A later build may add fields to a row; the original ones must stay.
            for row in table["rows"].as_array_mut().unwrap().iter_mut() {
                row["cost"].take();
            }
            (table["head"].take(), table["rows"].take(), table["total"]["tokens"].take())
        };
        let report = fs::read_to_string(kept.with_extension("report.json")).unwrap();
        assert_eq!(table(&ask(&copy, &["--json", "report", "--by", "provider,day"])), table(&report), "{name}");
        ask(&copy, &["replay"]);

        let ledger = Ledger::open(&copy).unwrap();
        ledger.record(TokenRecord::new("openai", "m").input(1).key("later"), at(5_000)).unwrap();
        drop(ledger);
        assert_eq!(survey(&copy, [ledgers]).unwrap().size, ledgers.size + 1);
    }
}

#[test]
fn an_upgrade_that_is_killed_leaves_the_old_or_the_new_schema() {
    let scratch = tempfile::tempdir().unwrap();
    let files = scratch.path().join("files");
    for kept in ledgers() {
        for number in 1.. {
            let _ = fs::remove_dir_all(&files);
            fs::create_dir(&files).unwrap();
            let copy = files.join("usage.db");
            fs::copy(&kept, &copy).unwrap();
            let shim = Shim::new(&files, scratch.path()).at(WRITES, number, How::Kill);
            let mut command = Command::new(crate::program());
            command.env_clear().env("HOME", scratch.path()).env("USAGE_LEDGER", &copy);
            command.args(["record", "--provider", "openai", "--input", "1"]);
            shim.apply(&mut command).output().unwrap();
            if let Err(why) = survey(&copy, []) {
                panic!("{}, killed before call {number}: {why}", kept.display());
            }
            if !shim.was_hit() {
                break;
            }
        }
    }
}
