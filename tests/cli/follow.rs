//! `import --watch` imports what agents write; `doctor` reports what is imported.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use cli_support::TestCli;
use serde_json::Value;

/// A generous timeout for busy machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `import --watch`, which ends with the test.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    /// Starts, and waits until all existing logs are imported.
    fn start(cli: &TestCli) -> Self {
        Self::start_in(cli, &home(cli))
    }

    /// The same with a relative path to the home.
    fn start_in(cli: &TestCli, home: &Path) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["--json", "import", "--watch", "--home"])
            .arg(home)
            .current_dir(cli.dir())
            .env_clear()
            .envs([("HOME", cli.dir()), ("USAGE_LEDGER", &cli.ledger())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut following = Self { child, lines };
        following.next();
        following
    }

    /// The report of the next import.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home(cli: &TestCli) -> PathBuf {
    cli.dir().join("home")
}

fn claude(cli: &TestCli) -> PathBuf {
    home(cli).join(".claude/projects/-home-me-acme")
}

fn answer(number: u32) -> String {
    format!(
        r#"{{"type":"assistant","timestamp":"2026-06-01T10:00:{number:02}.000Z","sessionId":"s1","cwd":"/home/me/acme","requestId":"req_{number}","message":{{"id":"msg_{number}","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":50,"output_tokens":7}}}}}}"#
    )
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until a report counts a number of requests.
fn wait_for(cli: &TestCli, requests: u64) {
    let since = Instant::now();
    loop {
        let counted = cli.json(&["report"])["total"]["requests"].as_u64().unwrap();
        if counted == requests {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{counted} of {requests} requests after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn lines_are_imported_while_the_agent_writes_them() {
    let cli = TestCli::new();
    let logs = claude(&cli);
    fs::create_dir_all(&logs).unwrap();
    let log = logs.join("s1.jsonl");
    append(&log, &format!("{}\n", answer(1)));
    let mut following = Following::start(&cli);
    wait_for(&cli, 1);
    append(&log, &format!("{}\n", answer(2)));
    let report = following.next();
    assert_eq!(
        (&report["sources"][0]["source"], &report["sources"][0]["recorded"]),
        (&"claude-code".into(), &1.into())
    );
    wait_for(&cli, 2);
    // A partial line is read when it is complete: a call that another log states later is reported before.
    let third = answer(3);
    let (begin, end) = third.split_at(80);
    append(&log, begin);
    append(&logs.join("s2.jsonl"), &format!("{}\n", answer(5)));
    let only_one = |report: &Value| {
        let source = &report["sources"][0];
        assert_eq!((&source["recorded"], &source["skipped"]), (&1.into(), &Value::Array(vec![])));
    };
    only_one(&following.next());
    wait_for(&cli, 3);
    append(&log, &format!("{end}\n"));
    only_one(&following.next());
    wait_for(&cli, 4);
    // A new log in a new directory is read.
    let other = logs.join("s1/subagents");
    fs::create_dir_all(&other).unwrap();
    append(&other.join("agent-1.jsonl"), &format!("{}\n", answer(4)));
    wait_for(&cli, 5);
    drop(following);
    assert_eq!(cli.json(&["verify"])["ok"], true);
}

#[test]
fn home_may_be_a_relative_path() {
    let cli = TestCli::new();
    fs::create_dir_all(claude(&cli)).unwrap();
    let log = claude(&cli).join("s1.jsonl");
    append(&log, &format!("{}\n", answer(1)));
    let mut count = 1;
    for name in ["home", "./home", "home/.", "home/../home"] {
        let _following = Following::start_in(&cli, Path::new(name));
        wait_for(&cli, count);
        count += 1;
        append(&log, &format!("{}\n", answer(u32::try_from(count).unwrap())));
        wait_for(&cli, count);
    }
}

#[test]
fn an_agent_installed_while_following_is_detected() {
    let cli = TestCli::new();
    fs::create_dir_all(home(&cli)).unwrap();
    let _following = Following::start(&cli);
    fs::create_dir_all(claude(&cli)).unwrap();
    append(&claude(&cli).join("s1.jsonl"), &format!("{}\n{}\n", answer(1), answer(2)));
    wait_for(&cli, 2);
}

/// Following continues when a directory is replaced by another one, or by a copy.
#[test]
fn replaced_directories_are_still_followed() {
    let cli = TestCli::new();
    fs::create_dir_all(claude(&cli)).unwrap();
    append(&claude(&cli).join("s1.jsonl"), &format!("{}\n", answer(1)));
    let _following = Following::start(&cli);
    wait_for(&cli, 1);
    let agent = home(&cli).join(".claude");
    fs::remove_dir_all(&agent).unwrap();
    fs::create_dir_all(claude(&cli)).unwrap();
    append(&claude(&cli).join("s2.jsonl"), &format!("{}\n", answer(2)));
    wait_for(&cli, 2);
    append(&claude(&cli).join("s2.jsonl"), &format!("{}\n", answer(3)));
    wait_for(&cli, 3);
    // Moved away, and restored as other files.
    let away = cli.dir().join("away");
    fs::rename(&agent, &away).unwrap();
    fs::create_dir_all(claude(&cli)).unwrap();
    fs::copy(away.join("projects/-home-me-acme/s2.jsonl"), claude(&cli).join("s2.jsonl")).unwrap();
    append(&claude(&cli).join("s2.jsonl"), &format!("{}\n", answer(4)));
    wait_for(&cli, 4);
    append(&claude(&cli).join("s2.jsonl"), &format!("{}\n", answer(5)));
    wait_for(&cli, 5);
    // A directory that is moved to a place of logs.
    let moved = cli.dir().join("moved");
    fs::create_dir_all(&moved).unwrap();
    append(&moved.join("s3.jsonl"), &format!("{}\n", answer(6)));
    fs::rename(&moved, home(&cli).join(".claude/projects/moved")).unwrap();
    wait_for(&cli, 6);
    append(&home(&cli).join(".claude/projects/moved/s3.jsonl"), &format!("{}\n", answer(7)));
    wait_for(&cli, 7);
}

/// Directories are polled every two seconds; a notification reports a new one earlier.
#[test]
fn an_agent_installed_while_following_is_detected_by_notification() {
    use usage_ledger::import::{Follower, ImportOptions};
    let cli = TestCli::new();
    fs::create_dir_all(home(&cli)).unwrap();
    let options = ImportOptions::new().homes([home(&cli)]);
    let ledger = usage_ledger::Ledger::in_memory().unwrap();
    let mut follower = Follower::new(options).unwrap();
    let now = || "2026-06-01T12:00:00Z".parse::<usage_ledger::Timestamp>().unwrap();
    follower.next(&ledger, now, Duration::ZERO).unwrap().unwrap();
    let since = Instant::now();
    fs::create_dir_all(claude(&cli)).unwrap();
    append(&claude(&cli).join("s1.jsonl"), &format!("{}\n", answer(1)));
    let mut recorded = 0;
    while recorded == 0 && since.elapsed() < Duration::from_millis(1_500) {
        let events = follower.next(&ledger, now, Duration::from_millis(100)).unwrap().unwrap_or_default();
        recorded = events.sources.iter().map(|source| source.recorded).sum();
    }
    assert_eq!(recorded, 1, "{:?}", since.elapsed());
}

#[test]
fn a_replaced_document_is_read_again() {
    let cli = TestCli::new();
    let threads = home(&cli).join(".local/share/amp/threads");
    fs::create_dir_all(&threads).unwrap();
    let thread =
        include_str!("../fixtures/agents/amp/.local/share/amp/threads/T-0a4d7b52-31c4-4a6e-8a1f-2b9d7c3e4f02.json");
    fs::write(threads.join("T-1.json.tmp"), thread).unwrap();
    let mut following = Following::start(&cli);
    fs::rename(threads.join("T-1.json.tmp"), threads.join("T-1.json")).unwrap();
    assert_eq!(following.next()["sources"][0]["source"], "amp");
}

/// A home with two logs of Claude Code, one of which expires in three days, and the report of `doctor`.
fn doctored(cli: &TestCli, now: &str) -> (Value, i32) {
    let home = home(cli);
    let mut command = cli.command();
    let done = command.args(["--now", now, "--json", "doctor", "--home", home.to_str().unwrap()]).output().unwrap();
    let mut report: Value = serde_json::from_slice(&done.stdout).unwrap();
    report["findings"].as_array_mut().unwrap().retain(|one| one["source"].is_string());
    (report, done.status.code().unwrap())
}

fn age(path: &Path, days: u64) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000 - days * 86_400); // 2026-06-01T00:00:00Z
    File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
}

#[test]
fn doctor_reports_logs_that_expire_soon_and_whether_they_are_imported() {
    let now = "2026-06-01T00:00:00Z";
    let cli = TestCli::new();
    let logs = claude(&cli);
    fs::create_dir_all(&logs).unwrap();
    let (old, new) = (logs.join("old.jsonl"), logs.join("new.jsonl"));
    append(&old, &format!("{}\n\"usage\" is no line of it\n", answer(1)));
    append(&new, &format!("{}\n", answer(2)));
    age(&old, 27);
    age(&new, 2);
    let (report, code) = doctored(&cli, now);
    let agent = &report["logs"][0];
    assert_eq!((&agent["source"], &agent["files"], &agent["unread"]), (&"claude-code".into(), &2.into(), &2.into()));
    assert_eq!(agent["going"].as_array().unwrap().len(), 1);
    assert_eq!(agent["going"][0]["file"], old.to_str().unwrap());
    assert_eq!(
        (&agent["going"][0]["from"], &agent["going"][0]["safe"]),
        (&"2026-06-04T00:00:00.000Z".into(), &false.into())
    );
    assert_eq!((&report["findings"][0]["source"], code), (&"claude-code".into(), 1));
    assert_eq!(report["findings"][0]["remedy"], "usage-ledger import claude-code");
    cli.ok(&["--now", now, "import", "--home", home(&cli).to_str().unwrap()]);
    let (report, _) = doctored(&cli, now);
    let agent = &report["logs"][0];
    assert_eq!((&agent["unread"], &agent["going"][0]["safe"]), (&0.into(), &true.into()));
    assert_eq!((&agent["skipped"], &agent["skipped_in"][0]), (&1.into(), &old.to_str().unwrap().into()));
    let what = report["findings"][0]["what"].as_str().unwrap_or_default();
    assert!(
        what.contains("old.jsonl line 2: torn line"),
        "the logs are safe, and a line of one was not read: {report}"
    );
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    // A touched log has nothing new, a grown one has, and a deleted one is safe.
    age(&old, 26);
    assert_eq!(doctored(&cli, now).0["logs"][0]["going"][0]["safe"], true);
    append(&old, &format!("{}\n", answer(3)));
    age(&old, 26);
    assert_eq!(doctored(&cli, now).0["logs"][0]["going"][0]["safe"], false);
    fs::remove_file(&old).unwrap();
    let agent = &doctored(&cli, now).0["logs"][0];
    assert_eq!((&agent["files"], &agent["gone"]), (&1.into(), &1.into()));
    // The agent's own setting applies.
    fs::write(home(&cli).join(".claude/settings.json"), r#"{"cleanupPeriodDays": 5}"#).unwrap();
    let agent = &doctored(&cli, now).0["logs"][0];
    assert_eq!((&agent["deleted_after_days"], &agent["going"][0]["safe"]), (&5.into(), &true.into()));
}

#[test]
fn doctor_reports_unreadable_documents() {
    let cli = TestCli::new();
    let threads = home(&cli).join(".local/share/amp/threads");
    let packed = home(&cli).join(".codex/sessions/2026/06/01");
    for directory in [&threads, &packed] {
        fs::create_dir_all(directory).unwrap();
    }
    let (torn, cut) = (threads.join("T-1.json"), packed.join("rollout-x.jsonl.zst"));
    fs::write(&torn, r#"{"id":"T-1","messages":["#).unwrap();
    fs::write(&cut, "no frame of it").unwrap();
    fs::write(threads.join("T-2.json"), r#"{"id":"T-2","messages":[]}"#).unwrap();
    // An import reads none of these lines, and keeps reporting them.
    for _ in 0..2 {
        let (report, _) = doctored(&cli, "2026-06-01T00:00:00Z");
        let mut unreadable: Vec<_> = report["logs"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|agent| agent["unreadable"].as_array().unwrap())
            .map(|one| one["file"].as_str().unwrap())
            .collect();
        unreadable.sort_unstable();
        assert_eq!(unreadable, [cut.to_str().unwrap(), torn.to_str().unwrap()], "{report}");
        // Both can be opened, so another user would not help.
        let findings = report["findings"].as_array().unwrap();
        assert!(findings.iter().all(|finding| !finding["remedy"].as_str().unwrap().contains("this user")), "{report}");
        cli.command().args(["import", "--home", home(&cli).to_str().unwrap()]).assert().code(1);
    }
}

#[cfg(unix)]
#[test]
fn doctor_reports_unreadable_logs() {
    let cli = TestCli::new();
    fs::create_dir_all(claude(&cli)).unwrap();
    // A link to itself is unreadable, even for root.
    let log = claude(&cli).join("s1.jsonl");
    std::os::unix::fs::symlink(&log, &log).unwrap();
    let (report, code) = doctored(&cli, "2026-06-01T00:00:00Z");
    assert_eq!(report["logs"][0]["unreadable"][0]["file"], log.to_str().unwrap(), "{report}");
    assert_eq!((report["findings"].as_array().unwrap().len(), code), (1, 1));
}

#[test]
fn doctor_reports_skip_reasons_and_replies_without_usage() {
    let now = "2026-06-01T00:00:00Z";
    let cli = TestCli::new();
    fs::create_dir_all(claude(&cli)).unwrap();
    append(&claude(&cli).join("s1.jsonl"), &format!("{}\n\"usage\" is no line of it\n", answer(1)));
    let codex = home(&cli).join(".codex/sessions/2026/05/31");
    fs::create_dir_all(&codex).unwrap();
    let line = |kind: &str, payload: &str| {
        format!("{{\"timestamp\":\"2026-05-31T10:00:00Z\",\"type\":\"{kind}\",\"payload\":{payload}}}\n")
    };
    let lines = [
        line("session_meta", r#"{"id":"own","cwd":"/work","cli_version":"0.31.0"}"#),
        line("response_item", r#"{"type":"message","role":"assistant","content":[]}"#),
        line("event_msg", r#"{"type":"task_complete"}"#),
    ];
    append(&codex.join("rollout-1.jsonl"), &lines.concat());
    cli.ok(&["--now", now, "import", "--home", home(&cli).to_str().unwrap()]);
    let (report, code) = doctored(&cli, now);
    let why = "answers without token counts, written by Codex 0.31.0";
    assert_eq!(report["logs"][0]["reasons"][0]["line"], 2, "{report}");
    assert_eq!(report["logs"][1]["reasons"][0]["why"], why);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[1]["source"], code), (2, &"codex".into(), 1));
    assert!(findings[0]["what"].as_str().unwrap().contains("s1.jsonl line 2: torn line"), "{report}");
    assert!(findings[1]["what"].as_str().unwrap().contains(why), "{report}");
    let done = cli.command().args(["--now", now, "doctor", "--home", home(&cli).to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(text.contains("s1.jsonl line 2: ") && !text.contains("--kind imported"), "{text}");
    // Counts that arrive later withdraw the report.
    let usage = r#"{"input_tokens":100,"cached_input_tokens":60,"output_tokens":10,"total_tokens":110}"#;
    let info = format!(r#"{{"total_token_usage":{usage},"last_token_usage":{usage}}}"#);
    let counted_line = line("event_msg", &format!(r#"{{"type":"token_count","info":{info}}}"#));
    append(&codex.join("rollout-1.jsonl"), &counted_line);
    cli.ok(&["--now", now, "import", "--home", home(&cli).to_str().unwrap()]);
    let left = doctored(&cli, now).0;
    let left: Vec<_> = left["findings"].as_array().unwrap().iter().map(|finding| &finding["source"]).collect();
    assert_eq!(left, ["claude-code"]);
}

#[test]
fn doctor_finds_calls_whose_time_cannot_be_read_and_waits_for_a_line_that_is_written() {
    let now = "2026-06-03T00:00:00Z";
    let cli = TestCli::new();
    fs::create_dir_all(claude(&cli)).unwrap();
    let import = || cli.ok(&["--now", now, "import", "--home", home(&cli).to_str().unwrap()]);
    cli.ok(&["--now", "2026-06-01T00:00:00Z", "limit", "set", "anthropic", "--session", "1000000"]);
    let whole = answer(2);
    append(&claude(&cli).join("s1.jsonl"), &format!("{}\n{}", answer(1), &whole[..whole.len() - 20]));
    import();
    assert_eq!(doctored(&cli, now).0["findings"], Value::Array(vec![]));
    append(&claude(&cli).join("s1.jsonl"), &format!("{}\n", &whole[whole.len() - 20..]));
    import();
    assert_eq!((doctored(&cli, now).0["findings"].clone(), doctored(&cli, now).1), (Value::Array(vec![]), 0));
    let spelled = answer(3).replacen('T', " ", 1).replacen("Z\"", "\"", 1);
    append(&claude(&cli).join("s2.jsonl"), &format!("{spelled}\n"));
    import();
    let (report, code) = doctored(&cli, now);
    let what = report["findings"][0]["what"].as_str().unwrap_or_default();
    assert!(what.contains("1 skipped line may contain tokens") && what.contains("unreadable timestamp"), "{report}");
    assert_eq!(code, 1);
}
