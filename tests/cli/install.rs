//! `install`: agents' settings, with everything that is in them kept.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli_support::TestCli;

/// Writes a file below the cli's home directory.
fn settings(cli: &TestCli, path: &str, text: &str) -> PathBuf {
    let path = cli.dir().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_dry_run_shows_the_diff_and_writes_nothing() {
    let cli = TestCli::new();
    let text = "{\n  \"model\": \"opus\"\n}\n";
    let path = settings(&cli, ".claude/settings.json", text);
    let told = cli.ok(&["install", "claude-code", "--dry-run"]);
    assert!(told.contains("+  \"statusLine\": {\n") && told.contains("hook claude-code"), "{told}");
    assert!(told.ends_with("nothing is written\n"), "{told}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn each_agent_gets_its_hook_and_loses_it_again() {
    for (agent, path, text) in [
        ("claude-code", ".claude/settings.json", "{\n\t\"model\": \"opus\", // mine\n\t\"env\": {}\n}\n"),
        ("codex", ".codex/config.toml", "# mine\nmodel = \"gpt-5.5\"\nnotify = [\"say\", \"done\"]\n\n[tui]\nx = 1\n"),
        ("gemini-cli", ".gemini/settings.json", "{\n    \"ui\": { \"theme\": \"x\" }\n}\n"),
    ] {
        let cli = TestCli::new();
        let path = settings(&cli, path, text);
        let told = cli.ok(&["install", agent]);
        assert!(told.ends_with("written\n"), "{told}");
        let installed = std::fs::read_to_string(&path).unwrap();
        assert!(installed.contains("hook") && installed.contains("mine") == text.contains("mine"), "{installed}");
        assert!(cli.ok(&["install", agent]).contains("has all of it already"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), installed);
        cli.ok(&["install", agent, "--undo"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{agent}");
        assert!(cli.ok(&["install", agent, "--undo"]).contains("has nothing of usage-ledger"));
    }
}

#[test]
fn a_broken_file_is_named_and_kept() {
    let cli = TestCli::new();
    let path = settings(&cli, ".claude/settings.json", "{ \"model\": ");
    let told = cli.fails(2, &["install", "claude-code"]);
    assert!(told.contains("settings.json") && told.contains("nothing is changed"), "{told}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{ \"model\": ");
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let cli = TestCli::new();
    let real = settings(&cli, "dotfiles/settings.json", "{}\n");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::create_dir_all(cli.dir().join(".gemini")).unwrap();
    let link = cli.dir().join(".gemini/settings.json");
    symlink(&real, &link).unwrap();
    cli.ok(&["install", "gemini-cli"]);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().contains("AfterAgent"));
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_hook_imports_says_nothing_and_never_fails() {
    let cli = TestCli::new();
    let log = r#"{"type":"assistant","timestamp":"2026-06-10T08:00:00Z","sessionId":"s","requestId":"r","message":{"id":"m","model":"claude-opus-4-5","usage":{"input_tokens":5,"output_tokens":7}}}"#;
    settings(&cli, ".claude/projects/acme/s.jsonl", &format!("{log}\n"));
    assert_eq!(cli.ok_with_input("{}", &["hook", "claude-code"]), "");
    assert_eq!(cli.json(&["report", "--by", "provider"])["total"]["requests"], 1);
    std::fs::write(cli.ledger(), "no database").unwrap();
    let done = cli.command().args(["hook", "codex", r#"{"type":"agent-turn-complete"}"#]).output().unwrap();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 0));
    assert!(String::from_utf8_lossy(&done.stderr).contains("nothing is imported"));
}

#[cfg(unix)]
#[test]
fn the_hook_runs_the_program_that_was_there_before() {
    let cli = TestCli::new();
    let words = ["hook", "codex", "--", "sh", "-c", "echo \"$1\" > \"$HOME/told\"", "n", r#"{"type":"x"}"#];
    cli.ok(&words);
    assert_eq!(std::fs::read_to_string(cli.dir().join("told")).unwrap(), "{\"type\":\"x\"}\n");
}

#[cfg(target_os = "linux")]
#[test]
fn the_service_is_a_unit_with_whole_paths() {
    let cli = TestCli::new();
    let told: Value = cli.json(&["install", "service", "--", "--otlp", "--listen", "127.0.0.1:4400"]);
    let path = cli.dir().join(".config/systemd/user/usage-ledger.service");
    assert_eq!(told["file"], path.display().to_string());
    let unit = std::fs::read_to_string(&path).unwrap();
    let line =
        format!("\"--ledger\" \"{}\" \"serve\" \"--otlp\" \"--listen\" \"127.0.0.1:4400\"\n", cli.ledger().display());
    assert!(unit.contains("ExecStart=\"/") && unit.contains(&line), "{unit}");
    assert_eq!(told["next"], "systemctl --user daemon-reload && systemctl --user enable --now usage-ledger");
    cli.ok(&["install", "service", "--undo"]);
    assert!(!path.exists());
}
