//! A program that shares no code with this crate verifies exports, and refuses altered ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cli_support::TestCli;
use rusqlite::Connection;

/// A ledger of 21 events with its export, a checkpoint and a key, as a third party receives them.
struct Export {
    cli: TestCli,
    key: String,
}

impl Export {
    fn new() -> Self {
        let cli = TestCli::new();
        let lines: Vec<String> = (1..=20)
            .map(|n| format!(r#"{{"provider":"anthropic","input":{n},"key":"k{n}","project":"Käse"}}"#))
            .collect();
        cli.ok_with_input(lines.join("\n"), &["--now", "2026-06-01T10:00:00Z", "record", "--jsonl", "-"]);
        cli.at("2026-06-01T11:00:00Z", &["switch", "openai"]);
        let key = cli.ok(&["key", "generate", "--name", "usage-ledger.example/alice"]).trim_end().to_owned();
        let export = Self { cli, key };
        export.cli.ok(&["export", "--format", "events", "--output", &export.path("events.jsonl")]);
        export.cli.ok(&["checkpoint", "--out", &export.path("checkpoint")]);
        export
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cli.dir().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).into_os_string().into_string().unwrap()
    }

    fn events(&self) -> Vec<String> {
        fs::read_to_string(self.file("events.jsonl")).unwrap().lines().map(|line| format!("{line}\n")).collect()
    }

    /// Runs the other program on these files. Returns whether it accepts, and its output.
    fn judge(&self, events: &str, checkpoint: &str, key: &str, proof: Option<&str>) -> (bool, String) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
        let mut python = Command::new("python3");
        // Isolated from the Python packages of this machine.
        python.args(["-I", script]).args([self.file(events), self.file(checkpoint)]).arg(key);
        python.args(proof.map(|proof| self.file(proof)));
        let done = python.output().unwrap_or_else(|error| panic!("python3 must be there, it checks: {error}"));
        let message = String::from_utf8(done.stdout).unwrap();
        assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(matches!(done.status.code(), Some(0 | 1)), "{:?} {message}", done.status);
        (done.status.success(), message)
    }

    /// Checks that the lines are refused with these words.
    fn refuses(&self, lines: &[String], message: &str) {
        fs::write(self.file("touched.jsonl"), lines.concat()).unwrap();
        let (accepted, output) = self.judge("touched.jsonl", "checkpoint", &self.key, None);
        assert!(!accepted && output.contains(message), "{output}");
    }
}

#[test]
fn an_unchanged_export_is_accepted() {
    let export = Export::new();
    let (accepted, output) = export.judge("events.jsonl", "checkpoint", &export.key, None);
    assert!(accepted && output.contains("the first 21 of 21 events"), "{output}");
    let root = export.cli.json(&["verify"])["root"].as_str().unwrap().to_owned();
    assert!(output.contains(&root), "{output}");

    for position in ["1", "2", "16", "17", "20", "21"] {
        fs::write(export.file("proof"), export.cli.ok(&["prove", "inclusion", position])).unwrap();
        let (accepted, output) = export.judge("events.jsonl", "checkpoint", &export.key, Some("proof"));
        assert!(accepted && output.contains(&format!("the event at position {position} is one of 21")), "{output}");
    }
    // The ledger grows: the old checkpoint is still valid for its part.
    export.cli.ok(&["switch", "ollama"]);
    export.cli.ok(&["export", "--output", &export.path("longer.jsonl")]);
    let (accepted, output) = export.judge("longer.jsonl", "checkpoint", &export.key, None);
    assert!(accepted && output.contains("the first 21 of 22 events"), "{output}");
}

#[test]
fn a_changed_swapped_removed_added_or_cut_line_is_refused() {
    let export = Export::new();
    let events = export.events();
    for at in [0, 7, 15, 20] {
        let mut changed = events.clone();
        changed[at] = changed[at].replacen("2026-06-01", "2026-06-02", 1);
        export.refuses(&changed, "positions 1 to 21: the lines are not those that were signed");
    }
    let mut swapped = events.clone();
    swapped.swap(4, 5);
    export.refuses(&swapped, "not those that were signed");
    let mut removed = events.clone();
    removed.remove(9);
    export.refuses(&removed, "position 21 is missing");
    export.refuses(&events[..18], "position 19 is missing: the checkpoint is of 21 events, there are 18");
    let mut added = events.clone();
    added.insert(3, events[3].clone());
    export.refuses(&added, "not those that were signed");
    let mut cut = events.clone();
    cut[20].truncate(30);
    export.refuses(&cut, "position 21 is cut off");
    export.refuses(&[], "position 1 is missing");
}

#[test]
fn a_checkpoint_of_another_key_or_text_is_refused() {
    let export = Export::new();
    let other = export.path("other-key");
    let other_key = export.cli.ok(&["key", "generate", "--name", "usage-ledger.example/alice", &other]);
    export.cli.ok(&["checkpoint", "--key", &other, "--out", &export.path("theirs")]);
    let (accepted, output) = export.judge("events.jsonl", "theirs", &export.key, None);
    assert!(!accepted && output.contains("is not signed by"), "{output}");
    assert!(export.judge("events.jsonl", "theirs", other_key.trim_end(), None).0);

    let note = fs::read_to_string(export.file("checkpoint")).unwrap();
    fs::write(export.file("forged"), note.replacen("\n21\n", "\n20\n", 1)).unwrap();
    let (accepted, output) = export.judge("events.jsonl", "forged", &export.key, None);
    assert!(!accepted && output.contains("does not fit"), "{output}");
}

#[test]
fn a_proof_of_another_event_is_refused() {
    let export = Export::new();
    let proof = export.cli.ok(&["prove", "inclusion", "7"]);
    let hash = proof.lines().nth(3).unwrap();
    for (forged, message) in [
        (proof.replacen("index 6", "index 7", 1), "is not the event that the proof is of"),
        (proof.replacen("index 6", "index 40", 1), "position 41 is not in"),
        (proof.replacen(&format!("{hash}\n"), "", 1), "the proof is too short"),
        (proof.replacen(hash, &format!("{hash}\n{hash}"), 1), "the proof is too long"),
        (proof.replacen("\n21\n", "\n22\n", 1), "does not fit"),
        (proof.replacen(hash, &format!("extra eA==\n{hash}"), 1), "has a hash that is none"),
        (proof.replacen("index", "extra eA==\nextra eA==\nindex", 1), "is no c2sp.org/tlog-proof@v1"),
        (proof.replacen("@v1", "@v2", 1), "is no c2sp.org/tlog-proof@v1"),
    ] {
        fs::write(export.file("proof"), forged).unwrap();
        let (accepted, output) = export.judge("events.jsonl", "checkpoint", &export.key, Some("proof"));
        assert!(!accepted && output.contains(message), "{message}: {output}");
    }
}

#[test]
fn a_shredded_line_is_accepted_only_if_an_event_shredded_names_it() {
    let export = Export::new();
    let leaf = export.cli.json(&["show", "5"])["leaf"].as_str().unwrap().to_owned();
    let mut events = export.events();
    events[4] = format!("{{\"shredded\":5,\"leaf\":\"{leaf}\"}}\n");
    export.refuses(&events, "position 5 is left out, and no event_shredded says why");
    // The event that names it is after the checkpoint.
    let kind = "{\"v\":1,\"kind\":\"event_shredded\",\"data\":{\"position\":5,\"leaf\":\"";
    events.push(format!("{kind}{leaf}\",\"reason\":\"a name in it\"}}}}\n"));
    fs::write(export.file("shredded.jsonl"), events.concat()).unwrap();
    let (accepted, output) = export.judge("shredded.jsonl", "checkpoint", &export.key, None);
    assert!(accepted && output.contains("the first 21 of 22 events"), "{output}");
    events[4] = events[4].replacen(&leaf, &"0".repeat(64), 1);
    export.refuses(&events, "position 5 is left out");
}

#[test]
fn an_export_of_an_earlier_state_reports_a_later_shredding() {
    let export = Export::new();
    export.cli.ok(&["shred", "5", "--reason", "a name in it"]);
    let exported = export.cli.command().args(["--as-of", "21", "export"]).output().unwrap();
    let stderr = String::from_utf8(exported.stderr).unwrap();
    assert!(exported.status.success() && stderr.contains("shredded later, by position 22"), "{stderr}");
    fs::write(export.file("early.jsonl"), exported.stdout).unwrap();
    let (accepted, message) = export.judge("early.jsonl", "checkpoint", &export.key, None);
    assert!(!accepted && message.contains("check an export of the whole ledger"), "{message}");
    export.cli.ok(&["export", "--output", &export.path("whole.jsonl")]);
    assert!(export.judge("whole.jsonl", "checkpoint", &export.key, None).0);
}

/// A ledger of an early build, with two events whose indented usage objects contain line breaks.
fn ledger_of_early_build() -> Export {
    let cli = TestCli::new();
    let dump = include_str!("../fixtures/ledgers/indented.sql");
    Connection::open(cli.ledger()).unwrap().execute_batch(dump).unwrap();
    let key = cli.ok(&["key", "generate", "--name", "usage-ledger.example/alice"]).trim_end().to_owned();
    Export { cli, key }
}

#[test]
fn events_with_line_breaks_of_early_builds_export_as_one_line_each_and_verify() {
    let export = ledger_of_early_build();
    let cli = &export.cli;
    let stored = |position: u8| -> String {
        let ledger = Connection::open(cli.ledger()).unwrap();
        ledger.query_row("SELECT body FROM events WHERE position = ?", [position], |row| row.get(0)).unwrap()
    };
    assert!(stored(2).contains('\n') && stored(3).contains("\r\n"));
    assert_eq!(cli.json(&["verify"])["ok"], true);
    cli.ok(&["export", "--format", "events", "--output", &export.path("events.jsonl")]);
    cli.ok(&["checkpoint", "--out", &export.path("checkpoint")]);
    let events = export.events();
    assert_eq!(events.len(), 4);
    assert_eq!(events[3], format!("{}\n", stored(4)));
    for position in [2, 3_u8] {
        let row: serde_json::Value = serde_json::from_str(&events[usize::from(position) - 1]).unwrap();
        assert_eq!((row["escaped"].as_u64(), row["line"].as_str()), (Some(position.into()), Some(&*stored(position))));
    }

    let (accepted, output) = export.judge("events.jsonl", "checkpoint", &export.key, None);
    assert!(accepted && output.contains("the first 4 of 4 events"), "{output}");
    for position in ["2", "3", "4"] {
        fs::write(export.file("proof"), cli.ok(&["prove", "inclusion", position])).unwrap();
        let (accepted, output) = export.judge("events.jsonl", "checkpoint", &export.key, Some("proof"));
        assert!(accepted && output.contains(&format!("the event at position {position} is one of 4")), "{output}");
        fs::write(export.file("line"), &events[position.parse::<usize>().unwrap() - 1]).unwrap();
        let check =
            ["prove", "check", &export.path("proof"), "--line", &export.path("line"), "--verifier", &export.key];
        cli.ok(&check);
    }
    // An altered escaped line is refused.
    let touch = |from: &str, to: &str| {
        let mut touched = events.clone();
        touched[1] = touched[1].replacen(from, to, 1);
        assert_ne!(touched, events);
        touched
    };
    export.refuses(&touch(r"\n    ", r"\n   "), "not those that were signed");
    export.refuses(&touch("{\"escaped\":2", "{\"escaped\":3"), "position 2 says that it is another");
    export.refuses(&touch("acme", r"\ud800"), "refused");
}

#[test]
fn every_surface_prints_an_event_with_line_breaks_on_one_line() {
    let export = ledger_of_early_build();
    let cli = &export.cli;
    let one_a_line = |text: String| {
        let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(!text.contains('\r'), "{text}");
        rows
    };
    let note = "two  spaces: \"quoted\"\n";
    for row in one_a_line(cli.ok(&["export", "--format", "cloudevents"])).drain(1..3) {
        assert_eq!(row["data"]["raw"]["note"], note);
    }
    for row in one_a_line(cli.ok(&["--json", "log"])).drain(1..3) {
        assert_eq!(row["event"]["data"]["raw"]["note"], note);
    }
    let shown = cli.ok(&["--json", "show", "2"]);
    assert_eq!(shown.trim_end().lines().count(), 1, "{shown}");
    // The same response is the same event, although it is now minified.
    let again = r#"{"id":"msg_1","model":"claude-opus-4-5","usage":{"input_tokens":25,"note":"two  spaces: \"quoted\"\n","output_tokens":15}}"#;
    let stdout = cli.ok_with_input(again, &["record", "--format", "anthropic", "--project", "acme"]);
    assert!(stdout.contains("position 2") && stdout.contains("already"), "{stdout}");
    // An amendment with the stored usage object, and a shredding, append lines without line breaks.
    cli.ok(&["amend", "2", "--project", "other", "--reason", "moved"]);
    cli.ok(&["shred", "3", "--reason", "a name in it"]);
    assert_eq!(cli.json(&["verify"])["ok"], true);
    let ledger = Connection::open(cli.ledger()).unwrap();
    let broken = "SELECT count(*) FROM events WHERE instr(body, char(10)) OR instr(body, char(13))";
    assert_eq!(ledger.query_row(broken, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn an_indented_usage_object_becomes_one_line() {
    let cli = TestCli::new();
    let body = "{\r\n  \"id\": \"msg_1\",\n  \"model\": \"claude-opus-4-5\",\n  \"usage\": {\n\t\"output_tokens\": 15,\n    \
                \"input_tokens\": 25,\n    \"odd\": [1.50, 1E+2, \" a  b\\n\"]\n  }\n}\n";
    cli.ok_with_input(body, &["record", "--format", "anthropic"]);
    let exported = cli.ok(&["export", "--format", "events"]);
    assert_eq!(exported.lines().count(), 1, "{exported}");
    let raw = r#""raw":{"output_tokens":15,"input_tokens":25,"odd":[1.50,1E+2," a  b\n"]}"#;
    assert!(exported.contains(raw), "{exported}");
}
