//! A first import creates a complete ledger or none, in all circumstances.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg(feature = "cli")]

use crate::cli_support;
use crate::corpus;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use cli_support::TestCli;
use corpus::Options;
use corpus::check::{assert_truth, now};
use corpus::truth::Truth;
use usage_ledger::import::{self, ImportOptions};
use usage_ledger::internals;
use usage_ledger::{Ledger, TokenRecord};

/// Logs in a separate home.
fn logs(seed: u64) -> (tempfile::TempDir, Truth) {
    let home = tempfile::tempdir().unwrap();
    let truth = Options::small(seed).write(home.path());
    (home, truth)
}

fn options(home: &Path) -> ImportOptions {
    ImportOptions::new().homes([home.to_owned()])
}

fn names(cli: &TestCli) -> Vec<String> {
    let entries = std::fs::read_dir(cli.dir()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_first_import_equals_a_later_one() {
    let ((home, truth), cli) = (logs(21), TestCli::new());
    let first = internals::import::first(&cli.ledger(), &options(home.path()), now(), &mut |_| {}).unwrap().unwrap();
    assert_eq!(names(&cli), ["usage.db"]);
    let made = Ledger::open(cli.ledger()).unwrap();
    assert_truth("made at once", &made, &truth);
    assert!(made.verify().unwrap().ok);

    let other = Ledger::open(cli.dir().join("other.db")).unwrap();
    let usual = import::run(&other, &options(home.path()), now(), &mut |_| {}).unwrap();
    assert_eq!(first, usual);
    assert_eq!(made.head().unwrap().position, other.head().unwrap().position);

    assert!(internals::import::first(&cli.ledger(), &options(home.path()), now(), &mut |_| {}).unwrap().is_none());
    let again = import::run(&made, &options(home.path()), now(), &mut |_| {}).unwrap();
    assert!(again.sources.iter().all(|source| source.bytes == 0 && source.recorded == 0));
}

#[test]
fn a_killed_first_import_leaves_no_ledger_and_the_next_one_is_complete() {
    let ((home, truth), cli) = (logs(22), TestCli::new());
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usage-ledger"));
        command.arg("--ledger").arg(cli.ledger()).args(["import", "--home"]).arg(home.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let began = Instant::now();
    assert!(start().wait().unwrap().success());
    let whole = began.elapsed();
    let mut killed = 0;
    for part in 1..20 {
        let _ = std::fs::remove_file(cli.ledger());
        let mut child = start();
        std::thread::sleep(whole * part / 20);
        child.kill().unwrap();
        child.wait().unwrap();
        killed += u32::from(!cli.ledger().exists());
        if cli.ledger().exists() {
            assert_truth("not killed", &Ledger::open(cli.ledger()).unwrap(), &truth);
        }
    }
    assert!(killed > 0, "none was killed");
    let _ = std::fs::remove_file(cli.ledger());
    // Their drafts are removed once there is a ledger.
    cli.ok(&["import", "--home", home.path().to_str().unwrap()]);
    assert_eq!(names(&cli), ["usage.db"]);
    let ledger = Ledger::open(cli.ledger()).unwrap();
    assert_truth("after kills", &ledger, &truth);
    assert!(ledger.verify().unwrap().ok);
}

/// Where the memory of a process is so small that no further thread starts.
#[cfg(target_os = "linux")]
#[test]
fn an_import_without_room_for_threads_ends_with_an_error() {
    const STEP: u32 = 500;
    let ((home, truth), cli) = (logs(22), TestCli::new());
    let run = |kilobytes: u32, arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &kilobytes.to_string()]);
        command.arg(env!("CARGO_BIN_EXE_usage-ledger")).arg("--ledger").arg(cli.ledger()).args(arguments);
        command.output().unwrap()
    };
    let least = (1_u32..).map(|part| part * 5_000).find(|limit| run(*limit, &["--version"]).status.success()).unwrap();
    let import = ["import", "--home", home.path().to_str().unwrap()];
    let mut refused = 0;
    for limit in (0..).map(|part| least + part * STEP) {
        let done = run(limit, &import);
        let said = String::from_utf8_lossy(&done.stderr);
        // The standard library panics where a thread that started has no memory for its signal stack.
        assert!(!said.contains("panicked") || said.contains("alternative stack"), "{limit} KB: {said}");
        refused += u32::from(done.status.code() == Some(3) && said.contains("no further thread can be started"));
        // The memory may end behind the last step of the import.
        if cli.ledger().exists() {
            assert_truth(&format!("{limit} KB"), &Ledger::open(cli.ledger()).unwrap(), &truth);
            std::fs::remove_file(cli.ledger()).unwrap();
        }
        if done.status.success() {
            break;
        }
    }
    assert!(refused > 0, "each thread was started");
}

#[test]
fn a_ledger_created_meanwhile_is_not_replaced() {
    let ((home, truth), cli) = (logs(23), TestCli::new());
    let call = TokenRecord::new("openai", "gpt-5").input(7).key("meanwhile");
    let mut progressed = false;
    let first = internals::import::first(&cli.ledger(), &options(home.path()), now(), &mut |_| {
        if !std::mem::replace(&mut progressed, true) {
            Ledger::open(cli.ledger()).unwrap().record(call.clone(), now()).unwrap();
        }
    });
    assert!(first.unwrap().is_none());
    assert!(!names(&cli).iter().any(|name| name.ends_with(".draft")), "{:?}", names(&cli));
    let ledger = Ledger::open(cli.ledger()).unwrap();
    assert_eq!(ledger.head().unwrap().position.get(), 1);
    import::run(&ledger, &options(home.path()), now(), &mut |_| {}).unwrap();
    let requests = ledger.report(&usage_ledger::Report::by_all(vec![])).unwrap().total.requests;
    assert_eq!(requests, truth.total().requests + 1);
}

#[test]
fn shredding_also_erases_the_draft_of_a_killed_import() {
    let ((home, _), cli) = (logs(24), TestCli::new());
    cli.ok(&["import", "--home", home.path().to_str().unwrap()]);
    let draft = cli.dir().join(format!("usage.db.{}.draft", "0".repeat(32)));
    std::fs::copy(cli.ledger(), &draft).unwrap();
    let project = cli.json(&["report", "--by", "project"])["rows"][0]["project"].as_str().unwrap().to_owned();
    cli.ok(&["shred", "--project", &project, "--reason", "test"]);
    assert!(!draft.exists());
}

#[cfg(unix)]
#[test]
fn a_path_with_sqlite_syntax_is_a_plain_file_name() {
    let (home, _) = logs(25);
    let cli = TestCli::new();
    for name in [":memory:", "file:usage.db", "file:usage.db?mode=memory"] {
        let import = || {
            let mut command = cli.command();
            command.current_dir(cli.dir()).args(["--ledger", name, "import", "claude-code", "--home"]);
            let done = command.arg(home.path()).assert().success();
            String::from_utf8(done.get_output().stdout.clone()).unwrap()
        };
        assert!(!import().contains(" 0 recorded"));
        assert!(cli.dir().join(name).exists(), "{name}: {:?}", names(&cli));
        assert!(import().contains(" 0 recorded"));
    }
}

#[test]
fn a_failed_first_import_leaves_nothing() {
    let cli = TestCli::new();
    let missing = cli.dir().join("nowhere");
    let failed = internals::import::first(&cli.ledger(), &options(&missing), now(), &mut |_| {});
    assert!(failed.is_err());
    assert_eq!(names(&cli), [""; 0]);
}
