//! How often a client waits for the server, counted on the wire.

use std::fs;

use usage_ledger::event::NewEvent;
use usage_ledger::store::PostgresStore;
use usage_ledger::{Ledger, Outcome, Timestamp, TokenRecord};

use crate::DATABASE;
use crate::cluster::Cluster;
use crate::proxy::Proxy;

/// The most round trips of an append.
const MOST: u64 = 6;

fn done(_: Outcome) {}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_780_308_000_000 + 60_000 * minute)
}

fn call(n: u64) -> TokenRecord {
    TokenRecord::new("anthropic", "claude-opus-4-5")
        .account(format!("a{}", n % 5))
        .project(format!("p{}", n % 17))
        .conversation(format!("c{}", n % 300))
        .input(n)
        .key(format!("m{n}"))
        .key(format!("r{n}"))
}

pub fn appends(cluster: &Cluster) {
    let proxy = Proxy::to(cluster.port);
    let name = cluster.fresh_name();
    let address = format!("postgres://admin@127.0.0.1:{}/{DATABASE}?ledger={name}", proxy.port);
    let ledger = Ledger::with_store(Box::new(PostgresStore::open(&address.parse().unwrap()).unwrap()));
    proxy.set_latency(50);
    let mut figures = Vec::new();
    let mut check = |what: &str, ((), trips): ((), u64)| {
        figures.push(format!("{what}: {trips}"));
        assert!(trips <= MOST, "{what} takes {trips} round trips; so far {figures:?}");
    };
    let calls = |from: u64, to: u64, step: i64| {
        (from..to).map(move |n| NewEvent::new(call(n), at(i64::try_from(n).unwrap() * step))).collect::<Vec<_>>()
    };
    check("the first record", proxy.during(|| done(ledger.record(call(0), at(0)).unwrap())));
    check("a record", proxy.during(|| done(ledger.record(call(1), at(1)).unwrap())));
    check("the same again", proxy.during(|| done(ledger.record(call(1), at(2)).unwrap())));
    check("10 records", proxy.during(|| drop(ledger.append(calls(2, 12, 1), at(12)).unwrap())));
    check("5,000 records", proxy.during(|| drop(ledger.append(calls(12, 5_012, 1), at(6_000)).unwrap())));
    check("the same again", proxy.during(|| drop(ledger.append(calls(12, 5_012, 1), at(6_001)).unwrap())));
    check("earlier ones", proxy.during(|| drop(ledger.append(calls(5_012, 6_012, -3), at(6_002)).unwrap())));
    check("20,000 records", proxy.during(|| drop(ledger.append(calls(6_012, 26_012, 1), at(30_000)).unwrap())));
    check("a record behind them", proxy.during(|| done(ledger.record(call(30_000), at(30_001)).unwrap())));
    let target = ledger.event(700).unwrap().id;
    check("a void", proxy.during(|| done(ledger.void(target, "twice", at(30_002)).unwrap())));
    let target = ledger.event(701).unwrap().id;
    check("an amendment", proxy.during(|| done(ledger.amend(target, call(689), "wrong", at(30_003)).unwrap())));
    check("a record after corrections", proxy.during(|| done(ledger.record(call(30_001), at(30_004)).unwrap())));
    println!("round trips: {}", figures.join(", "));
    proxy.set_latency(0);
    let (findings, trips) = proxy.during(|| ledger.verify().unwrap().findings);
    assert_eq!(findings, []);
    println!("round trips of verify: {trips}");
    assert!(trips < 500, "{trips}");
    assert!(ledger.replay().unwrap().ok);
}

pub fn imports(cluster: &Cluster) {
    let proxy = Proxy::to(cluster.port);
    let name = cluster.fresh_name();
    let address = format!("postgres://admin@127.0.0.1:{}/{DATABASE}?ledger={name}", proxy.port);
    let home = tempfile::tempdir().unwrap();
    let logs = home.path().join(".claude/projects/p");
    fs::create_dir_all(&logs).unwrap();
    let line = |n: u32| {
        format!(
            "{{\"type\":\"assistant\",\"sessionId\":\"s{}\",\"requestId\":\"r{n}\",\"timestamp\":\"2026-06-01T10:{:02}:{:02}.000Z\",\
             \"cwd\":\"/p\",\"message\":{{\"id\":\"m{n}\",\"model\":\"claude-opus-4-5\",\"usage\":{{\"input_tokens\":{n},\"output_tokens\":2}}}}}}\n",
            n % 7,
            n / 60 % 60,
            n % 60
        )
    };
    for file in 0..7 {
        let lines: String = (0..2_000).filter(|n| n % 7 == file).map(line).collect();
        fs::write(logs.join(format!("s{file}.jsonl")), lines).unwrap();
    }
    let import = || {
        let out = assert_cmd::Command::cargo_bin("usage-ledger")
            .unwrap()
            .args(["--ledger", &address, "--json", "import", "claude-code", "--home"])
            .arg(home.path())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let (first, trips) = proxy.during(import);
    assert!(first.contains("\"recorded\":2000"), "{first}");
    let (second, again) = proxy.during(import);
    assert!(second.contains("\"recorded\":0"), "{second}");
    println!("round trips of an import of 2,000 calls: {trips}; with nothing new: {again}");
    assert!(trips < 120 && again < 60, "{trips} and {again} round trips");
}
