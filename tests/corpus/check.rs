//! Compares a ledger with the truth of a corpus.

use std::path::Path;

use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::{Ledger, Report, ReportKey, Timestamp, TokenClass};

use super::truth::{Counts, Rows, Truth};

/// Every name and the day; all other groups are sums of these.
pub const FINEST: &[ReportKey] = &[
    ReportKey::Agent,
    ReportKey::Provider,
    ReportKey::Day,
    ReportKey::Model,
    ReportKey::Conversation,
    ReportKey::Project,
];

/// The clock of imports, later than all logs.
pub fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

/// Imports everything below a home.
pub fn import(ledger: &Ledger, home: &Path) -> Vec<SourceReport> {
    let options = ImportOptions::new().homes([home.to_owned()]);
    let sources = import::run(ledger, &options, now(), &mut |_| {}).unwrap().sources;
    for source in &sources {
        assert_eq!(source.drift, import::SchemaDrift::default(), "{}", source.source);
    }
    sources
}

/// A report in the form of the truth.
pub fn rows(ledger: &Ledger, keys: &[ReportKey]) -> Rows {
    let table = ledger.report(&Report::by_all(keys.to_vec()).and(ReportKey::Label("sidechain".to_owned()))).unwrap();
    let mut rows = Rows::new();
    for row in table.rows {
        let usage = row.usage;
        let classes = [
            TokenClass::Input,
            TokenClass::CacheRead,
            TokenClass::CacheWrite5m,
            TokenClass::CacheWrite1h,
            TokenClass::Output,
            TokenClass::Reasoning,
        ];
        let tokens = classes.map(|class| usage.tokens.get(class));
        assert_eq!(tokens.iter().sum::<u128>(), usage.tokens.total(), "a class that no log holds");
        let micros = usage.cost.reported_usd.map_or(0, |usd| {
            let (whole, part) =
                usd.to_string().split_once('.').map_or((usd.to_string(), String::new()), |(a, b)| (a.into(), b.into()));
            format!("{whole}{part:0<6}").parse().unwrap()
        });
        rows.entry(row.keys[..keys.len()].to_vec()).or_default().add(&Counts {
            requests: usage.requests,
            tokens: tokens.map(|count| u64::try_from(count).unwrap()),
            micros,
        });
    }
    rows
}

/// Fails with the differing rows.
pub fn assert_rows(what: &str, actual: &Rows, truth: &Rows) {
    let wrong: Vec<String> = truth
        .keys()
        .chain(actual.keys().filter(|key| !truth.contains_key(*key)))
        .filter(|key| truth.get(*key) != actual.get(*key))
        .map(|key| format!("{key:?}\n  truth {:?}\n  said  {:?}", truth.get(key), actual.get(key)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{what}: {} of {} rows differ\n{}",
        wrong.len(),
        truth.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );
}

/// Fails if any row of the finest report differs from the truth.
pub fn assert_truth(what: &str, ledger: &Ledger, truth: &Truth) {
    let mut keys = FINEST.to_vec();
    keys.push(ReportKey::Label("sidechain".to_owned()));
    assert_rows(what, &rows(ledger, &keys), &truth.by(&keys));
}
