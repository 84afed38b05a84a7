//! `report`, `log` and `export`: rows, filters, zones and formats.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;

fn filled() -> TestCli {
    let cli = TestCli::new();
    let lines = [
        r#"{"provider":"anthropic","model":"opus","input":1000000,"output":20,"cache_write_5m":3,"cache_write_1h":4,"cache_write":5,"key":"a","occurred_at":"2026-06-01T21:59:59Z","project":"acme","cost_usd":"0.10","labels":{"mission":"7"}}"#,
        r#"{"provider":"anthropic","model":"opus","input":10,"key":"b","occurred_at":"2026-06-01T22:00:00Z","project":"acme, inc"}"#,
        r#"{"provider":"openai","model":"gpt-5","input":100,"reasoning":5,"key":"c","occurred_at":"2026-06-02T10:00:00Z","cost_usd":0.2}"#,
    ];
    cli.ok_with_input(lines.join("\n"), &["--now", "2026-06-03T00:00:00Z", "record", "--jsonl", "-"]);
    cli
}

#[test]
fn a_report_is_printed_as_a_table() {
    let cli = filled();
    assert_eq!(
        cli.ok(&["report"]),
        "\
provider   day         requests      input  cache write  output  reasoning      total  reported USD  computed USD
anthropic  2026-06-01         2  1,000,010           12      20          0  1,000,042         $0.10             -
openai     2026-06-02         1        100            0       0          5        105         $0.20       $0.0002
total                         3  1,000,110           12      20          5  1,000,147         $0.30       $0.0002
computed by genai-prices 0.2.1 of 2026-10-30 (sha256 36b2d46ee3f3…)
2 requests without a known price: `usage-ledger price set` states one
"
    );
}

#[test]
fn days_are_cut_in_the_zone() {
    let cli = filled();
    let days = |zone: &str| {
        let answer = cli.json(&["--tz", zone, "report", "--by", "day"]);
        let rows = answer["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| (row["day"].as_str().unwrap().to_owned(), row["requests"].as_u64().unwrap())).collect()
    };
    let pairs = |list: &[(&str, u64)]| -> Vec<(String, u64)> {
        list.iter().map(|(day, count)| ((*day).to_owned(), *count)).collect()
    };
    let paris: Vec<_> = days("Europe/Paris");
    assert_eq!(paris, pairs(&[("2026-06-01", 1), ("2026-06-02", 2)]));
    assert_eq!(days("UTC"), pairs(&[("2026-06-01", 2), ("2026-06-02", 1)]));
}

#[test]
fn filters_apply_to_rows_and_total() {
    let cli = filled();
    let total = |args: &[&str]| {
        let answer = cli.json(&[&["report", "--by", "day,model"], args].concat());
        let rows: u64 = answer["rows"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap()).sum();
        assert_eq!(answer["total"]["requests"], rows);
        rows
    };
    assert_eq!(total(&[]), 3);
    assert_eq!(total(&["--provider", "codex"]), 1); // an alias
    assert_eq!(total(&["--provider", "codex", "--provider", "claude"]), 3);
    assert_eq!(total(&["--project", "acme"]), 1);
    assert_eq!(total(&["--label", "mission=7"]), 1);
    assert_eq!(total(&["--model", "opus", "--since", "2026-06-01T22:00:00Z"]), 1);
    assert_eq!(total(&["--since", "2026-06-02"]), 1);
    assert_eq!(total(&["--until", "2026-06-02"]), 2); // exclusive
    assert_eq!(total(&["--tz", "Europe/Paris", "--until", "2026-06-02"]), 1);
    assert_eq!(total(&["--since", "2026-06", "--until", "2026-07"]), 3);
    assert_eq!(total(&["--now", "2026-06-03T01:00:00Z", "--since", "yesterday", "--until", "today"]), 1);
    assert_eq!(total(&["--as-of", "1"]), 1);
}

#[test]
fn json_has_the_documented_shape() {
    let cli = filled();
    let answer = cli.json(&["report", "--by", "provider,label:mission", "--provider", "anthropic"]);
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["head"]["position"], 3);
    assert_eq!(answer["head"]["root"].as_str().unwrap().len(), 64);
    let row = &answer["rows"][1];
    assert_eq!(
        (&row["provider"], &row["label:mission"], &row["requests"]),
        (&"anthropic".into(), &"7".into(), &1.into())
    );
    assert_eq!((&row["tokens"]["cache_write"], &row["tokens"]["total"]), (&12.into(), &1_000_032.into()));
    assert_eq!(row["cost"]["reported_usd"], "0.1");
    assert!(answer["rows"][0]["label:mission"].is_null());
    assert!(answer["total"]["cost"]["usd"].is_null());
}

#[test]
fn csv_has_a_fixed_head_and_quotes() {
    let cli = filled();
    assert_eq!(
        cli.ok(&["report", "--by", "project", "--provider", "anthropic", "--csv"]),
        "project,requests,input,cache_read,cache_write_5m,cache_write_1h,cache_write,output,reasoning,total,reported_usd,usd\n\
         acme,1,1000000,0,3,4,12,20,0,1000032,0.1,\n\
         \"acme, inc\",1,10,0,0,0,0,0,0,10,,\n"
    );
}

#[test]
fn log_prints_one_event_per_line() {
    let cli = filled();
    cli.at("2026-06-04T00:00:00Z", &["switch", "ollama", "--reason", "two\nlines"]);
    let text = cli.ok(&["--tz", "Europe/Paris", "log"]);
    assert_eq!(text.lines().count(), 4);
    assert!(
        text.contains("     2  2026-06-02T00:00:00+02:00  tokens_recorded    anthropic opus: input 10  "),
        "{text}"
    );
    assert!(text.contains("openai -> ollama; two lines"), "{text}");
    let positions = |args: &[&str]| -> Vec<u64> {
        let lines = cli.ok(&[&["log", "--json"], args].concat());
        let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        lines.lines().map(|line| event(line)["position"].as_u64().unwrap()).collect()
    };
    assert_eq!(positions(&["--limit", "2"]), [3, 4]);
    assert_eq!(positions(&["--limit", "2", "--reverse"]), [4, 3]);
    assert_eq!(positions(&["--reverse"]), [4, 3, 2, 1]);
    assert_eq!(positions(&["--kind", "tokens_recorded", "--limit", "1"]), [3]);
    assert_eq!(positions(&["--provider", "openai"]), [3, 4]);
    assert_eq!(positions(&["--since", "2026-06-02", "--until", "2026-06-03"]), [3]);
    assert_eq!(positions(&["--as-of", "2"]), [1, 2]);
    let stored = cli.ok(&["export"]);
    let second = stored.lines().nth(1).unwrap();
    assert_eq!(
        cli.ok(&["log", "--json", "--as-of", "2", "--limit", "1"]),
        format!("{{\"position\":2,\"event\":{second}}}\n")
    );
}

#[test]
fn the_log_can_be_followed() {
    use std::io::{BufRead, BufReader};
    let cli = filled();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("usage-ledger"))
        .args(["log", "--follow", "--limit", "1", "--json"])
        .env("USAGE_LEDGER", cli.ledger())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("{\"position\":3,"));
    cli.ok(&["switch", "ollama"]);
    assert!(next().starts_with("{\"position\":4,"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_export_equals_the_stored_lines() {
    let cli = filled();
    let printed = cli.ok(&["export", "--format", "events"]);
    assert_eq!(printed.lines().count(), 3);
    let file = cli.dir().join("out.jsonl");
    cli.ok(&["export", "--output", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    assert!(printed.starts_with(&cli.ok(&["--as-of", "2", "export"])));
}

/// Three projects of one provider, with a priced model.
fn projects() -> TestCli {
    let cli = TestCli::new();
    for (project, model, input) in [
        ("/home/me/acme", "claude-opus-4-5-20251101", "3000000"),
        ("/home/me/tools", "claude-sonnet-4-5", "2000000"),
        ("/srv/tools2", "claude-sonnet-4-5", "1000000"),
    ] {
        let names = ["record", "--provider", "anthropic", "--project", project, "--model", model, "--input", input];
        cli.at("2026-06-10T10:00:00Z", &names);
    }
    cli
}

#[test]
fn a_filter_without_matches_suggests_near_names() {
    let cli = projects();
    let note = |args: &[&str]| {
        let done = cli.command().args([&["--now", "2026-06-10T11:00:00Z", "report"], args].concat()).assert().success();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&done.get_output().stdout), text(&done.get_output().stderr))
    };
    let (_, error) = note(&["--provider", "antropic"]);
    assert!(error.contains("no call has the provider `antropic`: did you mean `anthropic`?"), "{error}");
    // A unique last component of a path, and a model without its date, suffice.
    let (table, error) = note(&["--by", "project", "--wide", "--project", "acme"]);
    assert!(table.contains("/home/me/acme") && error.contains("`acme` is taken for `/home/me/acme`"), "{table}{error}");
    let (table, error) = note(&["--by", "model", "--wide", "--model", "claude-opus-4-5"]);
    assert!(table.contains("claude-opus-4-5-20251101"), "{table}{error}");
    let (_, error) = note(&["--project", "tolos"]);
    assert!(error.contains("did you mean") && error.contains("`/home/me/tools`"), "{error}");
    let (_, error) = note(&["--project", "zzz"]);
    assert!(error.contains("`usage-ledger report --by project` lists all"), "{error}");
    let (_, error) = note(&["--label", "team=a"]);
    assert!(error.contains("no call has any label:team"), "{error}");
    // A filter that matches calls outside the range is valid, and causes no hint.
    let (_, error) = note(&["--provider", "anthropic", "--since", "2026-06-11"]);
    assert!(error.is_empty(), "{error}");
}

#[test]
fn rows_can_be_ordered_limited_and_compared() {
    let cli = projects();
    let rows = |args: &[&str]| -> Vec<String> {
        let answer = cli.json(&[&["report", "--by", "project"], args].concat());
        assert_eq!(answer["total"]["requests"], 3);
        answer["rows"].as_array().unwrap().iter().map(|row| row["project"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(rows(&[]), ["/home/me/acme", "/home/me/tools", "/srv/tools2"]);
    assert_eq!(rows(&["--sort", "tokens", "--top", "1"]), ["/home/me/acme"]);
    assert_eq!(rows(&["--top", "2"]), ["/home/me/acme", "/home/me/tools"]); // $15, $12, $6
    let text = cli.ok(&["report", "--by", "project", "--share", "--top", "2"]);
    for part in ["█████░░░░░  45.5 %", "████░░░░░░  36.4 %", "1 row not shown; the total includes them"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn times_and_counts_have_short_forms() {
    let cli = projects();
    let requests = |args: &[&str]| {
        cli.json(&[&["--now", "2026-06-12T11:00:00Z", "report"], args].concat())["total"]["requests"].clone()
    };
    assert_eq!((requests(&["--since", "2d"]), requests(&["--since", "1d"])), (3.into(), 0.into()));
    assert_eq!((requests(&["--since", "49h"]), requests(&["--since", "48h"])), (3.into(), 0.into()));
    assert_eq!((requests(&["--days", "365"]), requests(&["--days", "2"])), (3.into(), 0.into()));
    cli.at("2026-06-10T09:00:00Z", &["limit", "set", "anthropic", "--session", "500k", "--weekly", "1.5M"]);
    let status = cli.json(&["--now", "2026-06-10T11:00:00Z", "status", "anthropic"]);
    let anthropic = crate::cli_support::provider(&status, "anthropic");
    assert_eq!((&anthropic["session"]["limit"], &anthropic["weekly"]["limit"]), (&500_000.into(), &1_500_000.into()));
    let error = cli.fails(2, &["status", "antropic"]);
    assert!(error.contains("did you mean `anthropic`?"), "{error}");
}

#[test]
fn a_report_by_outcome_without_outcomes_explains_itself() {
    let cli = projects();
    let text = cli.ok(&["report", "--by", "project", "--outcomes"]);
    assert!(text.contains("no record has the label outcome"), "{text}");
}

#[test]
fn reports_can_be_drawn_as_charts() {
    let cli = projects();
    cli.at(
        "2026-06-12T10:00:00Z",
        &[
            "record",
            "--provider",
            "anthropic",
            "--project",
            "/srv/tools2",
            "--input",
            "0",
            "--output",
            "1000000",
            "--model",
            "claude-sonnet-4-5",
        ],
    );
    let drawn = cli.ok(&["report", "--by", "day,model", "--chart"]);
    assert!(drawn.starts_with("cost by day and model\n"), "{drawn}");
    // The day without calls has its own line.
    for part in ["2026-06-10  ██", "2026-06-11   ", "2026-06-12  ", "$33.00\n", "\n██ claude-sonnet-4-5\n"] {
        assert!(drawn.contains(part), "{part:?} is not in\n{drawn}");
    }
    assert!(!drawn.contains('\u{1b}'), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    let file = cli.dir().join("projects.svg");
    cli.ok(&["report", "--by", "project,model", "--svg", file.to_str().unwrap()]);
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"), "{picture}");
    assert!(picture.contains("<title>/home/me/acme claude-opus-4-5-20251101: $15.00</title>"), "{picture}");
    assert!(!picture.contains("href") && !picture.contains("<script"), "a picture loads nothing");
    for (keys, title) in
        [("hour", "cost by weekday and hour"), ("model", "cost by model"), ("window", "cost by window")]
    {
        assert!(cli.ok(&["report", "--by", keys, "--chart"]).starts_with(title), "{keys}");
    }
    let error = cli.fails(2, &["report", "--by", "day,model,project", "--chart"]);
    assert!(error.contains("one or two keys"), "{error}");
    let error = cli.fails(2, &["report", "--provider", "openai", "--chart"]);
    assert!(error.contains("there is nothing to draw"), "{error}");
}
