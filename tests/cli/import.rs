//! `import`: its report, and that a second run records nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;

const LOG: &str = r#"{"type":"user","timestamp":"2026-06-01T09:59:00.000Z","sessionId":"s1","cwd":"/home/me/acme","message":{"role":"user","content":"secret"}}
{"type":"assistant","timestamp":"2026-06-01T10:00:00.000Z","sessionId":"s1","cwd":"/home/me/acme","requestId":"req_1","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":50,"output_tokens":7}}}
this is no JSON
"#;

fn home() -> TestCli {
    let cli = TestCli::new();
    let logs = cli.dir().join("home/.claude/projects/-home-me-acme");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("s1.jsonl"), LOG).unwrap();
    cli
}

#[test]
fn import_reports_what_it_recorded() {
    let cli = home();
    let home = cli.dir().join("home");
    let import = ["import", "claude-code", "--home", home.to_str().unwrap()];
    let first = cli.json(&import);
    let source = &first["sources"][0];
    assert_eq!((&first["schema"], &source["source"]), (&1.into(), &"claude-code".into()));
    assert_eq!((&source["files"], &source["recorded"], &source["duplicates"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(source["skipped"][0]["line"], 3);
    assert!(source["skipped"][0]["why"].is_string());
    let exported = cli.ok(&["export"]);
    assert!(exported.contains(r#""keys":["msg_1""#) && !exported.contains("secret"), "{exported}");
    let again = cli.json(&import);
    assert_eq!((&again["sources"][0]["recorded"], &again["sources"][0]["bytes"]), (&0.into(), &0.into()));
    assert_eq!(cli.ok(&["export"]), exported);
    assert_eq!(cli.json(&["report"])["total"]["tokens"]["total"], 60);
}

#[test]
fn import_prints_one_line_per_agent() {
    let cli = home();
    let home = cli.dir().join("home");
    let done = cli.command().args(["import", "--home", home.to_str().unwrap()]).assert().success();
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(text.contains("claude-code: 1 file, ") && text.contains("1 recorded"), "{text}");
    let stderr = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(stderr.contains("s1.jsonl line 3: ") && !stderr.contains('\u{1b}'), "{stderr}");
}

#[test]
fn import_reports_a_renamed_counter() {
    let cli = home();
    let home = cli.dir().join("home");
    let log = home.join(".claude/projects/-home-me-acme/s1.jsonl");
    std::fs::write(&log, LOG.replace("output_tokens", "out_tokens")).unwrap();
    let done = cli.command().args(["import", "--home", home.to_str().unwrap()]).assert().success();
    let stderr = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    let message =
        "claude-code: 1 of 1 new record without a count of output: its logs may be of a version that is not known";
    assert!(stderr.contains(message), "{stderr}");
    std::fs::write(
        &log,
        LOG.replace("output_tokens", "out_tokens").replace("msg_1", "msg_2").replace("req_1", "req_2"),
    )
    .unwrap();
    let json = cli.json(&["import", "--home", home.to_str().unwrap()]);
    assert_eq!((&json["sources"][0]["without_output"], json["sources"][0].get("without_input")), (&1.into(), None));
    let again = cli.json(&["import", "--home", home.to_str().unwrap()]);
    assert_eq!(again["sources"][0].get("without_output"), None);
}

#[test]
fn a_dry_run_shows_what_would_be_recorded_and_writes_nothing() {
    let cli = home();
    let home = cli.dir().join("home");
    let dry = ["import", "claude-code", "--dry-run", "--home", home.to_str().unwrap()];
    let shown = cli.json(&dry);
    assert_eq!((&shown["schema"], &shown["dry_run"]), (&1.into(), &true.into()));
    assert_eq!((&shown["sources"][0]["recorded"], &shown["amendments"]), (&1.into(), &serde_json::json!([])));
    assert!(!cli.ledger().exists());
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    let before = cli.ok(&["export"]);
    let stdout = cli.ok(&dry);
    assert!(stdout.starts_with("dry run: nothing is written\n"), "{stdout}");
    assert_eq!(cli.ok(&["export"]), before);
}

#[test]
fn a_self_check_reports_skips_without_paths_or_texts() {
    let cli = home();
    let log = cli.dir().join("home/.claude/projects/-home-me-acme/s1.jsonl");
    std::fs::write(&log, LOG.replace("\"usage\"", "\"used\"")).unwrap();
    let output = cli.command().args(["doctor", "--self-check", log.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("file 1: claude-code (importer 3), lines, "), "{stdout}");
    assert!(stdout.contains("3 lines read, 0 calls") && stdout.contains("2 skipped"), "{stdout}");
    assert!(stdout.contains("1 x unknown shape: an assistant message without usage (first: line 2)"), "{stdout}");
    for hidden in ["acme", "secret", "s1", "/home", "msg_1"] {
        assert!(!stdout.contains(hidden), "{hidden}: {stdout}");
    }
    assert!(!cli.ledger().exists());
}

#[test]
fn labels_come_from_the_command_line_or_the_settings_and_change_on_request() {
    let cli = home();
    let home = cli.dir().join("home");
    let file = cli.dir().join("config.toml");
    let text =
        format!("[labels]\nmachine = 'desktop'\nteam = 'a'\n\n[labels.'{}']\nmachine = 'laptop'\n", home.display());
    std::fs::write(&file, text).unwrap();
    let run = |args: &[&str]| {
        let mut command = cli.command();
        let done = command.env("USAGE_LEDGER_CONFIG", &file).args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let import = ["import", "claude-code", "--home", home.to_str().unwrap()];
    run(&import);
    let labels = || cli.json(&["show", "1"])["event"]["data"]["labels"].clone();
    assert_eq!(labels(), serde_json::json!({"machine": "laptop", "team": "a"}));
    let [shown, _] = run(&["config", "show"]);
    assert!(shown.contains("labels.machine") && shown.contains("home\".machine  laptop"), "{shown}");
    // Another label says so and changes nothing. `--relabel` amends.
    let other = [&import[..], &["--label", "machine=desk-2"]].concat();
    let [_, note] = run(&other);
    assert!(
        note.contains("claude-code: 1 log keeps the labels of an earlier import: `usage-ledger import --relabel`"),
        "{note}"
    );
    assert_eq!(cli.json(&["report", "--by", "label:machine"])["rows"][0]["label:machine"], "laptop");
    let [shown, _] = run(&[&other[..], &["--relabel", "--dry-run"]].concat());
    assert!(shown.contains("label machine laptop -> desk-2 (the labels of its log changed)"), "{shown}");
    run(&[&other[..], &["--relabel"]].concat());
    assert_eq!(cli.json(&["report", "--by", "label:machine"])["rows"][0]["label:machine"], "desk-2");
    let refused = cli.fails(2, &[&import[..], &["--label", "api_key=sk-ant-api03-abcdefghijklmno"]].concat());
    assert!(
        refused.contains("`api_key` looks like a credential, which no event may contain. Write the id")
            && !refused.contains("abcdef"),
        "{refused}"
    );
}
