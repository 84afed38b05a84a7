//! `config.toml`: preferences of a machine, each with its origin.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli_support::TestCli;

/// Writes the file of a cli's user.
fn configured(cli: &TestCli, text: &str) -> PathBuf {
    let path = cli.dir().join("config.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn run(cli: &TestCli, file: &PathBuf, words: &[&str]) -> (i32, String, String) {
    let mut command = cli.command();
    let done = command.env("USAGE_LEDGER_CONFIG", file).env_remove("TZ").args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

fn settings(text: &str) -> Vec<(String, Value, String)> {
    let answer: Value = serde_json::from_str(text).unwrap();
    let of = |one: &Value| {
        let text = |name: &str| one[name].as_str().unwrap().to_owned();
        (text("key"), one["value"].clone(), text("origin"))
    };
    answer["settings"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn each_value_names_its_origin() {
    let cli = TestCli::new();
    let file = configured(
        &cli,
        "zone = \"Asia/Tokyo\"\nreport = \"day,model\"\nhomes = [\"/a\"]\n\n[alerts]\ndesktop = true\n",
    );
    let (code, text, _) = run(&cli, &file, &["--json", "config", "show"]);
    assert_eq!(code, 0);
    let all = settings(&text);
    let of = |key: &str| {
        all.iter().find(|(name, ..)| name == key).map(|(_, value, origin)| (value.clone(), origin.as_str())).unwrap()
    };
    assert_eq!(of("zone"), (Value::from("Asia/Tokyo"), "file"));
    assert_eq!(of("report"), (Value::from("day,model"), "file"));
    assert_eq!(of("homes"), (serde_json::json!(["/a"]), "file"));
    assert_eq!(of("alerts.desktop"), (Value::from(true), "file"));
    assert_eq!(of("ledger").1, "environment");
    assert_eq!(of("listen"), (Value::from("127.0.0.1:4318"), "default"));
    let (_, text, _) = run(&cli, &file, &["--json", "--tz", "UTC", "config", "show"]);
    assert!(settings(&text).contains(&("zone".to_owned(), "UTC".into(), "flag".to_owned())));
    let (_, text, _) = run(&cli, &file, &["config", "show"]);
    assert!(text.contains("Asia/Tokyo") && text.contains("config.toml:1)"), "{text}");
}

#[test]
fn settings_take_effect() {
    let cli = TestCli::new();
    cli.at("2026-06-10T20:00:00Z", &["record", "--provider", "openai", "--model", "gpt-5", "--input", "5"]);
    let file = configured(&cli, "zone = \"Asia/Tokyo\"\nreport = \"day,model\"\n");
    let (_, text, _) = run(&cli, &file, &["--json", "report"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["rows"][0]["day"], "2026-06-11", "it is tomorrow in Tokyo");
    assert_eq!(answer["rows"][0]["model"], "gpt-5");
    let (_, text, _) = run(&cli, &file, &["--json", "report", "--by", "provider"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["rows"][0]["day"], Value::Null);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_file_is_refused_without_waiting() {
    let cli = TestCli::new();
    let pipe = cli.dir().join("config.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = cli.command();
    command.env("USAGE_LEDGER_CONFIG", &pipe).timeout(std::time::Duration::from_secs(30)).arg("status");
    let refused = command.assert().code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(stderr.contains("it is a pipe or a socket"), "{stderr}");
}

#[test]
fn a_mistake_stops_every_command_and_names_its_line() {
    let cli = TestCli::new();
    cli.at("2026-06-10T20:00:00Z", &["record", "--provider", "openai", "--input", "5"]);
    let before = cli.bytes();
    let file = configured(&cli, "zone = \"UTC\"\nlegder = \"x\"\n");
    for words in [&["status"][..], &["record", "--provider", "openai", "--input", "1"], &["config", "show"]] {
        let (code, out, told) = run(&cli, &file, words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}");
        assert!(told.contains("config.toml:2: unknown key `legder`: did you mean `ledger`?"), "{told}");
    }
    assert_eq!(cli.bytes(), before);
    let (code, line, _) = run(&cli, &file, &["statusline"]);
    assert_eq!((code, line.as_str()), (0, "usage-ledger: not available\n"), "a status line always prints a line");
    let (code, _, told) = run(&cli, &cli.dir().join("nowhere.toml"), &["status"]);
    assert_eq!(code, 2, "a file that is named must be there");
    assert!(told.contains("nowhere.toml"), "{told}");
}
