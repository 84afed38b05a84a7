//! Sessions without a row.

use std::fs;

use serde_json::{Value, json};
use usage_ledger::event::Payload;
use usage_ledger::internals::import::koan;
use usage_ledger::{Ledger, Report, ReportKey, Timestamp, TokenRecord};

use super::{fields, import, instance, number, options, rows};
use crate::seed_cases_by_area::{Case, Checked};

pub fn backfill(case: &Case, all: &[Case], more: &[Case]) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(times) = number(given, "same_file_imported") {
        let data = all.iter().chain(more).find_map(|case| rows(&case.given))?;
        let home = instance(data);
        let ledger = Ledger::in_memory().unwrap();
        import(&ledger, home.path());
        let before = ledger.head().unwrap().position;
        let again: u64 = (1..times).map(|_| import(&ledger, home.path()).recorded).sum();
        let grown = ledger.head().unwrap().position.get() - before.get();
        return Some(fields(&json!({ "events_added_second_time": again.max(grown) }), expect));
    }
    given.get("outcomes")?;
    let count = |name: &str| number(given, name).unwrap_or(0);
    let at = |hour: u64, n: u64| format!("2026-06-10T{:02}:{:02}:00", hour + n / 60, n % 60);
    let real = (0..count("real"))
        .map(|n| json!({ "ts": at(1, n), "project": "a", "model": "m", "input_tokens": 5, "output_tokens": 1 }));
    let synthetic = (0..count("synthetic")).map(|n| {
        json!({ "ts": at(4, n), "project": "a", "model": "unknown", "input_tokens": 0, "output_tokens": 0, "backfill": true })
    });
    let home = instance(&real.chain(synthetic).collect::<Vec<_>>());
    if let Some(outcomes) = number(given, "outcomes") {
        let outcomes_json =
            (0..outcomes).map(|n| json!({ "timestamp": at(8, n), "project": "a", "outcome": "productive" }));
        let outcomes_json = Value::Array(outcomes_json.collect()).to_string();
        fs::write(home.path().join("instance/session_outcomes.json"), outcomes_json).unwrap();
    }
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, home.path());
    let before = ledger.head().unwrap().position.get();
    let apply = given.get("apply").and_then(Value::as_bool).unwrap_or(true);
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let done = koan::backfill(&ledger, &options(home.path()), apply, now).unwrap();
    let head = ledger.head().unwrap().position.get();
    let mut actual = json!({ "planned": done.planned, "written": done.written });
    let label = ReportKey::Label("backfill".to_owned());
    let table = ledger.report(&Report::by(ReportKey::Model).and(label)).unwrap();
    actual["rows"] = json!(table.total.requests);
    actual["warning"] = json!(done.days.iter().any(|day| day.surplus > 0));
    for name in ["warn", "warned", "warns"] {
        actual[name] = actual["warning"].clone();
    }
    let events = (before + 1..=head).map(|position| ledger.event(position).unwrap());
    let written: Vec<TokenRecord> = events
        .map(|event| match event.payload {
            Payload::TokensRecorded(record) => record,
            other => panic!("a backfill wrote {}", other.kind()),
        })
        .collect();
    actual["tokens"] = json!(written.iter().map(|record| record.tokens.total().unwrap()).sum::<u64>());
    actual["model"] = json!(written.first().and_then(|record| record.model.clone()));
    actual["marker"] = json!(written.iter().all(|record| record.labels.contains_key("backfill")));
    Some(fields(&actual, expect))
}
