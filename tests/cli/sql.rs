//! `sql`: queries over read-only tables.

use std::fmt::Write;

use serde_json::Value;

use crate::cli_support::TestCli;

const NOW: &str = "2026-06-12T16:20:00Z";

/// A ledger with calls of three providers, an amended and a voided call, a switch, a limit and an observation.
fn ledger() -> TestCli {
    let cli = TestCli::new();
    let mut lines = String::new();
    for n in 0..300_u32 {
        let (provider, model) =
            [("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-5"), ("ollama", "llama3")][n as usize % 3];
        writeln!(
            lines,
            r#"{{"provider":"{provider}","model":"{model}","project":"p{}","input":{},"cache_read":{},"output":{},"key":"k{n}","occurred_at":"2026-06-{:02}T{:02}:10:00Z","labels":{{"team":"t{}"}}}}"#,
            n % 5,
            1_000 + n,
            n * 7,
            3 + n,
            1 + n / 30,
            n % 24,
            n % 2,
        )
        .unwrap();
    }
    cli.ok_with_input(lines, &["--now", "2026-06-11T00:00:00Z", "record", "--jsonl", "-"]);
    cli.at("2026-06-11T01:00:00Z", &["amend", "10", "--output", "77777", "--reason", "counted twice"]);
    cli.at("2026-06-11T01:00:01Z", &["void", "20", "--reason", "a test"]);
    cli.at("2026-06-11T02:00:00Z", &["limit", "set", "anthropic", "--session", "60000"]);
    cli.at("2026-06-12T15:00:00Z", &["switch", "openai", "--reason", "session at 70 %"]);
    cli
}

fn rows(cli: &TestCli, query: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&cli.at(NOW, &["--json", "sql", query])).unwrap();
    assert_eq!(answer["schema"], 1);
    answer["rows"].as_array().unwrap().clone()
}

#[test]
fn sums_equal_the_report() {
    let cli = ledger();
    for (key, column) in [
        ("provider", "provider"),
        ("model", "model"),
        ("project", "project"),
        ("day", "date(occurred_at)"),
        ("label:team", "labels ->> 'team'"),
    ] {
        let query = format!(
            "select {column} k, count(*) requests, sum(input) input, sum(cache_read) cache_read, sum(output) output, \
             sum(total) total, sum_usd(usd) usd from calls group by 1 order by 1"
        );
        let answer: Value = serde_json::from_str(&cli.at(NOW, &["--json", "report", "--by", key])).unwrap();
        let mut expected: Vec<(String, Vec<Value>)> = answer["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let tokens = |class: &str| row["tokens"][class].clone();
                let sums = vec![
                    row["requests"].clone(),
                    tokens("input"),
                    tokens("cache_read"),
                    tokens("output"),
                    tokens("total"),
                    row["cost"]["usd"].clone(),
                ];
                (row[key].as_str().unwrap().to_owned(), sums)
            })
            .collect();
        expected.sort_by(|(one, _), (other, _)| one.cmp(other));
        let found: Vec<(String, Vec<Value>)> = rows(&cli, &query)
            .into_iter()
            .map(|row| {
                let values =
                    ["requests", "input", "cache_read", "output", "total", "usd"].map(|name| row[name].clone());
                (row["k"].as_str().unwrap().to_owned(), values.to_vec())
            })
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(found, expected, "by {key}");
    }
}

#[test]
fn the_past_is_queried_as_of_a_position() {
    let cli = ledger();
    let output = |as_of: &str| {
        let query = "select output from calls where position = 10";
        let answer: Value = serde_json::from_str(&cli.ok(&["--as-of", as_of, "--json", "sql", query])).unwrap();
        answer["rows"][0]["output"].clone()
    };
    assert_eq!((output("300"), output("301")), (12.into(), 77_777.into()));
    let count = |as_of: &str| cli.ok(&["--as-of", as_of, "sql", "--csv", "select count(*) n from calls"]);
    assert_eq!((count("301"), count("302")), ("n\n300\n".to_owned(), "n\n299\n".to_owned()));
}

#[test]
fn the_other_tables_have_their_rows() {
    let cli = ledger();
    let switch = rows(&cli, "select \"to\", reason from switches");
    assert_eq!(switch, [serde_json::json!({"to": "openai", "reason": "session at 70 %"})]);
    let decision = rows(&cli, "select kind, provider, data ->> 'session' session from decisions");
    assert_eq!(decision, [serde_json::json!({"kind": "limit_set", "provider": "anthropic", "session": 60_000})]);
    // Every call is in one session window and one weekly window of its account.
    let sums = rows(
        &cli,
        "select kind, sum(requests) requests, sum(total) = (select sum(total) from calls) same from windows group by 1",
    );
    assert_eq!(
        sums,
        [
            serde_json::json!({"kind": "session", "requests": 299, "same": 1}),
            serde_json::json!({"kind": "weekly", "requests": 299, "same": 1}),
        ]
    );
    let price = rows(&cli, "select usd_per_million from prices where model = 'gpt-5' and class = 'input'");
    assert_eq!(price, [serde_json::json!({"usd_per_million": "1.25"})]);
    assert_eq!(rows(&cli, "select count(*) n from events"), [serde_json::json!({"n": 304})]);
}

#[test]
fn a_query_reads_and_does_nothing_else() {
    let cli = ledger();
    let secret = cli.dir().join("other.db");
    for (query, why) in [
        ("delete from calls", "one SELECT"),
        ("select 1; select 2", "several statements"),
        ("", "empty"),
        ("/* nothing */", "empty"),
        (&format!("attach '{}' as other", secret.display()), "may only read"),
        ("pragma journal_mode=delete", "may only read"),
        ("create table t (a)", "may only read"),
        ("select load_extension('x')", "may only read"),
        ("select * from call", "the tables are calls"),
        ("select tokens from calls", "sql --tables"),
        ("selec provider from calls", "syntax error"),
    ] {
        let stderr = cli.fails(2, &["sql", query]);
        assert!(stderr.contains(why), "{query}: {stderr}");
    }
    assert!(!secret.exists());
    let stderr = cli.fails(2, &["--json", "sql", "select 1 a, 2 a"]);
    assert!(stderr.contains("two columns are named `a`"), "{stderr}");
}

#[test]
fn answers_are_tables_json_and_csv() {
    let cli = ledger();
    let query = "select provider, sum(total) tokens from calls where provider <> 'ollama' group by 1";
    let shown = cli.ok(&["sql", query]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["provider", "tokens"]);
    assert_eq!(lines.len(), 4, "{shown}");
    assert_eq!(lines[3], "2 rows");
    // A cell that a spreadsheet would execute is quoted.
    assert_eq!(cli.ok(&["sql", "--csv", "select '=1+1' a, null b, 2.5 c"]), "a,b,c\n'=1+1,,2.5\n");
    assert_eq!(cli.ok_with_input("select 1 one".to_owned(), &["sql", "-"]), "one\n1\n1 row\n");
    let tables = cli.ok(&["sql", "--tables"]);
    for table in ["calls", "switches", "windows", "observations", "decisions", "prices", "events"] {
        assert!(tables.contains(&format!("{table}: ")), "{tables}");
    }
}
