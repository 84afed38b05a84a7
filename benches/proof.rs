//! Proofs and checkpoints of a long ledger, each with the opening of the file in it.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use criterion::Criterion;
use usage_ledger::Ledger;
use usage_ledger::merkle::Signer;

fn main() {
    let count = support::setting("USAGE_LEDGER_BENCH_EVENTS", 1_000_000);
    let path = support::ledger_of(count);
    let signer = Signer::generate("usage-ledger.example/bench").unwrap();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group(format!("{count} events"));
    group.bench_function("prove inclusion", |bench| {
        let mut position = 1;
        bench.iter(|| {
            position = position * 7_919 % count + 1;
            Ledger::open(&path).unwrap().snapshot().unwrap().prove_inclusion(position.into(), None).unwrap()
        });
    });
    group.bench_function("prove consistency", |bench| {
        let mut old = 1;
        bench.iter(|| {
            old = old * 7_919 % count + 1;
            Ledger::open(&path).unwrap().snapshot().unwrap().prove_consistency(old, count).unwrap()
        });
    });
    group.bench_function("checkpoint", |bench| {
        bench.iter(|| Ledger::open(&path).unwrap().snapshot().unwrap().checkpoint(&signer).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
