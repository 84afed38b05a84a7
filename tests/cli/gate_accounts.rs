//! The gate of a provider with accounts: a caller that names none never opens it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;
use serde_json::Value;

const NOON: &str = "2026-06-10T12:00:00Z";

/// 90 % of the session of the account `work` is used.
fn at_90() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-06-10T11:00:00Z", &["limit", "set", "anthropic", "--account", "work", "--session", "100000"]);
    let call = ["record", "--provider", "anthropic", "--account", "work", "--input", "90000"];
    cli.at("2026-06-10T11:30:00Z", &call);
    cli
}

fn gate(cli: &TestCli, now: &str, args: &[&str]) -> (Option<i32>, Value) {
    let done = cli.command().args(["--now", now, "--json", "gate"]).args(args).output().unwrap();
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap())
}

fn scan(cli: &TestCli, now: &str, text: &str, args: &[&str]) {
    cli.command().args(["--now", now, "scan-output"]).args(args).write_stdin(text).assert().success();
}

#[test]
fn no_event_without_an_account_opens_the_gate_of_the_only_named_one() {
    let statements: [&[&str]; 4] = [
        &["gate", "anthropic", "--probe", "true", "--allow-undeclared"],
        &["provider", "declare", "anthropic", "--metered"],
        &["limit", "set", "anthropic", "--thresholds", "70,85"],
        &["limit", "set", "anthropic", "--budget-mode", "full"],
    ];
    for words in statements {
        let cli = at_90();
        cli.command().args(["--now", NOON]).args(words).output().unwrap();
        let (code, verdict) = gate(&cli, "2026-06-10T13:00:00Z", &["anthropic"]);
        assert_eq!((code, verdict["account"].as_str()), (Some(75), Some("work")), "{words:?}: {verdict}");
    }
}

#[test]
fn a_statement_without_an_account_is_about_the_only_named_one() {
    let cli = at_90();
    scan(&cli, NOON, "You've hit your session limit · resets 12:30pm (UTC)\n", &["claude"]);
    let (_, shut) = gate(&cli, "2026-06-10T12:10:00Z", &["anthropic", "--account", "work"]);
    assert!(shut["reason"].as_str().unwrap().contains("the provider refused"), "{shut}");
    cli.at("2026-06-10T13:00:00Z", &["override", "anthropic", "--used", "10"]);
    let (code, open) = gate(&cli, "2026-06-10T13:00:00Z", &["anthropic"]);
    assert_eq!((code, open["account"].as_str()), (Some(0), Some("work")), "{open}");
    let status: Value = serde_json::from_str(&cli.at("2026-06-10T13:00:00Z", &["--json", "status"])).unwrap();
    assert_eq!(status["providers"].as_array().unwrap().len(), 1, "no account without a name came into being");
}

#[test]
fn the_strictest_of_several_accounts_decides_for_a_caller_that_names_none() {
    let cli = at_90();
    cli.at("2026-06-10T11:30:00Z", &["record", "--provider", "anthropic", "--account", "private", "--input", "1"]);
    let (code, verdict) = gate(&cli, NOON, &["anthropic"]);
    assert_eq!((code, verdict["account"].as_str()), (Some(75), Some("work")), "{verdict}");
    assert_eq!(gate(&cli, NOON, &["anthropic", "--account", "private"]).0, Some(0));
    // A refusal of an unknown account holds for a caller of an unknown one.
    let cli = TestCli::new();
    for account in ["private", "work"] {
        cli.at(NOON, &["record", "--provider", "anthropic", "--account", account, "--input", "1"]);
    }
    scan(&cli, NOON, "You've hit your session limit · resets 3pm (UTC)\n", &["claude"]);
    assert_eq!(gate(&cli, NOON, &["anthropic"]).0, Some(75));
    assert_eq!(gate(&cli, NOON, &["anthropic", "--account", "work"]).0, Some(0));
    // Calls without an account are those of an account of their own.
    cli.at("2026-06-10T20:00:00Z", &["record", "--provider", "anthropic", "--input", "1"]);
    let (_, verdict) = gate(&cli, "2026-06-10T20:00:00Z", &["anthropic"]);
    assert!(verdict.get("account").is_none_or(Value::is_null), "{verdict}");
}

#[test]
fn a_reservation_without_an_account_is_held_by_the_account_meant() {
    let cli = at_90();
    cli.at(NOON, &["override", "anthropic", "--used", "10", "--account", "work"]);
    cli.at(NOON, &["limit", "set", "anthropic", "--stale-after", "60"]);
    let reserve = |tokens: &str| {
        cli.command().args(["--now", NOON, "reserve", "anthropic", tokens]).output().unwrap().status.code()
    };
    assert_eq!(reserve("50000"), Some(0));
    assert_eq!(reserve("50000"), Some(75), "the account `work` has 40,000 left");
}

#[test]
fn a_refusal_of_the_cloud_of_ollama_holds_whichever_account_is_named() {
    let refusal = "Error: 429 reached your weekly usage limit https://ollama.com/upgrade\n";
    let cli = TestCli::new();
    cli.at(
        "2026-06-10T11:00:00Z",
        &["record", "--provider", "ollama", "--account", "me", "--model", "glm-4.6:cloud", "--input", "5"],
    );
    scan(&cli, NOON, refusal, &["ollama"]);
    assert_eq!(gate(&cli, NOON, &["ollama", "--model", "glm-4.6:cloud"]).0, Some(75));
    let cli = TestCli::new();
    scan(&cli, NOON, refusal, &["ollama", "--account", "me"]);
    for args in [&["ollama", "--model", "glm-4.6:cloud"][..], &["ollama-cloud"], &["ollama-cloud", "--account", "me"]] {
        assert_eq!(gate(&cli, NOON, args).0, Some(75), "{args:?}");
    }
    assert_eq!(gate(&cli, NOON, &["ollama-cloud", "--account", "other"]).0, Some(0));
    assert_eq!(gate(&cli, NOON, &["ollama"]).0, Some(0), "local models have no quota");
}

#[test]
fn a_probe_that_succeeds_ends_the_refusal_of_a_probe() {
    let cli = TestCli::new();
    assert_eq!(gate(&cli, NOON, &["codex", "--probe", "echo 'HTTP 429' >&2; exit 1"]).0, Some(75));
    assert_eq!(gate(&cli, "2026-06-10T12:10:00Z", &["codex"]).0, Some(75));
    assert_eq!(gate(&cli, "2026-06-10T12:20:00Z", &["codex", "--probe", "true"]).0, Some(0));
    assert_eq!(gate(&cli, "2026-06-10T12:30:00Z", &["codex"]).0, Some(0));
}

#[test]
fn a_statement_that_may_open_a_gate_names_one_of_several_accounts() {
    let cli = TestCli::new();
    for account in ["a", "b"] {
        cli.at(NOON, &["record", "--provider", "anthropic", "--account", account, "--input", "1"]);
    }
    scan(&cli, NOON, "You've hit your session limit · resets 3pm (UTC)\n", &["claude", "--account", "a"]);
    let before = cli.at(NOON, &["log"]);
    for words in [&["override", "anthropic", "--used", "5"][..], &["resume", "--quota-verified", "anthropic"]] {
        let done = cli.command().args(["--now", "2026-06-10T12:05:00Z"]).args(words).output().unwrap();
        let message = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains("`a` or `b`: name it with --account"), "{message}");
    }
    assert_eq!(cli.at(NOON, &["log"]), before, "nothing was written");
    cli.at("2026-06-10T12:05:00Z", &["resume", "--quota-verified", "anthropic", "--account", "a"]);
    assert_eq!(gate(&cli, "2026-06-10T12:06:00Z", &["anthropic"]).0, Some(0));
}

#[test]
fn a_refusal_of_an_unknown_account_is_named_at_every_gate() {
    let cli = TestCli::new();
    for account in ["a", "b"] {
        cli.at(NOON, &["record", "--provider", "anthropic", "--account", account, "--input", "1"]);
    }
    let text = "You've hit your session limit · resets 3pm (UTC)\n";
    let scanned = cli.command().args(["--now", NOON, "scan-output", "claude"]).write_stdin(text).output().unwrap();
    let hint = String::from_utf8(scanned.stderr).unwrap();
    assert!(hint.contains("has the accounts a, b") && hint.contains("--account"), "{hint}");
    let warned = |args: &[&str], words: &str| {
        let (code, verdict) = gate(&cli, "2026-06-10T12:10:00Z", args);
        let warnings = verdict["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|one| one.as_str().unwrap().contains(words)), "{verdict}");
        code
    };
    assert_eq!(warned(&["anthropic", "--account", "b"], "position 3, until 2026-06-10T15:10"), Some(0));
    assert_eq!(warned(&["anthropic"], "usage-ledger void 3"), Some(75));
    cli.at("2026-06-10T12:11:00Z", &["void", "3", "--reason", "it was of another account"]);
    assert_eq!(gate(&cli, "2026-06-10T12:12:00Z", &["anthropic"]).0, Some(0));
}
