//! Sealing a period: a signed statement, and late events as a restatement.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;
use serde_json::{Value, json};

/// Calls in May and June, and a key.
fn cli() -> TestCli {
    let cli = TestCli::new();
    cli.ok(&["key", "generate", "--name", "a.example/log"]);
    cli.at("2026-05-10T12:00:00Z", &["record", "--provider", "anthropic", "--model", "m", "--input", "100"]);
    cli.at("2026-05-20T12:00:00Z", &["record", "--provider", "openai", "--model", "n", "--output", "20"]);
    cli.at("2026-06-02T12:00:00Z", &["record", "--provider", "openai", "--model", "n", "--output", "7"]);
    cli
}

const SEALED: &str = "2026-06-03T00:00:00Z";

fn seal(cli: &TestCli) -> String {
    cli.at(SEALED, &["seal", "--until", "2026-06"])
}

#[test]
fn sealing_closes_a_period_with_a_signed_statement() {
    let cli = cli();
    let statement = seal(&cli);
    for line in [
        "a.example/log",
        "3",
        "seal from the beginning until 2026-06-01T00:00:00.000Z",
        "positions 1 to 3",
        "requests 2",
        "tokens input 100, output 20",
    ] {
        assert!(statement.lines().any(|statement_line| statement_line == line), "{line} is missing:\n{statement}");
    }
    let path = cli.dir().join("may.seal");
    std::fs::write(&path, &statement).unwrap();
    let key = cli.ok(&["key", "show"]);
    let verify = |path: &std::path::Path| {
        let args = ["--json", "verify", "--checkpoint", path.to_str().unwrap(), "--verifier", key.trim()];
        cli.command().args(args).output().unwrap().status.code().unwrap()
    };
    assert_eq!(verify(&path), 0);
    std::fs::write(&path, statement.replace("requests 2", "requests 3")).unwrap();
    assert_ne!(verify(&path), 0, "a changed statement is not the signed one");
}

#[test]
fn late_events_are_restatements_and_never_change_a_seal() {
    let cli = cli();
    seal(&cli);
    let report = || cli.json(&["--now", "2026-06-10T00:00:00Z", "report", "--sealed", "--by", "provider"]);
    let before = report();
    assert_eq!(before["total"]["tokens"]["total"], 120);
    assert_eq!(before["sealed"]["restatement"]["requests"], 0);
    let late = r#"{"provider":"anthropic","model":"m","input":5,"occurred_at":"2026-05-30T10:00:00Z"}"#;
    cli.ok_with_input(late, &["--now", "2026-06-05T00:00:00Z", "record", "--jsonl", "-"]);
    let after = report();
    assert_eq!((&after["rows"], &after["total"]), (&before["rows"], &before["total"]), "the sealed numbers stand");
    assert_eq!(
        after["sealed"]["restatement"],
        json!({"requests": 1, "tokens": [5, 0, 0, 0, 0, 0, 0], "cost": {"reported_usd": "0"}, "events": [5], "events_total": 1})
    );
    assert_eq!((&after["sealed"]["position"], &after["sealed"]["size"]), (&json!(4), &json!(3)));
    let stdout = cli.at("2026-06-10T00:00:00Z", &["report", "--sealed"]);
    assert!(
        stdout.contains("sealed at position 4")
            && stdout.contains("restated since: +1 request, tokens input +5, by position 5"),
        "{stdout}"
    );
    assert_eq!(cli.json(&["verify"])["ok"], Value::Bool(true));
}

#[test]
fn the_next_seal_begins_where_the_last_one_ended() {
    let cli = cli();
    seal(&cli);
    let next = cli.at("2026-07-02T00:00:00Z", &["seal", "--until", "2026-07"]);
    assert!(next.contains("seal from 2026-06-01T00:00:00.000Z until 2026-07-01T00:00:00.000Z\n"), "{next}");
    assert!(next.contains("positions 4 to 4\nrequests 1\ntokens output 7\n"), "{next}");
}

#[test]
fn sealing_needs_a_key_and_a_period_that_is_over() {
    let cli = cli();
    let before = cli.bytes();
    assert!(cli.fails(2, &["--now", SEALED, "seal", "--until", "2026-07"]).contains("is not over"));
    assert!(cli.fails(2, &["--now", SEALED, "seal", "--until", "2026-05", "--since", "2026-06"]).contains("before"));
    assert!(cli.fails(2, &["--now", SEALED, "seal", "--until", "2026-06", "--key", "/nowhere/key"]).contains("no key"));
    assert!(cli.fails(2, &["--now", SEALED, "report", "--sealed"]).contains("nothing was sealed yet"));
    assert_eq!(cli.bytes(), before);
}

#[test]
fn an_event_moved_within_a_period_is_a_restatement_even_with_equal_sums() {
    let at = "2026-06-05T00:00:00Z";
    for (changed, statement_line) in [
        (&["--model", "other"][..], "no sum, but what it is made of, by position 5"),
        (&["--project", "acme"], "no sum, but what it is made of, by position 5"),
        (&["--provider", "google"], "no sum, but what it is made of, by position 5"),
        (&["--occurred-at", "2026-05-11T12:00:00Z"], "no sum, but what it is made of, by position 5"),
        (&["--cost", "0.25"], "reported cost +0.25 USD, by position 5"),
        (&["--occurred-at", "2026-06-11T12:00:00Z"], "-1 request, tokens input -100, by position 5"),
    ] {
        let cli = cli();
        seal(&cli);
        let mut args = vec!["amend", "1", "--reason", "it was another"];
        args.extend(changed);
        cli.at(at, &args);
        let stdout = cli.at(at, &["report", "--sealed"]);
        assert!(stdout.contains(statement_line), "{changed:?}: {stdout}");
        let answer = cli.json(&["--now", at, "report", "--sealed"]);
        assert_eq!(answer["sealed"]["restatement"]["events"], json!([5]), "{changed:?}");
        // After a void the sums are equal again, and both events are listed.
        cli.at(at, &["void", "5", "--reason", "it was not"]);
        let answer = cli.json(&["--now", at, "report", "--sealed"]);
        assert_eq!(answer["sealed"]["restatement"]["events"], json!([5, 6]), "{changed:?}");
        assert_eq!(answer["sealed"]["restatement"]["requests"], 0);
    }
    // An event of another time is not a restatement.
    let cli = cli();
    seal(&cli);
    cli.at(at, &["amend", "3", "--model", "other", "--reason", "it was another"]);
    assert!(cli.at(at, &["report", "--sealed"]).contains("nothing of it was restated since"));
}

#[test]
fn earlier_seals_can_still_be_read() {
    let cli = cli();
    seal(&cli);
    let now = "2026-07-02T00:00:00Z";
    let late = r#"{"provider":"anthropic","model":"m","input":5,"occurred_at":"2026-05-30T10:00:00Z"}"#;
    cli.ok_with_input(late, &["--now", "2026-06-05T00:00:00Z", "record", "--jsonl", "-"]);
    cli.at(now, &["seal", "--until", "2026-07"]);
    let last = cli.json(&["--now", now, "report", "--sealed"]);
    assert_eq!((&last["sealed"]["position"], &last["sealed"]["restatement"]["events"]), (&json!(6), &json!([])));
    assert_eq!(last["restated_earlier"][0]["position"], 4);
    assert_eq!(last["restated_earlier"][0]["restatement"]["events"], json!([5]));
    let stdout = cli.at(now, &["report", "--sealed"]);
    assert!(stdout.contains("restated since: +1 request") && stdout.contains("report --sealed=4"), "{stdout}");
    let first = cli.json(&["--now", now, "report", "--sealed=4"]);
    assert_eq!((&first["sealed"]["position"], &first["total"]["tokens"]["total"]), (&json!(4), &json!(120)));
    assert_eq!(first["sealed"]["restatement"]["events"], json!([5]));
    assert!(cli.fails(2, &["--now", now, "report", "--sealed=5"]).contains("no seal that holds at position 5"));
}

#[test]
fn sealed_periods_do_not_overlap() {
    let cli = cli();
    seal(&cli);
    let now = "2026-07-02T00:00:00Z";
    for args in [
        &["seal", "--since", "2026-05", "--until", "2026-07"][..],
        &["seal", "--since", "2026-05-10", "--until", "2026-05-20"],
        &["seal", "--since", "2026-05-20", "--until", "2026-06-02"],
    ] {
        let mut all = vec!["--now", now];
        all.extend(args);
        let why = cli.fails(2, &all);
        assert!(why.contains("is sealed at position 4 already") && why.contains("void that seal"), "{why}");
    }
    // Also for a program whose clock is behind that of the seal.
    let why = cli.fails(2, &["--now", "2026-06-01T00:00:00Z", "seal", "--since", "2026-05", "--until", "2026-06"]);
    assert!(why.contains("is sealed at position 4 already"), "{why}");
    cli.at(now, &["void", "4", "--reason", "to be made anew"]);
    cli.at(now, &["seal", "--since", "2026-05", "--until", "2026-07"]);
    // The first seal cannot come back beside the second one.
    let why = cli.fails(2, &["--now", now, "void", "5", "--reason", "it was right after all"]);
    assert!(why.contains("is sealed at position 6 already"), "{why}");
    cli.at(now, &["void", "6", "--reason", "the first one was right"]);
    cli.at(now, &["void", "5", "--reason", "it was right after all"]);
    let holds = |seal: &str| cli.command().args(["--now", now, "report", seal]).assert().get_output().status.success();
    assert!(holds("--sealed=4") && !holds("--sealed=6"));
}

#[test]
fn a_seal_over_another_history_is_a_finding_at_its_position() {
    use usage_ledger::event::{NewEvent, Payload};
    use usage_ledger::merkle::Signer;
    use usage_ledger::{Ledger, Timestamp, TokenRecord};

    let now: Timestamp = "2026-06-10T00:00:00Z".parse().unwrap();
    let signer = Signer::generate("a.example/log").unwrap();
    let filled = |input| {
        let ledger = Ledger::in_memory().unwrap();
        ledger.record(TokenRecord::new("openai", "m").input(input).key("k"), now.plus(-60_000)).unwrap();
        ledger
    };
    let honest = filled(1);
    honest.seal(None, now, &signer, now).unwrap();
    assert!(honest.verify_signed(&[], &[signer.verifier().clone()]).unwrap().ok);
    let Payload::PeriodSealed(sealed) = honest.event(2).unwrap().payload else { panic!() };

    let beyond = {
        let mut made = sealed.clone();
        made.size = 2.into();
        made
    };
    let other_sum = {
        let mut made = sealed.clone();
        made.requests = 7;
        made
    };
    let unsigned = {
        let mut made = sealed.clone();
        made.statement = String::new();
        made
    };
    for (input, forged, what) in [
        (2, sealed, "are not those that this seal was signed over"),
        (1, beyond, "but fewer precede it"),
        (1, other_sum, "differs from the event"),
        (1, unsigned, "cannot be read"),
    ] {
        let ledger = filled(input);
        ledger.append([NewEvent::new(forged, now)], now).unwrap();
        let findings = ledger.verify().unwrap().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].position == Some(2.into()) && findings[0].what.contains(what), "{findings:?}");
        assert!(!ledger.replay().unwrap().ok);
    }
}

#[test]
fn of_seals_that_race_for_a_period_one_succeeds() {
    use usage_ledger::merkle::Signer;
    use usage_ledger::{Ledger, Timestamp, TokenRecord};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let now: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
    Ledger::open(&path).unwrap().record(TokenRecord::new("openai", "gpt-5").input(1), now).unwrap();
    let start = std::sync::Barrier::new(8);
    let sealed = std::thread::scope(|scope| {
        let sealing: Vec<_> = (0..8)
            .map(|_| {
                let (start, path) = (&start, &path);
                scope.spawn(move || {
                    let (ledger, signer) = (Ledger::open(path).unwrap(), Signer::generate("a.example/log").unwrap());
                    start.wait();
                    ledger.seal(None, now.plus(1), &signer, now.plus(1)).is_ok()
                })
            })
            .collect();
        sealing.into_iter().map(|thread| thread.join().unwrap()).filter(|is_sealed| *is_sealed).count()
    });
    assert_eq!(sealed, 1);
}
