//! Logs that are not regular files, endless or unreadable are reported, and the rest is imported.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cli_support::TestCli;
use rusqlite::Connection;
use serde_json::Value;

/// A home with one valid log of one call.
fn home() -> (TestCli, PathBuf) {
    let cli = TestCli::new();
    let home = cli.dir().join("home");
    claude(&home, "good");
    (cli, home)
}

fn claude(home: &Path, name: &str) -> PathBuf {
    let logs = home.join(".claude/projects/-w");
    fs::create_dir_all(&logs).unwrap();
    let line = format!(
        r#"{{"type":"assistant","timestamp":"2026-06-01T10:00:00.000Z","sessionId":"{name}","requestId":"req_{name}","message":{{"id":"msg_{name}","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{{"input_tokens":3,"output_tokens":7}}}}}}"#
    );
    let path = logs.join(format!("{name}.jsonl"));
    fs::write(&path, line + "\n").unwrap();
    path
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Imports a home within a time and with exit code 1; returns the answer and the skipped files.
fn import(cli: &TestCli, home: &Path, seconds: u64) -> (Value, Vec<(String, String)>) {
    let begun = Instant::now();
    let mut command = cli.command();
    command.timeout(Duration::from_secs(seconds));
    let done = command.args(["--json", "import", "--home", home.to_str().unwrap()]).assert().code(1);
    assert!(begun.elapsed() < Duration::from_secs(seconds));
    let answer: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    let skipped = answer["sources"].as_array().unwrap().iter().flat_map(|source| source["skipped"].as_array().unwrap());
    let text = |skip: &Value, name: &str| skip[name].as_str().unwrap().to_owned();
    let skipped = skipped.map(|skip| (text(skip, "file"), text(skip, "why"))).collect();
    (answer, skipped)
}

fn source<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["sources"].as_array().unwrap().iter().find(|source| source["source"] == name).unwrap()
}

fn total(cli: &TestCli) -> Value {
    cli.json(&["report"])["total"]["requests"].clone()
}

#[test]
fn files_that_are_not_regular_are_reported_without_waiting() {
    let (cli, home) = home();
    let logs = home.join(".claude/projects/-w");
    fifo(&logs.join("pipe.jsonl"));
    symlink("/dev/zero", logs.join("zero.jsonl")).unwrap();
    let database = home.join(".local/share/opencode");
    fs::create_dir_all(&database).unwrap();
    fifo(&database.join("opencode.db"));
    let state = home.join(".config/Cursor/User/globalStorage");
    fs::create_dir_all(&state).unwrap();
    symlink("/dev/random", state.join("state.vscdb")).unwrap();
    let (answer, skipped) = import(&cli, &home, 30);
    let named = |end: &str| skipped.iter().find(|(file, _)| file.ends_with(end)).unwrap().1.as_str();
    assert!(named("pipe.jsonl").contains("a named pipe"));
    assert!(named("zero.jsonl").contains("a device"));
    assert!(named("opencode.db").contains("a named pipe"));
    assert!(named("state.vscdb").contains("a device"));
    assert_eq!(source(&answer, "claude-code")["unreadable"], 2);
    assert_eq!(total(&cli), 1);
    // The inventory of `doctor` does not wait either.
    let home = home.to_str().unwrap();
    let doctor = cli.command().timeout(Duration::from_secs(30)).args(["doctor", "--home", home]).assert().code(1);
    let stdout = String::from_utf8_lossy(&doctor.get_output().stdout).into_owned();
    assert!(stdout.contains("2 places cannot be read"), "{stdout}");
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_below_proc_is_a_log() {
    let (cli, home) = home();
    let logs = home.join(".claude/projects");
    // Reading the kernel log would wait for the next message.
    symlink("/proc/kmsg", logs.join("-w/kernel.jsonl")).unwrap();
    symlink("/proc/self/environ", logs.join("-w/environ.jsonl")).unwrap();
    // Links from there lead to every file of the system.
    symlink("/proc/self", logs.join("self")).unwrap();
    let (_, skipped) = import(&cli, &home, 30);
    for name in ["kernel.jsonl", "environ.jsonl", "self"] {
        let (_, why) = skipped.iter().find(|(file, _)| file.ends_with(name)).unwrap();
        assert!(why.contains("`proc`") || why.contains("ermission"), "{name}: {why}");
    }
    assert_eq!((skipped.len(), total(&cli)), (3, 1.into()));
}

#[test]
fn decompression_stops_at_a_limit() {
    let (cli, home) = home();
    let rollouts = home.join(".codex/sessions/2026/06/01");
    fs::create_dir_all(&rollouts).unwrap();
    let bomb = rollouts.join("rollout-2026-06-01T10-00-00-0196b1a0-0000-7000-8000-000000000001.jsonl.zst");
    let mut packed = zstd::Encoder::new(fs::File::create(&bomb).unwrap(), 1).unwrap();
    // Lines of a mebibyte, so that a debug build is fast enough.
    let line = [b"{".as_slice(), &vec![b' '; (1 << 20) - 3], b"}\n"].concat();
    for _ in 0..4_096 {
        packed.write_all(&line).unwrap();
    }
    packed.finish().unwrap();
    assert!(fs::metadata(&bomb).unwrap().len() < 1 << 20);
    let (answer, skipped) = import(&cli, &home, 60);
    let (_, why) = skipped.iter().find(|(file, _)| Path::new(file) == bomb).unwrap();
    // A debug build may need all of the time.
    assert!(why.contains("beyond line "), "{why}");
    assert!(why.contains("unpack to more than") || why.contains("takes longer than"), "{why}");
    assert_eq!((&source(&answer, "codex")["unreadable"], total(&cli)), (&1.into(), 1.into()));
    // It is reported as long as it exists, and repeats no call.
    assert_eq!((import(&cli, &home, 60).1.len(), total(&cli)), (1, 1.into()));
}

const MESSAGES: &str = "
    CREATE TABLE message (id, session_id, time_created, time_updated, data);
    INSERT INTO message VALUES
        ('msg_1', 'ses_1', 1795460400000, 1795460401000, '{\"role\":\"assistant\",\"providerID\":\"openai\",\"modelID\":\"m\",
            \"time\":{\"created\":1795460400000,\"completed\":1795460401000},
            \"tokens\":{\"input\":5,\"output\":2,\"reasoning\":0,\"cache\":{\"read\":0,\"write\":0}}}'),
        (x'00ff', 'ses_1', 1795460402000, 1795460403000, '{\"role\":\"assistant\"}'),
        ('msg_3', 'ses_1', 1795460404000, 1795460405000, '{\"role\":\"assistant\",\"providerID\":\"openai\",\"modelID\":\"m\",
            \"time\":{\"created\":1795460404000,\"completed\":1795460405000},
            \"tokens\":{\"input\":6,\"output\":2,\"reasoning\":0,\"cache\":{\"read\":0,\"write\":0}}}');";

fn opencode(home: &Path, sql: &str) -> Connection {
    let directory = home.join(".local/share/opencode");
    fs::create_dir_all(&directory).unwrap();
    let database = Connection::open(directory.join("opencode.db")).unwrap();
    database.execute_batch(sql).unwrap();
    database
}

#[test]
fn a_pipe_next_to_a_database_is_reported_without_waiting() {
    let (cli, home) = home();
    let database = opencode(&home, &format!("PRAGMA journal_mode = wal;{MESSAGES}"));
    let pipe = home.join(".local/share/opencode/opencode.db-journal");
    fifo(&pipe);
    let (answer, skipped) = import(&cli, &home, 30);
    assert!(skipped.iter().any(|(_, why)| why.contains("a named pipe")), "{skipped:?}");
    assert_eq!((&source(&answer, "opencode")["unreadable"], total(&cli)), (&1.into(), 1.into()));
    fs::remove_file(&pipe).unwrap();
    let done = cli.json(&["import", "--home", home.to_str().unwrap()]);
    assert_eq!(source(&done, "opencode")["recorded"], 2);
    drop(database);
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";

#[test]
fn an_endless_view_of_sessions_loses_only_the_projects() {
    let (cli, home) = home();
    let view = format!(
        "CREATE VIEW session AS {ENDLESS} SELECT 'ses_' || i AS id, '/w' AS directory, 1795460400000 AS time_created FROM n;"
    );
    let database = opencode(&home, &format!("{view}{MESSAGES}"));
    let (answer, skipped) = import(&cli, &home, 60);
    let whys: Vec<_> = skipped.iter().map(|(_, why)| why.as_str()).collect();
    assert!(whys.iter().any(|why| why.contains("whose id is no text")), "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("view")), "{whys:?}");
    let read = source(&answer, "opencode");
    assert_eq!((&read["recorded"], &read["unreadable"], total(&cli)), (&2.into(), &1.into(), 3.into()));
    let again = import(&cli, &home, 60).0;
    assert_eq!((&source(&again, "opencode")["recorded"], total(&cli)), (&0.into(), 3.into()));
    // After the sessions become readable, nothing is reported.
    let table = "DROP VIEW session; CREATE TABLE session (id, directory, time_created);
        INSERT INTO session VALUES ('ses_1', '/work/acme', 1795460400000), (x'ff', 5, 'no time');";
    database.execute_batch(table).unwrap();
    let done = cli.json(&["import", "--home", home.to_str().unwrap()]);
    assert_eq!((&source(&done, "opencode")["unreadable"], total(&cli)), (&0.into(), 3.into()));
}

#[test]
fn a_query_of_an_endless_view_stops_at_a_limit() {
    let (cli, home) = home();
    opencode(
        &home,
        &format!(
            "CREATE VIEW message AS {ENDLESS} SELECT i AS id, i AS session_id, 1 AS time_created, 1 AS time_updated, '' AS data FROM n"
        ),
    );
    for (directory, name, sql) in [
        (
            ".local/share/goose/sessions",
            "sessions.db",
            format!(
                "CREATE TABLE sessions (id, accumulated_input_tokens, accumulated_output_tokens);
                 CREATE VIEW usage_ledger AS {ENDLESS} SELECT i AS id, 's' AS session_id, 1 AS created_timestamp,
                 1 AS input_tokens, 1 AS output_tokens FROM n"
            ),
        ),
        (
            ".config/Cursor/User/globalStorage",
            "state.vscdb",
            format!("CREATE VIEW cursorDiskKV AS {ENDLESS} SELECT 'bubbleId:a:' || i AS key, '{{}}' AS value, i AS rowid FROM n"),
        ),
        (
            ".copilot",
            "session-store.db",
            format!(
                "CREATE TABLE sessions (id, cwd); CREATE VIEW assistant_usage_events AS {ENDLESS} SELECT i AS id,
                 's' AS session_id, 'm' AS model, 1 AS input_tokens, 1 AS output_tokens, '2026-06-01' AS created_at FROM n"
            ),
        ),
    ] {
        fs::create_dir_all(home.join(directory)).unwrap();
        Connection::open(home.join(directory).join(name)).unwrap().execute_batch(&sql).unwrap();
    }
    let (answer, _) = import(&cli, &home, 60);
    for name in ["opencode", "goose", "cursor", "copilot-cli"] {
        assert_eq!((&source(&answer, name)["unreadable"], name), (&1.into(), name));
    }
    assert_eq!(total(&cli), 1);
}

/// Runs the command as a user without permission to read everything.
fn as_nobody(cli: &TestCli, args: &[&str]) -> Option<std::process::Output> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let binary = assert_cmd::cargo::cargo_bin("usage-ledger");
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(binary).args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", cli.dir()).env("TZ", "UTC");
    let directory = cli.dir().join("of-nobody");
    fs::create_dir_all(&directory).unwrap();
    for open in [cli.dir(), &directory] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    }
    match command.env("USAGE_LEDGER", directory.join("usage.db")).output() {
        // A build directory that other users may not enter cannot be tested.
        Ok(done) if is_root && done.status.code() == Some(126) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_root => None,
        done => Some(done.unwrap()),
    }
}

#[test]
fn an_unreadable_directory_is_reported() {
    for closed in [".claude/projects/-w", ".claude/projects", ".claude"] {
        let (cli, home) = home();
        let closed = home.join(closed);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        let Some(done) = as_nobody(&cli, &["import", "claude-code", "--home", home.to_str().unwrap()]) else { return };
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&format!("skipped {}", closed.display())), "{stderr}");
        assert!(!String::from_utf8_lossy(&done.stdout).contains("no logs of"));
    }
}

#[test]
fn exhausted_file_descriptors_are_reported() {
    let (cli, home) = home();
    for n in 0..20 {
        claude(&home, &format!("s{n}"));
    }
    let binary = assert_cmd::cargo::cargo_bin("usage-ledger");
    let run = |files: u32| {
        let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &limited]).arg(&binary).args(["import", "--home", home.to_str().unwrap()]);
        command.env_clear().env("HOME", cli.dir()).env("USAGE_LEDGER", cli.ledger()).output().unwrap()
    };
    assert!(cli.command().args(["provider", "list"]).assert().success().get_output().stderr.is_empty());
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    // From too few descriptors to open the ledger to enough for all logs: success never omits a log.
    for files in 4..40 {
        let done = run(files);
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        match done.status.code() {
            Some(0) => {
                assert_eq!(total(&cli), 22, "with {files} descriptors");
                return;
            }
            Some(1) => assert!(stderr.contains("oo many open files") || stderr.contains("unable to open"), "{stderr}"),
            Some(3 | 127) => {}
            other => panic!("{other:?} with {files} descriptors: {stderr}"),
        }
    }
    panic!("40 descriptors do not suffice");
}
