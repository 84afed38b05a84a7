//! `reconcile`: statements are recorded once, later editions replace earlier ones, and answers state what is confirmed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support::TestCli;
use serde_json::Value;

const NOW: &str = "2026-06-10T00:00:00Z";
const HEAD: &str = "date,username,sku,model,net_amount,input,output,cache_read,cache_write";

/// Two days of calls at a price of 1 dollar per million tokens.
fn cli() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-05-01T00:00:00Z", &["price", "set", "github-copilot", "gpt-5", "--input", "1", "--output", "1"]);
    let call = |day: u32, project: &str, input: u32, key: &str| {
        format!(
            r#"{{"provider":"github-copilot","model":"gpt-5","input":{input},"project":"{project}","key":"{key}","occurred_at":"2026-05-0{day}T10:00:00Z"}}"#
        )
    };
    let calls = [call(1, "acme", 3_000_000, "a"), call(1, "globex", 1_000_000, "b"), call(2, "acme", 2_000_000, "c")];
    cli.ok_with_input(calls.join("\n"), &["--now", "2026-05-03T00:00:00Z", "record", "--jsonl", "-"]);
    cli
}

fn file(cli: &TestCli, name: &str, rows: &[&str]) -> String {
    let path = cli.dir().join(name);
    std::fs::write(&path, format!("{HEAD}\n{}\n", rows.join("\n"))).unwrap();
    path.display().to_string()
}

const EQUAL: [&str; 2] = ["2026-05-01,u,s,gpt-5,4,4000000,0,0,0", "2026-05-02,u,s,gpt-5,2,2000000,0,0,0"];

/// The JSON answer, and the exit code.
fn reconcile(cli: &TestCli, args: &[&str]) -> (Value, i32) {
    let done = cli.command().args([&["--now", NOW, "--json", "reconcile"], args].concat()).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let shown = String::from_utf8_lossy(&done.stderr).into_owned();
    (serde_json::from_str(&text).unwrap_or_else(|_| panic!("{args:?}: {text}{shown}")), done.status.code().unwrap())
}

fn size(cli: &TestCli) -> u64 {
    cli.json(&["verify"])["size"].as_u64().unwrap()
}

#[test]
fn an_export_of_this_program_agrees_with_the_ledger() {
    let cli = TestCli::new();
    let call = |model: &str, more: &str| {
        format!(
            r#"{{"provider":"openai","account":"@acme","model":{model},"input":1000,"output":5,"reasoning":2,"cache_read":7,"occurred_at":"2026-05-01T10:00:00Z"{more}}}"#
        )
    };
    let calls = [call("\"gpt-5\"", ""), call("\"=team/prompt-model\"", ""), call("null", "")];
    cli.ok_with_input(calls.join("\n"), &["--now", "2026-05-03T00:00:00Z", "record", "--jsonl", "-"]);
    let path = cli.dir().join("focus.csv");
    std::fs::write(&path, cli.ok(&["--now", NOW, "export", "--format", "focus"])).unwrap();
    let (answer, code) = reconcile(&cli, &[path.to_str().unwrap(), "--account", "@acme"]);
    let rows = answer["statements"][0]["rows"].as_array().unwrap();
    let models: Vec<_> = rows.iter().map(|row| &row["model"]).collect();
    assert!(code == 0 && models.len() == 3 && models.contains(&&"gpt-5".into()), "{code}: {answer}");
}

#[test]
fn a_statement_keeps_no_credential_and_keys_stay_distinct() {
    let cli = TestCli::new();
    let head = "request_id,startTime,endTime,spend,model,api_key,user,prompt_tokens,completion_tokens,total_tokens,\
                custom_llm_provider";
    let row = |number: u32, model: &str| {
        format!(
            "sk-ant-api03-Hunter2hunter{number},2026-05-01T10:00:0{number}Z,2026-05-01T10:00:09Z,0.01,{model},\
             sk-proj-Hunter2Hunter2Hunter{number},password=Hunter2x,10,5,15,https://me:Hunter2@host/"
        )
    };
    let path = cli.dir().join("litellm.csv");
    std::fs::write(&path, [head, &row(1, "gpt-5"), &row(2, "sk-ant-api03-Hunter2hunter2")].join("\n")).unwrap();
    cli.ok(&["record", "--provider", "openai", "--input", "1"]);
    let (answer, _) = reconcile(&cli, &[path.to_str().unwrap()]);
    let lines = cli.ok(&["export"]);
    assert!(lines.contains("statement_received"), "{answer} {lines}");
    assert!(!format!("{answer} {lines}").to_lowercase().contains("hunter2"), "{answer} {lines}");
    let keys = lines.split("\"key\":\"redacted-").skip(1).map(|rest| &rest[..16]);
    assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 2, "{lines}");
}

#[test]
fn a_statement_is_recorded_once_and_changes_no_record() {
    let cli = cli();
    let bill = file(&cli, "may.csv", &EQUAL);
    let (before, report) = (size(&cli), cli.json(&["report", "--by", "day"])["rows"].clone());
    let (answer, code) = reconcile(&cli, &[&bill]);
    let recorded = &answer["statements"][0]["recorded"];
    assert_eq!((code, recorded["new"].as_bool(), recorded["positions"][0].as_u64()), (0, Some(true), Some(before + 1)));
    let (again, _) = reconcile(&cli, &[&bill]);
    let recorded = &again["statements"][0]["recorded"];
    assert_eq!((&recorded["positions"][0], &recorded["new"]), (&(before + 1).into(), &false.into()));
    assert_eq!((size(&cli), cli.json(&["report", "--by", "day"])["rows"].clone()), (before + 1, report));
    let event = cli.json(&["show", &(before + 1).to_string()]);
    let data = &event["event"]["data"];
    assert_eq!(
        (&data["provider"], &data["zone"], &data["buckets"][0]["tokens"]["input"], &data["buckets"][0]["usd"]),
        (&"github-copilot".into(), &"UTC".into(), &4_000_000.into(), &"4".into())
    );
    assert_eq!(data["file"].as_str().unwrap().len(), 64);
    let (of_event, _) = reconcile(&cli, &[]);
    assert_eq!(of_event["statements"][0]["rows"], answer["statements"][0]["rows"]);
    // The clock runs while the command works.
    let other = file(&cli, "other.csv", &EQUAL[..1]);
    let text = cli.ok(&["reconcile", &other]);
    assert!(text.contains(&format!("\nrecorded at position {}", before + 2)), "{text}");
    // A statement of another account is another one.
    reconcile(&cli, &[&bill, "--account", "work"]);
    assert_eq!(size(&cli), before + 3);
    assert!(cli.json(&["verify"])["ok"].as_bool().unwrap());
}

#[test]
fn a_later_edition_replaces_the_earlier_one_and_both_stay() {
    let cli = cli();
    let early = file(&cli, "early.csv", &["2026-05-01,u,s,gpt-5,9,9000000,0,0,0", EQUAL[1]]);
    let (answer, code) = reconcile(&cli, &[&early]);
    assert_eq!((code, &answer["statements"][0]["rows"][0]["causes"][0]["cause"]), (1, &"unknown".into()));
    assert_eq!(answer["statements"][0]["rows"][0]["causes"][0]["tokens"]["input"], 5_000_000);
    assert_eq!(reconcile(&cli, &[]).1, 1);
    reconcile(&cli, &[&file(&cli, "late.csv", &EQUAL)]);
    let (answer, code) = reconcile(&cli, &[]);
    assert_eq!((code, answer["statements"].as_array().unwrap().len()), (0, 1));
    assert_eq!(cli.ok(&["log", "--kind", "statement_received"]).lines().count(), 2);
    // The later one is withdrawn, and the earlier one holds again.
    let position = answer["statements"][0]["recorded"]["positions"][0].to_string();
    cli.at(NOW, &["void", &position, "--reason", "the wrong file"]);
    assert_eq!(reconcile(&cli, &[]).1, 1);
    // An edition of one day replaces that day only.
    reconcile(&cli, &[&file(&cli, "day.csv", &EQUAL[..1])]);
    let (answer, code) = reconcile(&cli, &[]);
    assert_eq!((code, answer["statements"].as_array().unwrap().len()), (0, 2));
}

#[test]
fn nothing_is_recorded_by_a_dry_run_a_past_query_or_a_faulty_file() {
    let cli = cli();
    let bill = file(&cli, "may.csv", &EQUAL);
    let before = size(&cli);
    assert!(reconcile(&cli, &[&bill, "--dry-run"]).0["statements"][0]["recorded"].is_null());
    cli.ok(&["--as-of", &before.to_string(), "--now", NOW, "reconcile", &bill]);
    let bad = cli.dir().join("bad.csv");
    std::fs::write(&bad, format!("{HEAD},surcharge\n{},1\n", EQUAL[0])).unwrap();
    let fault = cli.fails(2, &["reconcile", &bill, &bad.display().to_string()]);
    assert!(fault.contains("bad.csv:1: column `surcharge` is unknown"), "{fault}");
    let outside = cli.fails(2, &["reconcile", &bill, "--period", "2026-05-01"]);
    assert!(outside.contains("is outside the period"), "{outside}");
    assert_eq!(size(&cli), before);
}

#[test]
fn the_period_of_a_statement_includes_days_that_it_does_not_list() {
    let cli = cli();
    let bill = file(&cli, "may.csv", &EQUAL[..1]);
    assert_eq!(reconcile(&cli, &[&bill, "--dry-run"]).1, 0);
    let (answer, code) = reconcile(&cli, &[&bill, "--period", "2026-05"]);
    let row = &answer["statements"][0]["rows"][1];
    assert_eq!((code, &row["verdict"], &row["causes"][0]["usd"]), (1, &"ledger_higher".into(), &"-2".into()));
}

#[test]
fn status_and_gate_state_the_confirmed_share() {
    let cli = cli();
    assert_eq!(cli.json(&["--now", NOW, "status"])["confirmed"], Value::Array(Vec::new()));
    assert!(cli.json(&["--now", NOW, "gate", "github-copilot"])["confirmed"].is_null());
    reconcile(&cli, &[&file(&cli, "may.csv", &[EQUAL[0], "2026-05-02,u,s,gpt-5,2.5,2500000,0,0,0"])]);
    let status = cli.json(&["--now", NOW, "status"]);
    let confirmed = &status["confirmed"][0];
    assert_eq!(
        (&confirmed["usd"], &confirmed["confirmed_usd"], confirmed["percent"].as_f64()),
        (&"6".into(), &"4".into(), Some(66.6))
    );
    assert_eq!(&cli.json(&["--now", NOW, "gate", "github-copilot"])["confirmed"], confirmed);
    assert!(cli.at(NOW, &["status"]).contains("confirmed of github-copilot: 66.6 % of $6.00, by 1 statement"));
    assert!(cli.at(NOW, &["gate", "github-copilot"]).contains("confirmed: 66.6 % of"));
    // What is imported later is confirmed without another file.
    let lost = r#"{"provider":"github-copilot","model":"gpt-5","input":500000,"key":"d","occurred_at":"2026-05-02T11:00:00Z"}"#;
    cli.ok_with_input(lost, &["--now", NOW, "record", "--jsonl", "-"]);
    assert_eq!(cli.json(&["--now", NOW, "status"])["confirmed"][0]["percent"], 100.0);
}

#[test]
fn a_report_draws_what_statements_confirm() {
    let cli = cli();
    let svg = cli.dir().join("bill.svg").display().to_string();
    assert!(cli.fails(2, &["report", "--bill", "--svg", &svg]).contains("no statement covers these days"));
    reconcile(&cli, &[&file(&cli, "may.csv", &[EQUAL[0], "2026-05-02,u,s,gpt-5,2.5,2500000,0,0,0"])]);
    let days = cli.json(&["--now", NOW, "report", "--bill", "--svg", &svg]);
    let of = |day: usize, part: &str| days["days"][day][part].as_str().unwrap().to_owned();
    assert_eq!((of(0, "confirmed"), of(1, "confirmed"), of(1, "unexplained")), ("4".into(), "2".into(), "0.5".into()));
    assert_eq!(days["total"]["confirmed"], "6");
    let drawn = std::fs::read_to_string(&svg).unwrap();
    for expected in ["confirmed", "explained", "unexplained", "2026-05-02 unexplained: $0.50"] {
        assert!(drawn.contains(expected), "{expected}: {drawn}");
    }
    let csv = cli.at(NOW, &["report", "--bill", "--csv", "--since", "2026-05-02"]);
    assert_eq!(csv.lines().nth(1).unwrap(), "2026-05-02,2,0,0.5,0,0");
    // From 2 May until 10 June, both included, are 40 days.
    assert_eq!(cli.at(NOW, &["report", "--bill", "--csv", "--days", "40"]), csv);
}

#[test]
fn a_seal_names_the_statements_of_its_period() {
    let cli = cli();
    reconcile(&cli, &[&file(&cli, "old.csv", &EQUAL[..1])]);
    let (answer, _) = reconcile(&cli, &[&file(&cli, "may.csv", &EQUAL)]);
    let statement = &answer["statements"][0];
    cli.ok(&["key", "generate"]);
    let seal = cli.at(NOW, &["seal", "--until", "2026-06"]);
    let line = format!(
        "statement {} github-copilot {}\n",
        statement["recorded"]["positions"][0],
        statement["sha256"].as_str().unwrap()
    );
    assert!(seal.contains(&line), "{seal}");
    assert_eq!(seal.matches("\nstatement ").count(), 1, "the replaced one is not named: {seal}");
    let path = cli.dir().join("may.seal");
    std::fs::write(&path, &seal).unwrap();
    let key = cli.ok(&["key", "show"]);
    let verifier = cli.dir().join("verifier.pub");
    std::fs::write(&verifier, key).unwrap();
    cli.ok(&["verify", "--checkpoint", &path.display().to_string(), "--verifier", &verifier.display().to_string()]);
    let proof = cli.at(NOW, &["prove", "total", "--project", "acme", "--period", "2026-05-10"]);
    assert!(proof.contains(&line), "{proof}");
}

#[test]
fn the_amounts_of_a_statement_are_split_to_the_last_unit() {
    let cli = cli();
    let (answer, _) =
        reconcile(&cli, &[&file(&cli, "may.csv", &["2026-05-01,u,s,gpt-5,3.333,4000000,0,0,0", EQUAL[1]])]);
    let position = answer["statements"][0]["recorded"]["positions"][0].to_string();
    // Calls of other providers have no part in the bill.
    let other = r#"{"provider":"openai","model":"gpt-5","input":9000000,"project":"initech","occurred_at":"2026-05-02T11:00:00Z"}"#;
    cli.ok_with_input(other, &["--now", NOW, "record", "--jsonl", "-"]);
    let parts = cli.json(&["--now", NOW, "allocate", "--statement", &position]);
    assert_eq!((&parts["bill"], &parts["since"]), (&"5.333".into(), &"2026-05-01T00:00:00.000Z".into()));
    let receivers = parts["receivers"].as_array().unwrap();
    let names: Vec<&str> = receivers.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme", "globex"]);
    let sum = receivers.iter().map(|one| one["usd"].as_str().unwrap().parse::<usage_ledger::Usd>().unwrap());
    let sum = sum.fold(usage_ledger::Usd::default(), |sum, usd| sum.checked_add(usd).unwrap());
    assert_eq!(sum.to_string(), "5.333");
    assert!(cli.fails(2, &["--now", NOW, "allocate", "--statement", "1"]).contains("no statement that holds"));
}

#[test]
fn requests_are_matched_by_their_ids() {
    let cli = cli();
    let calls = [
        r#"{"provider":"openai","model":"gpt-5","input":5,"output":1,"key":"r1","occurred_at":"2026-05-01T23:59:59Z"}"#,
        r#"{"provider":"openai","model":"gpt-5","input":7,"output":1,"key":"r2","occurred_at":"2026-05-02T10:00:00Z"}"#,
    ];
    cli.ok_with_input(calls.join("\n"), &["--now", NOW, "record", "--jsonl", "-"]);
    let logs = cli.dir().join("logs.csv");
    let rows = "request_id,startTime,model,custom_llm_provider,api_key,prompt_tokens,completion_tokens,spend\n\
        r1,2026-05-02T00:00:03Z,gpt-5,openai,k,5,1,\nr2,2026-05-02T10:00:00Z,gpt-5,openai,k,7,1,\n\
        r3,2026-05-02T10:00:00Z,gpt-5,openai,k,9,2,\n";
    std::fs::write(&logs, rows).unwrap();
    let (answer, code) = reconcile(&cli, &[&logs.display().to_string()]);
    let rows = answer["statements"][0]["rows"].as_array().unwrap();
    assert_eq!((code, rows.len()), (1, 1), "{answer}");
    assert_eq!(rows[0]["causes"][0]["tokens"]["prompt"], 9);
}
