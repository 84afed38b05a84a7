//! `scan-output`: a refusal is reported, recorded once, and with `--wait` exits 75.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;
use serde_json::Value;

const NOW: &str = "2026-02-04T08:00:00Z";
const REFUSED: &str = "thinking …\nYou've hit your session limit · resets 3pm (UTC)\n";

/// The exit code and the answer of a scan.
fn scan(cli: &TestCli, now: &str, text: impl Into<Vec<u8>>, args: &[&str]) -> (i32, String) {
    let done = cli.command().args(["--now", now, "scan-output", "--wait"]).args(args).write_stdin(text).assert();
    let output = done.get_output();
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout.clone()).unwrap())
}

fn answer(cli: &TestCli, now: &str, text: &str, args: &[&str]) -> (i32, Value) {
    let (code, stdout) = scan(cli, now, text, &[args, &["--json"]].concat());
    (code, serde_json::from_str(&stdout).unwrap())
}

#[test]
fn a_refusal_is_recorded_once_and_means_wait() {
    let cli = TestCli::new();
    let (code, found) = answer(&cli, NOW, REFUSED, &["claude"]);
    assert_eq!(code, 75);
    let wanted = serde_json::json!({
        "schema": 1, "provider": "anthropic", "exhausted": true, "rule": "session-limit",
        "excerpt": "You've hit your session limit · resets 3pm (UTC)",
        "resets_at": "2026-02-04T15:00:00.000Z", "position": 1,
    });
    assert_eq!(found, wanted);
    let alone = "You've hit your session limit · resets 3pm (UTC)\n";
    let (code, again) = answer(&cli, "2026-02-04T09:30:00Z", alone, &["claude", "--exit-code", "0"]);
    assert_eq!((code, &again), (75, &wanted), "the same words and the same reset are the same event");
    let (_, next_day) = answer(&cli, "2026-02-05T08:00:00Z", REFUSED, &["claude"]);
    assert_eq!(next_day["position"], 2);
    let (_, late) = answer(&cli, "2026-02-05T20:00:00Z", REFUSED, &["claude", "--occurred-at", NOW]);
    assert_eq!(late["position"], 1, "an old output is read as of its own time");
    let (_, other) = answer(&cli, NOW, REFUSED, &["claude", "--account", "work"]);
    assert_eq!(other["position"], 3);
    assert!(cli.ok(&["show", "1"]).contains("quota_exhausted"));
}

#[test]
fn a_wait_counted_from_now_is_recorded_once_an_hour() {
    let cli = TestCli::new();
    let text = "error: 429 Too Many Requests, try again in 20 minutes";
    let (code, first) = answer(&cli, NOW, text, &["codex", "--stream", "stderr"]);
    assert_eq!((code, &first["resets_at"]), (75, &"2026-02-04T08:20:00.000Z".into()));
    let (_, soon) = answer(&cli, "2026-02-04T08:05:00Z", text, &["codex", "--stream", "stderr"]);
    let (_, later) = answer(&cli, "2026-02-04T09:05:00Z", text, &["codex", "--stream", "stderr"]);
    assert_eq!((&soon["position"], &later["position"]), (&1.into(), &2.into()));
}

#[test]
fn output_without_a_refusal_records_nothing() {
    let cli = TestCli::new();
    let prose = "We now back off at HTTP 429.";
    let (code, found) = answer(&cli, NOW, prose, &["claude"]);
    assert_eq!((code, found["exhausted"].as_bool(), &found["rule"]), (0, Some(false), &Value::Null));
    assert_eq!(scan(&cli, NOW, "", &["codex"]).0, 0);
    assert_eq!(scan(&cli, NOW, REFUSED, &["claude", "--dry-run"]).0, 75);
    assert!(!cli.ledger().exists());
}

#[test]
fn the_reset_time_is_printed_in_the_zone() {
    let cli = TestCli::new();
    let (code, stdout) = scan(&cli, NOW, "5-hour limit reached ∙ resets 3pm", &["claude", "--tz", "Asia/Tokyo"]);
    assert_eq!(code, 75);
    assert!(stdout.contains("anthropic: the quota is used up until 2026-02-05 15:00, in 22h"), "{stdout}");
    assert!(stdout.contains("window-limit-reached: 5-hour limit reached ∙ resets 3pm"), "{stdout}");
    assert!(stdout.contains("recorded at position 1"), "{stdout}");
}

#[test]
fn any_bytes_are_scanned() {
    let cli = TestCli::new();
    let mut bytes = vec![0xff, 0x00, b'\n'];
    bytes.extend_from_slice(b"\x1b[31mError: out of credits\x1b[0m\xfe\n");
    let (code, stdout) = scan(&cli, NOW, bytes, &["cline"]);
    assert_eq!(code, 75);
    assert!(stdout.contains("out-of-credits: Error: out of credits"), "{stdout}");
    assert_eq!(scan(&cli, NOW, "reached your session usage limit", &["ollama"]).0, 75, "unmetered, but told");
}

#[test]
fn senseless_options_are_refused() {
    let cli = TestCli::new();
    cli.fails(2, &["scan-output"]);
    cli.fails(2, &["scan-output", "claude", "--stream", "both"]);
    cli.fails(2, &["--as-of", "1", "scan-output", "claude"]);
}

#[test]
fn the_excerpt_contains_no_credential_and_no_conversation_text() {
    let cli = TestCli::new();
    let text = "HTTP 429 Too Many Requests Authorization: Bearer sk-ant-api03-HUNTER2hunter2 x-api-key: AKIAHUNTER2HUNTER2XX \
                prompt=\"my hunter2 prompt\" cookie: hunter2=1";
    let mut done = cli.command();
    done.args(["--now", "2026-06-10T12:00:00Z", "scan-output", "claude", "--stream", "stderr", "--wait"]);
    done.write_stdin(text).assert().code(75);
    let kept = cli.ok(&["export"]).to_lowercase();
    assert!(kept.contains("http 429 too many requests") && !kept.contains("hunter2"), "{kept}");
}

#[test]
fn without_the_wait_option_the_exit_code_is_0() {
    let cli = TestCli::new();
    let stdout = cli
        .ok_with_input("reached your session usage limit", &["--now", "2026-06-10T12:00:00Z", "scan-output", "ollama"]);
    assert!(stdout.contains("the quota is used up"), "{stdout}");
}

#[test]
fn utf16_output_of_powershell_is_read() {
    let cli = TestCli::new();
    for (mark, name) in [("\u{feff}", "with a mark"), ("", "without one")] {
        let text = format!("{mark}thinking …\r\nYou've hit your session limit · resets 3pm (UTC)\r\n");
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [little, big, text.clone().into_bytes()] {
            let (code, stdout) = scan(&cli, NOW, bytes, &["claude", "--dry-run"]);
            assert_eq!(code, 75, "{name}: {stdout}");
            assert!(stdout.contains("until 2026-02-04 15:00"), "{stdout}");
        }
    }
}

#[test]
fn a_limit_of_one_model_is_recorded_for_that_model() {
    let cli = TestCli::new();
    let opus = "You've hit your Opus limit · resets Feb 9, 5pm (UTC)\n/model to switch to another model\n";
    assert_eq!(answer(&cli, NOW, opus, &["claude"]).1["model"], "opus");
    let own = "Error: You have exhausted your capacity on this model. Your quota will reset after 3h20m10s.";
    assert_eq!(answer(&cli, NOW, own, &["gemini"]).1["model"], Value::Null);
    let (_, named) = answer(&cli, NOW, own, &["gemini", "--model", "gemini-3-pro-preview", "--account", "b"]);
    assert_eq!(named["model"], "gemini-3-pro-preview");
    let shared = "You've hit your session limit · resets 3pm (UTC)";
    assert_eq!(answer(&cli, NOW, shared, &["claude", "--model", "claude-opus-4-8"]).1["model"], Value::Null);
}

#[test]
fn the_time_of_a_structured_event_dates_the_refusal() {
    let cli = TestCli::new();
    let line = r#"{"type":"assistant","isApiErrorMessage":true,"message":{"content":[{"type":"text","text":"You've hit your limit · resets 7am (UTC)"}]},"timestamp":"2026-02-04T05:00:00Z"}"#;
    let (_, found) = answer(&cli, NOW, line, &["claude", "--stream", "transcript"]);
    assert_eq!(found["resets_at"], "2026-02-04T07:00:00.000Z", "not tomorrow's seven o'clock");
}

#[test]
fn both_output_streams_can_be_read_from_files() {
    let cli = TestCli::new();
    let path = |name: &str| cli.dir().join(name).to_str().unwrap().to_owned();
    let (out, err, gone) = (path("out.txt"), path("err.txt"), path("gone.txt"));
    std::fs::write(&out, "You've reached your usage limit").unwrap();
    std::fs::write(&err, "").unwrap();
    let scan = |args: &[&str]| cli.ok(&[&["scan-output", "codex", "--dry-run"], args].concat());
    assert!(scan(&["--stdout", &out, "--stderr", &err]).contains("codex-usage-limit"));
    // The output of a successful run is the model's text.
    assert!(scan(&["--stdout", &out, "--stderr", &err, "--exit-code", "0"]).contains("no sign of an exhausted quota"));
    assert!(scan(&["--stdout", &out, "--stderr", &gone]).contains("codex-usage-limit"));
    let stderr = cli.fails(2, &["scan-output", "codex", "--stdout", &gone, "--stderr", &gone]);
    assert!(stderr.contains("no stream can be read") && stderr.contains("gone.txt"), "{stderr}");
}

#[test]
fn the_same_words_count_again_after_the_quota_was_open() {
    let cli = TestCli::new();
    let gate = |now: &str| cli.command().args(["--now", now, "gate", "anthropic"]).output().unwrap().status.code();
    assert_eq!(answer(&cli, NOW, REFUSED, &["claude"]).1["position"], 1);
    cli.at("2026-02-04T08:10:00Z", &["resume", "--quota-verified", "anthropic"]);
    assert_eq!(gate("2026-02-04T08:11:00Z"), Some(0));
    assert_eq!(answer(&cli, "2026-02-04T08:15:00Z", REFUSED, &["claude"]).1["position"], 3);
    assert_eq!(gate("2026-02-04T08:16:00Z"), Some(75));
    assert_eq!(answer(&cli, "2026-02-04T08:20:00Z", REFUSED, &["claude"]).1["position"], 3, "it holds");
    let own = "You've hit the limit for this model · resets 3pm (UTC)";
    let models =
        ["m-one-1", "m-two-2"].map(|model| answer(&cli, NOW, own, &["claude", "--model", model]).1["position"].clone());
    assert_eq!(models, [4, 5], "each model is refused on its own");
}

#[test]
fn a_misspelt_provider_gets_a_hint() {
    let cli = TestCli::new();
    for words in [
        &["scan-output", "antropic"][..],
        &["alert", "set", "antropic", "--session", "50"],
        &["price", "set", "antropic", "m", "--input", "1", "--output", "1"],
        &["resume", "--quota-verified", "antropic"],
    ] {
        let done = cli.command().args(["--now", NOW]).args(words).write_stdin(REFUSED).output().unwrap();
        let told = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success() && told.contains("did you mean `anthropic`?"), "{words:?}: {told}");
    }
}
