//! The program without a command: import, periods, windows, next step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support::{TestCli, provider};

const NOW: &str = "2026-06-10T10:00:00Z";

/// Writes a log of Claude Code with one call at a time; the model has a price.
fn log_call(cli: &TestCli, id: &str, at: &str) {
    let logs = cli.dir().join(".claude/projects/-home-me-acme");
    std::fs::create_dir_all(&logs).unwrap();
    let line = format!(
        r#"{{"type":"assistant","timestamp":"{at}","sessionId":"s1","cwd":"/home/me/acme","requestId":"req_{id}","message":{{"id":"msg_{id}","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{{"input_tokens":1000000,"output_tokens":0}}}}}}"#
    );
    std::fs::write(logs.join(format!("{id}.jsonl")), line + "\n").unwrap();
}

#[test]
fn the_first_run_imports_and_reports() {
    let cli = TestCli::new();
    log_call(&cli, "today", "2026-06-10T09:00:00.000Z");
    log_call(&cli, "monday", "2026-06-08T09:00:00.000Z");
    log_call(&cli, "first", "2026-06-01T09:00:00.000Z");
    log_call(&cli, "may", "2026-05-31T09:00:00.000Z");
    let text = cli.at(NOW, &[]);
    for part in [
        "imported 4 new calls from claude-code\n",
        "today              1   1.00M   $5.00\n",
        "this week          2   2.00M  $10.00\n",
        "this month         3   3.00M  $15.00\n",
        "anthropic, active\n",
        "Next: `usage-ledger limit set anthropic --session TOKENS`",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // The second run has nothing to import and prints nothing about it.
    assert!(!cli.at(NOW, &[]).contains("imported"));
}

#[test]
fn days_are_cut_in_the_zone_of_the_option() {
    let cli = TestCli::new();
    log_call(&cli, "evening", "2026-06-09T22:30:00.000Z");
    let today = |zone: &str| cli.json(&["--now", NOW, "--tz", zone])["periods"]["today"]["requests"].clone();
    assert_eq!((today("UTC"), today("Europe/Paris")), (0.into(), 1.into()));
}

#[test]
fn json_has_the_status_the_periods_and_the_import() {
    let cli = TestCli::new();
    log_call(&cli, "today", "2026-06-10T09:00:00.000Z");
    let answer = cli.json(&["--now", NOW]);
    assert_eq!((&answer["schema"], &answer["active_provider"]), (&1.into(), &"anthropic".into()));
    assert_eq!(answer["periods"]["month"]["cost"]["usd"], "5");
    let sources = answer["imported"]["sources"].as_array().unwrap();
    assert!(sources.iter().any(|source| source["source"] == "claude-code" && source["recorded"] == 1));
    let session = &provider(&answer, "anthropic")["session"];
    assert_eq!(session["requests"], 1);
}

#[test]
fn without_logs_it_names_the_searched_places_and_creates_no_ledger() {
    let cli = TestCli::new();
    let text = cli.at(NOW, &[]);
    assert!(text.starts_with("The ledger is empty.\n"), "{text}");
    assert!(
        text.contains("claude-code  ~/.claude/projects") && text.contains("codex        ~/.codex/sessions"),
        "{text}"
    );
    assert!(text.contains("Next: `usage-ledger import --home DIR`"), "{text}");
    assert!(!cli.ledger().exists());
}

#[test]
fn it_does_not_import_with_the_option_or_as_of_the_past() {
    let cli = TestCli::new();
    cli.at(NOW, &["record", "--provider", "ollama", "--input", "1"]);
    log_call(&cli, "today", "2026-06-10T09:00:00.000Z");
    for args in [&["--no-import"][..], &["--as-of", "1"]] {
        let answer = cli.json(&[&["--now", NOW], args].concat());
        assert_eq!((&answer["position"], &answer["imported"]), (&1.into(), &serde_json::Value::Null), "{args:?}");
    }
    assert_eq!(cli.json(&["--now", NOW])["position"], 3); // the call and the import
    let error = cli.fails(2, &["--no-import", "status"]);
    assert!(error.contains("--no-import"), "{error}");
}

#[test]
fn a_log_that_cannot_be_read_is_a_finding() {
    let cli = TestCli::new();
    log_call(&cli, "today", "2026-06-10T09:00:00.000Z");
    // A loop of links stands for an unreadable file.
    let logs = cli.dir().join(".codex/sessions");
    std::fs::create_dir_all(logs.parent().unwrap()).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&logs, &logs).unwrap();
    #[cfg(unix)]
    {
        let done = cli.command().args(["--now", NOW]).assert().code(1);
        let error = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(error.contains("cannot be read: `usage-ledger import` names them"), "{error}");
        let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
        assert!(text.contains("imported 1 new call from claude-code"), "{text}");
    }
}

#[test]
fn short_names_are_reports() {
    let cli = TestCli::new();
    log_call(&cli, "today", "2026-06-10T09:00:00.000Z");
    cli.at(NOW, &[]);
    for (name, key) in
        [("daily", "day"), ("weekly", "week"), ("monthly", "month"), ("session", "conversation"), ("blocks", "window")]
    {
        let short = cli.json(&["--now", NOW, name, "--provider", "anthropic"]);
        assert_eq!(short, cli.json(&["--now", NOW, "report", "--by", key, "--provider", "anthropic"]), "{name}");
        assert_eq!(short["rows"].as_array().unwrap().len(), 1);
    }
    assert_eq!(cli.json(&["report", "--by", "session"]), cli.json(&["report", "--by", "conversation"]));
}

#[test]
fn status_shows_the_cost_of_windows() {
    let cli = TestCli::new();
    log_call(&cli, "today", "2026-06-10T09:00:00.000Z");
    log_call(&cli, "monday", "2026-06-08T09:00:00.000Z");
    log_call(&cli, "may", "2026-05-31T09:00:00.000Z");
    cli.at(NOW, &[]);
    let status = cli.json(&["--now", NOW, "status"]);
    let anthropic = provider(&status, "anthropic");
    let usd = |name: &str| anthropic[name]["cost"]["usd"].clone();
    assert_eq!((usd("session"), usd("weekly"), usd("all_time")), ("5".into(), "10".into(), "15".into()));
    let text = cli.at(NOW, &["status"]);
    assert!(text.contains("all time 3,000,000 tokens, 3 requests, $15.00"), "{text}");
}
