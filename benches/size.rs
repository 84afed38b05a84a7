//! How long lines are and how much room the file takes for them.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
mod support;

use std::path::Path;

use usage_ledger::Ledger;
use usage_ledger::import::{self, ImportOptions};

fn main() {
    let count = support::setting("USAGE_LEDGER_BENCH_EVENTS", 1_000_000);
    report("without the usage object", &support::ledger_of(count));

    let directory = support::directory();
    let home = directory.path().join("home");
    corpus::Options::usual(7, 50).write(&home);
    let path = directory.path().join("usage.db");
    let ledger = Ledger::open(&path).unwrap();
    let options = ImportOptions::new().homes([home]);
    import::run(&ledger, &options, support::now(), &mut |_| {}).unwrap();
    drop(ledger);
    report("imported, with the usage object", &path);
}

fn report(what: &str, path: &Path) {
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    let ledger = Ledger::open(path).unwrap();
    ledger
        .snapshot()
        .unwrap()
        .lines(1.into(), &mut |_, line| {
            lines += 1;
            bytes += line.len() as u64 + 1;
            Ok(true)
        })
        .unwrap();
    drop(ledger);
    let file = std::fs::metadata(path).unwrap().len();
    println!(
        "{what}: {lines} events, {:.0} bytes a line, the file is {:.3} times its lines",
        bytes as f64 / lines as f64,
        file as f64 / bytes as f64
    );
}
