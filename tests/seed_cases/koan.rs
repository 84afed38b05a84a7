//! Rows, reports, pages and lines of the seed system: imported, queried, and written again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::{Value, json};
use tempfile::TempDir;
use usage_ledger::import::{self, ImportOptions, SourceReport};
use usage_ledger::{Ledger, Timestamp, Usd};

use super::{Case, Checked, holds, unknown};

mod aggregation;
mod data;
mod outputs;
mod page;
mod quota;
mod sessions;
mod written;

/// The default time of cases.
const NOW: &str = "2026-06-10T12:00:00";
const PROVIDER: &str = "anthropic";

pub fn check(case: &Case, all: &[Case], data: &[Case]) -> Checked {
    let checked = match case.area.as_str() {
        "aggregation" => aggregation::aggregation(case, all, data),
        "usage_md" => page::usage_md(case),
        "record_format" => Some(written::record_format(case)),
        "activity_log" => written::activity_log(case),
        "backfill" => sessions::backfill(case, all, data),
        "token_extraction" => outputs::token_extraction(case),
        "quota_command" => quota::quota_command(case),
        _ => None,
    };
    checked.unwrap_or_else(|| unknown(case))
}

// Values of a case.

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn date(value: &Value) -> Option<NaiveDate> {
    value.as_str()?.get(..10)?.parse().ok()
}

fn moment(value: &Value) -> Option<Timestamp> {
    let local: NaiveDateTime = value.as_str()?.parse().ok()?;
    Some(local.and_utc().into())
}

fn close(actual: f64, wanted: f64) -> bool {
    (actual - wanted).abs() < 1e-9
}

/// Whether a value equals the expected one; an expected number is compared numerically.
fn alike(actual: &Value, wanted: &Value) -> bool {
    match (actual.as_f64(), wanted.as_f64()) {
        (Some(actual), Some(wanted)) => close(actual, wanted),
        _ => actual == wanted,
    }
}

/// Passes if every expected field is equal.
fn fields(actual: &Value, wanted: &Value) -> Checked {
    let Some(wanted) = wanted.as_object() else { return holds(alike(actual, wanted), format!("found {actual}")) };
    let wrong: Vec<_> = wanted
        .iter()
        .filter(|(name, value)| !alike(actual.get(name.as_str()).unwrap_or(&Value::Null), value))
        .map(|(name, value)| format!("{name}: wanted {value}"))
        .collect();
    holds(wrong.is_empty(), format!("{}; found {actual}", wrong.join(", ")))
}

fn usd(amount: Option<Usd>) -> Value {
    amount.map_or(Value::Null, |amount| json!(amount.to_string().parse::<f64>().unwrap()))
}

/// Whether a text contains all expected parts, and none of the excluded ones.
fn contains(actual: &str, wanted: &Value) -> Option<Checked> {
    let parts = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|part| part.as_str().map(str::to_owned)).collect()
    };
    let (wanted, unwanted) = match wanted {
        Value::Object(object) => (object.get("contains"), object.get("not_contains")),
        list => (Some(list), None),
    };
    let wanted = wanted.map_or(Some(Vec::new()), parts)?;
    let missing = wanted.into_iter().filter(|part| !actual.contains(part.as_str()));
    let present =
        unwanted.and_then(parts).unwrap_or_default().into_iter().filter(|part| actual.contains(part.as_str()));
    let wrong: Vec<_> = missing.chain(present).collect();
    Some(holds(wrong.is_empty(), format!("{wrong:?} in {actual:?}")))
}

// Instances of the seed system.

/// An instance with these rows, each in the file of its day.
fn instance(rows: &[Value]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let usage = home.path().join("instance/usage");
    fs::create_dir_all(&usage).unwrap();
    let mut days: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let mut row = row.as_object().unwrap().clone();
        let day = row.remove("day").and_then(|day| day.as_str().map(str::to_owned));
        let day = day.unwrap_or_else(|| row["ts"].as_str().unwrap()[..10].to_owned());
        *days.entry(day).or_default() += &(Value::Object(row).to_string() + "\n");
    }
    for (day, lines) in days {
        fs::write(usage.join(format!("{day}.jsonl")), lines).unwrap();
    }
    home
}

fn options(home: &Path) -> ImportOptions {
    ImportOptions::new().sources(["koan".to_owned()]).homes([home.to_owned()])
}

fn import(ledger: &Ledger, home: &Path) -> SourceReport {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    import::run(ledger, &options(home), now, &mut |_| {}).unwrap().sources.remove(0)
}

fn rows(given: &Value) -> Option<&Vec<Value>> {
    given.get("rows")?.as_array()
}
