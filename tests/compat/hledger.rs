//! The journal adds up according to readers that share no code with the ledger.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::collections::BTreeMap;
use std::process::Command;

use cli_support::TestCli;

fn cli() -> TestCli {
    let cli = TestCli::new();
    let call = |day: &str, rest: &[&str]| {
        let now = format!("2026-06-{day}T12:00:00Z");
        cli.at(&now, &[&["record"], rest].concat());
    };
    call("08", &["--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "120", "--output", "40"]);
    call("08", &["--provider", "anthropic", "--model", "claude-opus-4-5", "--cache-read", "9000", "--input", "7"]);
    call("09", &["--provider", "anthropic", "--model", "claude-opus-4-5", "--input", "1000"]);
    call("09", &["--provider", "ollama", "--model", "qwen3:8b (q4; local)", "--output", "5"]);
    call("10", &["--provider", "anthropic", "--account", "work: team", "--model", "m", "--cache-write-1h", "77"]);
    let rows = r#"{"provider":"openai","model":"gpt-5","input":3,"cost_usd":0.25,"occurred_at":"2026-06-08T10:00:00Z"}
{"provider":"openai","model":"gpt-5","input":4,"cost_usd":0.125,"occurred_at":"2026-06-10T10:00:00Z"}
"#;
    cli.ok_with_input(rows, &["--now", "2026-06-10T12:00:00Z", "record", "--jsonl", "-"]);
    cli
}

/// Sums a journal and returns the first line with a wrong balance assertion.
fn first_wrong(journal: &str) -> Option<usize> {
    let mut balances: BTreeMap<(String, String), f64> = BTreeMap::new();
    for (number, line) in journal.lines().enumerate().filter(|(_, line)| line.starts_with("    ")) {
        let (account, amounts) = line.trim().split_once("  ").unwrap();
        let (amount, asserted) =
            amounts.split_once(" = ").map_or((amounts, None), |(amount, asserted)| (amount, Some(asserted)));
        let number_of = |text: &str| {
            let (number, commodity) = text.split_once(' ').unwrap();
            (number.parse::<f64>().unwrap(), commodity.to_owned())
        };
        let (amount, commodity) = number_of(amount);
        let balance = balances.entry((account.to_owned(), commodity.clone())).or_default();
        *balance += amount;
        if asserted.is_some_and(|asserted| (number_of(asserted).0 - *balance).abs() > 1e-9) {
            return Some(number);
        }
    }
    None
}

#[test]
fn every_asserted_balance_is_the_sum_so_far() {
    let journal = cli().ok(&["export", "--format", "hledger"]);
    assert_eq!(first_wrong(&journal), None, "{journal}");
    assert!(journal.contains("    tokens:anthropic:claude-opus-4-5:input  1000 tokens = 1127 tokens\n"), "{journal}");
    assert!(journal.contains("    cost:openai:gpt-5  0.125 USD = 0.375 USD\n"), "{journal}");
    assert!(first_wrong(&journal.replacen("1000 tokens =", "1001 tokens =", 1)).is_some());
}

#[test]
fn hledger_accepts_the_journal_and_refuses_one_that_is_off_by_one() {
    if Command::new("hledger").arg("--version").output().is_err() {
        // CI installs hledger and requires it; other machines may lack it.
        assert!(std::env::var_os("REQUIRE_HLEDGER").is_none(), "hledger is not installed");
        return;
    }
    let cli = cli();
    let journal = cli.ok(&["export", "--format", "hledger"]);
    let check = |text: &str| {
        let path = cli.dir().join("journal");
        std::fs::write(&path, text).unwrap();
        Command::new("hledger").args(["check", "-f"]).arg(&path).output().unwrap()
    };
    let fine = check(&journal);
    assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
    let off = journal.replacen("1000 tokens =", "1001 tokens =", 1).replacen("-1000 tokens", "-1001 tokens", 1);
    assert_ne!(off, journal);
    assert!(!check(&off).status.success(), "an amount that is off by one is refused");
}
