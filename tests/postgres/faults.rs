//! Faults of real servers: cut connections, killed backends and servers, many writers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use usage_ledger::store::{EventStore, PostgresStore, Table};
use usage_ledger::{Error, Ledger, Outcome, Timestamp, TokenRecord};

use crate::DATABASE;
use crate::cluster::{Cluster, signal};
use crate::proxy::{Cut, Proxy};

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_308_000_000)
}

fn open(address: &str) -> Ledger {
    try_open(address).unwrap()
}

pub fn try_open(address: &str) -> Result<Ledger, Error> {
    Ok(Ledger::with_store(Box::new(PostgresStore::open(&address.parse()?)?)))
}

fn call(key: impl std::fmt::Display) -> TokenRecord {
    TokenRecord::new("openai", "gpt-5").input(1).key(key.to_string())
}

/// Everything that was acknowledged is there once, at its position, and the counters agree.
fn check(address: &str, acknowledged: &BTreeMap<u64, String>) {
    let ledger = open(address);
    let verification = ledger.verify().unwrap();
    assert_eq!(verification.findings, []);
    let size = ledger.head().unwrap().position.get();
    for (position, key) in acknowledged {
        let found = ledger.snapshot().unwrap().find("openai", key).unwrap();
        assert_eq!(found.map(usage_ledger::Position::get), Some(*position), "{key}");
    }
    assert!(size >= acknowledged.len() as u64);
    let usage = ledger.provider("openai", now()).unwrap();
    assert_eq!(usage.all_time.requests, size);
}

pub fn cut_commits(cluster: &Cluster) {
    let proxy = Proxy::to(cluster.port);
    let name = cluster.fresh_name();
    let address = format!("postgres://admin@127.0.0.1:{}/{DATABASE}?ledger={name}", proxy.port);
    let ledger = open(&address);
    let direct = cluster.address_as("admin", DATABASE, &name);
    let mut acknowledged = BTreeMap::new();
    for (n, cut) in [Cut::Before, Cut::After, Cut::After, Cut::Never, Cut::Before].into_iter().enumerate() {
        proxy.cut(cut);
        let outcome = ledger.record(call(n), now()).unwrap();
        assert!(matches!(outcome, Outcome::Appended { .. }), "{cut:?}: {outcome:?}");
        assert_eq!(outcome.position().get(), n as u64 + 1, "{cut:?}");
        acknowledged.insert(outcome.position().get(), n.to_string());
    }
    assert_eq!(acknowledged.len(), 5);
    check(&direct, &acknowledged);
    // Idle connections that end while nobody uses them are no failure.
    cluster.sql(DATABASE, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'usage-ledger' AND state = 'idle' AND query LIKE '%COMMIT%'");
    ledger.record(call("after"), now()).unwrap();
    assert_eq!(ledger.head().unwrap().position.get(), 6);
}

pub fn many_writers(cluster: &Cluster) {
    const WRITERS: u64 = 64;
    const CALLS: u64 = 5;
    let address = cluster.fresh(DATABASE);
    drop(open(&address));
    let acknowledged = Mutex::new(BTreeMap::new());
    let began = Instant::now();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (address, acknowledged) = (&address, &acknowledged);
            scope.spawn(move || {
                let ledger = open(address);
                for n in 0..CALLS {
                    // Every call is recorded by two writers.
                    let key = format!("{}-{n}", writer / 2);
                    let outcome = ledger.record(call(&key), now()).unwrap();
                    let mut all = acknowledged.lock().unwrap();
                    let known = all.insert(outcome.position().get(), key.clone());
                    assert!(known.is_none_or(|known| known == key), "two calls at {}", outcome.position());
                }
            });
        }
    });
    let all = acknowledged.into_inner().unwrap();
    println!("{WRITERS} writers: {} records in {:?}", WRITERS * CALLS, began.elapsed());
    assert_eq!(all.len() as u64, WRITERS / 2 * CALLS);
    assert!(all.keys().copied().eq(1..=WRITERS / 2 * CALLS), "positions have gaps");
    check(&address, &all);
}

pub fn create_at_once(cluster: &Cluster) {
    cluster.create_database("at_once");
    let address = cluster.fresh("at_once");
    thread::scope(|scope| {
        for n in 0..8 {
            let address = &address;
            scope.spawn(move || open(address).record(call(n), now()).unwrap());
        }
    });
    assert_eq!(open(&address).head().unwrap().position.get(), 8);
}

/// Waits until a query returns something.
fn wait_for(cluster: &Cluster, query: &str) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let found = cluster.sql(DATABASE, query);
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < end, "nothing returned by {query}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A backend that is stopped answers nothing; when it continues, so does the call that waits for it.
pub fn stopped(cluster: &Cluster) {
    let address = format!("{}&application_name=stopped", cluster.fresh(DATABASE));
    let ledger = open(&address);
    ledger.record(call(0), now()).unwrap();
    let other = PostgresStore::open(&address.parse().unwrap()).unwrap();
    let lock = other.write().unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| ledger.record(call(1), now()).unwrap());
        let pid = wait_for(
            cluster,
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'stopped' AND wait_event_type = 'Lock'",
        );
        let pid = pid.parse().unwrap();
        signal("STOP", pid);
        let end = Instant::now() + Duration::from_secs(30);
        while state_of(pid) != Some('T') {
            assert!(Instant::now() < end, "the backend does not stop");
            thread::yield_now();
        }
        drop(lock);
        // The lock is free as soon as the transaction that had it has ended.
        wait_for(
            cluster,
            "SELECT 'free' WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity \
             WHERE application_name = 'stopped' AND state = 'idle in transaction')",
        );
        assert!(!writer.is_finished(), "the backend was not the one of the writer");
        signal("CONT", pid);
        assert_eq!(writer.join().unwrap().position().get(), 2);
    });
    assert_eq!(ledger.verify().unwrap().findings, []);
}

/// The state of a process: `T` if it is stopped.
fn state_of(process: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A commit that the server ends to resolve a deadlock (40P01) is repeated.
pub fn deadlock(cluster: &Cluster) {
    let name = cluster.fresh_name();
    let address = cluster.address_as("admin", DATABASE, &name);
    let store = PostgresStore::open(&address.parse().unwrap()).unwrap();
    let put = |value: &[u8]| {
        let mut tx = store.write().unwrap();
        tx.put(Table::EventIndex, b"key", Some(value)).unwrap();
        tx
    };
    put(b"first").commit().unwrap();
    // The transaction has the lock of the head, and needs the row that the other session locks before it waits for the head.
    let tx = put(b"second");
    let other = format!(
        "SET application_name = 'rival_{name}'; SET deadlock_timeout = '1min'; BEGIN; \
         SELECT 1 FROM usage_ledger.projections WHERE ledger_id = '{name}' FOR UPDATE; \
         SELECT 1 FROM usage_ledger.heads WHERE ledger_id = '{name}' FOR UPDATE; COMMIT"
    );
    thread::scope(|scope| {
        let rival = scope.spawn(|| cluster.try_sql(DATABASE, &other));
        wait_for(
            cluster,
            &format!(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'rival_{name}' AND wait_event_type = 'Lock'"
            ),
        );
        tx.commit().unwrap();
        rival.join().unwrap().unwrap();
    });
    let log = cluster.log();
    let deadlocks = log.split("deadlock detected").skip(1);
    // The server logs the statements of both sessions.
    assert!(deadlocks.into_iter().any(|after| after.contains(&format!("rival_{name}"))), "no deadlock: {log}");
    assert_eq!(store.read().unwrap().get(Table::EventIndex, b"key").unwrap().as_deref(), Some(&b"second"[..]));
}

/// Writers that repeat a call by its key until it is acknowledged, while backends and the server are killed.
pub fn kills(programs: &Path) {
    const WRITERS: u64 = 6;
    let mut cluster = Cluster::start(programs, &["restart_after_crash = on"]);
    cluster.create_database(DATABASE);
    let address = cluster.fresh(DATABASE);
    drop(open(&address));
    let acknowledged = Mutex::new(BTreeMap::new());
    let (stop, failures) = (AtomicBool::new(false), AtomicU64::new(0));
    let count = || acknowledged.lock().unwrap().len();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (address, acknowledged, stop, failures) = (&address, &acknowledged, &stop, &failures);
            scope.spawn(move || {
                let mut ledger = None;
                let mut n = 0;
                while !stop.load(Ordering::SeqCst) {
                    let key = format!("{writer}-{n}");
                    let opened = match ledger.take() {
                        Some(ledger) => Ok(ledger),
                        None => try_open(address),
                    };
                    let done = opened.and_then(|ledger| Ok((ledger.record(call(&key), now())?, ledger)));
                    let Ok((outcome, kept)) = done else {
                        failures.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(20));
                        continue;
                    };
                    let other = acknowledged.lock().unwrap().insert(outcome.position().get(), key.clone());
                    assert!(other.is_none_or(|other| other == key));
                    ledger = Some(kept);
                    n += 1;
                }
            });
        }
        let wait_for_more = |cluster: &Cluster| {
            let (from, end) = (count(), Instant::now() + Duration::from_secs(60));
            while count() < from + 30 {
                assert!(Instant::now() < end, "nothing is acknowledged any more: {}", cluster.log());
                thread::sleep(Duration::from_millis(5));
            }
        };
        wait_for_more(&cluster);
        for round in 0..4 {
            if round % 2 == 0 {
                let pid = cluster
                    .sql(DATABASE, "SELECT pid FROM pg_stat_activity WHERE application_name = 'usage-ledger' LIMIT 1");
                // The server then restarts all of its backends.
                signal("KILL", pid.parse().unwrap());
            } else {
                cluster.kill();
                cluster.run();
            }
            wait_for_more(&cluster);
        }
        stop.store(true, Ordering::SeqCst);
    });
    let all = acknowledged.into_inner().unwrap();
    println!(
        "killed twice a backend and the server: {} acknowledged, {} calls failed",
        all.len(),
        failures.into_inner()
    );
    check(&address, &all);
}
