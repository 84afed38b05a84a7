//! Exit codes: 0 done, 1 a finding, 2 bad usage or input, 3 the store; and default paths.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::process::Stdio;

use cli_support::TestCli;

#[test]
fn queries_of_a_missing_ledger_answer_without_creating_it() {
    let cli = TestCli::new();
    for args in [
        &[][..],
        &["status"],
        &["status", "--since-switch"],
        &["--json", "status"],
        &["report"],
        &["report", "--csv"],
        &["log"],
        &["limit", "show"],
        &["provider", "list"],
        &["export"],
        &["completions", "bash"],
        &["man"],
        &["man", "record"],
        &["--help"],
        &["help", "report"],
        &["--version"],
    ] {
        cli.ok(args);
    }
    assert!(!cli.ledger().exists());
    let done = cli.command().arg("export").assert().success();
    let note = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(note.contains("answering for an empty ledger"), "{note}");
    // An empty file counts as missing.
    std::fs::write(cli.ledger(), "").unwrap();
    cli.ok(&["status"]);
    assert!(cli.bytes().is_empty());
}

#[test]
fn proofs_of_a_missing_ledger_are_refused() {
    let cli = TestCli::new();
    cli.ok(&["key", "generate"]);
    let proofs = [
        &["verify"][..],
        &["replay"],
        &["replay", "--write"],
        &["checkpoint"],
        &["--now", "2026-06-03T00:00:00Z", "seal", "--until", "2026-06"],
    ];
    for args in proofs {
        assert!(cli.fails(2, args).contains("there is no ledger at"), "{args:?}");
        assert!(!cli.ledger().exists());
    }
    std::fs::write(cli.ledger(), "").unwrap();
    for args in proofs {
        assert!(cli.fails(2, args).contains("there is no ledger at"), "{args:?}");
    }
    // A ledger without events is valid, but there is nothing to seal.
    usage_ledger::Ledger::open(cli.ledger()).unwrap();
    cli.ok(&["verify"]);
    cli.ok(&["checkpoint"]);
    assert!(cli.fails(2, proofs[4]).contains("nothing to seal"));
    assert_eq!(cli.json(&["verify"])["size"], 0);
}

#[test]
fn a_finding_exits_1() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "openai", "--input", "12345"]);
    cli.ok(&["verify"]);
    let store = rusqlite::Connection::open(cli.ledger()).unwrap();
    store.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    store.execute("UPDATE events SET body = replace(body, '12345', '54321')", []).unwrap();
    drop(store);
    for command in ["verify", "replay"] {
        let done = cli.command().args(["--json", command]).assert().code(1);
        let answer: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
        assert_eq!((&answer["schema"], &answer["ok"]), (&1.into(), &false.into()));
        assert_eq!(answer["findings"][0]["position"], 1, "{answer}");
        assert!(done.get_output().stderr.is_empty());
    }
    // Projections are evidence of what a line was. Nothing replaces them by those of a changed line.
    let before = cli.ok(&["--json", "report"]);
    let refused = cli.fails(3, &["replay", "--write"]);
    assert!(refused.contains("at position 1: the line does not match its leaf hash"), "{refused}");
    assert_eq!(cli.ok(&["--json", "report"]), before);
    let text = cli.command().arg("verify").assert().code(1);
    assert!(String::from_utf8_lossy(&text.get_output().stdout).contains("position 1: "));
}

#[test]
fn verify_answers_as_documented() {
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    let answer = cli.json(&["verify"]);
    assert_eq!((&answer["schema"], &answer["ok"], &answer["size"]), (&1.into(), &true.into(), &1.into()));
    assert_eq!((answer["root"].as_str().unwrap().len(), &answer["findings"]), (64, &serde_json::json!([])));
    let rebuilt = cli.json(&["replay", "--write"]);
    assert_eq!((&rebuilt["size"], &rebuilt["root"]), (&1.into(), &answer["root"]));
}

#[test]
fn bad_usage_exits_2() {
    let cli = TestCli::new();
    for args in [
        &["frobnicate"][..],
        &["status", "--frobnicate"],
        &["record"],
        &["record", "--provider", "openai"],
        &["record", "response.json"],
        &["record", "--format", "openai-chat", "--input", "1"],
        &["record", "--jsonl", "-", "--provider", "openai"],
        &["record", "--provider", "openai", "--input", "1", "--label", "mission"],
        &["report", "--csv", "--json"],
        &["report", "--by", "day,day"],
        &["report", "--since", "2026-06-02", "--until", "2026-06-01"],
        &["log", "--kind", "telepathy"],
        &["log", "--follow", "--as-of", "0"],
        &["limit", "set", "anthropic"],
        &["limit", "set", "anthropic", "--session", "0"],
        &["limit", "set", "anthropic", "--weight", "input=-1"],
        &["limit", "set", "anthropic", "--weekly-opens", "someday"],
        &["limit", "set", "anthropic", "--session-minutes", "60"],
        &["provider", "declare", "openai"],
        &["provider", "declare", "openai", "--metered", "--unmetered"],
        &["completions", "tcl"],
        &["man", "frobnicate"],
        &["export", "--format", "parchment"],
        &["import", "nobody"],
        &["import", "--home", "/nonexistent/home"],
        &["--as-of", "7", "status"],
        &["--as-of", "someday", "status"],
        &["--as-of", "0", "verify"],
        &["--as-of", "0", "switch", "openai"],
        &["--ledger", "", "status"],
    ] {
        cli.fails(2, args);
    }
    assert!(!cli.ledger().exists());
}

#[test]
fn an_unreachable_postgres_server_exits_3() {
    let cli = TestCli::new();
    // A build without PostgreSQL refuses the address.
    let (code, part) = if cfg!(feature = "postgres") { (3, "127.0.0.1:1/name") } else { (2, "PostgreSQL") };
    for command in [&["status"][..], &["record", "--provider", "openai", "--input", "1"]] {
        let stderr = cli.fails(code, &[&["--ledger", "postgres://me:secret@127.0.0.1:1/name"], command].concat());
        assert!(stderr.contains(part), "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
}

#[test]
fn an_unreachable_ledger_exits_3() {
    let cli = TestCli::new();
    std::fs::write(cli.dir().join("file"), "x").unwrap();
    let beneath = cli.dir().join("file").join("usage.db");
    for command in [&["status"][..], &["record", "--provider", "openai", "--input", "1"]] {
        cli.fails(3, &[&["--ledger", beneath.to_str().unwrap()], command].concat());
    }
    // Missing input is an error of the caller.
    cli.fails(2, &["record", "--jsonl", "/nonexistent"]);
    cli.fails(2, &["record", "--format", "anthropic", "/nonexistent"]);
    cli.ok(&["switch", "openai"]);
    cli.fails(2, &["export", "--output", "/nonexistent/file"]);
}

#[test]
fn flags_may_precede_or_follow_the_command_and_override_the_environment() {
    let cli = TestCli::new();
    cli.at("2026-01-01T00:00:00Z", &["switch", "openai"]);
    let other = cli.dir().join("other.db");
    let other = other.to_str().unwrap();
    cli.ok(&["--ledger", other, "switch", "xai"]);
    cli.ok(&["switch", "groq", "--ledger", other]);
    assert_eq!(cli.ok(&["--ledger", other, "export"]).lines().count(), 2);
    assert_eq!(cli.ok(&["export"]).lines().count(), 1);
    let mut command = cli.command();
    command.env("USAGE_LEDGER_NOW", "2026-01-02T03:04:05Z").args(["switch", "mistral"]).assert().success();
    assert_eq!(cli.json(&["show", "2"])["event"]["recorded_at"], "2026-01-02T03:04:05.000Z");
    let bad = cli.command().env("USAGE_LEDGER_NOW", "noon").assert().code(2);
    assert!(String::from_utf8_lossy(&bad.get_output().stderr).contains("USAGE_LEDGER_NOW"));
}

#[cfg(unix)]
#[test]
fn the_default_directory_is_created_with_owner_only_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let cli = TestCli::new();
    let data = cli.dir().join("data");
    let run = |args: &[&str]| {
        cli.command().env_remove("USAGE_LEDGER").env("XDG_DATA_HOME", &data).args(args).assert().success();
    };
    run(&["status"]);
    assert!(!data.exists());
    run(&["switch", "openai"]);
    let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(data.join("usage-ledger")), 0o700);
    assert_eq!(mode(data.join("usage-ledger/usage.db")), 0o600);
}

#[test]
fn a_broken_pipe_is_quiet() {
    let cli = TestCli::new();
    let lines: String =
        (0..3_000).map(|n| format!("{{\"provider\":\"xai\",\"input\":{n}}}\n")).collect::<Vec<_>>().concat();
    cli.ok_with_input(lines, &["record", "--jsonl", "-"]);
    for args in
        [&["export"][..], &["log"], &["log", "--reverse"], &["report", "--by", "hour"], &["completions", "bash"]]
    {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("usage-ledger"))
            .args(args)
            .env("USAGE_LEDGER", cli.ledger())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_stdout_is_an_error() {
    let cli = TestCli::new();
    cli.ok(&["switch", "openai"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let done = std::process::Command::new(assert_cmd::cargo::cargo_bin("usage-ledger"))
        .arg("export")
        .env("USAGE_LEDGER", cli.ledger())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("could not be written"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_whose_answer_is_lost_says_that_it_wrote() {
    let cli = TestCli::new();
    let key = cli.dir().join("key");
    let commands = [
        &["record", "--provider", "openai", "--input", "1"][..],
        &["--json", "record", "--provider", "openai", "--input", "2"],
        &["switch", "openai"],
        &["pause", "--reason", "r"],
        &["key", "generate", key.to_str().unwrap()],
    ];
    for args in commands {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let done = std::process::Command::new(assert_cmd::cargo::cargo_bin("usage-ledger"))
            .args(args)
            .env("USAGE_LEDGER", cli.ledger())
            .stdout(full)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(3), "{args:?}: {stderr}");
        assert!(stderr.contains("could not be written") && stderr.contains("had written its events"), "{stderr}");
    }
    assert_eq!(cli.ok(&["export"]).lines().count(), 4);
    assert!(key.exists());
}
