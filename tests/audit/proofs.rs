//! What a ledger alone cannot show, an earlier checkpoint that was kept elsewhere does: a history that is sound in
//! itself, and another one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;

use cli_support::Desk;
use serde_json::Value;

const NAME: &str = "usage-ledger.example/alice";

/// Records one call at an hour of a day, as it happened.
fn record(desk: &Desk, hour: u32, occurred: &str, input: u32) {
    let (input, key) = (input.to_string(), format!("k{input}-{hour}"));
    let call = ["record", "--provider", "anthropic", "--model", "m", "--input", &input, "--key", &key];
    let now = format!("2026-06-01T{hour:02}:00:00Z");
    desk.at(&now, &[&call[..], &["--occurred-at", occurred]].concat());
}

/// Twelve calls, one an hour.
fn recorded() -> Desk {
    let desk = Desk::new();
    (0..12).for_each(|hour| record(&desk, hour, &format!("2026-06-01T{hour:02}:00:00Z"), hour + 1));
    desk.ok(&["key", "generate", "--name", NAME]);
    desk
}

/// Keeps a checkpoint under a name.
fn keep(desk: &Desk, name: &str) {
    desk.ok(&["checkpoint", "--out", desk.dir().join(name).to_str().unwrap()]);
}

/// Verifies against kept checkpoints; the ledger alone must be sound. Gives the answer and the exit code.
fn verify(desk: &Desk, names: &[&str]) -> (Value, i32) {
    assert_eq!(desk.json(&["verify"])["ok"], true, "the ledger is not even sound alone");
    let key = desk.ok(&["key", "show"]);
    let mut command = desk.command();
    command.args(["--json", "verify", "--verifier", key.trim_end()]);
    for name in names {
        command.arg("--checkpoint").arg(desk.dir().join(name));
    }
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!((&answer["schema"], answer["ok"] == true), (&1.into(), code == 0), "{answer}");
    (answer, code)
}

/// That the only finding is at a position and says this.
fn finds(desk: &Desk, names: &[&str], position: u64, words: &str) {
    let (answer, code) = verify(desk, names);
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!((code, findings.len()), (1, 1), "{answer}");
    assert_eq!(findings[0]["position"], position, "{answer}");
    assert!(findings[0]["what"].as_str().unwrap().contains(words), "{answer}");
}

/// Puts the ledger of another desk in the place of this one's, whole and with all its hashes.
fn replace(desk: &Desk, other: &Desk) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(desk.dir().join(format!("usage.db{suffix}")));
    }
    fs::copy(other.ledger(), desk.ledger()).unwrap();
    // The newest events may still be in the write-ahead log.
    let log = other.dir().join("usage.db-wal");
    if log.exists() {
        fs::copy(log, desk.dir().join("usage.db-wal")).unwrap();
    }
}

#[test]
fn what_is_only_added_to_is_sound_against_every_checkpoint() {
    let desk = recorded();
    keep(&desk, "first");
    // A late arrival is told when it comes, whenever it happened: that is no back-dating.
    record(&desk, 13, "2026-05-01T00:00:00Z", 99);
    keep(&desk, "second");
    desk.ok(&["void", "2", "--reason", "a test"]);
    let (answer, code) = verify(&desk, &["first", "second"]);
    assert_eq!((code, &answer["size"]), (0, &14.into()));
    let said = desk.ok(&[
        "verify",
        "--checkpoint",
        desk.dir().join("first").to_str().unwrap(),
        desk.dir().join("second").to_str().unwrap(),
        "--verifier",
        desk.ok(&["key", "show"]).trim_end(),
    ]);
    assert!(said.starts_with("ok: 14 events verified against 2 checkpoints, root "), "{said}");
}

#[test]
fn a_cut_tail_is_found_as_an_older_copy_is() {
    let desk = recorded();
    // The ledger is the file and its write-ahead log.
    let log = desk.dir().join("usage.db-wal");
    let older = (fs::read(desk.ledger()).unwrap(), fs::read(&log).unwrap_or_default());
    record(&desk, 13, "2026-06-01T13:00:00Z", 1);
    record(&desk, 14, "2026-06-01T14:00:00Z", 1);
    keep(&desk, "kept");
    fs::write(desk.ledger(), older.0).unwrap();
    fs::write(&log, older.1).unwrap();
    let _ = fs::remove_file(desk.dir().join("usage.db-shm"));
    finds(&desk, &["kept"], 13, "the ledger ends at position 12");
    // Filling up the place of what was cut does not help.
    record(&desk, 13, "2026-06-01T13:00:00Z", 2);
    record(&desk, 14, "2026-06-01T14:00:00Z", 2);
    finds(&desk, &["kept"], 14, "the first 14 events are not those");
}

#[test]
fn another_history_in_the_place_of_the_whole_file_is_found() {
    let desk = recorded();
    keep(&desk, "kept");
    let other = Desk::new();
    (0..15).for_each(|hour| record(&other, hour, &format!("2026-06-01T{hour:02}:00:00Z"), 1));
    replace(&desk, &other);
    finds(&desk, &["kept"], 12, "the first 12 events are not those that usage-ledger.example/alice signed");
    // Nor does the command sign over what it signed before.
    let kept = desk.dir().join("kept");
    let before = fs::read(&kept).unwrap();
    let said = desk.fails(1, &["checkpoint", "--out", kept.to_str().unwrap()]);
    assert!(said.contains("not proven: the first 12 events"), "{said}");
    assert_eq!(fs::read(&kept).unwrap(), before);
    // Whoever signs both tells two histories, and whoever has both can show it.
    keep(&desk, "fork-of-15");
    let (answer, _) = verify(&desk, &["fork-of-15"]);
    assert_eq!(answer["ok"], true);
    finds(&desk, &["kept", "fork-of-15"], 12, "the first 12 events are not those");
}

#[test]
fn two_checkpoints_of_one_size_that_differ_are_found() {
    let desk = recorded();
    keep(&desk, "kept");
    let other = Desk::new();
    (0..12).for_each(|hour| record(&other, hour, &format!("2026-06-01T{hour:02}:00:00Z"), 1));
    replace(&desk, &other);
    keep(&desk, "told-to-bob");
    let (answer, _) = verify(&desk, &["kept", "told-to-bob"]);
    let found: Vec<_> =
        answer["findings"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert!(found.iter().any(|what| what.contains("two checkpoints of 12 events")), "{found:?}");
    assert!(answer["findings"].as_array().unwrap().iter().all(|one| one["position"] == 12), "{answer}");
    // The one that fits vouches for all twelve: no event of them is in doubt, the other checkpoint is.
    let (answer, _) = verify(&desk, &["told-to-bob", "kept"]);
    assert!(answer.to_string().contains("another checkpoint of as many events fits"), "{answer}");
    assert!(!answer.to_string().contains("13 to 12"), "{answer}");
}

#[test]
fn a_back_dated_event_is_found_and_the_border_is_told() {
    // The same calls, and one more among them that pretends to have been there.
    let desk = Desk::new();
    let forged = Desk::new();
    for hour in 0..12 {
        let at = format!("2026-06-01T{hour:02}:00:00Z");
        record(&desk, hour, &at, hour + 1);
        record(&forged, hour, &at, hour + 1);
        if hour == 3 {
            desk.ok(&["key", "generate", "--name", NAME]);
            keep(&desk, "early");
        }
        if hour == 8 {
            record(&forged, hour, &at, 500);
        }
    }
    keep(&desk, "late");
    replace(&desk, &forged);
    assert_eq!(verify(&desk, &["early"]).1, 0);
    finds(&desk, &["early", "late"], 12, "one at 5 to 12 was changed, moved, added or left out");
}

#[test]
fn a_checkpoint_that_the_key_did_not_sign_is_a_finding_and_no_witness() {
    let desk = recorded();
    let other = desk.dir().join("other-key");
    desk.ok(&["key", "generate", "--name", NAME, other.to_str().unwrap()]);
    let theirs = desk.dir().join("theirs");
    desk.ok(&["checkpoint", "--key", other.to_str().unwrap(), "--out", theirs.to_str().unwrap()]);
    finds(&desk, &["theirs"], 12, "proves nothing: it has no signature of the key");
    keep(&desk, "kept");
    let forged = fs::read_to_string(desk.dir().join("kept")).unwrap().replacen("\n12\n", "\n11\n", 1);
    fs::write(desk.dir().join("forged"), forged).unwrap();
    finds(&desk, &["forged"], 11, "does not fit its text");
}

#[test]
fn a_damaged_tree_is_found_with_a_checkpoint_too() {
    let desk = recorded();
    keep(&desk, "kept");
    let hand = rusqlite::Connection::open(desk.ledger()).unwrap();
    assert_eq!(hand.execute("DELETE FROM tree", []).unwrap(), 1);
    drop(hand);
    let key = desk.ok(&["key", "show"]);
    let kept = desk.dir().join("kept");
    let args = ["verify", "--checkpoint", kept.to_str().unwrap(), "--verifier", key.trim_end()];
    let done = desk.command().args(args).assert().code(1);
    let said = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(said.contains("cannot be checked") && said.contains("position 1: "), "{said}");
    // The event is shown all the same, and what would sign or prove says that it cannot.
    assert!(desk.ok(&["show", "3"]).contains("proof    none: the tree is damaged"));
    assert_eq!(desk.json(&["show", "3"])["proof"], Value::Null);
    desk.fails(3, &["checkpoint"]);
    desk.fails(3, &["prove", "inclusion", "3"]);
}
