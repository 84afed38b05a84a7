//! The same questions through every interface, now and in the past. The answers are compared field by field.

#![cfg(all(feature = "web", feature = "mcp", unix))]

mod asked;
mod compare;
mod questions;

use serde_json::json;

use self::asked::{Interface, Interfaces, Moment};
use self::compare::{differences, leaves};
use self::questions::{Question, questions};
use crate::cli_support::TestCli;

pub(crate) const NOW: &str = "2026-11-23T20:00:00Z";

/// The moments at which each question is asked: now, as of a position, as of a time.
const MOMENTS: [Moment; 3] = [Moment(None), Moment(Some("40")), Moment(Some("2026-11-22T19:05:00Z"))];

/// Six days of calls of four providers, with corrections, switches and a limit, recorded day by day.
fn ledger() -> TestCli {
    let cli = TestCli::new();
    cli.at("2026-11-17T08:00:00Z", &["limit", "set", "anthropic", "--session", "60000", "--weekly", "900000"]);
    let served = [
        ("anthropic", "claude-opus-4-5", "work"),
        ("openai", "gpt-5", ""),
        ("anthropic", "claude-sonnet-4-5", "home"),
        ("ollama", "qwen3", ""),
    ];
    for day in 18..24_u64 {
        let lines: String = (0..12_u64).fold(String::new(), |lines, n| {
            let (provider, model, account) = served[usize::try_from((n + day) % 4).unwrap()];
            let mut call = json!({
                "provider": provider, "model": model, "input": 100 * day + n, "output": 10 + n, "key": format!("{day}-{n}"),
                "occurred_at": format!("2026-11-{day}T{:02}:05:00Z", 7 + n),
            });
            for (name, value) in [
                ("account", (!account.is_empty()).then(|| json!(account))),
                ("agent", (n % 3 == 0).then(|| json!("codex"))),
                ("project", (n % 4 < 3).then(|| json!(["acme", "home"][usize::try_from(n % 2).unwrap()]))),
                ("conversation", (n % 2 == 0).then(|| json!(format!("c{}", n % 6)))),
                ("labels", (n % 5 < 3).then(|| json!({"team": format!("t{}", n % 2)}))),
                ("cache_read", (n % 2 == 1).then(|| json!(7 * n))),
                ("cache_write_5m", (n % 3 == 1).then(|| json!(n))),
                ("cache_write_1h", (n % 6 == 5).then(|| json!(n + 1))),
                ("reasoning", (provider == "openai").then(|| json!(3))),
                ("cost_usd", (n % 7 == 0).then(|| json!("0.0125"))),
            ] {
                if let Some(value) = value {
                    call[name] = value;
                }
            }
            lines + &call.to_string() + "\n"
        });
        let recorded = format!("2026-11-{day}T19:00:00Z");
        cli.ok_with_input(lines, &["--now", &recorded, "record", "--jsonl", "-"]);
        let switched = if day % 2 == 0 { "openai" } else { "anthropic" };
        cli.at(&format!("2026-11-{day}T19:10:00Z"), &["switch", switched, "--reason", "its turn"]);
        let (amended, voided) = ((day - 16).to_string(), (day - 10).to_string());
        cli.at(&recorded, &["amend", &amended, "--output", "777", "--reason", "counted twice"]);
        cli.at(&recorded, &["void", &voided, "--reason", "a test"]);
    }
    cli
}

#[test]
fn every_interface_answers_the_same() {
    let cli = ledger();
    let mut faults = Vec::new();
    let mut answered = std::collections::BTreeMap::new();
    let all = questions();
    assert_eq!(all.len(), 20);
    for moment in MOMENTS {
        let mut interfaces = Interfaces::start(&cli, moment);
        for question in &all {
            let expected = (question.view)(&interfaces.ask(Interface::Command, question).unwrap());
            assert!(leaves(&expected).len() > 1, "{}: {expected}", question.text);
            for interface in Interface::ALL {
                let Some(answer) = interfaces.ask(interface, question) else { continue };
                // The full answers of the interfaces for programs have no other field either.
                let found = if interface.is_partial() { answer } else { (question.view)(&answer) };
                *answered.entry(interface.name()).or_insert(0) += 1;
                for difference in differences(&expected, &found, interface.is_partial()) {
                    faults.push(format!("{} of {moment:?}, {}: {difference}", question.text, interface.name()));
                }
            }
        }
        interfaces.end();
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    // No interface is left out silently.
    let wanted =
        [("command", 60), ("exports", 51), ("HTTP", 60), ("library", 60), ("MCP", 60), ("rpc", 60), ("SQL", 57)];
    assert_eq!(answered, wanted.into());
}

#[test]
fn the_past_differs_from_the_present() {
    let cli = ledger();
    let mut answers = Vec::new();
    for moment in MOMENTS {
        let mut interfaces = Interfaces::start(&cli, moment);
        let ask = |question: &Question| (question.view)(&interfaces.ask(Interface::Command, question).unwrap());
        answers.push(questions().iter().map(ask).collect::<Vec<_>>());
        interfaces.end();
    }
    for (number, question) in questions().iter().enumerate() {
        assert_ne!(answers[0][number], answers[1][number], "{}", question.text);
    }
    assert_ne!(answers[1][0], answers[2][0]);
}

#[test]
fn the_comparison_finds_any_changed_field() {
    let cli = ledger();
    let mut interfaces = Interfaces::start(&cli, MOMENTS[0]);
    for question in questions() {
        let answer = (question.view)(&interfaces.ask(Interface::Command, &question).unwrap());
        assert!(differences(&answer, &answer, true).is_empty());
        for path in leaves(&answer) {
            let mut changed = answer.clone();
            *changed.pointer_mut(&path).unwrap() = json!("changed");
            for is_partial in [false, true] {
                let found = differences(&answer, &changed, is_partial);
                assert_eq!(found.len(), 1, "{} {path}: {found:?}", question.text);
            }
        }
        // A missing field counts unless the interface answers a part only.
        let mut less = answer.clone();
        let first = less.as_object().unwrap().keys().next().unwrap().clone();
        less.as_object_mut().unwrap().remove(&first);
        assert!(!differences(&answer, &less, false).is_empty(), "{}", question.text);
    }
    interfaces.end();
}

/// The row of an error in `docs/interfaces.md`: exit code, HTTP status, code of JSON-RPC.
fn documented(name: &str) -> [Option<i64>; 3] {
    let page = include_str!("../../docs/interfaces.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    [3, 4, 5].map(|cell| cells[cell].parse().ok())
}

#[test]
fn every_interface_has_the_documented_error() {
    let cli = ledger();
    let mut interfaces = Interfaces::start(&cli, MOMENTS[0]);
    for (name, operation, params, args) in [
        ("unknown-provider", "gate", json!({"provider": "antropic"}), vec!["gate", "antropic"]),
        ("invalid-input", "gate", json!({"provider": "No Provider!"}), vec!["gate", "No Provider!"]),
        ("invalid-input", "report", json!({"by": ["colour"]}), vec!["report", "--by", "colour"]),
        ("invalid-input", "report", json!({"tz": "Mars/Base"}), vec!["report", "--tz", "Mars/Base"]),
        ("not-found", "status", json!({"as_of": "9999"}), vec!["--as-of", "9999", "status"]),
        ("not-found", "report", json!({"as_of": "9999"}), vec!["--as-of", "9999", "report"]),
    ] {
        let [exit, status, code] = documented(name);
        let (found_status, http) = interfaces.http_error(operation, &params);
        let (found_code, rpc) = interfaces.rpc_error(operation, &params);
        let mcp = interfaces.mcp_error(operation, &params);
        assert_eq!((found_status, found_code), (status.unwrap(), code.unwrap()), "{operation} {params}: {http}");
        assert_eq!((&http, &http), (&rpc, &mcp), "{operation} {params}");
        assert_eq!(http["type"], format!("urn:usage-ledger:problem:{name}"), "{operation} {params}");
        assert_eq!(http["status"].as_i64(), status);
        let message = cli.fails(i32::try_from(exit.unwrap()).unwrap(), &args);
        for candidate in http["candidates"].as_array().into_iter().flatten() {
            assert!(message.contains(candidate.as_str().unwrap()), "{message}");
        }
    }
    interfaces.end();
}
