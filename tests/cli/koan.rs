//! A Koan instance with the command: import, queries and export.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;

use cli_support::TestCli;
use serde_json::{Value, json};

/// A data set of the seed system's cases as an instance: rows, outcomes, counters.
fn instance() -> TestCli {
    let cases: Value = serde_json::from_str(include_str!("../fixtures/seed_cases.json")).unwrap();
    let data = cases.as_array().unwrap().iter().find(|case| case["name"] == "dataset_DS1").unwrap();
    let cli = TestCli::new();
    let usage = cli.dir().join("koan/instance/usage");
    fs::create_dir_all(&usage).unwrap();
    for row in data["given"]["rows"].as_array().unwrap() {
        let mut row = row.as_object().unwrap().clone();
        let day = row.remove("day").unwrap().as_str().unwrap().to_owned();
        let file = usage.join(format!("{day}.jsonl"));
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, format!("{before}{}\n", Value::Object(row))).unwrap();
    }
    cli
}

fn home(cli: &TestCli) -> String {
    cli.dir().to_str().unwrap().to_owned()
}

/// The rows of a report by their first key: input, output, requests.
fn rows(report: &Value, key: &str) -> Value {
    let rows = report["rows"].as_array().unwrap().iter().map(|row| {
        let numbers = json!([row["tokens"]["input"], row["tokens"]["output"], row["requests"]]);
        (row[key].as_str().unwrap().to_owned(), numbers)
    });
    Value::Object(rows.collect())
}

#[test]
fn an_instance_is_imported_once_and_reported_by_every_key() {
    let cli = instance();
    let import = ["import", "koan", "--home", &home(&cli)];
    let first = &cli.json(&import)["sources"][0];
    assert_eq!((&first["recorded"], &first["files"], &first["skipped"]), (&json!(7), &json!(5), &json!([])));
    let before = cli.ok(&["export"]);
    assert_eq!(cli.json(&import)["sources"][0]["recorded"], 0);
    assert_eq!(cli.ok(&["export"]), before);
    assert!(!before.contains("Refactor") && !before.contains("https://"), "a title was kept: {before}");

    let total = &cli.json(&["report"])["total"];
    assert_eq!((&total["requests"], &total["tokens"]["input"]), (&json!(7), &json!(20_500)));
    assert_eq!((&total["tokens"]["cache_write"], &total["tokens"]["cache_read"]), (&json!(500), &json!(97_500)));
    assert_eq!(total["cost"]["reported_usd"], "0.33");
    let by = |key: &str| rows(&cli.json(&["report", "--by", key]), key);
    assert_eq!(by("project"), json!({"alpha": [13500, 750, 4], "beta": [7000, 2300, 2], "_global": [0, 0, 1]}));
    assert_eq!(
        by("provider"),
        json!({"anthropic": [16000, 2200, 4], "ollama": [4000, 800, 1], "openai": [500, 50, 1], "unknown": [0, 0, 1]})
    );
    assert_eq!(
        by("label:type"),
        json!({"implement": [3000, 600, 2], "freetext": [3500, 1550, 2], "review": [14000, 900, 2], "autonomous": [0, 0, 1]})
    );
    assert_eq!(by("week"), json!({"2026-W23": [1000, 200, 1], "2026-W24": [19000, 2800, 5], "2026-W25": [500, 50, 1]}));
    let filtered = cli.json(&["report", "--by", "day", "--project", "alpha"]);
    assert_eq!((&filtered["total"]["tokens"]["input"], &filtered["total"]["requests"]), (&json!(13_500), &json!(4)));
}

#[test]
fn import_warns_of_possible_double_counting() {
    let cli = instance();
    let stderr_of = |args: &[&str]| {
        let done = cli.command().args(args).assert().success();
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    };
    let logs = cli.dir().join(".claude/projects/p");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("s.jsonl"), "").unwrap();
    assert_eq!(stderr_of(&["import", "koan", "--home", &home(&cli)]), "");
    let line = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-06-10T12:00:00Z","requestId":"r","message":{"id":"m","model":"claude-opus-4-5","usage":{"input_tokens":1,"output_tokens":1}}}"#;
    fs::write(logs.join("s.jsonl"), format!("{line}\n")).unwrap();
    assert!(stderr_of(&["import", "koan", "claude-code", "--home", &home(&cli)]).contains("hint: Koan's rows"));
}

#[test]
fn double_counting_needs_an_explicit_option() {
    let cli = instance();
    let imported = cli.json(&["import", "--home", &home(&cli)]);
    let sources: Vec<_> = imported["sources"].as_array().unwrap().iter().map(|source| &source["source"]).collect();
    assert!(sources.contains(&&"codex".into()) && !sources.contains(&&"koan".into()), "{sources:?}");
    assert_eq!(cli.json(&["report"])["total"]["requests"], 0);
}

#[test]
fn times_without_an_offset_are_in_the_zone_of_the_option() {
    let cli = instance();
    cli.ok(&["--tz", "Asia/Tokyo", "import", "koan", "--home", &home(&cli)]);
    let first = cli.ok(&["export"]);
    assert!(first.contains(r#""occurred_at":"2026-06-07T14:30:00.000Z""#), "{first}");
    let rows = cli.ok(&["--tz", "Asia/Tokyo", "export", "--format", "koan-jsonl"]);
    assert!(rows.starts_with(r#"{"ts":"2026-06-07T23:30:00","project":"alpha","#), "{rows}");
    assert_eq!(rows.lines().count(), 7);
}

#[test]
fn the_root_of_an_instance_can_be_named_by_the_environment() {
    let cli = instance();
    let root = cli.dir().join("koan");
    let nowhere = cli.dir().join("nowhere");
    cli.command().env("HOME", nowhere).env("KOAN_ROOT", root).args(["import", "koan"]).assert().success();
    assert_eq!(cli.json(&["report"])["total"]["requests"], 7);
}

#[test]
fn windows_in_days_and_custom_prices_are_supported() {
    let cli = instance();
    cli.ok(&["import", "koan", "--home", &home(&cli)]);
    let now = "2026-06-15T12:00:00Z";
    let report = |args: &[&str]| -> Value {
        serde_json::from_str(&cli.at(now, &[&["--json", "report", "--by"], args].concat())).unwrap()
    };
    assert_eq!(report(&["day", "--days", "9", "--fill"])["rows"].as_array().unwrap().len(), 9);
    assert_eq!(report(&["day", "--days", "9", "--project", "alpha"])["total"]["requests"], 4);
    // The seven days up to a week ago: 2 to 8 June.
    assert_eq!(report(&["week", "--back", "1"])["total"]["requests"], 3);
    let prices = cli.dir().join("prices.json");
    // With Koan's prices, cached tokens are free.
    let list = r#"{"opus":{"input":15,"output":75,"cache_read":0,"cache_write_5m":0},
        "sonnet":{"input":3.0,"output":15.0,"cache_read":0,"cache_write_5m":0},
        "haiku":{"input":0.8,"output":4,"cache_read":0,"cache_write_5m":0}}"#;
    fs::write(&prices, list).unwrap();
    let costs = report(&["day", "--prices", prices.to_str().unwrap()]);
    assert_eq!(
        (&costs["total"]["cost"]["usd"], &costs["total"]["cost"]["unpriced_requests"]),
        (&json!("0.1839"), &json!(3))
    );
    assert_eq!(costs["rows"][1]["cost"]["usd"], "0.1695");
    let csv = cli.at(now, &["report", "--by", "model", "--csv", "--prices", prices.to_str().unwrap()]);
    assert!(csv.lines().next().unwrap().ends_with(",reported_usd,usd"), "{csv}");
    for bad in [&["--days", "0"][..], &["--days", "36526"], &["--days", "7", "--since", "2026-06-01"], &["--fill"]] {
        cli.command().args(["report"]).args(bad).assert().failure().code(2);
    }
    fs::write(&prices, "[]").unwrap();
    cli.command().args(["report", "--prices", prices.to_str().unwrap()]).assert().failure().code(2);
}

#[test]
fn sessions_without_a_row_are_listed_and_written_on_request() {
    let cli = instance();
    let outcomes = json!([
        {"timestamp": "2026-06-10T12:02:00", "project": "alpha", "outcome": "productive", "duration": 60},
        {"timestamp": "2026-06-10T15:00:00", "project": "gamma", "mission": "/plan x", "outcome": "blocked"},
    ]);
    fs::write(cli.dir().join("koan/instance/session_outcomes.json"), outcomes.to_string()).unwrap();
    let backfill = ["import", "koan", "--home", &home(&cli), "--backfill"];
    let dry = &cli.json(&backfill)["backfill"];
    assert_eq!((&dry["planned"], &dry["written"]), (&json!(1), &json!(0)));
    let apply = [&backfill[..], &["--apply"]].concat();
    assert_eq!(cli.json(&apply)["backfill"]["written"], 1);
    assert_eq!(cli.json(&apply)["backfill"]["written"], 0);
    let gamma = cli.json(&["report", "--by", "label:type,label:backfill", "--project", "gamma"]);
    assert_eq!((&gamma["rows"][0]["label:type"], &gamma["rows"][0]["tokens"]["total"]), (&json!("plan"), &json!(0)));
}

#[test]
fn sessions_are_compared_with_their_token_counts() {
    let cli = TestCli::new();
    for (n, outcome) in ["empty", "empty", "blocked", "productive", "productive", "productive"].iter().enumerate() {
        let (at, label) = (format!("2026-06-10T0{n}:00:00Z"), format!("outcome={outcome}"));
        cli.at(&at, &["record", "--provider", "openai", "--input", "100", "--label", &label]);
    }
    let report = cli.json(&["report", "--by", "provider", "--outcomes"]);
    assert_eq!(report["total"]["requests"], 6);
    let outcomes = &report["outcomes"];
    assert_eq!(
        (&outcomes["productive"], &outcomes["tokens_per_productive"], &outcomes["waste"]),
        (&json!(3), &json!(200.0), &json!(0.5))
    );
    assert_eq!(outcomes["trend"], "improving");
    assert!(cli.ok(&["report", "--outcomes"]).ends_with("wasted: 50 % of the sessions, improving\n"));
    assert!(cli.json(&["report"])["outcomes"].is_null());
}

#[test]
fn pages_and_tables_are_printed() {
    let cli = TestCli::new();
    let now = "2026-06-10T12:00:00Z";
    cli.at("2026-06-10T10:00:00Z", &["limit", "set", "anthropic", "--session", "500000", "--weekly", "5000000"]);
    let call = ["record", "--provider", "anthropic", "--model", "claude-sonnet-4-20250514", "--input", "124000"];
    cli.at("2026-06-10T10:30:00Z", &[&call[..], &["--output", "1000", "--project", "acme"]].concat());
    let page = cli.at(now, &["export", "--format", "usage-md"]);
    assert!(page.contains("Session (5hr) : ~25% (reset in 3h30m)\nWeekly (7 day) : ~2% (Resets in 5d)\n"), "{page}");
    assert!(page.contains("Session tokens: 125,000 / 500,000") && page.contains("Usage source: heuristic"), "{page}");
    let unmetered = cli.at(now, &["export", "--format", "usage-md", "--provider", "ollama"]);
    assert!(unmetered.contains("Session (5hr) : ~0% (reset in 5h00m)"), "{unmetered}");
    let log = cli.ok(&["log", "--activity"]);
    assert!(log.contains("acme") && log.contains("125.0k tokens (124.0k in / 1.0k out) | sonnet-4"), "{log}");
    assert_eq!(log.lines().count(), 1);
    cli.command().args(["export", "--provider", "anthropic"]).assert().failure().code(2);
}

#[test]
fn the_output_of_an_agent_becomes_a_record() {
    let cli = TestCli::new();
    let turn = r#"{"type":"turn.completed","usage":{"input_tokens":100,"cached_input_tokens":60,"output_tokens":10}}"#;
    cli.ok_with_input(format!("working…\n{turn}\n{turn}\n"), &["record", "--format", "agent-output"]);
    let total = &cli.json(&["report", "--by", "provider"])["rows"][0];
    assert_eq!((&total["provider"], &total["tokens"]["input"]), (&json!("openai"), &json!(80)));
    let nothing = cli.command().args(["record", "--format", "agent-output"]).write_stdin("{}").assert().failure();
    nothing.code(2);
}
