//! `amend`, `void` and `show`: the original stays, and what counts is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::{Desk, provider};

fn recorded() -> Desk {
    let desk = Desk::new();
    let call = ["record", "--provider", "openai", "--model", "gpt-5", "--input", "100", "--output", "7"];
    desk.at("2026-06-01T10:00:00Z", &[&call[..], &["--key", "r1", "--label", "a=1"]].concat());
    desk
}

fn total(desk: &Desk) -> u64 {
    desk.json(&["report"])["total"]["tokens"]["total"].as_u64().unwrap()
}

#[test]
fn an_amend_changes_what_is_given_and_nothing_else() {
    let desk = recorded();
    desk.at("2026-06-01T11:00:00Z", &["amend", "1", "--input", "10", "--reason", "a typing error"]);
    assert_eq!(total(&desk), 17);
    let later = ["--occurred-at", "2026-05-31T10:00:00Z", "--label", "b=2", "--reason", "the day before"];
    desk.at("2026-06-01T12:00:00Z", &[&["amend", "1"][..], &later].concat());
    let shown = desk.json(&["show", "1"]);
    let now = &shown["counts_as"];
    assert_eq!((&now["position"], &now["at"]), (&3.into(), &"2026-05-31T10:00:00.000Z".into()));
    assert_eq!(now["record"]["tokens"], serde_json::json!({"input": 10, "output": 7}));
    assert_eq!(now["record"]["labels"], serde_json::json!({"a": "1", "b": "2"}));
    assert_eq!(now["record"]["keys"], serde_json::json!(["r1"]));
    assert_eq!((&shown["amended"], &shown["void"]), (&true.into(), &false.into()));
    // The line itself is as it was.
    assert_eq!(shown["event"]["data"]["tokens"]["input"], 100);
    // An amend built upon another keeps the time that one gave.
    desk.at("2026-06-01T12:00:00Z", &["amend", "1", "--output", "8", "--reason", "again"]);
    let shown = desk.json(&["show", "1"]);
    assert_eq!(
        (&shown["counts_as"]["position"], &shown["counts_as"]["at"]),
        (&4.into(), &"2026-05-31T10:00:00.000Z".into())
    );
    assert_eq!(total(&desk), 18);
    assert_eq!(desk.json(&["show", "3"])["holds"], false);
    assert_eq!(desk.json(&["report", "--as-of", "1"])["total"]["tokens"]["total"], 107);
    desk.ok(&["verify"]);
}

#[test]
fn an_event_is_found_by_position_id_or_key() {
    let desk = recorded();
    let by_position = desk.json(&["show", "1"]);
    let id = by_position["event"]["id"].as_str().unwrap();
    for name in [id, "r1"] {
        assert_eq!(desk.json(&["show", name]), by_position);
    }
    assert_eq!(by_position["leaf"].as_str().unwrap().len(), 64);
    desk.ok(&["record", "--provider", "xai", "--input", "1", "--key", "r1"]);
    assert!(desk.fails(2, &["show", "r1"]).contains("one of openai, xai"));
    assert_eq!(desk.json(&["show", "--provider", "grok", "r1"])["position"], 2);
}

#[test]
fn a_void_withdraws_and_a_void_of_it_restores() {
    let desk = recorded();
    let id = desk.json(&["show", "1"])["event"]["id"].as_str().unwrap().to_owned();
    desk.at("2026-06-01T11:00:00Z", &["void", &id, "--reason", "a test"]);
    assert_eq!(total(&desk), 0);
    let shown = desk.json(&["show", "1"]);
    assert_eq!((&shown["void"], &shown["counts_as"]), (&true.into(), &serde_json::Value::Null));
    assert!(desk.ok(&["show", "1"]).contains("holds    no: it is withdrawn"));
    desk.at("2026-06-01T12:00:00Z", &["void", "2", "--reason", "it was none"]);
    assert_eq!(total(&desk), 107);
    assert_eq!(desk.json(&["show", "2"])["void"], true);
    desk.ok(&["replay"]);
}

#[test]
fn a_switch_can_be_withdrawn_too() {
    let desk = recorded();
    desk.at("2026-06-01T11:00:00Z", &["switch", "ollama"]);
    let done = desk.json(&["--now", "2026-06-01T12:00:00Z", "void", "2", "--reason", "it did not happen"]);
    assert_eq!((&done["recorded"], &done["positions"]), (&1.into(), &serde_json::json!([3])));
    let status = desk.json(&["--now", "2026-06-01T12:30:00Z", "status"]);
    assert_eq!((&status["active_provider"], &status["switches"]), (&"openai".into(), &0.into()));
    assert_eq!(provider(&status, "openai")["all_time"]["tokens"]["total"], 107);
}

#[test]
fn what_cannot_be_corrected_is_refused() {
    let desk = recorded();
    desk.at("2026-06-01T11:00:00Z", &["switch", "ollama"]);
    desk.at("2026-06-01T11:30:00Z", &["record", "--provider", "xai", "--input", "1"]);
    desk.at("2026-06-01T12:00:00Z", &["void", "3", "--reason", "a test"]);
    let before = desk.bytes();
    for (args, says) in [
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
        let said = desk.fails(2, args);
        assert!(said.contains(says), "{args:?}: {said}");
    }
    assert_eq!(desk.bytes(), before);
    let nobody = Desk::new();
    nobody.fails(2, &["void", "1", "--reason", "x"]);
    assert!(!nobody.ledger().exists());
}

#[test]
fn a_label_with_a_short_value_is_shredded_alone() {
    let desk = Desk::new();
    for (input, label) in [("1", "a=b"), ("2", "a=bc"), ("3", "ab=b"), ("4", "b=a")] {
        desk.ok(&["record", "--provider", "bob", "--model", "b", "--input", input, "--label", label]);
    }
    let done = desk.json(&["shred", "--label", "a=b", "--reason", "because somebody asked", "--author", "bob"]);
    assert_eq!((&done["events"], &done["still"]), (&serde_json::json!([1]), &serde_json::json!([])));
    assert!(desk.fails(2, &["shred", "--label", "b=a", "--reason", "a has left"]).contains("stay in the ledger"));
    desk.ok(&["verify"]);
}
