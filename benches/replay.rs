//! Folding everything again and comparing, every line's hash checked; and the whole audit.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

mod support;

use criterion::{Criterion, Throughput};
use usage_ledger::Ledger;

fn main() {
    let count = support::setting("USAGE_LEDGER_BENCH_EVENTS", 1_000_000);
    let ledger = Ledger::open(support::ledger_of(count)).unwrap();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group(format!("{count} events"));
    group.throughput(Throughput::Elements(count));
    group.bench_function("replay", |bench| bench.iter(|| assert!(ledger.replay().unwrap().ok)));
    group.bench_function("verify", |bench| bench.iter(|| assert!(ledger.verify().unwrap().ok)));
    group.finish();
    criterion.final_summary();
}
