//! Many processes that record at the same time, as the hooks of many agents do.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use usage_ledger::Ledger;

use crate::survey::{requests, survey};

const PROCESSES: u64 = 64;

/// `RELIABILITY_CROWD_SECONDS` sets how long, `RELIABILITY_P99_MS` the longest 99th percentile of a call that passes. Without
/// it only the loss of a call fails: how long a call takes depends on the machine.
#[test]
fn processes_that_record_together_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("usage.db");
    let lasting = Duration::from_secs(crate::setting("RELIABILITY_CROWD_SECONDS", 2));
    let (keys, times) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for process in 0..PROCESSES {
            let (keys, times, path, home) = (&keys, &times, &path, scratch.path());
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{process}-{number}");
                    let mut command = Command::new(crate::program());
                    command.env_clear().env("HOME", home).env("USAGE_LEDGER", path).env("TZ", "UTC");
                    command.args(["record", "--provider", "openai", "--input", "1", "--key", &key]);
                    let called = Instant::now();
                    let done = command.output().unwrap();
                    let took = called.elapsed();
                    let said = String::from_utf8_lossy(&done.stderr);
                    assert!(done.status.success(), "record {key} ends with {}: {said}", done.status);
                    keys.lock().unwrap().push(key);
                    times.lock().unwrap().push(took);
                    if began.elapsed() >= lasting {
                        break;
                    }
                }
            });
        }
    });
    let whole = began.elapsed();
    let (keys, mut times) = (keys.into_inner().unwrap(), times.into_inner().unwrap());
    survey(&path, []).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(requests(&ledger), keys.len() as u64);
    let snapshot = ledger.snapshot().unwrap();
    for key in &keys {
        assert!(snapshot.find("openai", key).unwrap().is_some(), "the call {key} was acknowledged and is not there");
    }
    times.sort_unstable();
    let part = |percent: usize| times[(times.len() - 1) * percent / 100];
    let (half, most, last) = (part(50), part(99), part(100));
    eprintln!(
        "{} calls of {PROCESSES} processes in {whole:.1?}: p50 {half:?}, p99 {most:?}, longest {last:?}",
        keys.len()
    );
    let limit = Duration::from_millis(crate::setting("RELIABILITY_P99_MS", u64::MAX));
    assert!(most <= limit, "the 99th percentile of a call is {most:?}");
}
