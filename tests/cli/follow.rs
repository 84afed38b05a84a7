//! `import --watch`: what agents write is in the ledger soon after they wrote it. `doctor`: what of it is safe.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use cli_support::Desk;
use serde_json::Value;

/// Far more than it takes, for a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `import --watch`, which ends with the test.
struct Following {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Following {
    /// Starts and waits until all that was there is imported.
    fn start(desk: &Desk) -> Self {
        Self::start_in(desk, &home(desk))
    }

    /// The same in a home that is named so, seen from the ledger's directory.
    fn start_in(desk: &Desk, home: &Path) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger"))
            .args(["--json", "import", "--watch", "--home"])
            .arg(home)
            .current_dir(desk.dir())
            .env_clear()
            .envs([("HOME", desk.dir()), ("USAGE_LEDGER", &desk.ledger())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut following = Self { child, said };
        following.next();
        following
    }

    /// What it says of the next import.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home(desk: &Desk) -> PathBuf {
    desk.dir().join("home")
}

fn claude(desk: &Desk) -> PathBuf {
    home(desk).join(".claude/projects/-home-me-acme")
}

fn answer(number: u32) -> String {
    format!(
        r#"{{"type":"assistant","timestamp":"2026-06-01T10:00:{number:02}.000Z","sessionId":"s1","cwd":"/home/me/acme","requestId":"req_{number}","message":{{"id":"msg_{number}","type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":50,"output_tokens":7}}}}}}"#
    )
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until a report counts so many requests.
fn wait_for(desk: &Desk, requests: u64) {
    let since = Instant::now();
    loop {
        let counted = desk.json(&["report"])["total"]["requests"].as_u64().unwrap();
        if counted == requests {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{counted} of {requests} requests after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_appended_comes_in_while_it_is_written() {
    let desk = Desk::new();
    let logs = claude(&desk);
    fs::create_dir_all(&logs).unwrap();
    let log = logs.join("s1.jsonl");
    append(&log, &format!("{}\n", answer(1)));
    let mut following = Following::start(&desk);
    wait_for(&desk, 1);
    append(&log, &format!("{}\n", answer(2)));
    let told = following.next();
    assert_eq!((&told["sources"][0]["source"], &told["sources"][0]["recorded"]), (&"claude-code".into(), &1.into()));
    wait_for(&desk, 2);
    // A line that is half written is read when it is whole.
    let third = answer(3);
    let (begin, end) = third.split_at(80);
    append(&log, begin);
    std::thread::sleep(Duration::from_millis(100));
    append(&log, &format!("{end}\n"));
    wait_for(&desk, 3);
    // Until then there is nothing to say of it.
    let told = following.next();
    assert_eq!((&told["sources"][0]["recorded"], &told["sources"][0]["skipped"]), (&1.into(), &Value::Array(vec![])));
    // So is a new log, in a directory that was made for it.
    let other = logs.join("s1/subagents");
    fs::create_dir_all(&other).unwrap();
    append(&other.join("agent-1.jsonl"), &format!("{}\n", answer(4)));
    wait_for(&desk, 4);
    drop(following);
    assert_eq!(desk.json(&["verify"])["ok"], true);
}

#[test]
fn a_home_may_be_named_from_where_one_is() {
    let desk = Desk::new();
    fs::create_dir_all(claude(&desk)).unwrap();
    let log = claude(&desk).join("s1.jsonl");
    append(&log, &format!("{}\n", answer(1)));
    let mut count = 1;
    for name in ["home", "./home", "home/.", "home/../home"] {
        let _following = Following::start_in(&desk, Path::new(name));
        wait_for(&desk, count);
        count += 1;
        append(&log, &format!("{}\n", answer(u32::try_from(count).unwrap())));
        wait_for(&desk, count);
    }
}

#[test]
fn an_agent_that_was_not_there_yet_is_found() {
    let desk = Desk::new();
    fs::create_dir_all(home(&desk)).unwrap();
    let _following = Following::start(&desk);
    fs::create_dir_all(claude(&desk)).unwrap();
    append(&claude(&desk).join("s1.jsonl"), &format!("{}\n{}\n", answer(1), answer(2)));
    wait_for(&desk, 2);
}

/// Following goes on when what it follows is replaced: by another directory of the name, or by a copy of itself.
#[test]
fn directories_that_are_replaced_are_followed_on() {
    let desk = Desk::new();
    fs::create_dir_all(claude(&desk)).unwrap();
    append(&claude(&desk).join("s1.jsonl"), &format!("{}\n", answer(1)));
    let _following = Following::start(&desk);
    wait_for(&desk, 1);
    let agent = home(&desk).join(".claude");
    fs::remove_dir_all(&agent).unwrap();
    fs::create_dir_all(claude(&desk)).unwrap();
    append(&claude(&desk).join("s2.jsonl"), &format!("{}\n", answer(2)));
    wait_for(&desk, 2);
    append(&claude(&desk).join("s2.jsonl"), &format!("{}\n", answer(3)));
    wait_for(&desk, 3);
    // Away and, as other files, back.
    let away = desk.dir().join("away");
    fs::rename(&agent, &away).unwrap();
    fs::create_dir_all(claude(&desk)).unwrap();
    fs::copy(away.join("projects/-home-me-acme/s2.jsonl"), claude(&desk).join("s2.jsonl")).unwrap();
    append(&claude(&desk).join("s2.jsonl"), &format!("{}\n", answer(4)));
    wait_for(&desk, 4);
    append(&claude(&desk).join("s2.jsonl"), &format!("{}\n", answer(5)));
    wait_for(&desk, 5);
    // A directory that is moved to where logs are.
    let moved = desk.dir().join("moved");
    fs::create_dir_all(&moved).unwrap();
    append(&moved.join("s3.jsonl"), &format!("{}\n", answer(6)));
    fs::rename(&moved, home(&desk).join(".claude/projects/moved")).unwrap();
    wait_for(&desk, 6);
    append(&home(&desk).join(".claude/projects/moved/s3.jsonl"), &format!("{}\n", answer(7)));
    wait_for(&desk, 7);
}

/// Directories are looked for every two seconds; one that comes is told of before that.
#[test]
fn an_agent_that_was_not_there_yet_is_seen_at_once() {
    use usage_ledger::import::{Follower, ImportOptions};
    let desk = Desk::new();
    fs::create_dir_all(home(&desk)).unwrap();
    let options = ImportOptions { homes: vec![home(&desk)], ..ImportOptions::default() };
    let ledger = usage_ledger::Ledger::in_memory().unwrap();
    let mut follower = Follower::new(options).unwrap();
    let now = || "2026-06-01T12:00:00Z".parse::<usage_ledger::Timestamp>().unwrap();
    follower.next(&ledger, now, Duration::ZERO).unwrap().unwrap();
    let since = Instant::now();
    fs::create_dir_all(claude(&desk)).unwrap();
    append(&claude(&desk).join("s1.jsonl"), &format!("{}\n", answer(1)));
    let mut recorded = 0;
    while recorded == 0 && since.elapsed() < Duration::from_millis(1_500) {
        let told = follower.next(&ledger, now, Duration::from_millis(100)).unwrap().unwrap_or_default();
        recorded = told.sources.iter().map(|source| source.recorded).sum();
    }
    assert_eq!(recorded, 1, "{:?}", since.elapsed());
}

#[test]
fn a_document_that_is_replaced_as_a_whole_is_read_again() {
    let desk = Desk::new();
    let threads = home(&desk).join(".local/share/amp/threads");
    fs::create_dir_all(&threads).unwrap();
    let thread =
        include_str!("../fixtures/agents/amp/.local/share/amp/threads/T-0a4d7b52-31c4-4a6e-8a1f-2b9d7c3e4f02.json");
    fs::write(threads.join("T-1.json.tmp"), thread).unwrap();
    let mut following = Following::start(&desk);
    fs::rename(threads.join("T-1.json.tmp"), threads.join("T-1.json")).unwrap();
    assert_eq!(following.next()["sources"][0]["source"], "amp");
}

/// A home with two logs of Claude Code, one of which goes in three days, and what `doctor` says of it.
fn doctored(desk: &Desk, now: &str) -> (Value, i32) {
    let home = home(desk);
    let mut command = desk.command();
    let done = command.args(["--now", now, "--json", "doctor", "--home", home.to_str().unwrap()]).output().unwrap();
    let mut found: Value = serde_json::from_slice(&done.stdout).unwrap();
    found["findings"].as_array_mut().unwrap().retain(|one| one["source"].is_string());
    (found, done.status.code().unwrap())
}

fn age(path: &Path, days: u64) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000 - days * 86_400); // 2026-06-01T00:00:00Z
    File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
}

#[test]
fn doctor_says_which_logs_go_soon_and_whether_they_are_safe() {
    let now = "2026-06-01T00:00:00Z";
    let desk = Desk::new();
    let logs = claude(&desk);
    fs::create_dir_all(&logs).unwrap();
    let (old, new) = (logs.join("old.jsonl"), logs.join("new.jsonl"));
    append(&old, &format!("{}\n\"usage\" is no line of it\n", answer(1)));
    append(&new, &format!("{}\n", answer(2)));
    age(&old, 27);
    age(&new, 2);
    let (found, code) = doctored(&desk, now);
    let agent = &found["logs"][0];
    assert_eq!((&agent["source"], &agent["files"], &agent["unread"]), (&"claude-code".into(), &2.into(), &2.into()));
    assert_eq!(agent["going"].as_array().unwrap().len(), 1);
    assert_eq!(agent["going"][0]["file"], old.to_str().unwrap());
    assert_eq!(
        (&agent["going"][0]["from"], &agent["going"][0]["safe"]),
        (&"2026-06-04T00:00:00.000Z".into(), &false.into())
    );
    assert_eq!((&found["findings"][0]["source"], code), (&"claude-code".into(), 1));
    assert_eq!(found["findings"][0]["remedy"], "usage-ledger import claude-code");
    desk.ok(&["--now", now, "import", "--home", home(&desk).to_str().unwrap()]);
    let (found, _) = doctored(&desk, now);
    let agent = &found["logs"][0];
    assert_eq!((&agent["unread"], &agent["going"][0]["safe"]), (&0.into(), &true.into()));
    assert_eq!((&agent["skipped"], &agent["skipped_in"][0]), (&1.into(), &old.to_str().unwrap().into()));
    assert_eq!(found["findings"], Value::Array(vec![]));
    // A log that was only touched says nothing new; one that went on does; and one that is gone is safe.
    age(&old, 26);
    assert_eq!(doctored(&desk, now).0["logs"][0]["going"][0]["safe"], true);
    append(&old, &format!("{}\n", answer(3)));
    age(&old, 26);
    assert_eq!(doctored(&desk, now).0["logs"][0]["going"][0]["safe"], false);
    fs::remove_file(&old).unwrap();
    let agent = &doctored(&desk, now).0["logs"][0];
    assert_eq!((&agent["files"], &agent["gone"]), (&1.into(), &1.into()));
    // The agent's own setting counts.
    fs::write(home(&desk).join(".claude/settings.json"), r#"{"cleanupPeriodDays": 5}"#).unwrap();
    let agent = &doctored(&desk, now).0["logs"][0];
    assert_eq!((&agent["deleted_after_days"], &agent["going"][0]["safe"]), (&5.into(), &true.into()));
}

#[test]
fn doctor_says_which_documents_an_import_cannot_read() {
    let desk = Desk::new();
    let threads = home(&desk).join(".local/share/amp/threads");
    let packed = home(&desk).join(".codex/sessions/2026/06/01");
    for directory in [&threads, &packed] {
        fs::create_dir_all(directory).unwrap();
    }
    let (torn, cut) = (threads.join("T-1.json"), packed.join("rollout-x.jsonl.zst"));
    fs::write(&torn, r#"{"id":"T-1","messages":["#).unwrap();
    fs::write(&cut, "no frame of it").unwrap();
    fs::write(threads.join("T-2.json"), r#"{"id":"T-2","messages":[]}"#).unwrap();
    // An import takes nothing of them, and does not forget that.
    for _ in 0..2 {
        let (found, _) = doctored(&desk, "2026-06-01T00:00:00Z");
        let mut unreadable: Vec<_> = found["logs"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|agent| agent["unreadable"].as_array().unwrap())
            .map(|one| one["file"].as_str().unwrap())
            .collect();
        unreadable.sort_unstable();
        assert_eq!(unreadable, [cut.to_str().unwrap(), torn.to_str().unwrap()], "{found}");
        desk.command().args(["import", "--home", home(&desk).to_str().unwrap()]).assert().code(1);
    }
}

#[cfg(unix)]
#[test]
fn doctor_says_which_logs_it_cannot_read() {
    let desk = Desk::new();
    fs::create_dir_all(claude(&desk)).unwrap();
    // A link to itself can be read by nobody, not even by root.
    let log = claude(&desk).join("s1.jsonl");
    std::os::unix::fs::symlink(&log, &log).unwrap();
    let (found, code) = doctored(&desk, "2026-06-01T00:00:00Z");
    assert_eq!(found["logs"][0]["unreadable"][0]["file"], log.to_str().unwrap(), "{found}");
    assert_eq!((found["findings"].as_array().unwrap().len(), code), (1, 1));
}

#[test]
fn doctor_says_why_lines_were_skipped_and_finds_answers_without_counts() {
    let now = "2026-06-01T00:00:00Z";
    let desk = Desk::new();
    fs::create_dir_all(claude(&desk)).unwrap();
    append(&claude(&desk).join("s1.jsonl"), &format!("{}\n\"usage\" is no line of it\n", answer(1)));
    let codex = home(&desk).join(".codex/sessions/2026/05/31");
    fs::create_dir_all(&codex).unwrap();
    let line = |kind: &str, payload: &str| {
        format!("{{\"timestamp\":\"2026-05-31T10:00:00Z\",\"type\":\"{kind}\",\"payload\":{payload}}}\n")
    };
    let said = [
        line("session_meta", r#"{"id":"own","cwd":"/work","cli_version":"0.31.0"}"#),
        line("response_item", r#"{"type":"message","role":"assistant","content":[]}"#),
        line("event_msg", r#"{"type":"task_complete"}"#),
    ];
    append(&codex.join("rollout-1.jsonl"), &said.concat());
    desk.ok(&["--now", now, "import", "--home", home(&desk).to_str().unwrap()]);
    let (found, code) = doctored(&desk, now);
    let why = "answers without token counts, written by Codex 0.31.0";
    assert_eq!(found["logs"][0]["reasons"][0]["line"], 2, "{found}");
    assert_eq!(found["logs"][1]["reasons"][0]["why"], why);
    let findings = found["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[0]["source"], code), (1, &"codex".into(), 1));
    assert!(findings[0]["what"].as_str().unwrap().contains(why), "{found}");
    let done = desk.command().args(["--now", now, "doctor", "--home", home(&desk).to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(text.contains("s1.jsonl line 2: ") && !text.contains("--kind imported"), "{text}");
    // Counts that come take it back.
    let usage = r#"{"input_tokens":100,"cached_input_tokens":60,"output_tokens":10,"total_tokens":110}"#;
    let info = format!(r#"{{"total_token_usage":{usage},"last_token_usage":{usage}}}"#);
    let told = line("event_msg", &format!(r#"{{"type":"token_count","info":{info}}}"#));
    append(&codex.join("rollout-1.jsonl"), &told);
    desk.ok(&["--now", now, "import", "--home", home(&desk).to_str().unwrap()]);
    assert_eq!(doctored(&desk, now).0["findings"], Value::Array(vec![]));
}
