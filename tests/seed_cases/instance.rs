//! Damaged instances of the seed system.

use std::fs;

use serde_json::{Value, json};
use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::{Ledger, Report, ReportKey, Timestamp};

use super::{Case, Checked, holds, same, unknown, unknown_value};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z
const ROW: &str = r#"{"ts":"2026-06-10T11:30:00","project":"good","model":"m","input_tokens":5,"output_tokens":2,"mode":"deep","mission":"","provider":"claude"}"#;

/// The import of an instance with these rows and this state.
fn imported(rows: impl AsRef<[u8]>, state: Option<&str>) -> (Ledger, SourceReport) {
    let home = tempfile::tempdir().unwrap();
    let instance = home.path().join("instance");
    fs::create_dir_all(instance.join("usage")).unwrap();
    fs::write(instance.join("usage/2026-06-10.jsonl"), rows).unwrap();
    if let Some(state) = state {
        fs::write(instance.join("usage_state.json"), state).unwrap();
    }
    let options = ImportOptions::new().sources(["koan".to_owned()]).homes([home.path().to_owned()]);
    let ledger = Ledger::in_memory().unwrap();
    let report = import::run(&ledger, &options, NOW, &mut |_| {}).unwrap().sources.remove(0);
    (ledger, report)
}

fn calls(ledger: &Ledger) -> u64 {
    ledger.report(&Report::by(ReportKey::Project)).unwrap().total.requests
}

/// A state file is a counter next to a history: whatever happens to it, the history counts, and damage is reported.
pub fn state_file(given: &Value, expect: &Value) -> Checked {
    if given.get("usage_state.json").is_none() {
        return unknown_value(given);
    }
    // A state that is not text counts as a missing file.
    let (ledger, report) = imported(format!("{ROW}\n"), given["usage_state.json"].as_str());
    let usable = calls(&ledger) == 1 && ledger.budget("claude", NOW).is_ok();
    for (name, wanted) in expect.as_object().unwrap() {
        let right = match name.as_str() {
            "usable" => json!(usable) == *wanted,
            "alert" => json!(!report.skipped.is_empty()) == *wanted,
            "history_kept" => usable && ledger.replay().unwrap().ok,
            _ => return unknown_value(expect),
        };
        if !right {
            return Checked::Failed(format!("{name}: wanted {wanted}, skipped {:?}", report.skipped));
        }
    }
    Checked::Passed
}

pub fn rows(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(tail) = given["tail"].as_str() {
        // The row after a torn one is read; the torn one is reported.
        let (ledger, report) = imported(format!("{tail}{ROW}\n"), None);
        return holds(calls(&ledger) == 1 && report.skipped.len() == 1, format!("{report:?}"));
    }
    // Bytes that are not text are given in hexadecimal.
    let hex = given.as_object().unwrap().iter().find(|(name, _)| name.contains("hex") || name.contains("bytes"));
    let raw: Vec<u8> = hex.and_then(|(_, hex)| hex.as_str()).map_or(Vec::new(), |hex| {
        (0..hex.len() / 2).filter_map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()).collect()
    });
    let lines: Vec<&str> = match (&given["lines"], &given["line"]) {
        (Value::Array(lines), _) => lines.iter().filter_map(Value::as_str).collect(),
        (_, Value::String(line)) => vec![line],
        _ if !raw.is_empty() => Vec::new(),
        _ => return unknown(case),
    };
    if let Some(count) = expect["count"].as_u64() {
        let (ledger, report) = imported(lines.join("\n"), None);
        let lost = lines.iter().filter(|line| !line.trim().is_empty()).count() as u64 - count;
        return same((calls(&ledger), report.skipped.len() as u64), (count, lost));
    }
    let (ledger, report) =
        imported([&lines.join("\n").into_bytes()[..], &raw, format!("\n{ROW}\n").as_bytes()].concat(), None);
    let wrong = lines.len() + usize::from(!raw.is_empty());
    let counted = calls(&ledger);
    let coerced = counted == wrong as u64 + 1;
    for (name, wanted) in expect.as_object().unwrap() {
        let actual = match name.as_str() {
            "skipped_or_coerced" => coerced || report.skipped.len() == wrong,
            "other_lines_counted" => counted >= 1,
            "reported" => coerced || !report.skipped.is_empty(),
            _ => return unknown(case),
        };
        if json!(actual) != *wanted {
            return Checked::Failed(format!("{name}: {actual}, skipped {:?}", report.skipped));
        }
    }
    Checked::Passed
}
