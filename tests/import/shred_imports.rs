//! What importers note of logs goes with the projects they are of, and does not come back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use usage_ledger::import::{self, ImportOptions, ImportReport};
use usage_ledger::{Ledger, Report, ReportKey, Shred, Timestamp};

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// A home with logs of Claude Code, and a ledger in a file.
struct Desk {
    dir: tempfile::TempDir,
    ledger: Ledger,
}

impl Desk {
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
        let options = ImportOptions { homes: vec![home.to_owned()], ..ImportOptions::default() };
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

/// Calls of a session, from one number to another.
fn calls(project: &str, session: &str, numbers: std::ops::Range<u32>) -> String {
    let call = |n: u32| {
        format!(
            r#"{{"type":"assistant","sessionId":"{session}","cwd":"/work/{project}","timestamp":"2026-11-20T10:{n:02}:00Z","requestId":"req-{session}-{n}","uuid":"u{n}","message":{{"id":"msg-{session}-{n}","model":"claude-opus-4-5","usage":{{"input_tokens":1,"output_tokens":5}}}}}}"#
        ) + "\n"
    };
    numbers.map(call).collect()
}

#[test]
fn projects_of_one_run_go_one_after_the_other() {
    let mut desk = Desk::new();
    for (project, session) in [("foocorp", "s-f"), ("barcorp", "s-b"), ("stays", "s-s")] {
        desk.write(project, session, &(calls(project, session, 0..3) + "no JSON \"message\" \"usage\"\n"));
    }
    desk.import();
    desk.shred("foocorp");
    assert!(!desk.holds("foocorp") && desk.holds("barcorp") && desk.holds("work-stays"));
    let head = desk.ledger.head().unwrap().position.get();
    assert_eq!(desk.import(), head, "what was read of the others is still known");
    desk.shred("barcorp");
    assert!(!desk.holds("foocorp") && !desk.holds("barcorp") && desk.holds("work-stays"));
    let head = desk.ledger.head().unwrap().position.get();
    assert_eq!((desk.import(), desk.requests()), (head, 9));
    // The state that is kept of a log that stays serves to go on from.
    desk.write(
        "stays",
        "s-s",
        &(calls("stays", "s-s", 0..3) + "no JSON \"message\" \"usage\"\n" + &calls("stays", "s-s", 3..5)),
    );
    let home = desk.home();
    let report = desk.import_from(&home);
    let claude = report.sources.iter().find(|one| one.source == "claude-code").unwrap();
    assert_eq!((claude.recorded, claude.duplicates, desk.requests()), (2, 0, 11));
}

#[test]
fn a_log_that_moved_does_not_bring_its_name_back() {
    let mut desk = Desk::new();
    let log = desk.write("foocorp", "s-f", &calls("foocorp", "s-f", 0..3));
    desk.import();
    desk.shred("foocorp");
    let head = desk.ledger.head().unwrap().position.get();
    assert_eq!(desk.import(), head);
    // Another inode, as after a restore.
    let copy = log.with_extension("copy");
    fs::copy(&log, &copy).unwrap();
    fs::rename(&copy, &log).unwrap();
    assert_eq!(desk.import(), head);
    // Another home.
    let other = desk.dir.path().join("other");
    fs::rename(desk.home(), &other).unwrap();
    desk.import_from(&other);
    assert_eq!(desk.ledger.head().unwrap().position.get(), head);
    assert!(!desk.holds("foocorp"));
    let surveyed = {
        let options = ImportOptions { homes: vec![other.clone()], ..ImportOptions::default() };
        import::survey(&desk.ledger.snapshot().unwrap(), &options, now()).unwrap()
    };
    assert!(surveyed.iter().all(|agent| (agent.unread, agent.gone) == (0, 0)));
}

#[test]
fn what_a_shredded_session_tells_later_is_a_new_fact() {
    let mut desk = Desk::new();
    desk.write("foocorp", "s-f", &calls("foocorp", "s-f", 0..3));
    desk.import();
    desk.shred("foocorp");
    desk.write("foocorp", "s-f", &calls("foocorp", "s-f", 0..4));
    desk.import();
    assert_eq!(desk.requests(), 4, "what it tells again is known");
    assert!(desk.holds("foocorp"), "what is told anew has its names");
    desk.shred("foocorp");
    assert!(!desk.holds("foocorp"));
    let head = desk.ledger.head().unwrap().position.get();
    assert_eq!((desk.import(), desk.requests()), (head, 4));
}

#[test]
fn logs_of_which_no_record_tells_go_by_their_paths() {
    let mut desk = Desk::new();
    desk.write("stays", "s-a", &calls("stays", "s-a", 0..3));
    desk.import();
    // A copy that holds nothing new, a log without calls, and one that cannot be read at all.
    desk.write("foocorp", "s-c", &calls("stays", "s-a", 0..3));
    desk.write("foocorp", "s-n", "{\"type\":\"user\"}\n");
    desk.write("foocorp", "s-x", "no JSON \"message\" \"usage\"\n");
    desk.import();
    assert!(desk.holds("-work-foocorp"));
    assert!(desk.shred("foocorp") > 0);
    assert!(!desk.holds("foocorp") && desk.holds("-work-stays"));
    let head = desk.ledger.head().unwrap().position.get();
    assert_eq!((desk.import(), desk.requests()), (head, 3));
}
