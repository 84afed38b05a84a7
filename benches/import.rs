//! First import of agents' logs and an import that finds nothing new, against reading the same files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use usage_ledger::Ledger;
use usage_ledger::import::{self, ImportOptions};

const ROUNDS: usize = 5;

fn main() {
    let megabytes = support::setting("USAGE_LEDGER_BENCH_MB", 50);
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-logs-{megabytes}"));
    if !home.join(".claude").exists() {
        corpus::Options::usual(7, megabytes).write(&home);
    }
    let directory = support::directory();
    let (mut first, mut again, mut reading) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        reading.push(support::read_all(&home));
        let path = directory.path().join(format!("{round}.db"));
        first.push(time(|| import_into(&path, &home)));
        again.push(time(|| import_into(&path, &home)));
    }
    let (first, again, reading) = (median(first), median(again), median(reading));
    println!("{megabytes} MB of logs, medians of {ROUNDS}:");
    println!("  read the files  {reading:>10.1?}");
    println!("  first import    {first:>10.1?}  {:.2} times reading", first.as_secs_f64() / reading.as_secs_f64());
    println!("  import again    {again:>10.1?}");
}

fn import_into(path: &Path, home: &Path) {
    let ledger = Ledger::open(path).unwrap();
    let options = ImportOptions::new().homes([home.to_owned()]);
    import::run(&ledger, &options, support::now(), &mut |_| {}).unwrap();
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
