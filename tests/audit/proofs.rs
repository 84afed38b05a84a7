//! Checkpoints from elsewhere reveal what a ledger alone cannot: a history that is consistent in itself, but not the
//! original one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;

use cli_support::TestCli;
use serde_json::Value;

const NAME: &str = "usage-ledger.example/alice";

/// Records one call at an hour of a day, with its own time.
fn record(cli: &TestCli, hour: u32, occurred: &str, input: u32) {
    let (input, key) = (input.to_string(), format!("k{input}-{hour}"));
    let call = ["record", "--provider", "anthropic", "--model", "m", "--input", &input, "--key", &key];
    let now = format!("2026-06-01T{hour:02}:00:00Z");
    cli.at(&now, &[&call[..], &["--occurred-at", occurred]].concat());
}

/// Twelve calls, one per hour.
fn recorded() -> TestCli {
    let cli = TestCli::new();
    (0..12).for_each(|hour| record(&cli, hour, &format!("2026-06-01T{hour:02}:00:00Z"), hour + 1));
    cli.ok(&["key", "generate", "--name", NAME]);
    cli
}

/// Saves a checkpoint under a name.
fn keep(cli: &TestCli, name: &str) {
    cli.ok(&["checkpoint", "--out", cli.dir().join(name).to_str().unwrap()]);
}

/// Verifies against saved checkpoints; the ledger alone must be valid. Returns the answer and the exit code.
fn verify(cli: &TestCli, names: &[&str]) -> (Value, i32) {
    assert_eq!(cli.json(&["verify"])["ok"], true, "the ledger is not even sound alone");
    let key = cli.ok(&["key", "show"]);
    let mut command = cli.command();
    command.args(["--json", "verify", "--verifier", key.trim_end()]);
    for name in names {
        command.arg("--checkpoint").arg(cli.dir().join(name));
    }
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!((&answer["schema"], answer["ok"] == true), (&1.into(), code == 0), "{answer}");
    (answer, code)
}

/// Checks that the only finding is at a position and contains these words.
fn finds(cli: &TestCli, names: &[&str], position: u64, message: &str) {
    let (answer, code) = verify(cli, names);
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!((code, findings.len()), (1, 1), "{answer}");
    assert_eq!(findings[0]["position"], position, "{answer}");
    assert!(findings[0]["what"].as_str().unwrap().contains(message), "{answer}");
}

/// Replaces the ledger with another one, including all its hashes.
fn replace(cli: &TestCli, other: &TestCli) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(cli.dir().join(format!("usage.db{suffix}")));
    }
    fs::copy(other.ledger(), cli.ledger()).unwrap();
    // The newest events may still be in the write-ahead log.
    let log = other.dir().join("usage.db-wal");
    if log.exists() {
        fs::copy(log, cli.dir().join("usage.db-wal")).unwrap();
    }
}

#[test]
fn a_ledger_that_only_grew_agrees_with_every_checkpoint() {
    let cli = recorded();
    keep(&cli, "first");
    // An event with an earlier time is recorded late, which is not back-dating.
    record(&cli, 13, "2026-05-01T00:00:00Z", 99);
    keep(&cli, "second");
    cli.ok(&["void", "2", "--reason", "a test"]);
    let (answer, code) = verify(&cli, &["first", "second"]);
    assert_eq!((code, &answer["size"]), (0, &14.into()));
    let stdout = cli.ok(&[
        "verify",
        "--checkpoint",
        cli.dir().join("first").to_str().unwrap(),
        cli.dir().join("second").to_str().unwrap(),
        "--verifier",
        cli.ok(&["key", "show"]).trim_end(),
    ]);
    assert!(stdout.starts_with("ok: 14 events verified against 2 checkpoints, root "), "{stdout}");
}

#[test]
fn checkpoints_reveal_a_truncated_tail_and_an_older_copy() {
    let cli = recorded();
    // The ledger is the file and its write-ahead log.
    let log = cli.dir().join("usage.db-wal");
    let older = (fs::read(cli.ledger()).unwrap(), fs::read(&log).unwrap_or_default());
    record(&cli, 13, "2026-06-01T13:00:00Z", 1);
    record(&cli, 14, "2026-06-01T14:00:00Z", 1);
    keep(&cli, "kept");
    fs::write(cli.ledger(), older.0).unwrap();
    fs::write(&log, older.1).unwrap();
    let _ = fs::remove_file(cli.dir().join("usage.db-shm"));
    finds(&cli, &["kept"], 13, "the ledger ends at position 12");
    // Appending a replacement for the truncated events does not help.
    record(&cli, 13, "2026-06-01T13:00:00Z", 2);
    record(&cli, 14, "2026-06-01T14:00:00Z", 2);
    finds(&cli, &["kept"], 14, "the first 14 events are not those");
}

#[test]
fn checkpoints_reveal_a_replaced_history() {
    let cli = recorded();
    keep(&cli, "kept");
    let other = TestCli::new();
    (0..15).for_each(|hour| record(&other, hour, &format!("2026-06-01T{hour:02}:00:00Z"), 1));
    replace(&cli, &other);
    finds(&cli, &["kept"], 12, "the first 12 events are not those that usage-ledger.example/alice signed");
    // The command also does not sign a state that contradicts an earlier checkpoint.
    let kept = cli.dir().join("kept");
    let before = fs::read(&kept).unwrap();
    let stderr = cli.fails(1, &["checkpoint", "--out", kept.to_str().unwrap()]);
    assert!(stderr.contains("is not replaced: the first 12 events"), "{stderr}");
    assert_eq!(fs::read(&kept).unwrap(), before);
    // Two signed checkpoints of different histories prove that there are two.
    keep(&cli, "fork-of-15");
    let (answer, _) = verify(&cli, &["fork-of-15"]);
    assert_eq!(answer["ok"], true);
    finds(&cli, &["kept", "fork-of-15"], 12, "the first 12 events are not those");
}

#[test]
fn checkpoints_of_equal_size_and_different_roots_are_a_finding() {
    let cli = recorded();
    keep(&cli, "kept");
    let other = TestCli::new();
    (0..12).for_each(|hour| record(&other, hour, &format!("2026-06-01T{hour:02}:00:00Z"), 1));
    replace(&cli, &other);
    keep(&cli, "told-to-bob");
    let (answer, _) = verify(&cli, &["kept", "told-to-bob"]);
    let messages: Vec<_> =
        answer["findings"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert!(messages.iter().any(|what| what.contains("two checkpoints of 12 events")), "{messages:?}");
    assert!(answer["findings"].as_array().unwrap().iter().all(|one| one["position"] == 12), "{answer}");
    // The valid checkpoint covers all twelve events, so the finding concerns the other checkpoint.
    let (answer, _) = verify(&cli, &["told-to-bob", "kept"]);
    assert!(answer.to_string().contains("another checkpoint of as many events fits"), "{answer}");
    assert!(!answer.to_string().contains("13 to 12"), "{answer}");
}

#[test]
fn a_back_dated_event_is_reported_with_the_position_it_follows() {
    // The same calls with an additional one among them.
    let cli = TestCli::new();
    let forged = TestCli::new();
    for hour in 0..12 {
        let at = format!("2026-06-01T{hour:02}:00:00Z");
        record(&cli, hour, &at, hour + 1);
        record(&forged, hour, &at, hour + 1);
        if hour == 3 {
            cli.ok(&["key", "generate", "--name", NAME]);
            keep(&cli, "early");
        }
        if hour == 8 {
            record(&forged, hour, &at, 500);
        }
    }
    keep(&cli, "late");
    replace(&cli, &forged);
    assert_eq!(verify(&cli, &["early"]).1, 0);
    finds(&cli, &["early", "late"], 12, "one at 5 to 12 was changed, moved, added or left out");
}

#[test]
fn a_checkpoint_of_another_key_is_a_finding() {
    let cli = recorded();
    let other = cli.dir().join("other-key");
    cli.ok(&["key", "generate", "--name", NAME, other.to_str().unwrap()]);
    let theirs = cli.dir().join("theirs");
    cli.ok(&["checkpoint", "--key", other.to_str().unwrap(), "--out", theirs.to_str().unwrap()]);
    finds(&cli, &["theirs"], 12, "proves nothing: it has no signature of the key");
    keep(&cli, "kept");
    let forged = fs::read_to_string(cli.dir().join("kept")).unwrap().replacen("\n12\n", "\n11\n", 1);
    fs::write(cli.dir().join("forged"), forged).unwrap();
    finds(&cli, &["forged"], 11, "does not fit its text");
}

#[test]
fn verification_against_a_checkpoint_reports_a_damaged_tree() {
    let cli = recorded();
    keep(&cli, "kept");
    let hand = rusqlite::Connection::open(cli.ledger()).unwrap();
    assert_eq!(hand.execute("DELETE FROM tree", []).unwrap(), 1);
    drop(hand);
    let key = cli.ok(&["key", "show"]);
    let kept = cli.dir().join("kept");
    let args = ["verify", "--checkpoint", kept.to_str().unwrap(), "--verifier", key.trim_end()];
    let done = cli.command().args(args).assert().code(1);
    let stdout = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(stdout.contains("cannot be checked") && stdout.contains("position 1: "), "{stdout}");
    // The event is still shown, but signing and proving fail.
    assert!(cli.ok(&["show", "3"]).contains("proof    none: the tree is damaged"));
    assert_eq!(cli.json(&["show", "3"])["proof"], Value::Null);
    cli.fails(3, &["checkpoint"]);
    cli.fails(3, &["prove", "inclusion", "3"]);
}
