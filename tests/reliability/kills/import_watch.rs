//! `import --watch` while an agent writes its logs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use usage_ledger::Ledger;

use crate::corpus::rng::Rng;
use crate::scenario::was_killed;
use crate::shim::{Shim, WRITES};
use crate::survey::{Acknowledged, requests, state, survey};
use crate::worker::{at, import_all, logged};

/// How long the test waits for an answer before the agent writes again.
const PACE: Duration = Duration::from_millis(200);

/// Adds calls to one of the logs, in two writes: an importer may see half a line.
fn write_calls(home: &Path, from: u64, calls: u64) {
    let mut text = String::new();
    for call in from..from + calls {
        writeln!(
            text,
            r#"{{"type":"assistant","timestamp":"{}","sessionId":"s-{}","cwd":"/work","requestId":"req_{call}","message":{{"id":"msg_{call}","type":"message","role":"assistant","model":"claude-opus-4-5","usage":{{"input_tokens":{call},"output_tokens":7}}}}}}"#,
            at(call),
            from % 3,
        )
        .unwrap();
    }
    let log = home.join(".claude/projects/-work").join(format!("session-{}.jsonl", from % 3));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let (first, rest) = text.as_bytes().split_at(text.len() / 3);
    file.write_all(first).unwrap();
    file.write_all(rest).unwrap();
}

/// The records that an answer reports as recorded.
fn recorded(answer: &Value) -> u64 {
    answer["sources"].as_array().unwrap().iter().map(|source| source["recorded"].as_u64().unwrap()).sum()
}

pub fn kill_while_following(kills: u64, rng: &mut Rng) {
    let scratch = tempfile::tempdir().unwrap();
    let (files, home) = (scratch.path().join("files"), scratch.path().join("home"));
    std::fs::create_dir(&files).unwrap();
    std::fs::create_dir_all(home.join(".claude/projects/-work")).unwrap();
    let path = files.join("usage.db");
    let mut known: Vec<Acknowledged> = Vec::new();
    let (mut written, mut reported, mut killed) = (0, 0, 0);
    for round in 0..kills {
        let mut command = Command::new(crate::program());
        command.env_clear().env("HOME", scratch.path()).env("USAGE_LEDGER", &path).env("TZ", "UTC");
        command.args(["--json", "import", "claude-code", "--watch", "--home"]).arg(&home);
        // Half the kills are at a system call, half after so many answers.
        let by_call = round % 2 == 0;
        let (number, way, goal) = (rng.between(1, 120), super::kill(rng), rng.between(1, 5));
        if by_call {
            Shim::new(&files, scratch.path()).at(WRITES, number, way).apply(&mut command);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (send, answers) = mpsc::channel();
        let reading = std::thread::spawn(move || {
            // The last answer may be cut off: it reports nothing.
            for answer in serde_json::Deserializer::from_reader(out).into_iter::<Value>().map_while(Result::ok) {
                let _ = send.send(recorded(&answer));
            }
        });
        let (began, mut seen) = (Instant::now(), 0);
        while child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < super::PATIENCE, "round {round}: {way:?} at call {number} was never reached");
            let calls = rng.between(1, 4);
            write_calls(&home, written, calls);
            written += calls;
            if let Ok(more) = answers.recv_timeout(PACE) {
                reported += more;
                seen += 1;
            }
            if !by_call && seen >= goal {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        killed += u64::from(was_killed(child.wait().unwrap()));
        reading.join().unwrap();
        reported += answers.try_iter().sum::<u64>();
        if !path.exists() {
            assert_eq!(reported, 0, "the ledger is gone");
            continue;
        }
        if let Err(why) = survey(&path, known.iter().copied()) {
            panic!("round {round}, {way:?} at call {number}: {why}");
        }
        let ledger = Ledger::open(&path).unwrap();
        let stored = requests(&ledger);
        assert!(stored >= reported, "round {round}: {reported} calls were reported, {stored} are there");
        // What a killed process stored and did not report any more counts as known from here on.
        reported = stored;
        known.push(state(&ledger).unwrap());
    }
    let ledger = Ledger::open(&path).unwrap();
    import_all(&ledger, &home);
    let logged = logged(&home).len() as u64;
    assert_eq!((requests(&ledger), logged), (written, written), "each call of the logs counts once");
    eprintln!("{killed} imports were killed; all of {written} calls are there, each once");
    assert_eq!(killed, kills);
}
