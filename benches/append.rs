//! Appending: one durable commit an event, against what the disk can do; and batches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, missing_docs)]

mod support;

use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput};
use usage_ledger::Ledger;

fn main() {
    one_a_commit();
    threads();
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    batches(&mut criterion);
    criterion.final_summary();
}

/// Rates vary with the disk's mood, so the two are measured in turn and compared.
fn one_a_commit() {
    let directory = support::directory();
    let ledger = Ledger::open(directory.path().join("usage.db")).unwrap();
    let count = support::setting("USAGE_LEDGER_BENCH_COMMITS", 3_000);
    let mut ratios = Vec::new();
    for round in 0..5 {
        let yardstick = support::durable_writes_per_second(directory.path());
        let start = Instant::now();
        for number in round * count..(round + 1) * count {
            ledger.append([support::event(number)], support::now()).unwrap();
        }
        let rate = count as f64 / start.elapsed().as_secs_f64();
        println!("durable append {rate:.0}/s, 4 KiB + fdatasync {yardstick:.0}/s, ratio {:.2}", rate / yardstick);
        ratios.push(rate / yardstick);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}

/// Threads that share a handle, in turns with one thread alone.
fn threads() {
    const THREADS: u64 = 8;
    let directory = support::directory();
    let ledger = Ledger::open(directory.path().join("threads.db")).unwrap();
    let count = support::setting("USAGE_LEDGER_BENCH_COMMITS", 3_000);
    let mut ratios = Vec::new();
    for round in 0..5 {
        let first = 2 * round * count;
        let rate = |threads: u64, first: u64| {
            let (start, each) = (Instant::now(), count / threads);
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let (ledger, first) = (ledger.clone(), first + thread * each);
                    scope.spawn(move || {
                        for number in first..first + each {
                            ledger.append([support::event(number)], support::now()).unwrap();
                        }
                    });
                }
            });
            (threads * each) as f64 / start.elapsed().as_secs_f64()
        };
        let (one, all) = (rate(1, first), rate(THREADS, first + count));
        println!("one thread {one:.0}/s, {THREADS} threads {all:.0}/s, ratio {:.2}", all / one);
        ratios.push(all / one);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio of threads {:.2}", ratios[ratios.len() / 2]);
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for size in [100_u64, 10_000] {
        let directory = support::directory();
        let ledger = Ledger::open(directory.path().join("usage.db")).unwrap();
        let mut next = 0;
        group.throughput(Throughput::Elements(size));
        group.bench_function(format!("batch of {size}"), |bench| {
            bench.iter_batched(
                || {
                    next += size;
                    (next - size..next).map(support::event).collect::<Vec<_>>()
                },
                |events| ledger.append(events, support::now()).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
