//! Commands that read or write a ledger, and their expected effects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;
use usage_ledger::event::NewEvent;
use usage_ledger::merkle::Signer;
use usage_ledger::{Ledger, Report, ReportKey, TokenRecord};

use crate::survey::{Acknowledged, requests, state, survey};
use crate::worker::at;

/// Calls in the ledger before most scenarios.
const BEFORE: u64 = 40;
/// Calls in one batch.
const BATCH: u64 = 150;
/// Calls in the logs.
const LOGGED: u64 = 120;

/// One command.
pub struct Scenario {
    pub name: &'static str,
    /// Whether a ledger exists at the start.
    pub has_ledger: bool,
    arguments: &'static [&'static str],
    /// Whether the command has taken effect, in a consistent ledger.
    done: fn(&Ledger) -> bool,
    /// The number of counting records afterwards.
    requests: u64,
}

impl Scenario {
    /// Whether it repairs a ledger with damaged projections and triggers.
    fn is_repair(&self) -> bool {
        self.name == "repair"
    }

    /// Whether it changes the ledger.
    pub fn writes(&self) -> bool {
        !matches!(self.name, "report" | "verify" | "gate")
    }
}

fn has_key(ledger: &Ledger, key: &str) -> bool {
    ledger.snapshot().unwrap().find("openai", key).unwrap().is_some()
}

fn has_kind(ledger: &Ledger, kind: &str) -> bool {
    let snapshot = ledger.snapshot().unwrap();
    let mark = format!("\"kind\":\"{kind}\"");
    let mut has_period = false;
    snapshot
        .lines(1.into(), &mut |_, line| {
            has_period |= line.contains(&mark);
            Ok(true)
        })
        .unwrap();
    has_period
}

fn has_project(ledger: &Ledger, project: &str) -> bool {
    let table = ledger.report(&Report::by(ReportKey::Project)).unwrap();
    table.rows.iter().any(|row| row.keys[0].as_deref() == Some(project))
}

/// All scenarios. `HOME`, `CALLS`, `KEY`, `BACKUP` and `BASE` stand for paths.
pub const SCENARIOS: [Scenario; 17] = [
    Scenario {
        name: "record where there is no ledger",
        has_ledger: false,
        arguments: &["record", "--provider", "openai", "--input", "5", "--key", "new"],
        done: |ledger| has_key(ledger, "new"),
        requests: 1,
    },
    Scenario {
        name: "record",
        has_ledger: true,
        arguments: &["record", "--provider", "openai", "--input", "5", "--key", "new"],
        done: |ledger| has_key(ledger, "new"),
        requests: BEFORE + 1,
    },
    Scenario {
        name: "record many",
        has_ledger: true,
        arguments: &["record", "--jsonl", "CALLS"],
        done: |ledger| has_key(ledger, "batch-0") && has_key(ledger, "batch-149"),
        requests: BEFORE + BATCH,
    },
    Scenario {
        name: "first import",
        has_ledger: false,
        arguments: &["import", "claude-code", "--home", "HOME"],
        done: |ledger| requests(ledger) == LOGGED,
        requests: LOGGED,
    },
    Scenario {
        name: "import",
        has_ledger: true,
        arguments: &["import", "claude-code", "--home", "HOME"],
        done: |ledger| requests(ledger) == BEFORE + LOGGED,
        requests: BEFORE + LOGGED,
    },
    Scenario {
        name: "shred",
        has_ledger: true,
        arguments: &["shred", "--project", "project-1", "--reason", "a test"],
        done: |ledger| has_kind(ledger, "event_shredded") && !has_project(ledger, "project-1"),
        requests: BEFORE,
    },
    Scenario {
        name: "seal",
        has_ledger: true,
        arguments: &["seal", "--until", "2026-06-02", "--key", "KEY"],
        done: |ledger| has_kind(ledger, "period_sealed"),
        requests: BEFORE,
    },
    Scenario {
        name: "void",
        has_ledger: true,
        arguments: &["void", "3", "--reason", "a test"],
        done: |ledger| has_kind(ledger, "event_voided"),
        requests: BEFORE - 1,
    },
    Scenario {
        name: "switch",
        has_ledger: true,
        arguments: &["switch", "ollama", "--reason", "a test"],
        done: |ledger| has_kind(ledger, "provider_switched"),
        requests: BEFORE,
    },
    Scenario {
        name: "backup",
        has_ledger: true,
        arguments: &["backup", "BACKUP", "--replace", "--key", "KEY"],
        done: |_| true,
        requests: BEFORE,
    },
    Scenario {
        name: "restore",
        has_ledger: false,
        arguments: &["restore", "BASE", "--replace"],
        done: |ledger| requests(ledger) == BEFORE,
        requests: BEFORE,
    },
    Scenario {
        name: "restore over a ledger",
        has_ledger: true,
        arguments: &["restore", "BASE", "--replace"],
        done: |ledger| requests(ledger) == BEFORE,
        requests: BEFORE,
    },
    Scenario {
        name: "repair",
        has_ledger: true,
        arguments: &["doctor", "--repair"],
        done: |ledger| ledger.verify().unwrap().ok,
        requests: BEFORE,
    },
    Scenario { name: "replay", has_ledger: true, arguments: &["replay", "--write"], done: |_| true, requests: BEFORE },
    Scenario {
        name: "report",
        has_ledger: true,
        arguments: &["--json", "report", "--by", "provider,day"],
        done: |_| true,
        requests: BEFORE,
    },
    Scenario { name: "verify", has_ledger: true, arguments: &["--json", "verify"], done: |_| true, requests: BEFORE },
    Scenario {
        name: "gate",
        has_ledger: true,
        arguments: &["--json", "gate", "openai"],
        done: |_| true,
        requests: BEFORE,
    },
];

/// The initial files of scenarios.
pub struct Bench {
    scratch: TempDir,
    before: Acknowledged,
    work: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap();
        let ledger = Ledger::open(dir.join("base.db")).unwrap();
        for call in 0..BEFORE {
            let record = TokenRecord::new("openai", "m").input(call).project(format!("project-{}", call % 4));
            ledger.append([NewEvent::new(record.key(format!("call-{call}")), at(call))], at(call)).unwrap();
        }
        let before = state(&ledger).unwrap();
        drop(ledger);
        let logs = dir.join("logs/.claude/projects/-work");
        fs::create_dir_all(&logs).unwrap();
        for session in 0..4 {
            let line = |number: u64| {
                format!(
                    r#"{{"type":"assistant","timestamp":"{}","sessionId":"s-{session}","cwd":"/work","requestId":"req_{session}_{number}","message":{{"id":"msg_{session}_{number}","type":"message","role":"assistant","model":"claude-opus-4-5","usage":{{"input_tokens":{number},"output_tokens":7}}}}}}{}"#,
                    at(number),
                    "\n"
                )
            };
            let text: String = (0..LOGGED / 4).map(line).collect();
            fs::write(logs.join(format!("s-{session}.jsonl")), text).unwrap();
        }
        let call = |n| format!("{{\"provider\":\"openai\",\"model\":\"m\",\"input\":{n},\"key\":\"batch-{n}\"}}\n");
        fs::write(dir.join("calls.jsonl"), (0..BATCH).map(call).collect::<String>()).unwrap();
        let key = dir.join("key");
        fs::write(&key, Signer::generate("a.example/log").unwrap().secret()).unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self { work: dir.join("files"), scratch, before }
    }

    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The directory of the ledger and of the logs.
    pub fn files(&self) -> &Path {
        &self.work
    }

    pub fn ledger(&self) -> PathBuf {
        self.work.join("usage.db")
    }

    /// Resets all files to the state before a scenario.
    pub fn reset(&self, scenario: &Scenario) {
        self.clear();
        if scenario.has_ledger {
            fs::copy(self.scratch().join("base.db"), self.ledger()).unwrap();
        }
        if scenario.is_repair() {
            let file = rusqlite::Connection::open(self.ledger()).unwrap();
            let damage = "DELETE FROM facts; DELETE FROM accounts; UPDATE usage_by_model SET value = x'00';
                          DELETE FROM kinds WHERE code = 3; DROP TRIGGER events_are_never_removed";
            file.execute_batch(damage).unwrap();
        }
    }

    /// The same without a ledger.
    pub fn clear(&self) {
        let _ = fs::remove_dir_all(&self.work);
        let logs = self.work.join("home/.claude/projects/-work");
        fs::create_dir_all(&logs).unwrap();
        for entry in fs::read_dir(self.scratch().join("logs/.claude/projects/-work")).unwrap().flatten() {
            fs::copy(entry.path(), logs.join(entry.file_name())).unwrap();
        }
    }

    pub fn command(&self, scenario: &Scenario) -> Command {
        let mut command = Command::new(crate::program());
        command.env_clear().env("HOME", self.scratch()).env("TZ", "UTC").env("USAGE_LEDGER", self.ledger());
        command.args(["--now", "2026-06-03T12:00:00Z"]).stdin(Stdio::null());
        for argument in scenario.arguments {
            match *argument {
                "HOME" => command.arg(self.work.join("home")),
                "CALLS" => command.arg(self.scratch().join("calls.jsonl")),
                "BACKUP" => command.arg(self.work.join("backup.db")),
                "BASE" => command.arg(self.scratch().join("base.db")),
                "KEY" => command.arg(self.scratch().join("key")),
                other => command.arg(other),
            };
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The output of the command without failures.
    pub fn answer(&self, scenario: &Scenario) -> Vec<u8> {
        self.reset(scenario);
        let done = self.command(scenario).output().unwrap();
        assert!(done.status.success(), "{}: {}", scenario.name, String::from_utf8_lossy(&done.stderr));
        let ledger = Ledger::open(self.ledger()).unwrap();
        assert!((scenario.done)(&ledger), "{} does not do what it is for", scenario.name);
        assert_eq!(requests(&ledger), scenario.requests, "{}", scenario.name);
        done.stdout
    }

    /// Checks the files after a command failed or died, and that it can be repeated.
    pub fn check(&self, scenario: &Scenario, done: &Output, answer: &[u8]) -> Result<(), String> {
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        let fail = |why: String| Err(format!("{why}\nit ended with {} and said: {stderr}", done.status));
        if done.status.code() == Some(101) || stderr.contains("panicked") {
            return fail("it panicked".into());
        }
        if let Err(why) = self.left(scenario, done.status.success()) {
            return fail(why);
        }
        if !scenario.writes() && done.status.success() && done.stdout != answer {
            return fail(format!("it answers {}", String::from_utf8_lossy(&done.stdout)));
        }
        self.repeat(scenario)
    }

    /// Checks the remaining ledger: it is consistent, and contains the command's effect if it reported success.
    pub fn left(&self, scenario: &Scenario, is_done: bool) -> Result<(), String> {
        let path = self.ledger();
        if !path.exists() {
            return if scenario.has_ledger || is_done { Err("there is no ledger".into()) } else { Ok(()) };
        }
        if !(scenario.is_repair() && self.is_damaged_as_before(&path)?) {
            survey(&path, scenario.has_ledger.then_some(self.before))?;
        }
        self.left_backup(is_done && scenario.name == "backup")?;
        let ledger = Ledger::open(&path).map_err(|error| error.to_string())?;
        if is_done && !(scenario.done)(&ledger) {
            return Err("it says that it is done, and is not".into());
        }
        Ok(())
    }

    /// Whether a failed repair changed nothing: all deleted rows are still missing.
    fn is_damaged_as_before(&self, path: &Path) -> Result<bool, String> {
        let words = |error: rusqlite::Error| error.to_string();
        let file = rusqlite::Connection::open(path).map_err(words)?;
        let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(words);
        let guards = number("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'")?;
        let missing =
            [number("SELECT count(*) FROM accounts")? == 0, number("SELECT count(*) FROM kinds WHERE code = 3")? == 0];
        match (missing, guards) {
            ([true, true], 1) => Ok(true),
            ([false, false], 2) => Ok(false),
            other => Err(format!("the repair is half done: {other:?}")),
        }
    }

    /// Checks the file of `backup`: it is complete, or missing unless the command reported success.
    fn left_backup(&self, is_done: bool) -> Result<(), String> {
        let path = self.work.join("backup.db");
        if path.exists() {
            return survey(&path, [self.before]).map(drop).map_err(|why| format!("the backup: {why}"));
        }
        if is_done { Err("there is no backup".into()) } else { Ok(()) }
    }

    /// Repeating the command without failures gives its effect exactly once.
    pub fn repeat(&self, scenario: &Scenario) -> Result<(), String> {
        let again = self.command(scenario).output().unwrap();
        let stderr = String::from_utf8_lossy(&again.stderr).into_owned();
        let ledger = Ledger::open(self.ledger()).map_err(|error| error.to_string())?;
        let is_done = (scenario.done)(&ledger);
        // A period is sealed once and an event voided once: repeating is an error that changes nothing.
        let refused = again.status.code() == Some(2) && matches!(scenario.name, "seal" | "shred" | "void");
        if !is_done || !(again.status.success() || refused) {
            return Err(format!("repeated, it ends with {} and says: {stderr}", again.status));
        }
        if requests(&ledger) != scenario.requests {
            return Err(format!("repeated, {} calls count instead of {}", requests(&ledger), scenario.requests));
        }
        drop(ledger);
        survey(&self.ledger(), scenario.has_ledger.then_some(self.before)).map(drop)
    }
}

/// Whether a process was killed by the shim or by a test.
pub fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}
