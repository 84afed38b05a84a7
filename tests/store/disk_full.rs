//! A disk that fills up during a command: a clear error, and an unchanged ledger.
#![cfg(all(unix, feature = "cli"))]
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn ledger(path: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_usage-ledger"))
        .arg("--ledger")
        .arg(path)
        .args(["--now", "2026-06-01T12:00:00Z"])
        .args(args)
        .output()
        .unwrap()
}

/// Records that need far more space than there is.
fn many_records() -> String {
    use std::fmt::Write;
    let mut lines = String::new();
    for number in 0..20_000 {
        writeln!(lines, r#"{{"provider":"anthropic","model":"m","input":1,"key":"msg_{number}"}}"#).unwrap();
    }
    lines
}

/// Runs the command with a limit of `blocks` of 512 bytes per file, which the kernel enforces like a full disk.
fn record_with_room_for(path: &Path, blocks: u32) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_usage-ledger"), "--ledger"])
        .arg(path)
        .args(["--now", "2026-06-01T12:00:01Z", "record", "--jsonl", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may stop before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(many_records().as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn a_full_disk_leaves_no_partial_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    assert!(ledger(&path, &["record", "--provider", "anthropic", "--input", "5"]).status.success());
    let before = ledger(&path, &["export", "--format", "events"]).stdout;

    let full = record_with_room_for(&path, 1_024);
    let stderr = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(3), "{stderr}");
    assert!(stderr.starts_with("usage-ledger: "), "{stderr}");

    assert_eq!(ledger(&path, &["export", "--format", "events"]).stdout, before);
    assert!(ledger(&path, &["verify"]).status.success());
    // With enough space the same input succeeds.
    let roomy = record_with_room_for(&path, 4_000_000);
    assert!(roomy.status.success(), "{}", String::from_utf8_lossy(&roomy.stderr));
    let status = ledger(&path, &["--json", "report", "--by", "provider"]);
    let json: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(json["total"]["requests"], 20_001);
}
