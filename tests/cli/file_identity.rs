//! Long-running commands next to other programs, and while their file is moved or deleted: no acknowledged event is
//! lost.

#![cfg(all(feature = "web", feature = "tui", unix))]

use crate::cli_support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{TestCli, server};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Counts the events with another program's SQLite.
pub fn count_elsewhere(ledger: &Path) -> u64 {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
                  print(c.execute('select count(*) from events').fetchone()[0])\nc.close()";
    let done = Command::new("python3").args(["-c", script]).arg(ledger).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().parse().unwrap()
}

/// The log of a mounted file stays beside the original, so the two sides would not see each other's events.
#[cfg(target_os = "linux")]
#[test]
fn a_ledger_that_is_mounted_as_a_single_file_is_refused() {
    let unshared = |script: &str| {
        Command::new("unshare").args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]).output()
    };
    let cli = TestCli::new();
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    let (ledger, mounted) = (cli.ledger(), cli.dir().join("mounted.db"));
    fs::write(&mounted, "").unwrap();
    let mount = format!("mount --bind '{}' '{}'", ledger.display(), mounted.display());
    if !unshared(&mount).is_ok_and(|done| done.status.success()) {
        eprintln!("left out: this user may not mount files");
        return;
    }
    for words in ["status", "record --provider openai --input 2"] {
        let command = env!("CARGO_BIN_EXE_usage-ledger");
        let done = unshared(&format!("{mount}; '{command}' --ledger '{}' {words}", mounted.display())).unwrap();
        let why = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(3) && why.contains("mount its directory"), "{words}: {why}");
    }
    // A mounted directory is one place.
    let folder = cli.dir().join("folder");
    fs::create_dir(&folder).unwrap();
    let name = folder.join("usage.db");
    let mount = format!("mount --bind '{}' '{}'", cli.dir().display(), folder.display());
    let command = env!("CARGO_BIN_EXE_usage-ledger");
    let done =
        unshared(&format!("{mount}; '{command}' --ledger '{}' record --provider openai --input 2", name.display()));
    assert!(done.as_ref().unwrap().status.success(), "{done:?}");
    assert_whole(&cli, 2);
}

pub fn assert_whole(cli: &TestCli, events: u64) {
    let verified = cli.json(&["verify"]);
    assert_eq!((&verified["ok"], verified["size"].as_u64()), (&Value::Bool(true), Some(events)), "{verified}");
}

/// Counts the calls, while another program's SQLite opens and closes the file.
fn requests(cli: &TestCli) -> u64 {
    count_elsewhere(&cli.ledger());
    cli.json(&["report"])["total"]["requests"].as_u64().unwrap()
}

pub fn record(cli: &TestCli, key: &str) {
    cli.ok(&["record", "--provider", "openai", "--input", "1", "--key", key]);
}

/// Paths next to the ledger, to move files to.
fn beside(cli: &TestCli, end: &str) -> PathBuf {
    cli.dir().join(format!("usage.db{end}"))
}

fn command(cli: &TestCli, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"));
    command.args(args).env_clear().envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())]).stderr(Stdio::null());
    command
}

/// A running `serve`, which ends with the test.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(cli: &TestCli) -> Self {
        let arguments = ["--json", "serve", "--otlp", "--listen", "127.0.0.1:0"];
        let (child, address) = server::start(&mut command(cli, &arguments));
        Self { child, address: address.to_string() }
    }

    /// Sends one call and returns the status of the response.
    fn post(&self, number: u32) -> u16 {
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let record = json!({
            "timeUnixNano": format!("178030800{}000000000", number % 10),
            "body": {"stringValue": "claude_code.api_request"},
            "attributes": [
                text("event.name", "api_request"), text("session.id", &format!("s{number}")), text("model", "claude-opus-4-5"),
                text("request_id", &format!("req_{number}")), text("input_tokens", &format!("{}", 100 + number)),
                text("output_tokens", "7"),
            ],
        });
        let resource = json!({"attributes": [text("service.name", "claude-code")]});
        let body =
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}).to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn end(mut self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn serve_loses_nothing_beside_another_program() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    for number in 0..9 {
        assert_eq!(serving.post(number), 200);
        match number % 3 {
            0 => assert_eq!(requests(&cli), u64::from(number + 1 + number / 3)),
            1 => record(&cli, &format!("beside-{number}")),
            _ => {}
        }
    }
    assert_eq!(requests(&cli), 12);
    serving.end();
    assert_eq!((requests(&cli), &cli.json(&["verify"])["ok"]), (12, &Value::Bool(true)));
}

#[test]
fn serve_acknowledges_nothing_that_is_not_in_the_file_at_the_path() {
    let cli = TestCli::new();
    let serving = Serving::start(&cli);
    assert_eq!(serving.post(0), 200);
    // Moved away and back.
    fs::rename(cli.ledger(), beside(&cli, ".away")).unwrap();
    assert_eq!([serving.post(1), serving.post(2)], [503, 503]);
    assert!(!cli.ledger().exists(), "an empty ledger was made in its place");
    fs::rename(beside(&cli, ".away"), cli.ledger()).unwrap();
    assert_eq!(serving.post(3), 200);
    assert_eq!(requests(&cli), 2);
    // A ledger in its place: the sender is asked to retry, and the call is then in that ledger.
    let other = TestCli::new();
    record(&other, "other");
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(&cli, end));
    }
    fs::rename(other.ledger(), cli.ledger()).unwrap();
    let answers: Vec<u16> = (4..7).map(|number| serving.post(number)).collect();
    assert_eq!(answers, [503, 200, 200]);
    assert_eq!(requests(&cli), 3);
    // Deleted with its other files.
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(&cli, end));
    }
    assert_eq!([serving.post(7), serving.post(8)], [503, 503]);
    assert!(!cli.ledger().exists());
    serving.end();
}

/// The sessions in a ledger and in the replaced files next to it.
fn sessions(ledger: &Path) -> Vec<String> {
    let read = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
        .args(["--json", "report", "--by", "conversation", "--ledger"])
        .arg(ledger)
        .env_clear()
        .env("HOME", ledger.parent().unwrap())
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let table: Value = serde_json::from_slice(&read.stdout).unwrap();
    let rows = table["rows"].as_array().unwrap();
    rows.iter().filter_map(|row| row["conversation"].as_str().map(str::to_owned)).collect()
}

#[test]
fn restore_replaces_no_ledger_that_serve_has_open_and_no_request_is_lost() {
    const REQUESTS: u32 = 60;
    let cli = TestCli::new();
    let backup = beside(&cli, ".backup");
    let path = backup.to_str().unwrap().to_owned();
    let serving = Serving::start(&cli);
    assert_eq!(serving.post(0), 200);
    cli.ok(&["backup", &path]);
    let restored = std::sync::atomic::AtomicBool::new(false);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let mut answers = Vec::new();
            // Requests arrive before, during and after the attempts.
            while answers.len() < REQUESTS as usize || !restored.load(std::sync::atomic::Ordering::Acquire) {
                answers.push(serving.post(u32::try_from(answers.len()).unwrap() + 1));
            }
            answers
        });
        let attempts: Vec<_> =
            (0..3).map(|_| cli.command().args(["restore", &path, "--replace"]).output().unwrap()).collect();
        restored.store(true, std::sync::atomic::Ordering::Release);
        for attempt in attempts {
            let stderr = String::from_utf8_lossy(&attempt.stderr);
            assert!(attempt.status.code() == Some(3) && stderr.contains("has it open"), "{stderr}");
        }
        posting.join().unwrap()
    });
    assert!(answers.iter().all(|answer| [200, 503].contains(answer)), "{answers:?}");
    let present = sessions(&cli.ledger());
    for (number, _) in (1..).zip(&answers).filter(|(_, answer)| **answer == 200) {
        assert!(present.contains(&format!("s{number}")), "request {number} was answered with 200 and is lost");
    }
    // After the server has ended, restore succeeds, and the next server writes to the restored file.
    serving.end();
    let former = cli.json(&["restore", &path, "--replace"])["former"].as_str().unwrap().to_owned();
    assert_eq!(sessions(&cli.ledger()), ["s0"]);
    assert_eq!(sessions(Path::new(&former)).len(), present.len());
    let serving = Serving::start(&cli);
    assert_eq!(serving.post(9), 200);
    serving.end();
    assert_eq!(sessions(&cli.ledger()), ["s0", "s9"]);
}

#[test]
fn import_watch_waits_for_its_ledger_and_loses_nothing() {
    let cli = TestCli::new();
    let logs = cli.dir().join("home/.claude/projects/-home-me-acme");
    fs::create_dir_all(&logs).unwrap();
    let say = |number: u32| {
        let line = json!({"type": "assistant", "timestamp": format!("2026-06-01T10:00:{number:02}.000Z"), "sessionId": "s1",
            "requestId": format!("req_{number}"), "message": {"id": format!("msg_{number}"), "type": "message",
            "role": "assistant", "model": "claude-opus-4-5", "content": [], "usage": {"input_tokens": 3, "output_tokens": 7}}});
        let mut log = fs::OpenOptions::new().create(true).append(true).open(logs.join("s1.jsonl")).unwrap();
        log.write_all(format!("{line}\n").as_bytes()).unwrap();
    };
    let requests = || cli.json(&["report"])["total"]["requests"].as_u64().unwrap();
    let wait_for = |number: u64| {
        let since = Instant::now();
        while requests() != number {
            assert!(since.elapsed() < PATIENCE, "{} of {number}", requests());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    say(1);
    let home = cli.dir().join("home").to_str().unwrap().to_owned();
    let mut child = command(&cli, &["--json", "import", "--watch", "--home", &home])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut messages = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut notices = |text: &str| assert!(messages.any(|line| line.contains(text)), "no message: {text}");
    lines.read_line(&mut String::new()).unwrap();
    wait_for(1);
    count_elsewhere(&cli.ledger());
    say(2);
    wait_for(2);
    // Lines written while the ledger is away are imported when it is back.
    fs::rename(cli.ledger(), beside(&cli, ".away")).unwrap();
    say(3);
    notices("waiting for a ledger");
    assert!(!cli.ledger().exists());
    fs::rename(beside(&cli, ".away"), cli.ledger()).unwrap();
    wait_for(3);
    // An empty ledger receives everything.
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(&cli, end));
    }
    let other = TestCli::new();
    record(&other, "other");
    fs::rename(other.ledger(), cli.ledger()).unwrap();
    say(4);
    wait_for(5);
    // Deleted: nothing is created in its place, and the next ledger receives everything.
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(&cli, end));
    }
    say(5);
    notices("waiting for a ledger");
    assert!(!cli.ledger().exists());
    record(&cli, "after");
    wait_for(6);
    let _ = child.kill();
    child.wait().unwrap();
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

#[test]
fn first_imports_that_race_all_succeed() {
    const ROUNDS: u32 = 12;
    let home = tempfile::tempdir().unwrap();
    let logs = home.path().join(".claude/projects/-p");
    fs::create_dir_all(&logs).unwrap();
    for session in 0..4 {
        let lines: String = (0..50)
            .map(|number| {
                let line = json!({"type": "assistant", "timestamp": format!("2026-06-01T10:00:{number:02}.000Z"),
                    "sessionId": format!("s{session}"), "requestId": format!("req_{session}_{number}"), "message":
                    {"id": format!("msg_{session}_{number}"), "type": "message", "role": "assistant", "model": "claude-opus-4-5",
                    "content": [], "usage": {"input_tokens": 3, "output_tokens": 7}}});
                format!("{line}\n")
            })
            .collect();
        fs::write(logs.join(format!("s{session}.jsonl")), lines).unwrap();
    }
    for round in 0..ROUNDS {
        let cli = TestCli::new();
        let children: Vec<Child> = (0..8)
            .map(|_| {
                Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
                    .args(["import", "claude-code", "--home"])
                    .arg(home.path())
                    .env_clear()
                    .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in children {
            let done = child.wait_with_output().unwrap();
            assert!(done.status.success(), "round {round}: {}", String::from_utf8_lossy(&done.stderr));
        }
        assert_eq!(cli.json(&["report"])["total"]["requests"], 200, "round {round}");
        let left: Vec<_> = fs::read_dir(cli.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("draft")), "round {round}: {left:?}");
        if round == 0 {
            assert_eq!(cli.json(&["verify"])["ok"], true);
        }
    }
}

#[test]
fn sixty_four_processes_record_at_once_and_lose_nothing() {
    const PROCESSES: u32 = 64;
    const ROUNDS: u32 = 3;
    let cli = TestCli::new();
    for round in 0..ROUNDS {
        let children: Vec<Child> = (0..PROCESSES)
            .map(|number| {
                Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
                    .args(["record", "--provider", "openai", "--input", "1", "--key"])
                    .arg(format!("{round}-{number}"))
                    .env_clear()
                    .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in children {
            let done = child.wait_with_output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
    assert_eq!(count_elsewhere(&cli.ledger()), u64::from(PROCESSES * ROUNDS));
    assert_whole(&cli, u64::from(PROCESSES * ROUNDS));
    assert_eq!(cli.json(&["report"])["total"]["requests"], PROCESSES * ROUNDS);
}
