//! Forecasts: how fast a window is used, from readings and records, with and without a limit.

use serde_json::Value;

use crate::cli_support::{TestCli, provider};

/// A reading as Claude Code passes it on, of a session that ends at 14:00.
fn reading(cli: &TestCli, now: &str, used: u32) {
    let ends = 1_781_100_000; // 2026-06-10T14:00:00Z
    let document = format!(r#"{{"rate_limits":{{"five_hour":{{"used_percentage":{used},"resets_at":{ends}}}}}}}"#);
    cli.ok_with_input(document, &["--now", now, "quota", "observe", "--format", "claude-statusline", "-"]);
}

fn four_readings() -> TestCli {
    let cli = TestCli::new();
    for (minute, used) in [(0, 10), (10, 20), (20, 30), (30, 42)] {
        reading(&cli, &format!("2026-06-10T09:{minute:02}:00Z"), used);
    }
    cli
}

fn session(cli: &TestCli, now: &str) -> Value {
    let status = cli.json(&["--now", now, "status"]);
    provider(&status, "anthropic")["session"].clone()
}

#[test]
fn readings_alone_make_a_rate_without_a_limit() {
    let cli = four_readings();
    let told = session(&cli, "2026-06-10T09:30:00Z");
    let forecast = &told["forecast"];
    assert_eq!(told["limit"], Value::Null);
    assert_eq!(forecast["percent_per_hour"], 64, "32 points in half an hour");
    assert_eq!(forecast["used_up_at"], "2026-06-10T10:24:22.500Z", "58 points at 64 an hour");
    assert_eq!(forecast["before_reset"], true);
    assert_eq!(forecast["basis"], "observations");
    let (early, late) = (forecast["earliest_at"].as_str().unwrap(), forecast["latest_at"].as_str().unwrap());
    assert!(early < "2026-06-10T10:24" && early > "2026-06-10T09:50", "{early}");
    assert!(late > "2026-06-10T10:25" && late < "2026-06-10T11:30", "{late}");
    let text = cli.ok(&["--now", "2026-06-10T09:30:00Z", "--tz", "UTC", "status"]);
    let burn =
        "burn     1.07%/min, used up in 54m (10:24, between 10:09 and 10:49), 3h 35m\n           before it resets\n";
    assert!(text.contains(burn), "{text}");
    let line = cli
        .ok_with_input("", &["--now", "2026-06-10T09:30:00Z", "statusline", "--no-color", "--provider", "anthropic"]);
    assert!(line.contains(" 4h30m (full in 54m)"), "{line}");
}

#[test]
fn tokens_recorded_since_the_last_reading_are_weighed_by_what_the_readings_make_of_them() {
    let cli = four_readings();
    let call = |now: &str, tokens: &str| cli.at(now, &["record", "--provider", "anthropic", "--input", tokens]);
    // 32,000 tokens between the first reading and the last: a thousand make a point.
    for minute in [5, 15, 25, 29] {
        call(&format!("2026-06-10T09:{minute:02}:00Z"), "8000");
    }
    let before = session(&cli, "2026-06-10T09:30:00Z")["forecast"].clone();
    assert_eq!((&before["percent"], &before["basis"]), (&Value::from(42), &Value::from("observations")));
    call("2026-06-10T09:40:00Z", "8000");
    let after = session(&cli, "2026-06-10T09:45:00Z")["forecast"].clone();
    assert_eq!((&after["percent"], &after["basis"]), (&Value::from(50), &Value::from("observations + records")));
    // 40 points in 45 minutes.
    assert_eq!(after["percent_per_hour"].as_f64().unwrap().round(), 53.0);
    // Who stops working slows down.
    let idle = session(&cli, "2026-06-10T10:45:00Z")["forecast"].clone();
    assert!(idle["percent_per_hour"].as_f64().unwrap() < 24.0, "{idle}");
    assert_eq!(idle["idle"], true);
}

#[test]
fn a_reading_contains_the_tokens_of_its_own_instant() {
    let cli = four_readings();
    for minute in ["00", "10", "20", "30"] {
        let now = format!("2026-06-10T09:{minute}:00Z");
        cli.at(&now, &["record", "--provider", "anthropic", "--input", "8000"]);
    }
    let forecast = session(&cli, "2026-06-10T09:31:00Z")["forecast"].clone();
    assert_eq!(
        (&forecast["percent"], &forecast["basis"]),
        (&Value::from(42), &Value::from("observations")),
        "{forecast}"
    );
    let gate = cli.json(&["--now", "2026-06-10T09:31:00Z", "gate", "anthropic"]);
    assert_eq!(gate["burn"]["percent_per_hour"], forecast["percent_per_hour"]);
}

#[test]
fn a_silent_provider_makes_no_rate_and_a_lower_reading_begins_anew() {
    let cli = four_readings();
    assert_eq!(session(&cli, "2026-06-10T10:01:00Z")["forecast"], Value::Null, "nothing is known of 31 minutes");
    let cli = four_readings();
    cli.at("2026-06-10T09:31:00Z", &["override", "anthropic", "--used", "5", "--author", "me"]);
    let after = session(&cli, "2026-06-10T09:32:00Z");
    let rate = after["forecast"]["percent_per_hour"].as_f64();
    assert!(rate.is_none_or(|rate| rate < 10.0), "the old readings are of no use: {after}");
}

#[test]
fn the_gate_knows_of_a_burn_that_no_limit_tells() {
    let cli = TestCli::new();
    for (minute, used) in [(0, 10), (6, 20), (12, 30), (18, 45)] {
        reading(&cli, &format!("2026-06-10T09:{minute:02}:00Z"), used);
    }
    let gate = cli.json(&["--now", "2026-06-10T09:18:00Z", "gate", "anthropic"]);
    assert_eq!(gate["burn"]["minutes_left"], 28, "{gate}");
    let warnings = gate["warnings"].to_string();
    assert!(warnings.contains("the session is used up in 28m, 4h 14m before it resets: "), "{warnings}");
}

#[test]
fn status_offers_the_limit_that_observations_fit_and_limit_set_takes_it() {
    let cli = four_readings();
    for (minute, tokens) in [(5, "10000"), (15, "10000"), (25, "12000")] {
        let now = format!("2026-06-10T09:{minute:02}:00Z");
        cli.at(&now, &["record", "--provider", "anthropic", "--input", tokens]);
    }
    let now = "2026-06-10T09:31:00Z";
    let status = cli.json(&["--now", now, "status"]);
    let offer = &status["suggested_limits"][0];
    assert_eq!((&offer["window"], &offer["limit"]), (&Value::from("session"), &Value::from(100_000)), "{offer}");
    assert_eq!(offer["command"], "usage-ledger limit set anthropic --from-observations");
    let text = cli.ok(&["--now", now, "status"]);
    assert!(text.contains("4 observations suggest a session limit of about 100k weighted tokens ("), "{text}");
    cli.at(now, &["limit", "set", "anthropic", "--from-observations"]);
    let status = cli.json(&["--now", now, "status"]);
    assert_eq!(provider(&status, "anthropic")["session"]["limit"], 100_000);
    assert_eq!(status["suggested_limits"], Value::Array(Vec::new()));
}

#[test]
fn nothing_is_fitted_from_too_few_observations() {
    let cli = TestCli::new();
    reading(&cli, "2026-06-10T09:00:00Z", 10);
    let told = cli.fails(2, &["--now", "2026-06-10T09:01:00Z", "limit", "set", "anthropic", "--from-observations"]);
    assert!(told.contains("too few observations of anthropic"), "{told}");
    let limits = cli.ok(&["log", "--kind", "limit_set"]);
    assert_eq!(limits, "");
}
