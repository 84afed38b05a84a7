//! Questions on a long ledger, each with the opening of the file in it.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

mod support;

use criterion::Criterion;
use usage_ledger::ReportKey::{Day, Model, Project, Provider, Window};
use usage_ledger::{Ledger, Report};

fn main() {
    let count = support::setting("USAGE_LEDGER_BENCH_EVENTS", 1_000_000);
    let path = support::ledger_of(count);
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group(format!("{count} events"));
    let reports = [
        ("provider,day", Report::by(Provider).and(Day)),
        ("provider,day in Paris", Report::by(Provider).and(Day).tz("Europe/Paris".parse().unwrap())),
        ("model", Report::by(Model)),
        ("project", Report::by(Project)),
        ("window", Report::by(Window)),
    ];
    for (name, report) in reports {
        group.bench_function(format!("report by {name}"), |bench| {
            bench.iter(|| Ledger::open(&path).unwrap().report(&report).unwrap());
        });
    }
    group.bench_function("status", |bench| {
        bench.iter(|| Ledger::open(&path).unwrap().status(support::last(count)).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
