//! `watch` on a terminal, next to other programs, and with files that are removed or read-only.

#![cfg(all(feature = "web", feature = "tui", unix))]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::cli_support::TestCli;
use crate::file_identity::{assert_whole, record};

/// Drives `watch` on a terminal with keys, other programs and damage, and prints the last screen.
const WATCH: &str = r"
import os, pty, select, sqlite3, subprocess, sys, time
binary, ledger = sys.argv[1:3]
pid, tty = pty.fork()
if pid == 0:
    os.environ.update(TERM='xterm', COLUMNS='100', LINES='40')
    if 'nobody' in sys.argv:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    os.execv(binary, [binary, '--ledger', ledger, 'watch', '--interval', '1'])
import fcntl, struct, termios
fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
seen = b''
def drain(seconds):
    global seen
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([tty], [], [], left)[0]:
            return
        try:
            seen += os.read(tty, 65536)
        except OSError:
            return
def count():
    c = sqlite3.connect(ledger)
    n = c.execute('select count(*) from events').fetchone()[0]
    c.close()
    return n
def until(what, done):
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, (what, seen[-3000:])
        drain(0.05)
def press(key, events):
    os.write(tty, key)
    until(key, lambda: count() == events)
";

fn watch(cli: &TestCli, script: &str) {
    let done = watching(&cli.ledger(), script).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Runs a Python script that drives `watch`.
fn watching(ledger: &Path, script: &str) -> Command {
    let script =
        format!("{WATCH}{script}\nos.write(tty, b'q')\nwhile os.waitpid(pid, os.WNOHANG)[0] == 0:\n    drain(0.05)\n");
    let binary = assert_cmd::cargo::cargo_bin!("usage-ledger");
    let mut python = Command::new("python3");
    python.args(["-c", &script]).arg(binary).arg(ledger);
    python
}

#[test]
fn watch_loses_nothing_beside_another_program() {
    let cli = TestCli::new();
    record(&cli, "before");
    watch(
        &cli,
        "until('the dashboard', lambda: b'openai' in seen)\npress(b'py', 2)\ncount()\npress(b'u', 3)\n\
         subprocess.run([binary, '--ledger', ledger, 'record', '--provider', 'openai', '--input', '1'], check=True)\n\
         until('record', lambda: count() == 4)\npress(b'py', 5)\n",
    );
    assert_whole(&cli, 5);
}

#[test]
fn watch_ends_while_another_program_keeps_the_lock() {
    let cli = TestCli::new();
    record(&cli, "before");
    let logs = cli.dir().join(".claude/projects/-home-me-acme");
    fs::create_dir_all(&logs).unwrap();
    let line = r#"{"type":"assistant","timestamp":"2026-11-23T19:00:00.000Z","sessionId":"s","requestId":"r","message":{"id":"m","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}"#;
    let (log, line) = (logs.join("s.jsonl"), format!("{line}\n"));
    let script = format!(
        "until('the dashboard', lambda: b'openai' in seen)\nlock = sqlite3.connect(ledger, isolation_level=None)\n\
         lock.execute('BEGIN IMMEDIATE')\nopen({log:?}, 'w').write({line:?})\ndrain(2.5)\nos.write(tty, b'q')\n\
         began = time.monotonic()\nwhile os.waitpid(pid, os.WNOHANG)[0] == 0:\n    drain(0.05)\n    \
         assert time.monotonic() - began < 10, 'the import still waits'\nsys.exit()\n"
    );
    let done = watching(&cli.ledger(), &script).env("HOME", cli.dir()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn watch_reports_a_deleted_ledger_and_shows_the_next_one() {
    let cli = TestCli::new();
    record(&cli, "before");
    watch(
        &cli,
        "until('the dashboard', lambda: b'openai' in seen)\nos.rename(ledger, ledger + '.away')\n\
         until('news of it', lambda: b'moved' in seen)\nos.write(tty, b'py')\ndrain(1)\n\
         assert not os.path.exists(ledger), 'a ledger was made'\n\
         os.rename(ledger + '.away', ledger)\ndrain(1)\nassert count() == 1, count()\npress(b'py', 2)\n",
    );
    assert_whole(&cli, 2);
}

#[test]
fn watch_recreates_no_deleted_ledger_and_shows_the_next_one() {
    let cli = TestCli::new();
    record(&cli, "before");
    watch(
        &cli,
        "until('the dashboard', lambda: b'openai' in seen)\nfor end in ('', '-wal', '-shm'):\n    \
         if os.path.exists(ledger + end): os.remove(ledger + end)\n\
         until('news of it', lambda: b'deleted' in seen)\nos.write(tty, b'py')\ndrain(1)\n\
         assert not os.path.exists(ledger), 'a ledger was made'\n\
         subprocess.run([binary, '--ledger', ledger, 'record', '--provider', 'mistral', '--input', '1'], check=True)\n\
         until('the next one', lambda: b'mistral' in seen)\npress(b'py', 2)\n",
    );
    assert_whole(&cli, 2);
}

#[test]
fn watch_continues_with_a_replaced_ledger() {
    let cli = TestCli::new();
    record(&cli, "before");
    let other = TestCli::new();
    other.ok(&["record", "--provider", "mistral", "--input", "1"]);
    let script = format!(
        "until('the dashboard', lambda: b'openai' in seen)\nfor end in ('-wal', '-shm'):\n    \
         if os.path.exists(ledger + end): os.remove(ledger + end)\nos.rename('{}', ledger)\n\
         until('the other one', lambda: b'mistral' in seen)\npress(b'py', 2)\n",
        other.ledger().display()
    );
    watch(&cli, &script);
    assert_whole(&cli, 2);
}

#[test]
fn watch_marks_a_read_only_ledger() {
    let cli = TestCli::new();
    record(&cli, "before");
    let place = cli.dir().join("closed");
    fs::create_dir(&place).unwrap();
    let ledger = place.join("usage.db");
    cli.ok(&["backup", ledger.to_str().unwrap()]);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, bits) in [(cli.dir(), 0o755), (&*ledger, 0o444), (&*place, 0o555)] {
        mode(path, bits);
    }
    let is_root = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&ledger).unwrap()) == 0;
    let script = "until('the dashboard', lambda: b'openai' in seen)\n\
                  until('the mark', lambda: b'read-only' in seen)\nos.write(tty, b'py')\n\
                  until('the reason', lambda: b'permission' in seen)\n";
    let mut command = watching(&ledger, script);
    if is_root {
        // File modes do not restrict root.
        command.arg("nobody");
    }
    let done = command.env("HOME", cli.dir()).output().unwrap();
    mode(&place, 0o755);
    let stderr = String::from_utf8_lossy(&done.stderr);
    // Other users may not enter the build directory everywhere.
    assert!(done.status.success() || is_root && stderr.contains("PermissionError"), "{stderr}");
    let mut left: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name != "usage.db");
    assert!(left.is_empty(), "{left:?} was left beside the ledger");
}

#[test]
fn watch_shows_foreign_text_visibly() {
    let cli = TestCli::new();
    let hostile = "a\u{202e}b\u{9b}2Jc\u{7}\u{2066}\u{200b}d";
    let record = serde_json::json!({"provider": "anthropic", "model": hostile, "account": hostile, "input": 5,
        "project": hostile, "labels": {"last_action": hostile}});
    cli.ok_with_input(record.to_string(), &["record", "--jsonl", "-"]);
    cli.ok(&["switch", "openai", "--reason", hostile]);
    cli.ok(&["pause", "--reason", hostile]);
    watch(
        &cli,
        "until('the dashboard', lambda: b'202e' in seen)\nos.write(tty, b'?')\ndrain(0.5)\nos.write(tty, b'\\x1b')\ndrain(0.5)\n\
         os.write(tty, b'r')\ndrain(0.5)\nos.write(tty, b'\\x1b')\ndrain(0.5)\n\
         for bad in ('\\u202e', '\\x9b', '\\u2066', '\\u200b'):\n    \
         assert bad.encode() not in seen, (bad, seen[-3000:])\nassert b'\\x07' not in seen\n",
    );
}

#[test]
fn a_ledger_that_watch_has_open_is_not_restored_over() {
    let cli = TestCli::new();
    record(&cli, "before");
    let backup = cli.dir().join("backup.db");
    cli.ok(&["backup", backup.to_str().unwrap()]);
    watch(
        &cli,
        &format!(
            "until('the dashboard', lambda: b'openai' in seen)\n\
             r = subprocess.run([binary, '--ledger', ledger, 'restore', '{}', '--replace'], capture_output=True)\n\
             assert r.returncode == 3 and b'has it open' in r.stderr, r\npress(b'py', 2)\n",
            backup.display()
        ),
    );
    assert_whole(&cli, 2);
}
