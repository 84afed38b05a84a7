//! Histories of writers and readers under faults, checked as a whole afterwards.
//!
//! A set: what was acknowledged before a read began is in the read, and nothing disappears from later reads. A bank: each batch
//! adds the same tokens to two projects, so every snapshot has equal sums, in its lines and in its counters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use usage_ledger::event::NewEvent;
use usage_ledger::{Error, EventId, Ledger, Report, ReportKey, Timestamp, TokenRecord};

use crate::DATABASE;
use crate::cluster::{Cluster, children, signal};
use crate::faults::try_open;
use crate::proxy::{Cut, Proxy};

const WRITERS: usize = 6;
const READERS: usize = 2;
const SIDES: [&str; 2] = ["left", "right"];

/// A batch that was acknowledged.
struct Added {
    ids: [EventId; 2],
    tokens: u64,
    end: Instant,
}

/// What a snapshot held.
struct Seen {
    start: Instant,
    end: Instant,
    ids: BTreeSet<String>,
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_308_000_000)
}

fn key(writer: usize, number: u64, side: &str) -> String {
    format!("{writer}-{number}-{side}")
}

fn add(ledger: &Ledger, writer: usize, number: u64) -> Result<Added, Error> {
    let tokens = 1 + number % 7;
    let call = |side: &str| {
        let call = TokenRecord::new("openai", "gpt-5").input(tokens).project(side).key(key(writer, number, side));
        NewEvent::new(call, now())
    };
    let outcomes = ledger.append(SIDES.map(call), now())?;
    let ids = SIDES.map(|side| EventId::from_key("openai", &key(writer, number, side)));
    assert_eq!(outcomes.iter().map(|outcome| outcome.id()).collect::<Vec<_>>(), ids);
    assert_eq!(outcomes[1].position().get(), outcomes[0].position().get() + 1, "a batch is stored as a whole");
    Ok(Added { ids, tokens, end: Instant::now() })
}

/// The sums of both projects: their counters.
fn sums(table: &usage_ledger::ReportTable) -> BTreeMap<String, u128> {
    table.rows.iter().map(|row| (row.keys[0].clone().unwrap(), row.usage.tokens.total())).collect()
}

fn see(ledger: &Ledger) -> Result<Seen, Error> {
    let start = Instant::now();
    let snapshot = ledger.snapshot()?;
    let (mut ids, mut of_lines, mut next) = (BTreeSet::new(), BTreeMap::new(), 1);
    snapshot.lines(1.into(), &mut |position, line| {
        assert_eq!(position.get(), next, "positions have gaps");
        next += 1;
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(ids.insert(event["id"].as_str().unwrap().to_owned()), "an id is there twice: {line}");
        let project = event["data"]["project"].as_str().unwrap().to_owned();
        *of_lines.entry(project).or_insert(0) += u128::from(event["data"]["tokens"]["input"].as_u64().unwrap());
        Ok(true)
    })?;
    let of_counters = sums(&snapshot.report(&Report::by(ReportKey::Project))?);
    assert_eq!(of_counters, of_lines, "counters and lines of one snapshot differ");
    assert_eq!(of_counters.get("left"), of_counters.get("right"), "half of a batch is visible");
    Ok(Seen { start, end: Instant::now(), ids })
}

/// One fault, which is over when this returns.
fn fault(number: usize, cluster: &mut Cluster, proxy: &Proxy) {
    match number % 5 {
        0 => proxy.cut(Cut::After),
        1 => proxy.cut(Cut::Before),
        2 => {
            let of_program = "SELECT pid FROM pg_stat_activity WHERE application_name = 'usage-ledger' LIMIT 1";
            if let Ok(pid) = cluster.try_sql(DATABASE, of_program).and_then(|pid| pid.parse().map_err(|_| pid)) {
                signal("KILL", pid);
            }
        }
        3 => {
            cluster.kill();
            cluster.run();
        }
        _ => {
            // A process may end before it is stopped.
            let parent = cluster.postmaster();
            let stopped: Vec<u32> = children(parent)
                .into_iter()
                .chain([parent])
                .filter(|pid| Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap().success())
                .collect();
            thread::sleep(Duration::from_millis(300));
            for pid in stopped {
                let _ = Command::new("kill").args(["-CONT", &pid.to_string()]).status().unwrap();
            }
        }
    }
}

pub fn sets_and_sums(programs: &Path) {
    let rounds: usize = std::env::var("HISTORY_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut cluster = Cluster::start(programs, &["restart_after_crash = on"]);
    cluster.create_database(DATABASE);
    let name = cluster.fresh_name();
    let direct = cluster.address_as("admin", DATABASE, &name);
    drop(try_open(&direct).unwrap());
    let proxy = Proxy::to(cluster.port);
    let cut = format!("postgres://admin@127.0.0.1:{}/{DATABASE}?ledger={name}", proxy.port);
    let (added, seen) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let (stop, failed) = (AtomicBool::new(false), Mutex::new(0_u64));
    // Repeats a call until it is answered, with a new connection after each failure.
    let repeat = |address: &str, work: &mut dyn FnMut(&Ledger) -> Result<(), Error>| {
        let mut kept = None;
        while !stop.load(Ordering::SeqCst) {
            let opened = kept.take().map_or_else(|| try_open(address), Ok);
            kept = opened.and_then(|ledger| work(&ledger).map(|()| ledger)).ok();
            if kept.is_none() {
                *failed.lock().unwrap() += 1;
                thread::sleep(Duration::from_millis(20));
            }
        }
    };
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for writer in 0..WRITERS {
            let (address, added, repeat) = (if writer % 2 == 0 { &direct } else { &cut }, &added, &repeat);
            threads.push(scope.spawn(move || {
                let mut number = 0;
                repeat(address, &mut |ledger| {
                    let one = add(ledger, writer, number)?;
                    added.lock().unwrap().push(one);
                    number += 1;
                    Ok(())
                });
            }));
        }
        for _ in 0..READERS {
            let (direct, seen, repeat) = (&direct, &seen, &repeat);
            threads.push(scope.spawn(move || {
                repeat(direct, &mut |ledger| {
                    let one = see(ledger)?;
                    seen.lock().unwrap().push(one);
                    Ok(())
                });
            }));
        }
        for number in 0..rounds {
            let (writes, reads) = (added.lock().unwrap().len(), seen.lock().unwrap().len());
            fault(number, &mut cluster, &proxy);
            let end = Instant::now() + Duration::from_secs(60);
            while added.lock().unwrap().len() < writes + 15 || seen.lock().unwrap().len() < reads + 2 {
                assert!(Instant::now() < end, "nothing is answered any more: {}", cluster.log());
                assert!(!threads.iter().any(thread::ScopedJoinHandle::is_finished), "a thread failed");
                thread::sleep(Duration::from_millis(5));
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    let (added, mut seen) = (added.into_inner().unwrap(), seen.into_inner().unwrap());
    seen.push(see(&try_open(&direct).unwrap()).unwrap());
    seen.sort_by_key(|one| one.start);
    println!(
        "{rounds} faults: {} batches acknowledged, {} snapshots, {} calls failed",
        added.len(),
        seen.len(),
        failed.into_inner().unwrap()
    );
    for one in &seen {
        for added in added.iter().filter(|added| added.end < one.start) {
            assert!(
                added.ids.iter().all(|id| one.ids.contains(&id.to_string())),
                "an acknowledged batch is not in a later read"
            );
        }
    }
    for (index, one) in seen.iter().enumerate() {
        let later = seen[index + 1..].iter().filter(|later| later.start > one.end);
        assert!(later.take(3).all(|later| later.ids.is_superset(&one.ids)), "an event disappeared");
    }
    // The model: each batch counts once. A batch whose last call was not answered may be there too.
    let ledger = try_open(&direct).unwrap();
    let sum: u128 = added.iter().map(|one| u128::from(one.tokens)).sum();
    let last = &seen.last().unwrap().ids;
    let unanswered = last.len() / 2 - added.len();
    assert!(unanswered <= WRITERS, "{unanswered} batches that nobody acknowledged");
    let table = ledger.report(&Report::by(ReportKey::Project)).unwrap();
    let total = sums(&table)["left"];
    assert!((sum..=sum + 7 * unanswered as u128).contains(&total), "{total} tokens, {sum} were acknowledged");
    assert_eq!(ledger.verify().unwrap().findings, []);
}

/// The disk of the database fills up: nothing is acknowledged that is not stored, and work goes on when there is room.
pub fn full_disk(cluster: &Cluster) {
    let place = tempfile::tempdir().unwrap();
    let owner = std::fs::metadata(cluster.data()).unwrap();
    let options = {
        use std::os::unix::fs::MetadataExt;
        format!("size=40m,mode=700,uid={},gid={}", owner.uid(), owner.gid())
    };
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(place.path()).output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        println!("left out: this user may not mount a file system");
        return;
    }
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fill(cluster, place.path())));
    let _ = cluster.try_sql("postgres", "DROP DATABASE IF EXISTS on_small_disk WITH (FORCE)");
    let _ = cluster.try_sql("postgres", "DROP TABLESPACE IF EXISTS small");
    let _ = Command::new("umount").arg(place.path()).status();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

fn fill(cluster: &Cluster, place: &Path) {
    cluster.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", place.display()));
    cluster.sql("postgres", "CREATE DATABASE on_small_disk TABLESPACE small");
    let address = cluster.fresh("on_small_disk");
    let ledger = try_open(&address).unwrap();
    let filler = place.join("filler");
    let mut acknowledged = 0;
    let mut record = |number: u64| {
        let calls = (0..200).map(|n| {
            let name = format!("{number}-{n}-{}", "x".repeat(300));
            NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1).project(name.clone()).key(name), now())
        });
        let outcomes = ledger.append(calls, now())?;
        acknowledged = outcomes.last().unwrap().position().get();
        Ok::<u64, Error>(acknowledged)
    };
    record(0).unwrap();
    std::fs::write(&filler, vec![1; 22 << 20]).unwrap();
    let full = (1..200).find_map(|number| record(number).err().map(|error| (number, error)));
    let (number, error) = full.unwrap(); // the disk fills up
    assert!(matches!(error, Error::DiskFull), "{error}");
    assert!(matches!(record(number), Err(Error::DiskFull)), "it is still full");
    std::fs::remove_file(&filler).unwrap();
    let before = number * 200;
    assert_eq!(record(number).unwrap(), before + 200, "nothing of the failed calls is there");
    assert_eq!(ledger.verify().unwrap().findings, []);
    assert_eq!(ledger.head().unwrap().position.get(), before + 200);
}
