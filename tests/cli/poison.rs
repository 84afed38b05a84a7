//! No value of a source makes the ledger unusable: it is stored, counted, and reported.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;

use cli_support::{TestCli, provider};

/// The largest count of a record: 2^53 − 1.
const MOST: u64 = 9_007_199_254_740_991;
const NOW: &str = "2026-06-01T10:00:00Z";

/// A ledger with records of the largest counts in every class, and the largest cost.
fn poisoned(records: u32) -> TestCli {
    let cli = TestCli::new();
    let classes = ["input", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "output", "reasoning"];
    let counts: Vec<String> = classes.iter().map(|class| format!("\"{class}\":{MOST}")).collect();
    let line = |n: u32| {
        let counts = counts.join(",");
        let names = r#""provider":"anthropic","model":"claude-opus-4-5","agent":"a","cost_usd":"79228162514264337""#;
        format!(r#"{{{names},{counts},"key":"k{n}","conversation":"c{}"}}"#, n % 7)
    };
    cli.ok_with_input(
        (0..records).map(|n| line(n) + "\n").collect::<String>(),
        &["--now", NOW, "record", "--jsonl", "-"],
    );
    cli
}

#[test]
fn sums_beyond_64_bits_leave_every_command_working() {
    let cli = poisoned(1_100);
    cli.at(NOW, &["limit", "set", "anthropic", "--session", "1000", "--weekly", "5000", "--weight", "cache_read=0.1"]);
    let at = |args: &[&str]| cli.at(NOW, args);
    let sum = u128::from(MOST) * 1_100;
    assert!(sum > u128::from(u64::MAX) / 2);
    let report = at(&["--json", "report", "--by", "day,model"]);
    for part in [format!("\"input\":{sum},"), format!("\"cache_write\":{},", sum * 3), format!("\"total\":{}", sum * 7)]
    {
        assert!(report.contains(&part), "{part}: {report}");
    }
    assert!(report.contains(r#""reported_usd":"87150978765690770700""#), "{report}");
    for by in ["hour", "window", "conversation", "agent", "week", "label:x"] {
        at(&["report", "--by", by]);
    }
    let status = at(&["--json", "status"]);
    assert!(status.contains(&format!("\"weighted\":{}", sum * 3 + sum / 10)), "{status}");
    at(&["status"]);
    at(&["statusline"]);
    at(&["watch", "--help"]);
    assert!(cli.command().args(["--now", NOW, "gate", "anthropic"]).output().unwrap().status.code() == Some(75));
    for format in ["csv", "events", "cloudevents", "focus", "prometheus", "hledger", "koan-jsonl", "usage-md"] {
        at(&["export", "--format", format]);
    }
    for by in ["day", "week", "month", "conversation", "window"] {
        at(&["--json", "report", "--format", "ccusage", "--by", by]);
    }
    assert_eq!(cli.json(&["--now", NOW, "verify"])["ok"], true);
    at(&["replay"]);
    at(&["key", "generate", "--name", "a.example/log"]);
    cli.at("2026-06-02T10:00:00Z", &["seal", "--until", "2026-06-02T00:00:00Z"]);
    assert_eq!(cli.json(&["--now", "2026-06-02T10:00:00Z", "verify"])["ok"], true);
    // Everything continues to work: a record, a correction, a reservation elsewhere, a shredding.
    cli.at("2026-06-02T11:00:00Z", &["record", "--provider", "anthropic", "--input", "3"]);
    cli.at("2026-06-02T11:00:00Z", &["void", "7", "--reason", "implausible"]);
    cli.at("2026-06-02T11:00:00Z", &["shred", "8", "--reason", "a name"]);
    assert_eq!(cli.json(&["--now", "2026-06-02T12:00:00Z", "verify"])["ok"], true);
    let past = cli.at("2026-06-02T12:00:00Z", &["--as-of", "1100", "--json", "report", "--by", "provider"]);
    assert!(past.contains(&format!("\"total\":{}", sum * 7)), "{past}");
}

#[test]
fn import_continues_in_a_ledger_with_implausible_counts() {
    let cli = poisoned(1_100);
    let logs = cli.dir().join(".claude/projects/acme");
    fs::create_dir_all(&logs).unwrap();
    let line = |id: &str, usage: &str| {
        format!(
            r#"{{"type":"assistant","sessionId":"s","timestamp":"2026-06-01T09:00:00Z","requestId":"req_{id}","message":{{"id":"msg_{id}","model":"claude-opus-4-5","usage":{usage}}}}}"#
        ) + "\n"
    };
    let text = line("1", &format!(r#"{{"input_tokens":{MOST},"output_tokens":2}}"#))
        + &line("2", r#"{"input_tokens":99999999999999999999,"output_tokens":2}"#)
        + &line("3", r#"{"input_tokens":-5,"output_tokens":2}"#)
        + "{\"type\":\"assistant\",\"message\":{\"usage\": not JSON\n"
        + &line("4", r#"{"input_tokens":7,"output_tokens":2}"#).replace("2026-06-01T09", "1970-01-01T00");
    fs::write(logs.join("s.jsonl"), text).unwrap();
    let done = cli.command().args(["--now", NOW, "--json", "import", "claude-code"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let source = &report["sources"][0];
    assert_eq!((&source["recorded"], &source["implausible"]), (&3.into(), &1.into()), "{report}");
    let skipped = source["skipped"].as_array().unwrap();
    assert_eq!(skipped.iter().map(|one| one["line"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4]); // a negative count loses its class only
    assert!(skipped.iter().all(|one| one["file"].as_str().unwrap().ends_with("s.jsonl")), "{report}");
}

#[test]
fn an_implausible_count_is_stored_flagged_and_reported_with_a_remedy() {
    let cli = TestCli::new();
    let record = ["--now", NOW, "record", "--provider", "anthropic", "--input", "20000000000", "--key", "k"];
    let done = cli.command().args(record).output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success() && stderr.contains("20,000,000,000 input tokens is implausible"), "{stderr}");
    assert!(stderr.contains("usage-ledger void 1"), "{stderr}");
    assert!(cli.at(NOW, &["log"]).contains("(implausible)"));
    let output = cli.command().args(["--now", NOW, "--json", "doctor"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = report["findings"].as_array().unwrap().iter().find(|one| one["event"] == 1).unwrap();
    assert!(finding["remedy"].as_str().unwrap().starts_with("usage-ledger void 1 --reason"), "{finding}");
    let text = cli.command().args(["--now", NOW, "doctor"]).output().unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().contains("! position 1: 20,000,000,000 input tokens"));
    cli.at("2026-06-01T10:01:00Z", &["amend", "1", "--input", "20", "--reason", "a typing error"]);
    let output = cli.command().args(["--now", "2026-06-01T10:02:00Z", "--json", "doctor"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["findings"].as_array().unwrap().iter().all(|one| one["event"].is_null()), "{report}");
}

#[test]
fn a_clock_that_jumped_ahead_is_reported_and_past_queries_still_work() {
    let cli = TestCli::new();
    let record = |now: &str, input: &str| cli.at(now, &["record", "--provider", "openai", "--input", input]);
    record("2026-06-01T10:00:00Z", "1");
    record("2026-06-02T10:00:00Z", "10");
    record("2099-01-01T00:00:00Z", "100");
    record("2026-06-04T10:00:00Z", "1000");
    let as_of_query = |as_of: &str| {
        let args = ["--now", "2026-06-05T10:00:00Z", "--as-of", as_of, "--json", "report", "--by", "provider"];
        let done = cli.command().args(args).output().unwrap();
        let table: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        (table["total"]["tokens"]["total"].as_u64().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    // Times before the jump have a definite state and no warning.
    assert_eq!(as_of_query("2026-06-01T12:00:00Z"), (1, String::new()));
    // Times after it have a warning.
    let (total, stderr) = as_of_query("2026-06-04T12:00:00Z");
    assert_eq!(total, 11);
    assert!(
        stderr.contains("position 3 is recorded at 2099-01-01T00:00:00.000Z") && stderr.contains("--as-of POSITION"),
        "{stderr}"
    );
    assert_eq!(as_of_query("4").0, 1_111);
    let now = ["--now", "2026-06-05T10:00:00Z"];
    let status = cli.json(&[&now[..], &["status"]].concat());
    assert_eq!(status["recorded_ahead"]["position"], 3);
    assert!(provider(&status, "openai").is_object());
    let stderr = cli.command().args(now).arg("status").output().unwrap().stderr;
    assert!(String::from_utf8(stderr).unwrap().contains("position 3 is recorded at 2099"));
    let doctor = cli.command().args(now).args(["--json", "doctor"]).output().unwrap();
    let doctor: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let finding = doctor["findings"].as_array().unwrap().iter().find(|one| one["event"] == 3).unwrap();
    assert!(finding["what"].as_str().unwrap().contains("ahead of the clock"), "{finding}");
    // After the clock is correct again there is no warning.
    assert!(cli.json(&["--now", "2099-01-02T00:00:00Z", "status"])["recorded_ahead"].is_null());
}

#[test]
fn a_time_of_another_century_is_a_typing_error() {
    let cli = TestCli::new();
    let call = ["record", "--provider", "openai", "--input", "1"];
    for bad in ["0026-06-01T10:00:00Z", "1999-12-31T23:59:59Z", "2206-06-01T10:00:00Z", "9999-12-31T23:59:59Z"] {
        let stderr = cli.fails(2, &[&["--now", bad][..], &call].concat());
        assert!(stderr.contains("2000 to 2199"), "{stderr}");
        let stderr = cli.fails(2, &[&call[..], &["--occurred-at", bad]].concat());
        assert!(stderr.contains("2000 to 2199"), "{stderr}");
        let line = format!(r#"{{"provider":"openai","input":1,"occurred_at":"{bad}"}}"#);
        let stderr = cli.fails_with_input(2, line, &["record", "--jsonl", "-"]);
        assert!(stderr.contains("line 1") && stderr.contains("2000 to 2199"), "{stderr}");
    }
    assert!(!cli.ledger().exists());
}

#[test]
fn an_amount_of_many_digits_is_shown_as_it_is() {
    let cli = TestCli::new();
    cli.at(NOW, &["price", "set", "openai", "dear", "--input", "99999999", "--output", "1"]);
    cli.ok(&["--now", NOW, "record", "--provider", "openai", "--model", "dear", "--input", &MOST.to_string()]);
    let report = cli.at(NOW, &["report", "--by", "model"]);
    assert!(report.contains("900719916466899845.26"), "{report}");
    assert!(!report.contains("79228162514264337593543950335"), "{report}");
    assert!(
        cli.at(NOW, &["--json", "report", "--by", "model"]).contains("\"usd\":\"900719916466899845.259"),
        "{report}"
    );
    for format in ["focus", "hledger", "csv", "prometheus", "koan-jsonl"] {
        cli.at(NOW, &["export", "--format", format]);
    }
}

#[test]
fn a_time_longer_ago_than_the_calendar_reaches_is_before_every_record() {
    let cli = TestCli::new();
    cli.at(NOW, &["record", "--provider", "openai", "--input", "5", "--occurred-at", "2025-01-01T00:00:00Z"]);
    for since in ["99999d", "99999999d", "4294967295w"] {
        let report = cli.at(NOW, &["--json", "report", "--since", since]);
        assert!(report.contains(r#""requests":1"#), "{since}: {report}");
    }
}

#[test]
fn what_happens_in_the_future_is_named() {
    let cli = TestCli::new();
    let warned = |args: &[&str], input: &str| {
        let done = cli.command().args(["--now", NOW]).args(args).write_stdin(input).output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert!(stderr.contains("in the future"), "{args:?}: {stderr}");
        done.status.code()
    };
    let late = "2199-01-01T00:00:00Z";
    assert_eq!(warned(&["record", "--provider", "openai", "--input", "1", "--occurred-at", late], ""), Some(0));
    assert_eq!(warned(&["switch", "anthropic", "--occurred-at", late], ""), Some(0));
    let line = format!(r#"{{"provider":"openai","input":2,"occurred_at":"{late}"}}"#);
    assert_eq!(warned(&["record", "--jsonl", "-"], &line), Some(0));
    assert_eq!(warned(&["status"], ""), Some(0));
    let ahead = &cli.json(&["--now", NOW, "status"])["occurred_ahead"];
    assert_eq!((&ahead["position"], &ahead["events"]), (&1.into(), &3.into()), "{ahead}");
    let doctor = cli.command().args(["--now", NOW, "doctor"]).output().unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    let said = String::from_utf8(doctor.stdout).unwrap().replace('\n', " ");
    assert!(said.contains("! position 1: it states the time 2199") && said.contains("so do 2 more"), "{said}");
    let now = cli.json(&["--now", "2199-01-01T00:00:01Z", "status"]);
    assert!(now["occurred_ahead"].is_null(), "{now}");
}

#[test]
fn a_length_beyond_every_calendar_is_refused() {
    let cli = TestCli::new();
    let stderr = cli.fails(2, &["pause", "--for", "99999999999h"]);
    assert!(stderr.contains("longer than a hundred years"), "{stderr}");
    let stderr = cli.fails(2, &["--now", "2150-01-01T00:00:00Z", "pause", "--for", "800000h"]);
    assert!(stderr.contains("before the year 2200"), "{stderr}");
    let stderr = cli.fails(2, &["reserve", "openai", "5", "--for", "99999999999h"]);
    assert!(stderr.contains("longer than a hundred years"), "{stderr}");
    assert!(!cli.ledger().exists());
}
