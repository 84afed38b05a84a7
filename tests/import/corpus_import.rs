//! Compares the import of logs with traps with the truth of the corpus, token by token.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![cfg(feature = "import")]

use crate::corpus;

use std::collections::BTreeSet;
use std::path::PathBuf;

use corpus::Options;
use corpus::check::{FINEST, assert_rows, assert_truth, import, rows};
use corpus::truth::{Counts, Truth};
use tempfile::TempDir;
use usage_ledger::ReportKey::{
    self, Agent, Conversation, Day, Hour, Label, Model, Month, Project, Provider, Week, Window,
};
use usage_ledger::import::SourceReport;
use usage_ledger::{Ledger, Report};

const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// The default seeds, or the one in the environment.
fn seeds() -> Vec<u64> {
    let named = std::env::var("USAGE_LEDGER_SEED").ok();
    named.map_or(SEEDS.into(), |seed| vec![seed.parse().unwrap()])
}

struct Case {
    home: TempDir,
    truth: Truth,
    ledger: Ledger,
    sources: Vec<SourceReport>,
}

fn imported(options: Options) -> Case {
    let home = TempDir::new().unwrap();
    let truth = options.write(home.path());
    let ledger = Ledger::open(home.path().join("usage.db")).unwrap();
    let sources = import(&ledger, home.path());
    Case { home, truth, ledger, sources }
}

#[test]
fn every_group_equals_the_truth_of_the_corpus() {
    for seed in seeds() {
        let Case { truth, ledger, home: _home, .. } = imported(Options::small(seed));
        for keys in
            [&[Agent, Day][..], &[Model], &[Conversation], &[Provider], &[Project], &[Label("sidechain".into())]]
        {
            assert_rows(&format!("seed {seed}"), &rows(&ledger, keys), &truth.by(keys));
        }
        assert_truth(&format!("seed {seed}"), &ledger, &truth);
        let verified = ledger.verify().unwrap();
        assert!(verified.ok, "seed {seed}: {:?}", verified.findings);
    }
}

#[test]
fn all_groups_have_equal_sums() {
    let Case { truth, ledger, home: _home, .. } = imported(Options::small(5));
    let whole = truth.total();
    let mut groups: Vec<Vec<ReportKey>> =
        [Provider, Model, Agent, Project, Conversation, Hour, Day, Week, Month, Window].map(|key| vec![key]).into();
    groups.extend([vec![], FINEST.to_vec(), vec![Window, Model], vec![Month, Label("sidechain".into())]]);
    for zone in ["UTC", "Europe/Paris", "Asia/Kathmandu", "America/St_Johns"] {
        for keys in &groups {
            let table = ledger.report(&Report::by_all(keys.clone()).tz(zone.parse().unwrap())).unwrap();
            assert_eq!(table.total.requests, whole.requests, "{zone} {keys:?}");
            assert_eq!(table.total.tokens.total(), u128::from(whole.tokens.iter().sum::<u64>()), "{zone} {keys:?}");
            let mut sum = Counts::default();
            rows(&ledger, keys).values().for_each(|row| sum.add(row));
            assert_eq!(sum, whole, "{keys:?}");
        }
    }
}

#[test]
fn unreadable_lines_are_named_and_no_others() {
    for seed in seeds() {
        let Case { home, truth, sources, .. } = imported(Options::small(seed));
        let broken: BTreeSet<(PathBuf, u64)> = truth.torn.union(&truth.tails).cloned().collect();
        let skipped: BTreeSet<(PathBuf, u64)> = sources
            .iter()
            .flat_map(|source| &source.skipped)
            .map(|skipped| (PathBuf::from(&skipped.file).strip_prefix(home.path()).unwrap().to_owned(), skipped.line))
            .collect();
        assert_eq!(skipped, broken, "seed {seed}");
        let listed: usize = sources.iter().map(|source| source.skipped.len()).sum();
        assert_eq!(listed, broken.len(), "seed {seed}: nothing is named twice");
    }
}

#[test]
fn the_report_of_an_import_adds_up() {
    let Case { truth, ledger, sources, home: _home } = imported(Options::small(6));
    let calls = u64::try_from(truth.calls.len()).unwrap();
    assert_eq!(sources.iter().map(|source| source.recorded).sum::<u64>(), calls);
    assert_eq!(sources.iter().map(|source| source.files).sum::<u64>(), u64::try_from(truth.files.len()).unwrap());
    let bytes: u64 = sources.iter().map(|source| source.bytes).sum();
    let tails: u64 = truth.bytes - bytes;
    assert!(truth.tails.is_empty() == (tails == 0), "{tails} bytes of {} tails are left", truth.tails.len());
    assert_eq!(sources.iter().map(|source| source.amended).sum::<u64>(), 0);
    let events = ledger.head().unwrap().position.get();
    let observed: u64 = sources.iter().map(|source| source.observed).sum();
    assert!(observed > 0, "the logs tell of quotas too");
    let runs = sources.iter().filter(|source| source.files > 0).count() as u64;
    assert_eq!(events, calls + observed + runs, "a record a call, what is told of quotas, and a run a source");
}

#[test]
fn a_corpus_is_reproducible_and_contains_every_trap() {
    let (mut all, mut text) = (Truth::default(), String::new());
    for seed in SEEDS {
        let [a, b] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let [truth, again] = [&a, &b].map(|home| Options::small(seed).write(home.path()));
        assert_eq!(truth.by(FINEST), again.by(FINEST));
        for file in &truth.files {
            let [one, other] = [&a, &b].map(|home| std::fs::read_to_string(home.path().join(file)).unwrap());
            assert_eq!(one, other, "{}", file.display());
            text.push_str(&one);
        }
        all.torn.extend(truth.torn);
        all.tails.extend(truth.tails);
        all.calls.extend(truth.calls);
    }
    for trap in [
        r#""id":null"#,
        r#""model":"<synthetic>""#,
        r#""type":"progress""#,
        r#""toolUseResult":{"status""#,
        r#""type":"queue-operation""#,
        r#"\"usage\":{\"input_tokens\""#,
        r#""info":null"#,
        r#""thread_spawn""#,
        r#""forked_from_id""#,
        r#""token_usage_record""#,
        r#""total_token_usage":{"input_tokens":0,"cached_input_tokens":0"#,
        r#""last_token_usage":{"input_tokens":0,"cached_input_tokens":0"#,
    ] {
        assert!(text.contains(trap), "no log holds {trap}");
    }
    assert!(all.torn.len() > 3 && all.tails.len() > 3);
    assert!(all.calls.iter().any(|call| call.sidechain) && all.calls.iter().any(|call| call.micros > 0));
    assert!(all.total().tokens.iter().all(|count| *count > 0));
}

#[test]
fn without_traps_no_line_is_skipped() {
    let Case { truth, ledger, sources, home: _home } = imported(Options { traps: 0, ..Options::small(7) });
    assert_truth("no traps", &ledger, &truth);
    assert!(sources.iter().all(|source| source.skipped.is_empty() && source.duplicates == 0));
}
