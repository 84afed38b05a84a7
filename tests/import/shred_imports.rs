//! Import data about logs are shredded with their projects, and do not return.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use usage_ledger::import::{self, ImportOptions, ImportReport};
use usage_ledger::internals;
use usage_ledger::{Ledger, Report, ReportKey, Shred, Timestamp};

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// A home with logs of Claude Code, and a ledger in a file.
struct Fixture {
    dir: tempfile::TempDir,
    ledger: Ledger,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path().join("usage.db")).unwrap();
        Self { dir, ledger }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn log(&self, project: &str, session: &str) -> PathBuf {
        self.home().join(format!(".claude/projects/-work-{project}/{session}.jsonl"))
    }

    fn write(&self, project: &str, session: &str, text: &str) -> PathBuf {
        let path = self.log(project, session);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn import_from(&mut self, home: &Path) -> ImportReport {
        let options = ImportOptions::new().homes([home.to_owned()]);
        import::run(&self.ledger, &options, now(), &mut |_| {}).unwrap()
    }

    fn import(&mut self) -> u64 {
        let home = self.home();
        self.import_from(&home);
        self.ledger.head().unwrap().position.get()
    }

    fn shred(&mut self, project: &str) -> usize {
        let shred = Shred::because("asked").project(format!("/work/{project}"));
        let done = self.ledger.shred(&shred, now()).unwrap();
        assert!(done.still.is_empty() && done.unerased.is_none(), "{done:?}");
        assert!(self.ledger.verify().unwrap().ok);
        done.events.len()
    }

    /// Whether a name is in any of the ledger's files.
    fn holds(&self, name: &str) -> bool {
        ["usage.db", "usage.db-wal"].iter().any(|file| {
            let bytes = fs::read(self.dir.path().join(file)).unwrap_or_default();
            bytes.windows(name.len()).any(|window| window == name.as_bytes())
        })
    }

    fn requests(&mut self) -> u64 {
        self.ledger.report(&Report::by(ReportKey::Provider)).unwrap().total.requests
    }
}

/// Calls of a session, with a range of numbers.
fn calls(project: &str, session: &str, numbers: std::ops::Range<u32>) -> String {
    let call = |n: u32| {
        format!(
            r#"{{"type":"assistant","sessionId":"{session}","cwd":"/work/{project}","timestamp":"2026-11-20T10:{n:02}:00Z","requestId":"req-{session}-{n}","uuid":"u{n}","message":{{"id":"msg-{session}-{n}","model":"claude-opus-4-5","usage":{{"input_tokens":1,"output_tokens":5}}}}}}"#
        ) + "\n"
    };
    numbers.map(call).collect()
}

#[test]
fn projects_of_one_run_can_be_shredded_one_by_one() {
    let mut fixture = Fixture::new();
    for (project, session) in [("foocorp", "s-f"), ("barcorp", "s-b"), ("stays", "s-s")] {
        fixture.write(project, session, &(calls(project, session, 0..3) + "no JSON \"message\" \"usage\"\n"));
    }
    fixture.import();
    fixture.shred("foocorp");
    assert!(!fixture.holds("foocorp") && fixture.holds("barcorp") && fixture.holds("work-stays"));
    let head = fixture.ledger.head().unwrap().position.get();
    assert_eq!(fixture.import(), head, "what was read of the others is still known");
    fixture.shred("barcorp");
    assert!(!fixture.holds("foocorp") && !fixture.holds("barcorp") && fixture.holds("work-stays"));
    let head = fixture.ledger.head().unwrap().position.get();
    assert_eq!((fixture.import(), fixture.requests()), (head, 9));
    // The stored state of a remaining log is still usable.
    fixture.write(
        "stays",
        "s-s",
        &(calls("stays", "s-s", 0..3) + "no JSON \"message\" \"usage\"\n" + &calls("stays", "s-s", 3..5)),
    );
    let home = fixture.home();
    let report = fixture.import_from(&home);
    let claude = report.sources.iter().find(|one| one.source == "claude-code").unwrap();
    assert_eq!((claude.recorded, claude.duplicates, fixture.requests()), (2, 0, 11));
}

#[test]
fn a_log_that_moved_does_not_bring_its_name_back() {
    let mut fixture = Fixture::new();
    let log = fixture.write("foocorp", "s-f", &calls("foocorp", "s-f", 0..3));
    fixture.import();
    fixture.shred("foocorp");
    let head = fixture.ledger.head().unwrap().position.get();
    assert_eq!(fixture.import(), head);
    // Another inode, as after a restore.
    let copy = log.with_extension("copy");
    fs::copy(&log, &copy).unwrap();
    fs::rename(&copy, &log).unwrap();
    assert_eq!(fixture.import(), head);
    // Another home.
    let other = fixture.dir.path().join("other");
    fs::rename(fixture.home(), &other).unwrap();
    fixture.import_from(&other);
    assert_eq!(fixture.ledger.head().unwrap().position.get(), head);
    assert!(!fixture.holds("foocorp"));
    let surveyed = {
        let options = ImportOptions::new().homes([other.clone()]);
        internals::import::inventory(&fixture.ledger.snapshot().unwrap(), &options, now()).unwrap()
    };
    assert!(surveyed.iter().all(|agent| (agent.unread, agent.deleted) == (0, 0)));
}

#[test]
fn later_lines_of_a_shredded_session_are_recorded() {
    let mut fixture = Fixture::new();
    fixture.write("foocorp", "s-f", &calls("foocorp", "s-f", 0..3));
    fixture.import();
    fixture.shred("foocorp");
    fixture.write("foocorp", "s-f", &calls("foocorp", "s-f", 0..4));
    fixture.import();
    assert_eq!(fixture.requests(), 4, "what it tells again is known");
    assert!(fixture.holds("foocorp"), "what is told anew has its names");
    fixture.shred("foocorp");
    assert!(!fixture.holds("foocorp"));
    let head = fixture.ledger.head().unwrap().position.get();
    assert_eq!((fixture.import(), fixture.requests()), (head, 4));
}

#[test]
fn logs_without_records_are_shredded_by_path() {
    let mut fixture = Fixture::new();
    fixture.write("stays", "s-a", &calls("stays", "s-a", 0..3));
    fixture.import();
    // A copy without new calls, a log without calls, and an unreadable one.
    fixture.write("foocorp", "s-c", &calls("stays", "s-a", 0..3));
    fixture.write("foocorp", "s-n", "{\"type\":\"user\"}\n");
    fixture.write("foocorp", "s-x", "no JSON \"message\" \"usage\"\n");
    fixture.import();
    assert!(fixture.holds("-work-foocorp"));
    assert!(fixture.shred("foocorp") > 0);
    assert!(!fixture.holds("foocorp") && fixture.holds("-work-stays"));
    let head = fixture.ledger.head().unwrap().position.get();
    assert_eq!((fixture.import(), fixture.requests()), (head, 3));
}
