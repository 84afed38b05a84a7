//! `statusline`: one line, quickly, whatever happens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use cli_support::Desk;

/// What Claude Code writes, as far as it matters here: 42 % of the session, which ends in two hours and ten minutes.
const DOCUMENT: &str = r#"{"model":{"display_name":"Opus"},"rate_limits":{
    "five_hour":{"used_percentage":42,"resets_at":1781093400},
    "seven_day":{"used_percentage":61.5,"resets_at":1781352000}}}"#;
const NOW: &str = "2026-06-10T10:00:00Z";

fn used() -> Desk {
    let desk = Desk::new();
    desk.at("2026-06-10T09:00:00Z", &["limit", "set", "anthropic", "--session", "1000000"]);
    desk.at("2026-06-10T09:00:00Z", &["record", "--provider", "anthropic", "--input", "250000"]);
    desk
}

fn events(desk: &Desk) -> usize {
    desk.ok(&["log"]).lines().count()
}

#[test]
fn the_line_of_a_ledger() {
    let desk = used();
    assert_eq!(
        desk.fed("", &["--now", NOW, "statusline", "--no-color"]),
        "anthropic 5h 25% ▕██░░░░░░▏ 4h00m · 7d 250k tok · deep · 250k tok today\n"
    );
    assert_eq!(
        desk.fed("", &["--now", NOW, "statusline", "--no-color", "--ascii", "--provider", "claude"]),
        "anthropic 5h 25% [##------] 4h00m | 7d 250k tok | deep | 250k tok today\n"
    );
    assert_eq!(events(&desk), 2);
    desk.at("2026-06-10T09:30:00Z", &["switch", "ollama"]);
    desk.at("2026-06-10T09:30:00Z", &["record", "--provider", "ollama", "--input", "50000"]);
    desk.at("2026-06-10T09:40:00Z", &["pause", "--note", "lunch"]);
    assert_eq!(
        desk.fed("", &["--now", NOW, "statusline"]),
        "ollama no API quota · deep · paused (manual) · 50.0k tok today\n"
    );
    let other = desk.fed("", &["--now", NOW, "statusline", "--no-color", "--provider", "anthropic"]);
    assert!(other.contains(" · wait"), "{other}");
}

#[test]
fn the_document_is_recorded_when_it_says_something_new() {
    let desk = used();
    let show = |now: &str, document: &str| desk.fed(document, &["--now", now, "statusline", "--no-color"]);
    assert_eq!(show(NOW, DOCUMENT), "anthropic 5h 42% ▕███░░░░░▏ 2h10m · 7d 61.5% · implement · 250k tok today\n");
    assert_eq!(events(&desk), 4);
    show("2026-06-10T10:00:05Z", DOCUMENT);
    // A reset jitters by a second.
    show("2026-06-10T10:00:10Z", &DOCUMENT.replace("1781093400", "1781093401"));
    assert_eq!(events(&desk), 4);
    show("2026-06-10T10:00:15Z", &DOCUMENT.replace("42", "43"));
    assert_eq!(events(&desk), 5);
    let log = desk.ok(&["log", "-n", "1", "--json"]);
    assert!(log.contains("\"quota_observed\"") && log.contains("\"source\":\"statusline\""), "{log}");
    desk.fed(DOCUMENT.replace("42", "44"), &["--now", "2026-06-10T10:00:20Z", "statusline", "--no-record"]);
    desk.fed(DOCUMENT.replace("42", "45"), &["--as-of", "5", "statusline"]);
    assert_eq!(events(&desk), 5);
    // The first document makes the ledger.
    let fresh = Desk::new();
    let line = fresh.fed(DOCUMENT, &["--now", NOW, "statusline", "--no-color"]);
    assert_eq!(line, "anthropic 5h 42% ▕███░░░░░▏ 2h10m · 7d 61.5% · deep · 0 tok today\n");
    assert_eq!(events(&fresh), 2);
}

#[test]
fn an_account_is_shown_by_its_name() {
    let desk = Desk::new();
    let line = desk.fed(DOCUMENT, &["--now", NOW, "statusline", "--no-color", "--account", "work"]);
    assert!(line.starts_with("anthropic (work) 5h 42% "), "{line}");
    let only = desk.fed("", &["--now", NOW, "statusline", "--no-color", "--provider", "anthropic"]);
    assert!(only.starts_with("anthropic (work) 5h 42% "), "{only}");
}

#[test]
fn colours_are_there_unless_they_are_not_wanted() {
    let desk = used();
    let with = desk.fed("", &["--now", NOW, "statusline"]);
    assert!(with.contains("\u{1b}[38;5;79m25%\u{1b}[0m"), "{with:?}");
    let mut command = desk.command();
    command.env("NO_COLOR", "1").args(["--now", NOW, "statusline"]).write_stdin("");
    let without = String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap();
    assert!(!without.contains('\u{1b}'), "{without:?}");
}

#[test]
fn it_never_fails() {
    let desk = Desk::new();
    assert_eq!(desk.fed("", &["statusline"]), "usage-ledger: nothing recorded yet\n");
    assert!(!desk.ledger().exists());
    for document in ["no json", "[]", "{}", r#"{"rate_limits":7}"#, "\0\u{1}"] {
        let line = desk.fed(document, &["--now", NOW, "statusline", "--no-color"]);
        assert_eq!(line.lines().count(), 1, "{document:?}: {line:?}");
    }
    let mut command = desk.command();
    let done = command.args(["statusline"]).write_stdin(vec![0xff; 2 << 20]).assert().success();
    assert!(!done.get_output().stderr.is_empty());
    std::fs::write(desk.ledger(), "this is no ledger, and was never one\n".repeat(400)).unwrap();
    let done = desk.command().args(["statusline"]).write_stdin("").assert().success();
    assert_eq!(done.get_output().stdout, b"usage-ledger: not available\n");
    assert!(String::from_utf8_lossy(&done.get_output().stderr).starts_with("usage-ledger: "));
}

#[test]
fn it_waits_for_nobody() {
    let desk = used();
    let begun = Instant::now();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"));
    command.env("USAGE_LEDGER", desk.ledger()).args(["--now", NOW, "--tz", "UTC", "statusline", "--no-color"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Its stdin stays open, and nothing is ever written to it.
    let open = child.stdin.take();
    let done = child.wait_with_output().unwrap();
    drop(open);
    assert!(done.status.success() && done.stdout.starts_with(b"anthropic 5h 25%"), "{done:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn the_same_in_json() {
    let desk = used();
    let shown = desk.json(&["--now", NOW, "statusline", "--provider", "anthropic"]);
    assert_eq!(shown["all_time"]["tokens"]["total"], 250_000);
    assert_eq!((&shown["schema"], &shown["tokens_today"]), (&1.into(), &250_000.into()));
    assert_eq!((&shown["session"]["percent"], &shown["budget"]["mode"]), (&25.into(), &"deep".into()));
}
