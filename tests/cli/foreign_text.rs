//! Foreign text in answers cannot control a terminal, hide, or run in a spreadsheet.

use serde_json::{Value, json};

use crate::cli_support::TestCli;

const HOSTILE: &str = "a\u{1b}[31m\u{202e}b\u{9b}2Jc\u{200b}\u{7f}\u{2028}\u{feff}\u{e0041}\u{2066}d";

fn hidden(text: &str) -> Option<char> {
    text.chars().find(|char| {
        (char.is_control() && *char != '\n')
            || matches!(*char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    })
}

#[test]
fn no_answer_shows_a_hidden_character() {
    let cli = TestCli::new();
    let record = json!({"provider": "anthropic", "model": HOSTILE, "input": 10, "project": HOSTILE, "account": HOSTILE,
        "conversation": HOSTILE, "agent": HOSTILE, "labels": {"mission": HOSTILE}, "key": "k"});
    cli.ok_with_input(record.to_string(), &["record", "--jsonl", "-"]);
    cli.ok(&["switch", "openai", "--reason", HOSTILE]);
    cli.ok(&["pause", "--reason", HOSTILE]);
    cli.ok(&["limit", "set", "anthropic", "--account", HOSTILE, "--session", "10"]);
    cli.ok(&["alert", "set", "anthropic", "--account", HOSTILE, "--session", "1"]);
    for args in [
        &["report", "--by", "model,project,account,conversation,agent,label:mission"][..],
        &["status"],
        &["log"],
        &["show", "1"],
        &["show", "2"],
        &["gate", "anthropic"],
        &["statusline"],
        &["doctor"],
        &["verify"],
        &["quota", "show"],
        &["record", "--provider", HOSTILE, "--input", "1"],
        &["report", "--by", HOSTILE],
        &["show", HOSTILE],
        &["--tz", HOSTILE, "status"],
        &["--ledger", HOSTILE, "verify"],
        &["gate", "anthropic", "--explain"],
        &["limit", "show"],
        &["alert", "list"],
        &["alert", "check"],
        &["provider", "list"],
        &["config", "show"],
        &["sql", "SELECT * FROM calls"],
        &["sql", "--json", "SELECT * FROM calls"],
        &["sql", &format!("SELECT 1 AS \"{HOSTILE}\"")],
        &["sql", &format!("SELECT {HOSTILE} FROM calls")],
        &["report", "--by", "model", "--chart"],
        &["report", "--by", "day,model", "--chart"],
        &["report", "--by", "project,model", "--chart"],
        &["report", "--by", "account,model", "--format", "markdown"],
        &["export", "--format", "usage-md"],
        &["--json", "log"],
        &["--json", "report", "--by", "model"],
        &["--json", "status"],
        &["--json", "show", "1"],
    ] {
        let done = cli.command().args(args).output().unwrap();
        let output = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(!output.is_empty(), "{args:?}");
        assert_eq!(hidden(&output), None, "{args:?} said {output:?}");
    }
    let figure = cli.dir().join("figure.svg");
    cli.ok(&["report", "--by", "project,model", "--svg", figure.to_str().unwrap()]);
    let drawn = std::fs::read_to_string(figure).unwrap();
    assert!(hidden(&drawn).is_none() && drawn.contains("202e"), "{drawn}");
    // JSON keeps the value, with JSON's own escape.
    let report: Value = cli.json(&["report", "--by", "model"]);
    assert_eq!(report["rows"][0]["model"], HOSTILE);
    // An export is for programs and keeps every byte.
    assert!(cli.ok(&["export"]).contains('\u{202e}'));
}

#[test]
fn errors_show_each_argument_as_it_is_and_on_one_line() {
    let cli = TestCli::new();
    for (args, shown) in [
        (&["report", "--by", "a\u{1b}[31m\u{8}\u{7f}b"][..], "'a\\u{1b}[31m\\u{8}\\u{7f}b'"),
        (&["report", "--by=a\u{1b}[31mb\nFORGED"], "'a\\u{1b}[31mb FORGED'"),
        (&["no\nFORGED"], "no FORGED"),
        (&["--tz", "a\nFORGED", "status"], "a FORGED"),
        (&["gate", "a\nFORGED"], "a FORGED"),
        (&["reconcile", "n\nFORGED"], "n FORGED"),
        (&["--ledger", "n\nFORGED", "verify"], "n FORGED"),
    ] {
        let done = cli.command().args(args).output().unwrap();
        let output = String::from_utf8(done.stderr).unwrap();
        assert!(output.contains(shown), "{args:?}: {output}");
        assert!(!output.contains("\nFORGED") && !output.contains("[0m"), "{args:?}: {output}");
    }
}

#[test]
fn no_csv_cell_is_a_formula_and_values_round_trip() {
    let cli = TestCli::new();
    let texts = [
        "=1+1",
        "+1+cmd",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'=1",
        "''@x",
        "'tis",
        "a,b",
        "say \"hi\"",
        "a\nb",
        "plain",
    ];
    for (number, text) in texts.iter().enumerate() {
        let record = json!({"provider": "anthropic", "model": text, "input": 1, "project": text, "key": number.to_string(),
            "occurred_at": "2026-11-23T10:00:00Z"});
        cli.ok_with_input(record.to_string(), &["record", "--jsonl", "-"]);
    }
    let undone = |cell: &str| match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => {
            rest.to_owned()
        }
        _ => cell.to_owned(),
    };
    let report = ["report", "--by", "model,project", "--csv"];
    for args in [&report[..], &["export", "--format", "csv"], &["export", "--format", "focus"]] {
        let answer = cli.ok(args);
        let mut reader = csv::Reader::from_reader(answer.as_bytes());
        let mut values = Vec::new();
        for row in reader.records().map(Result::unwrap) {
            for cell in &row {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{args:?}: {cell:?}");
                values.push(undone(cell));
            }
        }
        for text in texts {
            let is_there = values.iter().any(|value| value == text);
            // FOCUS has no column for the model alone.
            assert!(is_there || args.contains(&"focus"), "{args:?}: {text:?} is not among {values:?}");
        }
    }
}
