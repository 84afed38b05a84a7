//! `statusline` prints one line quickly in all circumstances.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use cli_support::TestCli;

/// The relevant part of Claude Code's document: 42 % of the session, which ends in two hours and ten minutes.
const DOCUMENT: &str = r#"{"model":{"display_name":"Opus"},"rate_limits":{
    "five_hour":{"used_percentage":42,"resets_at":1781093400},
    "seven_day":{"used_percentage":61.5,"resets_at":1781352000}}}"#;
const NOW: &str = "2026-06-10T10:00:00Z";

fn used() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-06-10T09:00:00Z", &["limit", "set", "anthropic", "--session", "1000000"]);
    cli.at("2026-06-10T09:00:00Z", &["record", "--provider", "anthropic", "--input", "250000"]);
    cli
}

fn events(cli: &TestCli) -> usize {
    cli.ok(&["log"]).lines().count()
}

#[test]
fn the_line_shows_a_ledger() {
    let cli = used();
    assert_eq!(
        cli.ok_with_input("", &["--now", NOW, "statusline", "--no-color"]),
        "anthropic 5h 25% ▕██░░░░░░▏ 4h00m · 7d 250k tok · deep · 250k tok today\n"
    );
    assert_eq!(
        cli.ok_with_input("", &["--now", NOW, "statusline", "--no-color", "--ascii", "--provider", "claude"]),
        "anthropic 5h 25% [##------] 4h00m | 7d 250k tok | deep | 250k tok today\n"
    );
    assert_eq!(events(&cli), 2);
    cli.at("2026-06-10T09:30:00Z", &["switch", "ollama"]);
    cli.at("2026-06-10T09:30:00Z", &["record", "--provider", "ollama", "--input", "50000"]);
    cli.at("2026-06-10T09:40:00Z", &["pause", "--note", "lunch"]);
    assert_eq!(
        cli.ok_with_input("", &["--now", NOW, "statusline"]),
        "ollama no API quota · deep · paused (manual) · 50.0k tok today\n"
    );
    let other = cli.ok_with_input("", &["--now", NOW, "statusline", "--no-color", "--provider", "anthropic"]);
    assert!(other.contains(" · wait"), "{other}");
}

#[test]
fn the_document_is_recorded_only_when_it_changes() {
    let cli = used();
    let show = |now: &str, document: &str| cli.ok_with_input(document, &["--now", now, "statusline", "--no-color"]);
    assert_eq!(
        show(NOW, DOCUMENT),
        "anthropic 5h 42% ▕███░░░░░▏ 2h10m · 7d 61.5% · implement · 250k tok today · Opus\n"
    );
    assert_eq!(events(&cli), 4);
    show("2026-06-10T10:00:05Z", DOCUMENT);
    // A reset varies by a second.
    show("2026-06-10T10:00:10Z", &DOCUMENT.replace("1781093400", "1781093401"));
    assert_eq!(events(&cli), 4);
    show("2026-06-10T10:00:15Z", &DOCUMENT.replace("42", "43"));
    assert_eq!(events(&cli), 5);
    let log = cli.ok(&["log", "-n", "1", "--json"]);
    assert!(log.contains("\"quota_observed\"") && log.contains("\"source\":\"statusline\""), "{log}");
    cli.ok_with_input(DOCUMENT.replace("42", "44"), &["--now", "2026-06-10T10:00:20Z", "statusline", "--no-record"]);
    cli.ok_with_input(DOCUMENT.replace("42", "45"), &["--as-of", "5", "statusline"]);
    assert_eq!(events(&cli), 5);
    // The first document creates the ledger.
    let fresh = TestCli::new();
    let line = fresh.ok_with_input(DOCUMENT, &["--now", NOW, "statusline", "--no-color"]);
    assert_eq!(line, "anthropic 5h 42% ▕███░░░░░▏ 2h10m · 7d 61.5% · deep · 0 tok today · Opus\n");
    assert_eq!(events(&fresh), 2);
}

#[test]
fn an_account_is_shown_with_its_name() {
    let cli = TestCli::new();
    let line = cli.ok_with_input(DOCUMENT, &["--now", NOW, "statusline", "--no-color", "--account", "work"]);
    assert!(line.starts_with("anthropic (work) 5h 42% "), "{line}");
    let only = cli.ok_with_input("", &["--now", NOW, "statusline", "--no-color", "--provider", "anthropic"]);
    assert!(only.starts_with("anthropic (work) 5h 42% "), "{only}");
}

#[test]
fn colours_can_be_turned_off() {
    let cli = used();
    let with = cli.ok_with_input("", &["--now", NOW, "statusline"]);
    assert!(with.contains("\u{1b}[38;5;79m25%\u{1b}[0m"), "{with:?}");
    let mut command = cli.command();
    command.env("NO_COLOR", "1").args(["--now", NOW, "statusline"]).write_stdin("");
    let without = String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap();
    assert!(!without.contains('\u{1b}'), "{without:?}");
}

#[test]
fn statusline_never_fails() {
    let cli = TestCli::new();
    assert_eq!(cli.ok_with_input("", &["statusline"]), "usage-ledger: nothing recorded yet\n");
    assert!(!cli.ledger().exists());
    for document in ["no json", "[]", "{}", r#"{"rate_limits":7}"#, "\0\u{1}"] {
        let line = cli.ok_with_input(document, &["--now", NOW, "statusline", "--no-color"]);
        assert_eq!(line.lines().count(), 1, "{document:?}: {line:?}");
    }
    let mut command = cli.command();
    let done = command.args(["statusline"]).write_stdin(vec![0xff; 2 << 20]).assert().success();
    assert!(!done.get_output().stderr.is_empty());
    std::fs::write(cli.ledger(), "this is no ledger, and was never one\n".repeat(400)).unwrap();
    let done = cli.command().args(["statusline"]).write_stdin("").assert().success();
    assert_eq!(done.get_output().stdout, b"usage-ledger: not available\n");
    assert!(String::from_utf8_lossy(&done.get_output().stderr).starts_with("usage-ledger: "));
}

#[test]
fn statusline_never_waits() {
    let cli = used();
    let begun = Instant::now();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"));
    command.env("USAGE_LEDGER", cli.ledger()).args(["--now", NOW, "--tz", "UTC", "statusline", "--no-color"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Its stdin stays open without any input.
    let open = child.stdin.take();
    let done = child.wait_with_output().unwrap();
    drop(open);
    assert!(done.status.success() && done.stdout.starts_with(b"anthropic 5h 25%"), "{done:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn statusline_has_a_json_form() {
    let cli = used();
    let shown = cli.json(&["--now", NOW, "statusline", "--provider", "anthropic"]);
    assert_eq!(shown["all_time"]["tokens"]["total"], 250_000);
    assert_eq!((&shown["schema"], &shown["tokens_today"]), (&1.into(), &250_000.into()));
    assert_eq!((&shown["session"]["percent"], &shown["budget"]["mode"]), (&25.into(), &"deep".into()));
}
