//! `report --format ccusage` equals the answers of ccusage in `fixtures/ccusage`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::path::{Path, PathBuf};

use serde_json::Value;

use cli_support::TestCli;

/// The reports of ccusage, and the corresponding keys.
const REPORTS: [(&str, &str); 5] =
    [("daily", "day"), ("weekly", "week"), ("monthly", "month"), ("session", "conversation"), ("blocks", "window")];

/// The commands for one agent, and the agent's name in the ledger.
const OF_ONE: [(&str, &str, &[&str]); 2] = [
    ("claude", "claude-code", &["daily", "weekly", "monthly", "session"]),
    ("codex", "codex", &["daily", "monthly", "session"]), // it has no weekly
];

/// A home with ccusage's answers, and a ledger with its logs.
struct Case {
    dir: PathBuf,
    cli: TestCli,
    zone: String,
    now: String,
}

impl Case {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ccusage").join(name);
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap().trim().to_owned();
        let (zone, now) = (read("zone"), read("now"));
        let cli = TestCli::new();
        for source in ["claude-code", "codex"] {
            cli.at(&now, &["import", source, "--home", dir.join("home").to_str().unwrap()]);
        }
        Self { dir, cli, zone, now }
    }

    fn expected_json(&self, report: &str) -> String {
        std::fs::read_to_string(self.dir.join(format!("{report}.json"))).unwrap()
    }

    fn actual_json(&self, by: &str, more: &[&str]) -> String {
        let args = ["--tz", &self.zone, "report", "--by", by, "--format", "ccusage"];
        self.cli.at(&self.now, &[&args, more].concat())
    }

    fn json(&self, by: &str, more: &[&str]) -> Value {
        serde_json::from_str(&self.actual_json(by, more)).unwrap()
    }
}

/// Every differing field: costs by more than 1e-6, all others at all.
fn differences(actual_json: &Value, expected_json: &Value, path: &str, differing: &mut Vec<String>) {
    match (actual_json, expected_json) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            if keys(a) != keys(b) {
                differing.push(format!("{path}: keys {:?}, not {:?}", keys(a), keys(b)));
            }
            for (key, value) in a.iter().filter(|(key, _)| b.contains_key(*key)) {
                differences(value, &b[key], &format!("{path}.{key}"), differing);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                differing.push(format!("{path}: {} elements, not {}", a.len(), b.len()));
            }
            for (index, (left, right)) in a.iter().zip(b).enumerate() {
                differences(left, right, &format!("{path}[{index}]"), differing);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            if (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() > 1e-6 {
                differing.push(format!("{path}: {a}, not {b}"));
            }
        }
        _ if actual_json == expected_json => {}
        _ => differing.push(format!("{path}: {actual_json}, not {expected_json}")),
    }
}

fn compared(actual_json: &Value, expected_json: &str) -> Vec<String> {
    let mut differing = Vec::new();
    differences(actual_json, &serde_json::from_str(expected_json).unwrap(), "", &mut differing);
    differing
}

/// The names of all fields in order.
fn fields(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\":").map(|(name, _)| name)).collect()
}

/// Compares an answer with ccusage's: the fields, their order and their values.
fn agrees(actual_json: &str, expected_json: &str, what: &str) {
    assert_eq!(fields(actual_json), fields(expected_json), "{what}");
    assert_eq!(compared(&serde_json::from_str(actual_json).unwrap(), expected_json), Vec::<String>::new(), "{what}");
}

/// All homes: realistic logs, many models, streamed responses, and calls at the borders of days and blocks.
const CASES: [&str; 4] = ["models", "corpus", "streamed", "borders"];

#[test]
fn every_report_equals_that_of_ccusage_field_by_field() {
    for name in CASES {
        let case = Case::new(name);
        for (report, by) in REPORTS {
            agrees(&case.actual_json(by, &[]), &case.expected_json(report), &format!("{name} {report}"));
        }
    }
}

#[test]
fn a_report_of_one_agent_contains_only_that_agent() {
    for name in CASES {
        let case = Case::new(name);
        for (command, agent, reports) in OF_ONE {
            for (report, by) in REPORTS.into_iter().filter(|(report, _)| reports.contains(report)) {
                let named = format!("{command}-{report}");
                agrees(
                    &case.actual_json(by, &["--agent", agent]),
                    &case.expected_json(&named),
                    &format!("{name} {named}"),
                );
            }
        }
    }
    let both = Case::new("corpus").json("day", &["--agent", "codex", "--agent", "claude-code"]);
    assert_eq!(both["daily"][0]["agent"], "all");
}

#[test]
fn the_comparison_detects_a_difference() {
    let case = Case::new("models");
    let expected_json = case.expected_json("daily");
    let mut actual_json: Value = serde_json::from_str(&expected_json).unwrap();
    actual_json["daily"][1]["modelBreakdowns"][0]["cost"] = 0.5.into();
    actual_json["daily"][2]["modelsUsed"][0] = "another".into();
    actual_json["totals"]["extra"] = 1.into();
    assert_eq!(compared(&actual_json, &expected_json).len(), 3);
}

#[test]
fn a_range_selects_by_the_time_of_the_counts() {
    // `ccusage daily --since 2026-03-08 --until 2026-03-08` and so on: one response enters the day at midnight, one
    // leaves it.
    let case = Case::new("borders");
    let range = ["--since", "2026-03-08", "--until", "2026-03-09"];
    // Sessions of all agents are selected as a whole.
    for (report, by) in REPORTS.into_iter().filter(|(report, _)| *report != "session") {
        agrees(&case.actual_json(by, &range), &case.expected_json(&format!("day/{report}")), report);
    }
    for (command, agent, reports) in OF_ONE {
        for (report, by) in REPORTS.into_iter().filter(|(report, _)| reports.contains(report)) {
            let (named, of_one) = (format!("day/{command}-{report}"), [&range[..], &["--agent", agent]].concat());
            agrees(&case.actual_json(by, &of_one), &case.expected_json(&named), &named);
        }
    }
}

#[test]
fn other_reports_date_a_streamed_response_by_its_first_line() {
    let case = Case::new("borders");
    let by_day = |more: &[&str]| {
        let args =
            [&["--tz", &case.zone, "report", "--by", "day", "--json", "--model", "claude-haiku-4-5-20251001"], more];
        let answer: Value = serde_json::from_str(&case.cli.at(&case.now, &args.concat())).unwrap();
        let rows = answer["rows"].as_array().unwrap();
        rows.iter().map(|row| row["day"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(by_day(&[]), ["2026-03-07", "2026-03-20", "2026-03-21", "2026-03-25"]); // the first was counted on the 8th
    assert_eq!(by_day(&["--since", "2026-03-08", "--until", "2026-03-09"]), Vec::<String>::new());
}

#[test]
fn the_active_block_depends_on_now() {
    let case = Case::new("models");
    let last = |now: &str| {
        let text = case.cli.at(now, &["report", "--by", "window", "--format", "ccusage"]);
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["blocks"].as_array().unwrap().last().unwrap().clone()
    };
    let active = last(&case.now);
    assert_eq!(active["isActive"], true);
    let end = active["endTime"].as_str().unwrap();
    let over = last(end);
    assert_eq!(
        (&over["isActive"], &over["burnRate"], &over["projection"]),
        (&false.into(), &Value::Null, &Value::Null)
    );
    let start = active["startTime"].as_str().unwrap();
    assert_eq!(last(start)["projection"]["remainingMinutes"], 300);
}

#[test]
fn models_without_a_price_are_named() {
    let case = Case::new("models");
    let day = &case.json("day", &[])["daily"][1];
    let breakdowns = day["modelBreakdowns"].as_array().unwrap();
    let missing: Vec<_> = breakdowns.iter().filter(|part| part["missingPricing"] == true).collect();
    assert_eq!(missing.len(), 4);
    assert!(missing.iter().all(|part| part["cost"] == 0));
    assert!(breakdowns.iter().any(|part| part.get("missingPricing").is_none()));
    let blocks = case.json("window", &[]);
    assert!(blocks["blocks"].as_array().unwrap().iter().all(|block| block.get("unpricedModels").is_none()));
    assert_eq!(blocks["blocks"][2]["models"], serde_json::json!(["mystery-a", "mystery-b", "mystery-c"]));
}

#[test]
fn filters_and_ranges_apply() {
    let case = Case::new("models");
    let codex = case.json("day", &["--agent", "codex"]);
    let days = codex["daily"].as_array().unwrap();
    assert!(days.iter().all(|day| day["models"].as_object().unwrap().keys().all(|model| !model.starts_with("claude"))));
    assert_eq!(codex["totals"]["inputTokens"], 6060); // 5000 − 1000, 6000 − 4000, 60 − 40 and 50 − 10

    let range = ["--since", "2026-03-10", "--until", "2026-03-11"];
    let blocks = case.json("window", &range);
    let ids: Vec<_> = blocks["blocks"].as_array().unwrap().iter().map(|block| block["id"].clone()).collect();
    // Like `ccusage blocks --since 2026-03-10 --until 2026-03-10`: whole blocks that begin in the range.
    assert_eq!(ids, ["2026-03-10T08:00:00.000Z", "2026-03-10T18:00:00.000Z", "2026-03-10T23:00:00.000Z"]);
    assert_eq!(case.json("day", &range)["daily"].as_array().unwrap().len(), 1);
    let session = &case.json("conversation", &range)["session"];
    assert_eq!(session[0]["metadata"]["lastActivity"], "2026-03-10T23:00:00.001Z");

    // Blocks default to Claude Code, as in ccusage.
    let of_codex = case.json("window", &["--agent", "codex"]);
    assert_eq!(of_codex["blocks"][0]["models"], serde_json::json!(["gpt-5-codex", "gpt-5", "mystery-z"]));
}

#[test]
fn no_cost_omits_costs_and_keeps_the_order() {
    let case = Case::new("models");
    for (report, by) in REPORTS {
        let text = case.actual_json(by, &["--no-cost"]);
        assert!(!fields(&text).iter().any(|name| name.to_lowercase().contains("cost")), "{report}");
        let rows = |text: &str| -> Vec<String> {
            let answer: Value = serde_json::from_str(text).unwrap();
            let rows = answer[report].as_array().unwrap();
            rows.iter().map(|row| row.get("period").unwrap_or(&row["id"]).to_string()).collect()
        };
        assert_eq!(rows(&text), rows(&case.expected_json(report)));
    }
}

#[test]
fn costs_are_exact_decimals() {
    let cli = TestCli::new();
    let prices = cli.dir().join("prices.json");
    std::fs::write(&prices, r#"{"m": {"input": 100000, "output": 1}}"#).unwrap();
    let now = "2026-03-01T12:00:00Z";
    for input in ["1", "2"] {
        cli.at(now, &["record", "--provider", "p", "--model", "m", "--input", input, "--output", "0"]);
    }
    let text = cli.at(now, &["report", "--by", "day", "--format", "ccusage", "--prices", prices.to_str().unwrap()]);
    assert_eq!(text.matches("\"totalCost\": 0.3,").count(), 2, "{text}"); // as floats, 0.1 + 0.2 is 0.30000000000000004
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["daily"][0]["metadata"]["agents"], serde_json::json!(["unknown"]));
}

#[test]
fn reports_of_the_past_work() {
    let case = Case::new("models");
    let text = case.cli.ok(&["--as-of", "1", "report", "--by", "month", "--format", "ccusage"]);
    let months: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(months["monthly"].as_array().unwrap().len(), 1);
    let text = case.cli.ok(&["--as-of", "0", "report", "--by", "conversation", "--format", "ccusage"]);
    let none: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&none["session"], &none["totals"]["totalCost"]), (&serde_json::json!([]), &0.into()));
}

/// Session rows of agents with 1 input, 20 output and 300 reasoning tokens each, without a price.
fn sessions(agents: [&str; 3]) -> Vec<Value> {
    let cli = TestCli::new();
    for (agent, name) in agents.into_iter().zip(["b", "a", "c"]) {
        let names = ["--agent", agent, "--conversation", name, "--key", name];
        let counts = ["--provider", "p", "--model", "m", "--input", "1", "--output", "20", "--reasoning", "300"];
        cli.at("2026-03-01T12:00:00Z", &[&["record"], names.as_slice(), &counts].concat());
    }
    let answer: Value =
        serde_json::from_str(&cli.ok(&["report", "--by", "conversation", "--format", "ccusage"])).unwrap();
    answer["session"].as_array().unwrap().clone()
}

#[test]
fn sessions_of_equal_cost_are_sorted_by_name() {
    let names: Vec<_> = sessions(["claude-code", "koan", "amp"]).iter().map(|row| row["period"].clone()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn reasoning_and_activity_equal_those_of_ccusage_for_each_agent() {
    let rows = sessions(["gemini-cli", "codex", "koan"]);
    let reasoning_of = |agent: &str| {
        let row = rows.iter().find(|row| row["agent"] == agent).unwrap();
        (row["outputTokens"].as_u64(), row["totalTokens"].as_u64(), row.get("metadata").is_some())
    };
    assert_eq!(reasoning_of("codex"), (Some(320), Some(321), true));
    assert_eq!(reasoning_of("gemini"), (Some(20), Some(321), false));
    assert_eq!(reasoning_of("koan"), (Some(320), Some(321), true)); // ccusage does not know it
}

#[test]
fn reports_that_ccusage_lacks_are_refused() {
    let cli = TestCli::new();
    for by in ["provider", "day,model", "hour", "label:mission"] {
        let stderr = cli.fails(2, &["report", "--by", by, "--format", "ccusage"]);
        for possible in ["day", "week", "month", "conversation", "window"] {
            assert!(stderr.contains(possible), "{stderr}");
        }
    }
    for other in ["--csv", "--sealed", "--outcomes", "--fill"] {
        cli.fails(2, &["report", "--by", "day", "--format", "ccusage", other]);
    }
    cli.fails(2, &["report", "--by", "day", "--format", "another"]);
    cli.json(&["report", "--by", "day", "--format", "ccusage"]); // --json is what it is anyway
}
