//! Sums by any key, windows of days, prices, kinds of missions.

use chrono::NaiveDate;
use serde_json::{Value, json};
use usage_ledger::internals::import::koan;
use usage_ledger::price::Prices;
use usage_ledger::report::{DateWindow, Granularity};
use usage_ledger::{Ledger, Report, Timestamp, TokenRecord, internals::humanize::number};

use super::{data, date, fields, import, instance, number, rows, text, usd};
use crate::seed_cases_by_area::{Case, Checked, holds, same};

/// Any time: prices of a list apply to all times.
fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

pub fn aggregation(case: &Case, all: &[Case], data: &[Case]) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(rows) = rows(given) {
        let home = instance(rows);
        let ledger = Ledger::in_memory().unwrap();
        let first = import(&ledger, home.path());
        let again = import(&ledger, home.path());
        let actual = json!({ "rows": first.recorded });
        return Some(match (again.recorded, first.skipped.len()) {
            (0, 0) => fields(&actual, expect),
            other => Checked::Failed(format!("recorded again and skipped: {other:?}")),
        });
    }
    if let Some(data) = dataset(case, all).or_else(|| dataset(case, data)) {
        return data::over_data(case, data);
    }
    if given.get("granularity").is_some() {
        return window(given, expect);
    }
    if let Some(days) = given.get("days") {
        return Some(same(json!(effective_days(days)), expect.clone()));
    }
    if given.get("pricing").is_some() {
        return Some(priced(case));
    }
    if let Some(title) = given.get("title").and_then(Value::as_str) {
        return Some(same(json!(koan::mission_type(title)), expect.clone()));
    }
    if let Some(count) = number(given, "n") {
        return Some(same(json!(number::tokens(count)), expect.clone()));
    }
    derived(given, expect)
}

/// The length of a window in days, from a number, a text or an invalid value.
fn effective_days(days: &Value) -> i64 {
    let number = days.as_f64().or_else(|| days.as_str()?.trim().parse().ok());
    let days = number.map_or_else(|| DateWindow::DEFAULT_DAYS.into(), |days| days as i64);
    let window = DateWindow::ending(NaiveDate::default(), days, 0, Granularity::Day);
    (window.last - window.first).num_days() + 1
}

/// The prices of a case. The seed's own lists leave cached tokens free, which this crate states explicitly.
pub fn prices(list: &Value, conformance: &str) -> Prices {
    let mut list = list.clone();
    for line in list.as_object_mut().into_iter().flatten().map(|(_, line)| line).filter_map(Value::as_object_mut) {
        for class in ["cache_read", "cache_write_5m"] {
            if conformance == "seed" {
                line.entry(class).or_insert(json!(0));
            }
        }
    }
    Prices::from_json(&list.to_string()).unwrap()
}

/// The cost of one record in a report with a case's prices.
fn priced(case: &Case) -> Checked {
    let (given, expect) = (&case.given, &case.expect);
    let count = |names: &[&str]| names.iter().find_map(|name| number(given, name));
    let mut record = TokenRecord::new("anthropic", text(given, "model").unwrap_or("unknown"));
    record.tokens.input = count(&["input", "input_tokens"]);
    record.tokens.output = count(&["output", "output_tokens"]).or(Some(0));
    record.tokens.cache_read = count(&["cache_read", "cache_read_input_tokens", "read"]);
    record.tokens.cache_write =
        count(&["cache_write", "cache_creation", "cache_created", "cache_creation_input_tokens", "write"]);
    let ledger = Ledger::in_memory().unwrap();
    ledger.record(record, now()).unwrap();
    let report = Report::by_all([]).prices(prices(&given["pricing"], &case.conformance));
    let cost = ledger.report(&report).unwrap().total.cost.usd;
    let wanted = match expect {
        Value::Object(fields) => fields.values().find(|value| !value.is_string()).unwrap_or(&Value::Null),
        wanted => wanted,
    };
    // Cases round to a millionth of a dollar.
    let near = match (usd(cost).as_f64(), wanted.as_f64()) {
        (Some(actual), Some(wanted)) => (actual - wanted).abs() < 1e-6,
        (actual, wanted) => actual == wanted,
    };
    holds(near, format!("found {cost:?}, wanted {expect}"))
}

/// Sessions with outcomes, a minute apart, and the tokens of the first of them.
fn sessions(outcomes: &[&str], tokens: u64) -> usage_ledger::internals::Efficiency {
    let ledger = Ledger::in_memory().unwrap();
    if outcomes.is_empty() && tokens > 0 {
        ledger.record(TokenRecord::new("anthropic", "m").input(tokens), now()).unwrap();
    }
    for (index, outcome) in outcomes.iter().enumerate() {
        let used = if index == 0 { tokens } else { 0 };
        let record = TokenRecord::new("anthropic", "m").input(used).label("outcome", *outcome);
        ledger.record(record, now().plus(index as i64 * 60_000)).unwrap();
    }
    let snapshot = ledger.snapshot().unwrap();
    usage_ledger::internals::efficiency(&snapshot, &Report::by_all([])).unwrap()
}

fn derived(given: &Value, expect: &Value) -> Option<Checked> {
    let share = |name: &str| given.get(name).and_then(Value::as_f64);
    let halves = match share("diff") {
        Some(difference) => Some(((-difference).max(0.0), difference.max(0.0))),
        None => share("first_half_success").zip(share("second_half_success")),
    };
    let trend = |outcomes: &[&str]| json!(sessions(outcomes, 1).trend.map(|trend| trend.name()));
    if let Some((first, second)) = halves {
        const HALF: usize = 100;
        let half = |share: f64| {
            (0..HALF).map(move |n| if n < (share * 100.0).round() as usize { "productive" } else { "empty" })
        };
        return Some(same(trend(&half(first).chain(half(second)).collect::<Vec<_>>()), expect.clone()));
    }
    if let Some(list) = given.get("outcomes").and_then(Value::as_array) {
        let name = |one: &Value| match one {
            Value::Bool(productive) => Some(if *productive { "productive" } else { "empty" }),
            one => ["productive", "empty", "blocked"].into_iter().find(|name| one.as_str() == Some(name)),
        };
        return Some(same(trend(&list.iter().map(name).collect::<Option<Vec<_>>>()?), expect.clone()));
    }
    let tokens = number(given, "tokens")?;
    let list: Vec<&str> = ["productive", "empty", "blocked"]
        .into_iter()
        .flat_map(|name| std::iter::repeat_n(name, number(given, name).unwrap_or(0) as usize))
        .collect();
    let actual = sessions(&list, tokens);
    let actual = json!({ "tokens_per_productive": actual.tokens_per_productive, "waste": actual.waste });
    Some(fields(&actual, expect))
}

pub fn granularity(name: &str) -> Granularity {
    match name {
        "week" => Granularity::Week,
        "month" => Granularity::Month,
        _ => Granularity::Day,
    }
}

fn window(given: &Value, expect: &Value) -> Option<Checked> {
    let whole = |name: &str, other| given.get(name).and_then(Value::as_i64).unwrap_or(other);
    let today = date(given.get("today")?)?;
    let step = granularity(text(given, "granularity").unwrap_or("day"));
    let window = DateWindow::ending(today, whole("days", 7), whole("offset", 0), step);
    Some(same(json!([window.first.to_string(), window.last.to_string()]), expect.clone()))
}

fn dataset<'c>(case: &Case, all: &'c [Case]) -> Option<&'c Value> {
    let name = text(&case.given, "dataset")?;
    let defines = |given: &Value| text(given, "dataset") == Some(name) && given.get("rows").is_some();
    all.iter().map(|case| &case.given).find(|given| defines(given))
}
