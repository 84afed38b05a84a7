//! Many ledgers: appends to PostgreSQL next to what `pgbench` does on the same server, pushes, and reports over all machines.
//!
//! Environment: `USAGE_LEDGER_BENCH_PARTS` names parts (`pgbench,append,push,report`), `USAGE_LEDGER_BENCH_SECONDS` the seconds of
//! each figure, `USAGE_LEDGER_BENCH_EVENTS` the events of a push, `USAGE_LEDGER_BENCH_MACHINES` and
//! `USAGE_LEDGER_BENCH_MACHINE_EVENTS` the size of the fleet. The defaults take about 10 minutes on 2 cores and 17 GB of disk; the
//! merge of 10 million events takes more than half of the time. `TMPDIR` names the disk of the PostgreSQL server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    missing_docs
)]

#[path = "../tests/postgres/cluster.rs"]
#[allow(dead_code)]
mod cluster;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use usage_ledger::internals::shared_ledgers;
use usage_ledger::store::PostgresStore;
use usage_ledger::{Ledger, TokenRecord};

use cluster::Cluster;

/// Events that are appended at once to prepare a ledger.
const PREPARED: u64 = 10_000;

/// Durable commits, which the tests turn off.
const DURABLE: [&str; 4] = ["fsync = on", "synchronous_commit = on", "shared_buffers = '1GB'", "max_wal_size = '8GB'"];

fn main() {
    let parts = std::env::var("USAGE_LEDGER_BENCH_PARTS").unwrap_or_else(|_| "pgbench,append,push,report".to_owned());
    let began = Instant::now();
    let has = |part: &str| parts.split(',').any(|named| named == part);
    let directory = support::directory();
    println!("4 KiB + fdatasync: {:.0}/s", support::durable_writes_per_second(directory.path()));
    let programs = cluster::programs();
    if programs.is_none() {
        println!("PostgreSQL is not installed: its figures are left out");
    }
    let cluster = programs.as_ref().map(|programs| Cluster::start(programs, &DURABLE));
    if let (Some(cluster), Some(programs)) = (&cluster, &programs) {
        cluster.create_database("bench");
        if has("pgbench") {
            pgbench(cluster, &programs.join("pgbench"));
        }
        if has("append") {
            appends(cluster);
        }
    }
    if has("push") {
        let file = directory.path().join("server.db").display().to_string();
        pushes("files", &file, &directory.path().join("fleet"), directory.path());
        if let Some(cluster) = &cluster {
            let address = cluster.address_as("admin", "bench", "central");
            pushes("PostgreSQL", &address, &directory.path().join("fleet-postgres"), directory.path());
        }
    }
    if has("report") {
        reports(directory.path());
    }
    println!("all of it: {:.0} s", began.elapsed().as_secs_f64());
}

fn seconds() -> Duration {
    Duration::from_secs(support::setting("USAGE_LEDGER_BENCH_SECONDS", 3))
}

/// What the server does without this program: transactions of five statements, and of one row.
fn pgbench(cluster: &Cluster, program: &Path) {
    let run = |arguments: &[&str]| {
        let port = cluster.port.to_string();
        let done = Command::new(program)
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "admin"])
            .args(arguments)
            .arg("bench")
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    run(&["-i", "-q", "-s", "20"]);
    let time = seconds().as_secs().to_string();
    for (name, kind) in [("TPC-B", "tpcb-like"), ("simple update", "simple-update")] {
        for clients in ["1", "8", "32"] {
            let text = run(&["-b", kind, "-c", clients, "-j", "2", "-T", &time, "-n"]);
            let rate =
                text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
            println!("pgbench {name}, {clients} clients: {:.0} transactions/s", rate.unwrap());
        }
    }
}

fn call(number: u64) -> TokenRecord {
    TokenRecord::new("anthropic", "claude-opus-4-5")
        .input(number % 900)
        .output(number % 2_000)
        .cache_read(number % 50_000)
        .project(format!("/home/dev/src/project-{}", number / 500 % 25))
        .conversation(format!("c0ffee00-0000-4000-8000-{:012}", number / 150))
        .key(format!("msg_{number:016x}"))
}

/// One event per commit, and 100 per commit.
fn appends(cluster: &Cluster) {
    let first = PostgresStore::open(&cluster.address_as("admin", "bench", "l0").parse().unwrap()).unwrap();
    for ledgers in [1_u64, 100, 1_000] {
        let ledgers: Vec<Ledger> = (0..ledgers)
            .map(|number| Ledger::with_store(Box::new(shared_ledgers::ledger(&first, &format!("l{number}")).unwrap())))
            .collect();
        for batch in [1_u64, 100] {
            for writers in [1_u64, 8, 32] {
                let (is_over, commits, next) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
                let base = support::now().millis() as u64
                    + ledgers.len() as u64 * 1_000_000_000
                    + batch * 100_000_000
                    + writers * 10_000_000;
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for writer in 0..writers {
                        let (is_over, commits, next, ledgers) = (&is_over, &commits, &next, &ledgers);
                        scope.spawn(move || {
                            let mut turn = writer;
                            while !is_over.load(Ordering::Relaxed) {
                                let from = next.fetch_add(batch, Ordering::Relaxed);
                                let ledger = &ledgers[(turn % ledgers.len() as u64) as usize];
                                let calls = (from..from + batch).map(|number| {
                                    usage_ledger::event::NewEvent::new(call(base + number), support::now())
                                });
                                ledger.append(calls, support::now()).unwrap();
                                commits.fetch_add(1, Ordering::Relaxed);
                                turn += writers;
                            }
                        });
                    }
                    std::thread::sleep(seconds());
                    is_over.store(true, Ordering::Relaxed);
                });
                let rate = commits.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
                println!(
                    "append to PostgreSQL, {writers} writers, {} ledgers, {batch} events a commit: {rate:.0} commits/s, {:.0} events/s",
                    ledgers.len(),
                    rate * batch as f64
                );
            }
        }
    }
}

/// A running server of pushed ledgers.
struct Server {
    child: Child,
    address: SocketAddr,
    ledger: String,
    fleet: PathBuf,
}

impl Server {
    fn start(ledger: &str, fleet: &Path) -> Self {
        let mut child = program(ledger)
            .args(["--json", "serve", "--listen", "127.0.0.1:0", "--fleet"])
            .arg(fleet)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        Self { child, address, ledger: ledger.to_owned(), fleet: fleet.to_owned() }
    }

    fn enrol(&self, name: &str) -> String {
        let mut command = program(&self.ledger);
        command.args(["fleet", "enrol", name, "--person", name, "--team", "t", "--fleet"]).arg(&self.fleet);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Time and answer of a request.
    fn get(&self, path: &str) -> (Duration, String) {
        let start = Instant::now();
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        (start.elapsed(), answer)
    }

    /// Waits until the background thread has merged everything.
    fn wait_until_merged(&self) -> Duration {
        let start = Instant::now();
        loop {
            let (_, answer) = self.get("/api/v1/fleet/machines?limit=1000");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let answer: serde_json::Value = serde_json::from_str(body).unwrap();
            let mut ledgers =
                answer["machines"].as_array().unwrap().iter().flat_map(|one| one["ledgers"].as_array().unwrap());
            if ledgers.all(|ledger| ledger["merged"] == ledger["position"]) {
                return start.elapsed();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(ledger: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usage-ledger"));
    command.args(["--ledger", ledger]);
    command
}

/// The ledger of a machine.
fn machine(path: &Path, machine: u64, events: u64) {
    let ledger = Ledger::open(path).unwrap();
    let first = machine * 10_000_000;
    for start in (0..events).step_by(PREPARED as usize) {
        let calls = (start..events.min(start + PREPARED)).map(|number| {
            let at = support::last(number * 60 + machine);
            usage_ledger::event::NewEvent::new(call(first + number), at)
        });
        ledger.append(calls, support::now()).unwrap();
    }
}

fn push(server: &Server, ledger: &Path, token: &str) {
    let done = program(&ledger.display().to_string())
        .env("USAGE_LEDGER_PUSH_TOKEN", token)
        .args(["push", &format!("http://{}", server.address)])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The id of a ledger that is made in place.
fn ledger_id(number: u64) -> String {
    format!("{number:020x}")
}

/// Enrols one machine with the command, and writes the others into the list as it would.
fn enrol_all(ledger: &str, fleet: &Path, machines: u64) {
    let done = program(ledger)
        .args(["fleet", "enrol", "machine-00000", "--person", "person-0", "--team", "team-0", "--fleet"])
        .arg(fleet)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let path = fleet.join("fleet.json");
    let mut list: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let first = list["machines"][0].clone();
    for number in 0..machines {
        let name = format!("machine-{number:05}");
        let id = ledger_id(number);
        list["ledgers"][&id] = serde_json::json!({"machine": name, "origin": format!("usage-ledger/ledger/{id}"), "keys": [],
            "created_at": first["enrolled_at"]});
        if number > 0 {
            let mut machine = first.clone();
            machine["name"] = name.into();
            machine["person"] = format!("person-{number}").into();
            machine["team"] = format!("team-{}", number % 20).into();
            list["machines"].as_array_mut().unwrap().push(machine);
        }
    }
    std::fs::write(&path, list.to_string()).unwrap();
}

/// Events per second of one machine, of four at once, and of a push of a few events.
fn pushes(place: &str, ledger: &str, fleet: &Path, directory: &Path) {
    let events = support::setting("USAGE_LEDGER_BENCH_EVENTS", 100_000);
    let server = Server::start(ledger, fleet);
    let paths: Vec<PathBuf> =
        (0..5).map(|number| directory.join(format!("{}-{number}.db", fleet.file_name().unwrap().display()))).collect();
    let tokens: Vec<String> = (0..5).map(|number| server.enrol(&format!("machine-{number}"))).collect();
    for (number, path) in paths.iter().enumerate() {
        machine(path, number as u64, events);
    }
    let start = Instant::now();
    push(&server, &paths[0], &tokens[0]);
    let one = start.elapsed();
    println!(
        "push to {place}: {:.0} events/s ({events} events, {:.2} s)",
        events as f64 / one.as_secs_f64(),
        one.as_secs_f64()
    );
    let merged = server.wait_until_merged();
    println!(
        "merged {:.2} s after it: {:.0} events/s",
        merged.as_secs_f64(),
        events as f64 / (one + merged).as_secs_f64()
    );
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (path, token) in paths.iter().zip(&tokens).skip(1) {
            scope.spawn(|| push(&server, path, token));
        }
    });
    let four = start.elapsed();
    println!("push to {place}, 4 machines at once: {:.0} events/s", 4.0 * events as f64 / four.as_secs_f64());
    server.wait_until_merged();
    let mut times: Vec<Duration> = (0..20)
        .map(|number| {
            let ledger = Ledger::open(&paths[0]).unwrap();
            ledger.record(call(99_000_000 + number), support::now()).unwrap();
            drop(ledger);
            let start = Instant::now();
            push(&server, &paths[0], &tokens[0]);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("push of one event to {place}, whole process: {:.1} ms", times[10].as_secs_f64() * 1e3);
}

/// Questions over many machines. Their ledgers are made in place, as pushes leave them, because pushes are measured above.
fn reports(directory: &Path) {
    let machines = support::setting("USAGE_LEDGER_BENCH_MACHINES", 1_000);
    let events = support::setting("USAGE_LEDGER_BENCH_MACHINE_EVENTS", 10_000);
    let folder = directory.join("machines");
    let (ledger, fleet) = (folder.join("server.db").display().to_string(), folder.join("fleet"));
    std::fs::create_dir_all(fleet.join("ledgers")).unwrap();
    let start = Instant::now();
    enrol_all(&ledger, &fleet, machines);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= machines {
                        return;
                    }
                    machine(&fleet.join(format!("ledgers/{}.db", ledger_id(number))), number + 10, events);
                }
            });
        }
    });
    println!("{machines} ledgers with {events} events: made in {:.0} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let merged = program(&ledger).args(["fleet", "merge", "--fleet"]).arg(&fleet).output().unwrap();
    assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stderr));
    let took = start.elapsed().as_secs_f64();
    println!("merged in {took:.0} s: {:.0} events/s", (machines * events) as f64 / took);
    let server = Server::start(&ledger, &fleet);
    let (_, answer) = server.get("/api/v1/fleet/report?by=machine");
    let answer: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(answer["total"]["requests"], machines * events, "every event counts once");
    for path in [
        "report?by=day",
        "report?by=machine",
        "report?by=team,account",
        "report?by=project",
        "report?by=machine&days=7",
        "status",
        "gate?provider=anthropic",
        "machines?limit=100",
    ] {
        let mut times: Vec<Duration> = (0..9).map(|_| server.get(&format!("/api/v1/fleet/{path}")).0).collect();
        times.sort_unstable();
        println!("fleet/{path}: {:.1} ms", times[4].as_secs_f64() * 1e3);
    }
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    println!(
        "merged.db: {:.0} bytes an event",
        size(&folder.join("fleet/merged.db")) as f64 / (machines * events) as f64
    );
}
