//! Renamed counters: records with missing counts are counted and reported.

#![cfg(feature = "import")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use usage_ledger::Ledger;
use usage_ledger::import::{self, ImportOptions, SchemaDrift};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// A copy of a home in which a text is replaced in every file.
fn renamed(from: &Path, to: &Path, (old, new): (&str, &str)) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        let name = to.to_string_lossy().into_owned();
        if entry.is_dir() {
            renamed(&entry, &to, (old, new));
        } else if let Some(database) = name.strip_suffix(".sql") {
            let sql = fs::read_to_string(&entry).unwrap().replace(old, new);
            rusqlite::Connection::open(database).unwrap().execute_batch(&sql).unwrap();
        } else {
            let text = fs::read(&entry).unwrap();
            match String::from_utf8(text) {
                Ok(text) => fs::write(&to, text.replace(old, new)).unwrap(),
                Err(bytes) => fs::write(&to, bytes.into_bytes()).unwrap(),
            }
        }
    }
}

fn import(home: &Path) -> Vec<(String, u64, SchemaDrift)> {
    let options = ImportOptions::new().homes([home.to_owned()]);
    let now: usage_ledger::Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let report = import::run(&Ledger::in_memory().unwrap(), &options, now, &mut |_| {}).unwrap();
    let summary = |source: import::SourceReport| (source.source, source.recorded, source.drift);
    report.sources.into_iter().filter(|source| source.recorded > 0).map(summary).collect()
}

fn doubts(home: &str, change: (&str, &str), source: &str) -> (u64, SchemaDrift) {
    let other = TempDir::new().unwrap();
    renamed(&fixture(home), other.path(), change);
    let result = import(other.path()).into_iter().find(|(name, ..)| name == source).unwrap();
    (result.1, result.2)
}

#[test]
fn logs_of_known_versions_cause_no_warnings() {
    let home = TempDir::new().unwrap();
    for agent in fs::read_dir(fixture("agents")).unwrap().map(|entry| entry.unwrap().path()) {
        if agent.is_dir() {
            renamed(&agent, home.path(), ("", ""));
        }
    }
    for logs in [home.path(), &fixture("clients"), &fixture("ccusage/corpus/home"), &fixture("ccusage/models/home")] {
        let summary = import(logs);
        assert!(!summary.is_empty());
        for (source, _, doubts) in summary {
            assert_eq!(doubts, SchemaDrift::default(), "{source}");
        }
    }
}

#[test]
fn records_without_an_input_or_an_output_count_are_counted() {
    for (home, change, source, input) in [
        ("clients", ("\"output_tokens\"", "\"out_tokens\""), "claude-code", false),
        ("clients", ("\"input\":", "\"in\":"), "gemini-cli", true),
        ("agents/roo-code", ("tokensIn", "tokens_in"), "roo-code", true),
        ("agents/kilo-code", ("tokensOut", "tokens_out"), "kilo-code", false),
        ("agents/cline", ("tokensIn", "tokens_in"), "cline", true),
        ("agents/droid", ("\"inputTokens\"", "\"in\""), "droid", true),
        ("agents/amp", ("\"output\":", "\"out\":"), "amp", false),
    ] {
        let (recorded, doubts) = doubts(home, change, source);
        let (lacking, other) = if input {
            (doubts.without_input, doubts.without_output)
        } else {
            (doubts.without_output, doubts.without_input)
        };
        assert!(lacking > 0 && lacking <= recorded && other == 0, "{source}: {doubts:?}");
    }
}

#[test]
fn records_with_a_differing_stated_total_are_counted() {
    let (recorded, doubts) = doubts("clients", ("\"input\":", "\"in\":"), "gemini-cli");
    assert_eq!((doubts.not_adding_up, doubts.without_input), (recorded, recorded));
}

#[test]
fn a_class_that_no_record_of_many_has_is_named() {
    let renamed = ("\"cache_read_input_tokens\"", "\"cache_hit_tokens\"");
    let (recorded, doubts) = doubts("ccusage/corpus/home", renamed, "claude-code");
    assert!(recorded >= 20);
    assert_eq!(doubts, {
        let mut made = SchemaDrift::default();
        made.absent = vec!["cache_read".to_owned()];
        made
    });
    assert_eq!(serde_json::to_string(&doubts).unwrap(), r#"{"absent":["cache_read"]}"#);
}
