//! `quota observe`: readings are recorded once, and malformed documents are refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::{TestCli, provider};
use serde_json::{Value, json};

const NOW: &str = "2026-11-23T20:00:00Z";
const STATUSLINE: &str = r#"{"rate_limits":{"five_hour":{"used_percentage":42.5,"resets_at":1795474800},
    "seven_day":{"used_percentage":7,"resets_at":1795856400},"seven_day_opus":{"used_percentage":3}}}"#;

fn observe<'a>(format: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--now", NOW, "quota", "observe", "--format", format], more].concat()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn each_window_is_printed_on_a_line() {
    let cli = TestCli::new();
    let stdout = cli.ok_with_input(STATUSLINE, &observe("claude-statusline", &[]));
    assert_eq!(
        stdout.lines().collect::<Vec<_>>(),
        [
            "position 1: anthropic session 42.5 % resets 2026-11-23T23:00:00+00:00",
            "position 2: anthropic weekly 7 % resets 2026-11-28T09:00:00+00:00",
            "position 3: anthropic 7d seven_day_opus 3 %",
        ]
    );
    let again = cli.ok_with_input(STATUSLINE, &observe("claude-statusline", &[]));
    assert!(again.starts_with("already at position 1: anthropic session 42.5 %"), "{again}");
    assert_eq!(cli.ok(&["export"]).lines().count(), 3);
    let status = json_of(&cli.at(NOW, &["--json", "status"]));
    assert_eq!(provider(&status, "anthropic")["session"]["percent"], 42.5);
    cli.ok(&["verify"]);
}

#[test]
fn an_observed_week_of_one_model_is_shown() {
    let cli = TestCli::new();
    cli.ok_with_input(STATUSLINE, &observe("claude-statusline", &[]));
    let page = cli.at(NOW, &["quota", "show", "anthropic"]);
    let line =
        page.lines().find(|line| line.contains("opus")).unwrap_or_else(|| panic!("no line of the model:\n{page}"));
    assert!(line.contains(" 3 %"), "{line}");
    let json = json_of(&cli.at(NOW, &["--json", "quota", "show", "anthropic"]));
    let pool = &json["accounts"][0]["pools"][0];
    assert_eq!((&pool["window_minutes"], &pool["percent"]), (&json!(10_080), &json!(3)), "{json}");
    assert!(pool["scope"].as_str().unwrap().contains("opus"), "{json}");
}

#[test]
fn the_answer_in_json_has_every_field() {
    let cli = TestCli::new();
    let flags = ["--json", "--account", "work", "--occurred-at", "2026-11-23T19:00:00Z"];
    let file = cli.dir().join("headers.txt");
    std::fs::write(
        &file,
        "HTTP/2 429\nanthropic-ratelimit-unified-status: rejected\n\
         anthropic-ratelimit-unified-representative-claim: five_hour\n\
         anthropic-ratelimit-unified-5h-utilization: 1.0\nanthropic-ratelimit-unified-5h-reset: 1795474800\n\
         anthropic-ratelimit-unified-burst-utilization: 0.5\n",
    )
    .unwrap();
    let args = [&observe("anthropic-headers", &flags)[..], &[file.to_str().unwrap()]].concat();
    let answer = json_of(&cli.ok(&args));
    let stored = json_of(cli.ok(&["export"]).lines().next().unwrap());
    assert_eq!(
        answer,
        json!({
            "schema": 1,
            "observed": [{
                "position": 1, "id": stored["id"], "provider": "anthropic", "account": "work", "window_minutes": 300,
                "scope": null, "used_percent": 100, "resets_at": "2026-11-23T23:00:00.000Z", "status": "rejected",
                "feed": "anthropic-headers",
            }],
            "unchanged": 0,
            "warnings": ["`burst` does not tell how long its window is: left out"],
        })
    );
    assert_eq!(stored["occurred_at"], "2026-11-23T19:00:00.000Z");
    assert_eq!((&stored["kind"], &stored["source"]), (&json!("quota_observed"), &json!("cli")));
}

#[test]
fn unreadable_windows_are_warnings_and_the_rest_is_recorded() {
    let cli = TestCli::new();
    let mut command = cli.command();
    let done = command.args(observe("anthropic-oauth", &[])).write_stdin(r#"{"five_hour":{"utilization":0.45}}"#);
    let done = done.assert().success();
    let stderr = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(stderr.starts_with("usage-ledger: `five_hour` is ambiguous") && stderr.lines().count() == 1, "{stderr}");
    assert_eq!(cli.ok(&["export"]).lines().count(), 1);
}

#[test]
fn a_document_without_windows_is_refused_and_creates_no_ledger() {
    let cli = TestCli::new();
    for (format, text, why) in [
        ("claude-statusline", r#"{"session_id":"s"}"#, "subscribers only"),
        ("claude-statusline", "not json", "is not JSON"),
        ("claude-statusline", "", "is empty"),
        ("ollama-cloud", r#"{"session":null,"weekly":null}"#, "it states no limit"),
        ("copilot", r#"{"quota_snapshots":{"chat":{"unlimited":true}}}"#, "it states no limit"),
        ("anthropic-headers", "content-type: text/plain\n", "names no window"),
        ("codex-rate-limits", r#"{"type":"response_item"}"#, "has no rate limits: give one token_count line"),
    ] {
        let stderr = cli.fails_with_input(2, text, &observe(format, &[]));
        assert!(stderr.contains(why), "{format} {text}: {stderr}");
        assert!(!cli.ledger().exists(), "{format} {text}");
    }
    let stderr = cli.fails_with_input(2, STATUSLINE, &observe("claude-statusline", &["--account", " "]));
    assert!(stderr.contains("account is empty"), "{stderr}");
    let stderr = cli.fails(2, &observe("claude-statuslin", &[]));
    assert!(stderr.contains("claude-statusline"), "{stderr}");
    let stderr = cli.fails(2, &observe("copilot", &["/no/such/file"]));
    assert!(stderr.contains("/no/such/file"), "{stderr}");
    let stderr =
        cli.fails_with_input(2, STATUSLINE, &["--as-of", "1", "quota", "observe", "--format", "claude-statusline"]);
    assert!(stderr.contains("--as-of"), "{stderr}");
    assert!(!cli.ledger().exists());
}

#[test]
fn a_custom_provider_can_be_named() {
    let cli = TestCli::new();
    let stdout =
        cli.ok_with_input(STATUSLINE, &observe("claude-statusline", &["--provider", "claude", "--account", "b"]));
    assert!(stdout.contains("anthropic (b) session 42.5 %"), "{stdout}");
    let mut command = cli.command();
    let done = command.args(observe("claude-statusline", &["--provider", "antropic"])).write_stdin(STATUSLINE);
    let stderr = String::from_utf8_lossy(&done.assert().success().get_output().stderr).into_owned();
    assert!(stderr.contains("did you mean `anthropic`?"), "{stderr}");
}

#[test]
fn a_feed_that_repeats_itself_adds_only_changes() {
    let cli = TestCli::new();
    let at = |minute: &str, used: &str| {
        let now = format!("2026-11-23T20:{minute}:00Z");
        let text = STATUSLINE.replace("42.5", used).replace("1795474800", &format!("17954748{minute}"));
        let args = ["--now", &now, "--json", "quota", "observe", "--format", "claude-statusline", "--changes"];
        let answer = json_of(&cli.ok_with_input(text, &args));
        (answer["observed"].as_array().unwrap().len(), answer["unchanged"].as_u64().unwrap())
    };
    assert_eq!(at("00", "42.5"), (3, 0));
    assert_eq!(at("01", "42.5"), (0, 3));
    assert_eq!(at("02", "43"), (1, 2));
    assert_eq!(at("03", "43"), (0, 3));
    // A reset that varies by seconds is the same window; an equal value is confirmed after five minutes.
    assert_eq!(at("05", "43"), (2, 1));
    assert_eq!(cli.ok(&["export"]).lines().count(), 6);
    let text = STATUSLINE.replace("42.5", "43").replace("1795474800", "1795474805");
    let args = ["--now", "2026-11-23T20:06:00Z", "quota", "observe", "--format", "claude-statusline", "--changes"];
    assert_eq!(cli.ok_with_input(text, &args), "3 windows unchanged; nothing was added\n");
}

#[test]
fn a_reading_from_a_clock_that_differs_shuts_the_gate() {
    let now = "2026-11-23T21:00:00Z";
    let reading = |resets_at: &str| {
        format!(r#"{{"rate_limits":{{"five_hour":{{"used_percentage":99,"resets_at":"{resets_at}"}}}}}}"#)
    };
    for (resets_at, is_wrong) in [("2026-11-24T02:02:00Z", false), ("9999-01-01T00:00:00Z", true)] {
        let cli = TestCli::new();
        let observe = ["--now", now, "quota", "observe", "--format", "claude-statusline"];
        cli.ok_with_input(reading(resets_at), &observe);
        let gate = |now: &str| {
            let done = cli.command().args(["--now", now, "--json", "gate", "anthropic"]).output().unwrap();
            (done.status.code(), String::from_utf8(done.stdout).unwrap())
        };
        let (code, answer) = gate(now);
        assert_eq!(code, Some(75), "{answer}");
        assert_eq!(answer.contains("a clock is wrong"), is_wrong, "{answer}");
        let doctor = cli.command().args(["--now", now, "doctor"]).output().unwrap();
        let said = String::from_utf8(doctor.stdout).unwrap();
        assert_eq!(said.contains("! position 1: "), is_wrong, "{said}");
        // The window ends, even if its reset is in another millennium.
        let (code, answer) = gate("2026-11-24T02:03:00Z");
        assert_eq!(code, Some(0), "{answer}");
        // A right reading takes the place of a wrong one.
        let cli = TestCli::new();
        cli.ok_with_input(reading(resets_at), &observe);
        let right = reading("2026-11-24T01:00:00Z").replace("99", "7");
        cli.ok_with_input(
            right,
            &["--now", "2026-11-23T21:10:00Z", "quota", "observe", "--format", "claude-statusline"],
        );
        let status = cli.json(&["--now", "2026-11-23T21:10:00Z", "status"]);
        let percent = &status["providers"][0]["session"]["percent"];
        assert_eq!(percent == &serde_json::json!(7), is_wrong, "{percent}");
    }
}
