//! Rows and lines written.

use serde_json::{Value, json};
use usage_ledger::{Ledger, ProviderId, TokenRecord, Zone, export, internals::humanize::number};

use super::{NOW, contains, fields, import, instance, moment, number, text};
use crate::seed_cases_by_area::{Case, Checked, same};

fn record(given: &Value) -> TokenRecord {
    let count = |names: &[&str]| names.iter().find_map(|name| number(given, name));
    let name = |name: &str| text(given, name).filter(|text| !text.is_empty());
    // In the form of the import: the provider under this crate's name, and the seed's name next to it.
    let provider = name("provider").map_or("unknown".to_owned(), |name| ProviderId::resolve(name).unwrap().to_string());
    let mut record = TokenRecord::new(&provider, name("model").unwrap_or_default());
    if let Some(own) = name("provider").filter(|own| *own != provider) {
        record = record.label("cli_provider", own);
    }
    record.tokens.input = count(&["input", "input_tokens"]).or(Some(0));
    record.tokens.output = count(&["output", "output_tokens"]).or(Some(0));
    record.tokens.cache_read = count(&["cache_read", "cache_read_input_tokens"]);
    record.tokens.cache_write = count(&["cache_creation", "cache_created", "cache_creation_input_tokens"]);
    record.project = name("project").map(str::to_owned);
    let cost = ["cost_usd", "cost"].iter().find_map(|name| given.get(*name)).filter(|cost| cost.is_number());
    record.cost = cost.map(|cost| cost.to_string().parse().unwrap());
    record.duration_ms =
        ["duration", "duration_seconds"].iter().find_map(|name| number(given, name)).map(|s| s * 1_000);
    for (label, names) in [
        ("mode", ["mode", "mode"]),
        ("type", ["activity", "mission_type"]),
        ("mission", ["description", "mission"]),
        ("mission_id", ["mission_id", "mission_id"]),
    ] {
        if let Some(value) = names.iter().find_map(|one| name(one)) {
            record = record.label(label, value);
        }
    }
    record
}

pub fn record_format(case: &Case) -> Checked {
    // The last millisecond of a day: a line written a moment later still belongs to it.
    let at = moment(&json!("2026-06-10T23:59:59.999")).unwrap();
    let ledger = Ledger::in_memory().unwrap();
    ledger.record(record(&case.given), at).unwrap();
    let mut out = Vec::new();
    let written = export::find("koan-jsonl").unwrap().export(&ledger.snapshot().unwrap(), &mut out);
    assert!(written.is_ok());
    let line = String::from_utf8(out).unwrap();
    let row: Value = serde_json::from_str(&line).unwrap();
    let mut actual = row.clone();
    actual["recorded"] = json!(row["input_tokens"].is_u64());
    actual["one_line"] = json!(line.ends_with('\n') && line.matches('\n').count() == 1);
    actual["no_space_after_separator"] = json!(!line.contains(", ") && !line.contains(": "));
    let day = row["ts"].as_str().unwrap()[..10].to_owned();
    // A row in the file of its day is read with its original time.
    let home = instance(std::slice::from_ref(&row));
    let read = home.path().join(format!("instance/usage/{day}.jsonl")).exists();
    let second = Ledger::in_memory().unwrap();
    let back = import(&second, home.path()).recorded == 1 && second.event(1).unwrap().occurred_at == at;
    if let Some(absent) = case.expect.get("absent").and_then(Value::as_array) {
        let gone = absent.iter().all(|name| row.get(name.as_str().unwrap_or_default()).is_none());
        actual["absent"] = if gone { case.expect["absent"].clone() } else { Value::Null };
    }
    actual["file_day_equals_ts_day"] = json!(read && back && day == Zone::UTC.day(at).to_string());
    fields(&actual, &case.expect)
}

pub fn activity_log(case: &Case) -> Option<Checked> {
    if let Some(seconds) = number(&case.given, "seconds") {
        return Some(same(json!(number::duration(seconds)), case.expect.clone()));
    }
    let line = usage_ledger::internals::activity(&record(&case.given), moment(&json!(NOW))?, Zone::UTC);
    contains(&line, &case.expect)
}
