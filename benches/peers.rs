//! The command as whole processes, beside other tools for the same logs: those that are found on the PATH.
//!
//! Each runs as it would for a user who has no network, with a home and caches of its own that are empty at the start, in
//! turn with the others in every round. `USAGE_LEDGER_BENCH_MB` is the size of the logs (500), `USAGE_LEDGER_BENCH_LOGS`
//! a home directory with logs instead.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// Rounds that are counted; one before them warms the page cache.
const ROUNDS: usize = 7;

/// Other tools: their name, and how they are asked for what happened by day, for a machine to read.
const PEERS: [(&str, &[&str]); 4] = [
    ("ccusage", &["daily", "--json", "--offline"]),
    ("tokscale", &["models", "--json"]),
    ("toktrack", &["daily", "--json"]),
    ("splitrail", &["stats"]),
];

/// What one process took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    cpu: Duration,
    /// The most memory it held, in bytes.
    memory: u64,
}

/// What is measured, and what it took in each round.
struct Row {
    name: String,
    took: Vec<Took>,
}

impl Row {
    fn median(&self, of: impl Fn(&Took) -> f64) -> f64 {
        let mut values: Vec<f64> = self.took.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    fn wall(&self) -> f64 {
        self.median(|took| took.wall.as_secs_f64())
    }
}

fn main() {
    let logs = logs();
    let scratch = support::directory();
    let mut rows: Vec<Row> = Vec::new();
    let mut note = |round: usize, name: &str, took: Option<Took>| {
        let Some(took) = took.filter(|_| round > 0) else { return };
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.took.push(took),
            None => rows.push(Row { name: name.to_owned(), took: vec![took] }),
        }
    };
    for round in 0..=ROUNDS {
        let wall = support::read_all(&logs);
        note(round, "read every file", Some(Took { wall, cpu: Duration::ZERO, memory: 0 }));
        let ledger = scratch.path().join(format!("{round}.db"));
        let ours = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_usage-ledger"));
            command.arg("--ledger").arg(&ledger).args(args);
            Some(run(command, &logs, scratch.path()).unwrap())
        };
        let home = logs.to_str().unwrap();
        note(round, "import, first", ours(&["import", "--home", home]));
        let (again, report) = (ours(&["import", "--home", home]).unwrap(), ours(&["--json", "report"]).unwrap());
        note(round, "import again", Some(again));
        note(round, "report", Some(report));
        note(round, AGAIN, Some(again.and(report)));
        note(round, "status", ours(&["--json", "status"]));
        for (peer, args) in PEERS {
            let caches = scratch.path().join(format!("{peer}-{round}"));
            let mut command = Command::new(peer);
            command.args(args);
            note(round, peer, run(command, &logs, &caches));
        }
        std::fs::remove_file(&ledger).unwrap();
    }
    print(&rows, &logs);
}

const AGAIN: &str = "import again and report";

impl Took {
    fn and(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, cpu: self.cpu + other.cpu, memory: self.memory.max(other.memory) }
    }
}

/// The home directory whose logs are read, made when it is not there yet.
fn logs() -> PathBuf {
    if let Some(named) = std::env::var_os("USAGE_LEDGER_BENCH_LOGS") {
        return PathBuf::from(named);
    }
    let megabytes = support::setting("USAGE_LEDGER_BENCH_MB", 500);
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-logs-{megabytes}"));
    if !home.join(".claude").exists() {
        corpus::Options::usual(7, megabytes).write(&home);
    }
    home
}

/// Runs a command; `None` when there is none of that name, or it fails.
fn run(mut command: Command, home: &Path, caches: &Path) -> Option<Took> {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.envs([("HOME", home), ("XDG_CACHE_HOME", caches), ("XDG_CONFIG_HOME", caches), ("XDG_DATA_HOME", caches)]);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TZ", "UTC");
    let start = Instant::now();
    let ended = command.spawn().ok()?.wait4().unwrap();
    let wall = start.elapsed();
    let used = ended.rusage;
    // Linux counts the memory in KiB, which the crate has made bytes of.
    ended.status.success().then_some(Took { wall, cpu: used.utime + used.stime, memory: used.maxrss })
}

fn print(rows: &[Row], logs: &Path) {
    println!("{}: medians of {ROUNDS}, page cache warm", logs.display());
    let reading = rows[0].wall();
    let is_peer = |row: &&Row| PEERS.iter().any(|(name, _)| *name == row.name);
    let fastest = rows.iter().filter(is_peer).min_by(|a, b| a.wall().total_cmp(&b.wall()));
    println!("{:<24} {:>9} {:>19} {:>9} {:>9} {:>9}", "", "wall", "least to most", "CPU", "memory", "x reading");
    for row in rows {
        let walls = || row.took.iter().map(|took| took.wall.as_secs_f64() * 1e3);
        let (least, most) = (walls().fold(f64::MAX, f64::min), walls().fold(0.0, f64::max));
        println!(
            "{:<24} {:>6.1} ms {:>7.1} to {:>6.1} ms {:>6.0} ms {:>5.0} MiB {:>9.2}",
            row.name,
            row.wall() * 1e3,
            least,
            most,
            row.median(|took| took.cpu.as_secs_f64()) * 1e3,
            row.median(|took| took.memory as f64) / f64::from(1 << 20),
            row.wall() / reading,
        );
    }
    let Some(peer) = fastest else {
        return println!("none of {} is on the PATH, or could read these logs", PEERS.map(|(name, _)| name).join(", "));
    };
    for row in rows.iter().filter(|row| row.name == "import, first" || row.name == AGAIN) {
        let ratio = peer.wall() / row.wall();
        println!("{} is {ratio:.2} times as fast as {}, the fastest peer", row.name, peer.name);
    }
}
