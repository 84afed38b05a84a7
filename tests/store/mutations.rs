//! Thousands of seeded changes to the bytes of a ledger's file: each is detected, or changes no answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use usage_ledger::event::{LimitSet, NewEvent, QuotaObserved, WindowKind};
use usage_ledger::merkle::Signer;
use usage_ledger::time::{HOUR, MINUTE};
use usage_ledger::{AsOf, Ledger, Position, ProviderId, Report, ReportKey, Timestamp, TokenRecord};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

/// A ledger with all kinds of content, in a file without a write-ahead log.
fn fill(path: &Path) {
    let ledger = Ledger::open(path).unwrap();
    ledger.set_limit(LimitSet::new("anthropic").unwrap().session(500_000).weekly(5_000_000), NOW).unwrap();
    for call in 0..40_i64 {
        let record =
            TokenRecord::new(if call % 3 == 0 { "openai" } else { "anthropic" }, format!("model-{}", call % 4))
                .input(1_000 + call as u64)
                .output(100)
                .project(format!("project-{}", call % 5))
                .conversation(format!("conversation-{}", call / 7))
                .key(format!("message-{call}"));
        ledger.append([NewEvent::new(record, NOW.plus(call * 20 * MINUTE))], NOW.plus(call * 20 * MINUTE)).unwrap();
    }
    let now = NOW.plus(14 * HOUR);
    ledger.switch_provider("ollama", "rate limited", now).unwrap();
    let seen = QuotaObserved::new(ProviderId::new("anthropic").unwrap(), 300, "test")
        .used("42".parse().unwrap())
        .resets_at(now.plus(2 * HOUR));
    ledger.append([NewEvent::new(seen, now)], now).unwrap();
    ledger.override_usage("openai", WindowKind::Session, "5".parse().unwrap(), "me", "", now).unwrap();
    let wrong = ledger.event(5).unwrap().id;
    ledger.amend(wrong, TokenRecord::new("anthropic", "model-3").input(7), "a test", now).unwrap();
    let void = ledger.event(9).unwrap().id;
    ledger.void(void, "a test", now).unwrap();
    let signer = Signer::generate("a.example/log").unwrap();
    ledger.seal(None, NOW.plus(10 * HOUR), &signer, now).unwrap();
    ledger.record(TokenRecord::new("openai", "late").input(3), now).unwrap();
    ledger.sealed(now).unwrap().unwrap();
}

/// The queried positions.
const PAST: [u64; 2] = [21, 38];

/// All answers of a ledger, with its size and root; `None` if it is detected as damaged.
fn read(path: &Path) -> Option<String> {
    let ledger = Ledger::open(path).ok()?;
    let verified = ledger.verify().ok()?;
    if !verified.ok {
        return None;
    }
    let snapshot = ledger.snapshot().ok()?;
    let mut lines = String::new();
    snapshot
        .lines(Position::from(1), &mut |position, line| {
            writeln!(lines, "{position} {line}").unwrap();
            Ok(true)
        })
        .ok()?;
    let keys = [ReportKey::Day, ReportKey::Provider, ReportKey::Model, ReportKey::Project, ReportKey::Conversation];
    let table = snapshot.report(&Report::by_all(keys.clone())).ok()?;
    let status = snapshot.status(NOW.plus(14 * HOUR)).ok()?;
    let record = snapshot.find("anthropic", "message-1").ok()?;
    let mut text = format!("{}\n{lines}{table:?}\n{status:?}\n{record:?}", snapshot.root().ok()?);
    drop(snapshot);
    for position in PAST {
        let past = ledger.as_of(AsOf::Position(position.into())).ok()?;
        write!(text, "\n{position}: {:?}", past.report(&Report::by_all(keys.clone())).ok()?).unwrap();
    }
    let (seal, sealed) = ledger.sealed(NOW.plus(14 * HOUR)).ok()??;
    write!(text, "\n{seal:?}: {:?}", sealed.report(&Report::by_all(keys.clone())).ok()?).unwrap();
    Some(text)
}

/// `SplitMix64`: a seed gives the same changes everywhere.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Changes a copy of the bytes, and describes the change.
fn mutate(bytes: &mut Vec<u8>, state: &mut u64) -> String {
    let mut place = |below: usize| usize::try_from(random(state) % below as u64).unwrap();
    let (at, kind) = (place(bytes.len()), place(10));
    match kind {
        0..=5 => {
            let bit = place(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        6 => {
            let other = place(bytes.len());
            bytes.swap(at, other);
            format!("bytes {at} and {other} exchanged")
        }
        7 => {
            let (page, other) = (at / 4096 * 4096, place(bytes.len()) / 4096 * 4096);
            let copied = bytes[page..(page + 4096).min(bytes.len())].to_vec();
            let end = (other + copied.len()).min(bytes.len());
            bytes[other..end].copy_from_slice(&copied[..end - other]);
            format!("block at {page} over that at {other}")
        }
        8 => {
            bytes[at..].iter_mut().take(16).for_each(|byte| *byte = 0);
            format!("16 bytes from {at} are zero")
        }
        _ => {
            bytes.truncate(at);
            format!("cut off at byte {at}")
        }
    }
}

#[test]
fn every_change_to_a_file_is_a_finding_or_harmless() {
    const CHANGES: usize = 2_400;
    const SEED: u64 = 20_261_123;
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("usage.db");
    fill(&original);
    let bytes = std::fs::read(&original).unwrap();
    let wanted = read(&original).expect("the untouched file is fine");
    let (next, missed, detected) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (bytes, wanted, next, missed, detected) = (&bytes, &wanted, &next, &missed, &detected);
            let path = dir.path().join(format!("copy-{worker}.db"));
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CHANGES {
                        break;
                    }
                    let mut state = SEED.wrapping_add(number as u64);
                    let mut copy = bytes.clone();
                    let how = mutate(&mut copy, &mut state);
                    for beside in ["-wal", "-shm"] {
                        let _ = std::fs::remove_file(format!("{}{beside}", path.display()));
                    }
                    std::fs::write(&path, &copy).unwrap();
                    match read(&path) {
                        None => {
                            detected.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(record) if record == *wanted => {}
                        Some(_) => missed.lock().unwrap().push(format!("change {number}: {how}")),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} of {CHANGES} changes went unseen: {missed:#?}", missed.len());
    let detected = detected.into_inner();
    assert!(detected > CHANGES / 10, "only {detected} of {CHANGES} changes met anything that is read");
    println!("{detected} of {CHANGES} changes were detected, the others changed nothing that is read");
}
