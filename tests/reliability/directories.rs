//! A new directory or file is durable only after its parent directory is synced. The shim records both.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shim::Shim;

/// A recorded creation, or a sync of a directory.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Created(PathBuf),
    Synced(u64),
}

/// Creations of directories and files, and syncs of directories, in order.
fn steps(log: &Path) -> Vec<Step> {
    let bytes = std::fs::read(log).unwrap();
    let mut rest = bytes.as_slice();
    let mut steps = Vec::new();
    while rest.len() >= 21 {
        let (kind, inode) = (rest[0], u64::from_le_bytes(rest[1..9].try_into().unwrap()));
        let length = u32::from_le_bytes(rest[17..21].try_into().unwrap()) as usize;
        let text = String::from_utf8_lossy(&rest[21..21 + length]).into_owned();
        rest = &rest[21 + length..];
        match kind {
            b'D' | b'C' => steps.push(Step::Created(text.split('\0').next().unwrap().into())),
            // The new name of a link or a rename.
            b'L' | b'R' => steps.push(Step::Created(text.split('\0').nth(1).unwrap().into())),
            b'Y' => steps.push(Step::Synced(inode)),
            _ => {}
        }
    }
    steps
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
}

/// Existing files that were created without a later sync of their directory.
fn not_durable(steps: &[Step]) -> Vec<&Path> {
    let later = |at: usize, parent: u64| steps[at..].contains(&Step::Synced(parent));
    let created = steps.iter().enumerate().filter_map(|(at, step)| match step {
        Step::Created(path) if path.exists() && !later(at, inode(path.parent().unwrap())) => Some(path.as_path()),
        _ => None,
    });
    created.collect()
}

#[test]
fn parent_directories_are_synced_after_a_directory_or_a_file_is_created() {
    let scratch = tempfile::tempdir().unwrap();
    let scratch_path = scratch.path().canonicalize().unwrap();
    let files = scratch_path.join("files");
    std::fs::create_dir(&files).unwrap();
    let logs = scratch_path.join("home/.claude/projects/-p");
    std::fs::create_dir_all(&logs).unwrap();
    let line = r#"{"type":"assistant","timestamp":"2026-06-01T10:00:00.000Z","sessionId":"s","requestId":"r","message":{"id":"m","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{"input_tokens":3,"output_tokens":7}}}"#;
    std::fs::write(logs.join("s.jsonl"), format!("{line}\n")).unwrap();
    let home = scratch_path.join("home").display().to_string();
    let record = ["record", "--provider", "openai", "--input", "1"];
    let path = |name: &str| files.join(name).display().to_string();
    let (backup, restored) = (path("record/backup.db"), path("restored/deep/usage.db"));
    let commands: [(&str, &[&str]); 5] = [
        ("record/deep/usage.db", &record),
        ("import/deep/usage.db", &["import", "claude-code", "--home", &home]),
        ("switch/usage.db", &["switch", "openai"]),
        ("record/deep/usage.db", &["backup", &backup]),
        ("restored/deep/usage.db", &["restore", &backup]),
    ];
    for (ledger, arguments) in commands {
        let log = scratch_path.join("log");
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(crate::program());
        command.env_clear().env("HOME", &scratch_path).env("USAGE_LEDGER", files.join(ledger)).args(arguments);
        let done = Shim::new(&files, &scratch_path).log(&log).apply(&mut command).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        let steps = steps(&log);
        assert!(steps.iter().any(|step| matches!(step, Step::Created(_))), "{arguments:?} creates nothing");
        // SQLite's index of the write-ahead log, and the queue of writers, need not survive.
        let lost: Vec<&Path> = not_durable(&steps)
            .into_iter()
            .filter(|path| !path.to_string_lossy().ends_with("-shm") && !path.to_string_lossy().ends_with("-queue"))
            .collect();
        assert!(lost.is_empty(), "{arguments:?}: {lost:?} may be gone after a power cut\n{steps:#?}");
    }
    assert!(Path::new(&restored).exists());
}
