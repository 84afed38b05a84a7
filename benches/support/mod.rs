//! Payloads and yardsticks that the benchmarks share.
//!
//! An event here is what a coding agent's call looks like without the provider's own object: two providers, five models,
//! 25 projects, a conversation every 150 calls, one call a second, about 385 bytes a line.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use usage_ledger::event::NewEvent;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

/// When the first event happened, in milliseconds.
const START: i64 = 1_780_000_000_000;

pub fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

pub fn event(number: u64) -> NewEvent {
    let models =
        ["claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "gpt-5-codex", "gpt-5", "claude-haiku-4-5-20251001"];
    let model = (number * 7_919 % 5) as usize;
    let (provider, agent) = if model == 2 || model == 3 { ("openai", "codex") } else { ("anthropic", "claude-code") };
    let at = Timestamp::from_millis(START + number as i64 * 1_000 + (number * 37 % 900) as i64);
    let record = TokenRecord::new(provider, models[model])
        .input(number % 300)
        .output(number % 2_000)
        .cache_read(number % 50_000)
        .agent(agent)
        .project(format!("/home/dev/src/project-{}", number / 500 % 25))
        .conversation(format!("c0ffee00-0000-4000-8000-{:012}", number / 150));
    NewEvent::new(record, at).source("bench")
}

/// When the last of `count` events happened.
pub fn last(count: u64) -> Timestamp {
    Timestamp::from_millis(START + count as i64 * 1_000)
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A directory on the disk that cargo builds on, not in memory.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A ledger of `count` events, made once and kept between runs.
pub fn ledger_of(count: u64) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{count}.db"));
    let whole = Ledger::open(&path).unwrap().head().unwrap().position.get() == count;
    if !whole {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let ledger = Ledger::open(&path).unwrap();
        for start in (0..count).step_by(10_000) {
            ledger.append((start..count.min(start + 10_000)).map(event), now()).unwrap();
        }
    }
    path
}

/// How often this disk takes 4 KiB and says that it has kept them, per second.
pub fn durable_writes_per_second(directory: &Path) -> f64 {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::File::create(directory.join("yardstick")).unwrap();
    let block = [7_u8; 4_096];
    for _ in 0..512 {
        file.write_all(&block).unwrap();
    }
    file.sync_all().unwrap();
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_secs(2) {
        file.seek(SeekFrom::Start(u64::from(count % 512) * 4_096)).unwrap();
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// How long one thread with one buffer takes to read every file below a directory: what `cat` to nowhere does.
pub fn read_all(home: &Path) -> Duration {
    use std::io::Read;
    let start = Instant::now();
    let mut directories = vec![home.to_owned()];
    let mut buffer = vec![0_u8; 1 << 17];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let mut file = std::fs::File::open(path).unwrap();
                while file.read(&mut buffer).unwrap() > 0 {}
            }
        }
    }
    start.elapsed()
}
