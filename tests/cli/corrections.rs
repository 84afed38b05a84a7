//! `amend`, `void` and `show`: the original stays, and the current content is shown.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::{TestCli, provider};

fn recorded() -> TestCli {
    let cli = TestCli::new();
    let call = ["record", "--provider", "openai", "--model", "gpt-5", "--input", "100", "--output", "7"];
    cli.at("2026-06-01T10:00:00Z", &[&call[..], &["--key", "r1", "--label", "a=1"]].concat());
    cli
}

fn total(cli: &TestCli) -> u64 {
    cli.json(&["report"])["total"]["tokens"]["total"].as_u64().unwrap()
}

#[test]
fn an_amendment_changes_only_the_given_fields() {
    let cli = recorded();
    cli.at("2026-06-01T11:00:00Z", &["amend", "1", "--input", "10", "--reason", "a typing error"]);
    assert_eq!(total(&cli), 17);
    let later = ["--occurred-at", "2026-05-31T10:00:00Z", "--label", "b=2", "--reason", "the day before"];
    cli.at("2026-06-01T12:00:00Z", &[&["amend", "1"][..], &later].concat());
    let shown = cli.json(&["show", "1"]);
    let now = &shown["counts_as"];
    assert_eq!((&now["position"], &now["at"]), (&3.into(), &"2026-05-31T10:00:00.000Z".into()));
    assert_eq!(now["record"]["tokens"], serde_json::json!({"input": 10, "output": 7}));
    assert_eq!(now["record"]["labels"], serde_json::json!({"a": "1", "b": "2"}));
    assert_eq!(now["record"]["keys"], serde_json::json!(["r1"]));
    assert_eq!((&shown["amended"], &shown["void"]), (&true.into(), &false.into()));
    // The line itself is unchanged.
    assert_eq!(shown["event"]["data"]["tokens"]["input"], 100);
    // An amendment of an amendment keeps its time.
    cli.at("2026-06-01T12:00:00Z", &["amend", "1", "--output", "8", "--reason", "again"]);
    let shown = cli.json(&["show", "1"]);
    assert_eq!(
        (&shown["counts_as"]["position"], &shown["counts_as"]["at"]),
        (&4.into(), &"2026-05-31T10:00:00.000Z".into())
    );
    assert_eq!(total(&cli), 18);
    assert_eq!(cli.json(&["show", "3"])["holds"], false);
    assert_eq!(cli.json(&["report", "--as-of", "1"])["total"]["tokens"]["total"], 107);
    cli.ok(&["verify"]);
}

#[test]
fn corrections_accept_a_position_an_id_or_a_key() {
    let cli = recorded();
    let by_position = cli.json(&["show", "1"]);
    let id = by_position["event"]["id"].as_str().unwrap();
    for name in [id, "r1"] {
        assert_eq!(cli.json(&["show", name]), by_position);
    }
    assert_eq!(by_position["leaf"].as_str().unwrap().len(), 64);
    cli.ok(&["record", "--provider", "xai", "--input", "1", "--key", "r1"]);
    assert!(cli.fails(2, &["show", "r1"]).contains("one of 1 (openai), 2 (xai)"));
    assert_eq!(cli.json(&["show", "--provider", "grok", "r1"])["position"], 2);
}

#[test]
fn voiding_a_void_restores_the_event() {
    let cli = recorded();
    let id = cli.json(&["show", "1"])["event"]["id"].as_str().unwrap().to_owned();
    cli.at("2026-06-01T11:00:00Z", &["void", &id, "--reason", "a test"]);
    assert_eq!(total(&cli), 0);
    let shown = cli.json(&["show", "1"]);
    assert_eq!((&shown["void"], &shown["counts_as"]), (&true.into(), &serde_json::Value::Null));
    assert!(cli.ok(&["show", "1"]).contains("holds    no: it is withdrawn"));
    cli.at("2026-06-01T12:00:00Z", &["void", "2", "--reason", "it was none"]);
    assert_eq!(total(&cli), 107);
    assert_eq!(cli.json(&["show", "2"])["void"], true);
    cli.ok(&["replay"]);
}

#[test]
fn a_switch_can_be_voided() {
    let cli = recorded();
    cli.at("2026-06-01T11:00:00Z", &["switch", "ollama"]);
    let done = cli.json(&["--now", "2026-06-01T12:00:00Z", "void", "2", "--reason", "it did not happen"]);
    assert_eq!((&done["recorded"], &done["positions"]), (&1.into(), &serde_json::json!([3])));
    let status = cli.json(&["--now", "2026-06-01T12:30:00Z", "status"]);
    assert_eq!((&status["active_provider"], &status["switches"]), (&"openai".into(), &0.into()));
    assert_eq!(provider(&status, "openai")["all_time"]["tokens"]["total"], 107);
}

#[test]
fn corrections_of_uncorrectable_events_are_refused() {
    let cli = recorded();
    cli.at("2026-06-01T11:00:00Z", &["switch", "ollama"]);
    cli.at("2026-06-01T11:30:00Z", &["record", "--provider", "xai", "--input", "1"]);
    cli.at("2026-06-01T12:00:00Z", &["void", "3", "--reason", "a test"]);
    let before = cli.bytes();
    for (args, expected) in [
        (&["amend", "2", "--input", "1", "--reason", "x"][..], "only tokens_recorded can be amended"),
        (&["amend", "3", "--input", "1", "--reason", "x"], "is withdrawn"),
        (&["amend", "1", "--input", "100", "--reason", "x"], "nothing would change"),
        (&["amend", "1", "--reason", "x"], "nothing to amend"),
        (&["amend", "1", "--input", "1"], "--reason"),
        (&["amend", "1", "--input", "1", "--reason", " "], "a correction needs a reason"),
        (&["amend", "1", "--provider", "No", "--reason", "x"], "is not a provider id"),
        (&["amend", "9", "--input", "1", "--reason", "x"], "no event at position 9"),
        (&["void", "0", "--reason", "x"], "no event at position 0"),
        (&["void", "018c3f6e-0000-7000-8000-000000000000", "--reason", "x"], "no event with id"),
        (&["void", "r1", "--reason", "x"], "neither a position nor an event id"),
        (&["show", "r2"], "with the position, id or key `r2`"),
        (&["show", "--provider", "openai", "r2"], "with the key `r2`"),
    ] {
        let stderr = cli.fails(2, args);
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    assert_eq!(cli.bytes(), before);
    let nobody = TestCli::new();
    nobody.fails(2, &["void", "1", "--reason", "x"]);
    assert!(!nobody.ledger().exists());
}

#[test]
fn a_label_with_a_short_value_is_shredded_alone() {
    let cli = TestCli::new();
    for (input, label) in [("1", "a=b"), ("2", "a=bc"), ("3", "ab=b"), ("4", "b=a")] {
        cli.ok(&["record", "--provider", "bob", "--model", "b", "--input", input, "--label", label]);
    }
    let done = cli.json(&["shred", "--label", "a=b", "--reason", "because somebody asked", "--author", "bob"]);
    assert_eq!((&done["events"], &done["still"]), (&serde_json::json!([1]), &serde_json::json!([])));
    assert!(cli.fails(2, &["shred", "--label", "b=a", "--reason", "a has left"]).contains("stay in the ledger"));
    cli.ok(&["verify"]);
}
