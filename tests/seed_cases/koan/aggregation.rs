//! Sums by any key, windows of days, prices, kinds of missions.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use usage_ledger::import::koan;
use usage_ledger::price::Prices;
use usage_ledger::report::{DateWindow, Granularity, Outcomes, Trend};
use usage_ledger::usage::Usage;
use usage_ledger::{
    Ledger, ProviderId, Report, ReportKey, ReportTable, Timestamp, TokenClass, TokenRecord, Tokens, Usd,
    humanize::number,
};

use super::{alike, date, fields, import, instance, number, rows, text, usd};
use crate::seed_cases_by_area::{Case, Checked, holds, same};

/// Some time: prices of a list hold at all times.
fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

pub fn aggregation(case: &Case, all: &[Case]) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(rows) = rows(given) {
        let home = instance(rows);
        let mut ledger = Ledger::in_memory().unwrap();
        let first = import(&mut ledger, home.path());
        let again = import(&mut ledger, home.path());
        let found = json!({ "rows": first.recorded });
        return Some(match (again.recorded, first.skipped.len()) {
            (0, 0) => fields(&found, expect),
            other => Checked::Failed(format!("recorded again and skipped: {other:?}")),
        });
    }
    if let Some(data) = dataset(case, all) {
        return over_data(case, data);
    }
    if given.get("granularity").is_some() {
        return window(given, expect);
    }
    if let Some(days) = given.get("days") {
        let days = days.as_str().map_or_else(|| days.to_string(), str::to_owned);
        return Some(same(json!(DateWindow::days(&days)), expect.clone()));
    }
    if given.get("pricing").is_some() {
        let prices = Prices::from_json(&given["pricing"].to_string()).unwrap();
        let count = |names: &[&str]| names.iter().find_map(|name| number(given, name));
        let tokens = Tokens {
            input: count(&["input", "input_tokens"]),
            output: count(&["output", "output_tokens"]),
            cache_read: count(&["cache_read", "cache_read_input_tokens"]),
            ..Tokens::default()
        };
        let mut record = TokenRecord::new("anthropic", text(given, "model")?);
        record.tokens = tokens;
        let cost = prices.cost(&record, now()).unwrap();
        return Some(holds(alike(&usd(cost), expect), format!("found {cost:?}, wanted {expect}")));
    }
    if let Some(title) = given.get("title").and_then(Value::as_str) {
        return Some(same(json!(koan::mission_type(title)), expect.clone()));
    }
    if let Some(count) = number(given, "n") {
        return Some(same(json!(number::tokens(count)), expect.clone()));
    }
    derived(given, expect)
}

fn derived(given: &Value, expect: &Value) -> Option<Checked> {
    let share = |name: &str| given.get(name).and_then(Value::as_f64);
    if let Some(difference) = share("diff") {
        return Some(same(json!(Trend::by(difference).name()), expect.clone()));
    }
    if let (Some(first), Some(second)) = (share("first_half_success"), share("second_half_success")) {
        return Some(same(json!(Trend::between(first, second).name()), expect.clone()));
    }
    let tokens = number(given, "tokens")?;
    let count = |name: &str| number(given, name).unwrap_or(0);
    let sessions = Outcomes { productive: count("productive"), empty: count("empty"), blocked: count("blocked") };
    let found =
        json!({ "tokens_per_productive": sessions.tokens_per_productive(tokens), "waste": sessions.waste(tokens) });
    Some(fields(&found, expect))
}

fn granularity(name: &str) -> Granularity {
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

/// The report that a case asks for, save its keys: range, filters and prices.
fn question(case: &Case, data: &Value) -> Option<Report> {
    let given = &case.given;
    let mut report = Report::by_all([]);
    let mut asked: BTreeMap<&str, &str> =
        case.when.split(['&', '?', ' ']).filter_map(|part| part.split_once('=')).collect();
    for name in ["project", "model", "mode", "mission_id"] {
        if let Some(value) = text(given, name) {
            asked.insert(name, value);
        }
    }
    if let Some(range) = given.get("range").and_then(Value::as_array) {
        let (first, last) = (date(range.first()?)?, date(range.last()?)?);
        report = report.days(DateWindow { first, last });
    } else if let (Some(today), Some(days)) = (given.get("today").and_then(date), asked.get("days")) {
        let back = asked.get("offset").and_then(|back| back.parse().ok()).unwrap_or(0);
        let step = granularity(asked.get("granularity").unwrap_or(&"day"));
        report = report.days(DateWindow::ending(today, DateWindow::days(days).into(), back, step));
    }
    for (name, key) in [
        ("project", ReportKey::Project),
        ("model", ReportKey::Model),
        ("mode", ReportKey::Label("mode".to_owned())),
        ("type", ReportKey::Label("type".to_owned())),
        ("mission_id", ReportKey::Label("mission_id".to_owned())),
    ] {
        if let Some(value) = asked.get(name) {
            report = report.only(key, *value).unwrap();
        }
    }
    let pricing = data.get("pricing_per_million").filter(|pricing| !pricing.is_null());
    report = report.prices(pricing.map_or_else(Prices::none, |list| Prices::from_json(&list.to_string()).unwrap()));
    Some(report)
}

fn output(usage: &Usage) -> u64 {
    usage.tokens.get(TokenClass::Output) + usage.tokens.get(TokenClass::Reasoning)
}

/// A sum under all the names that cases have for its parts.
fn sum(usage: &Usage) -> Value {
    let (input, read) = (usage.tokens.get(TokenClass::Input), usage.tokens.get(TokenClass::CacheRead));
    let rate = (usage.tokens.cache_hit_rate() * 1e10).round() / 1e10;
    json!({
        "input": input, "total_input": input, "output": output(usage), "total_output": output(usage),
        "cache_creation": usage.tokens.cache_write(), "cache_read": read, "count": usage.requests,
        "cost_usd": usd(usage.cost.reported_usd), "recorded_cost": usd(usage.cost.reported_usd),
        "priced": usd(usage.cost.usd), "cost": usd(usage.cost.usd), "estimated_cost": usd(usage.cost.usd),
        "cache_hit_rate": rate, "unpriced": usage.cost.unpriced_requests,
    })
}

/// The value that a row of three or a count stands for.
fn row(usage: &Usage, shape: &Value) -> Value {
    let numbers = [usage.tokens.get(TokenClass::Input), output(usage), usage.requests];
    match shape {
        Value::Array(_) => json!(numbers),
        Value::Number(_) => json!(usage.requests),
        _ => sum(usage),
    }
}

fn over_data(case: &Case, data: &Value) -> Option<Checked> {
    let (mut ledger, report) = (imported(data)?, question(case, data)?);
    let (when, expect) = (case.when.as_str(), &case.expect);
    let mut ask = |keys: Vec<ReportKey>| -> ReportTable {
        let asked = keys.into_iter().fold(report.clone(), Report::and);
        ledger.report(&asked).unwrap()
    };
    let label = |name: &str| ReportKey::Label(name.to_owned());
    if when.contains("cache reads") {
        let prices = Prices::from_json(&data["pricing_per_million"].to_string()).unwrap();
        let saved = ask(vec![ReportKey::Model]).rows.into_iter().filter_map(|row| {
            let rates = prices.rates("anthropic", row.keys[0].as_deref().unwrap_or_default(), now())?;
            rates.cache_savings(row.usage.tokens.get(TokenClass::CacheRead))
        });
        let saved = saved.fold(Usd::default(), |sum, one| sum.checked_add(one).unwrap());
        return Some(holds(alike(&usd(Some(saved)), expect), format!("found {saved}")));
    }
    if let Some(wanted) = expect.as_array() {
        return series(when, wanted, &mut ask);
    }
    if when.contains("daily cost") {
        let days = ask(vec![ReportKey::Day]).rows.into_iter().filter(|row| row.usage.cost.usd.is_some());
        let found: Map<_, _> = days.map(|row| (row.keys[0].clone().unwrap(), usd(row.usage.cost.usd))).collect();
        return Some(maps_alike(&found, expect.as_object()?));
    }
    if when.contains("nested") {
        let (first, seconds) = (ReportKey::Project, ["type", "mode"]);
        let mut failed = None;
        for second in seconds {
            let mut found: Map<String, Value> = Map::new();
            for one in ask(vec![first.clone(), label(second)]).rows {
                let outer = one.keys[0].clone().unwrap();
                let shape = expect.get(&outer).and_then(|inner| inner.as_object()?.values().next());
                let value = row(&one.usage, shape.unwrap_or(&Value::Null));
                let inner = found.entry(outer).or_insert_with(|| json!({}));
                inner.as_object_mut()?.insert(one.keys[1].clone().unwrap(), value);
            }
            match maps_alike(&found, expect.as_object()?) {
                Checked::Passed => return Some(Checked::Passed),
                other => failed = Some(other),
            }
        }
        return failed;
    }
    let groups = [
        ("provider", ReportKey::Provider),
        ("project", ReportKey::Project),
        ("model", ReportKey::Model),
        ("type", label("type")),
        ("mode", label("mode")),
    ];
    if let Some(group) = when.strip_prefix("group by ") {
        let key = groups.iter().find(|(name, _)| group.starts_with(name) || group.contains(&format!(" {name}")))?;
        let table = ask(vec![key.1.clone()]);
        let wanted = expect.as_object()?;
        // Our names of providers are the makers'.
        let ours = |name: &str| match &key.1 {
            ReportKey::Provider => ProviderId::resolve(name).unwrap().to_string(),
            _ => name.to_owned(),
        };
        let wanted: Map<_, _> = wanted.iter().map(|(name, value)| (ours(name), value.clone())).collect();
        let found = table.rows.iter().map(|one| {
            let name = one.keys[0].clone().unwrap();
            let value = row(&one.usage, wanted.get(&name).unwrap_or(&Value::Null));
            (name, value)
        });
        return Some(maps_alike(&found.collect(), &wanted));
    }
    if expect.get("unattributed").is_some() {
        return Some(Checked::NotApplicable("the words of a mission are not stored, so rows cannot be joined by them"));
    }
    let total = ask(Vec::new()).total;
    match expect {
        Value::Object(_) => Some(fields(&sum(&total), expect)),
        Value::Number(_) if when.contains("rate") => Some(fields(&sum(&total)["cache_hit_rate"], expect)),
        Value::Number(_) if when.contains("recorded") => Some(fields(&sum(&total)["cost_usd"], expect)),
        Value::Number(_) if when.contains("pric") || when.contains("cost") => {
            Some(fields(&sum(&total)["cost"], expect))
        }
        _ => None,
    }
}

fn maps_alike(found: &Map<String, Value>, wanted: &Map<String, Value>) -> Checked {
    let equal = found.len() == wanted.len()
        && wanted.iter().all(|(name, value)| match (found.get(name), value) {
            (Some(Value::Object(found)), Value::Object(wanted)) => {
                wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| alike(found, value)))
            }
            (Some(found), wanted) => alike(found, wanted),
            (None, _) => false,
        });
    holds(equal, format!("found {found:?}, wanted {wanted:?}"))
}

/// A series by days, weeks or months, as its question or its names tell; what is not named is empty.
fn series(when: &str, wanted: &[Value], ask: &mut dyn FnMut(Vec<ReportKey>) -> ReportTable) -> Option<Checked> {
    let Some(name) = wanted.first().and_then(|row| row.get(0)?.as_str()) else {
        return when.contains("mission").then_some(Checked::NotApplicable("the words of a mission are not stored"));
    };
    let key = match name.len() {
        _ if when.contains("week") => ReportKey::Week,
        _ if when.contains("month") => ReportKey::Month,
        10 => ReportKey::Day,
        7 => ReportKey::Month,
        _ => ReportKey::Week,
    };
    // A week may be named by its Monday, a month by its first day.
    let day = |name: &str| match key {
        _ if name.len() == 10 => name.parse().ok(),
        ReportKey::Week => NaiveDate::parse_from_str(&format!("{name}-1"), "%G-W%V-%u").ok(),
        _ => format!("{name}-01").parse().ok(),
    };
    let rows = ask(vec![key.clone()]).rows.into_iter().filter(|one| one.usage.requests > 0);
    let found: Vec<(Option<NaiveDate>, Vec<u64>)> = rows
        .map(|one| {
            let numbers = [one.usage.tokens.get(TokenClass::Input), output(&one.usage), one.usage.requests];
            (one.keys[0].as_deref().and_then(day), numbers.into())
        })
        .collect();
    let wanted = wanted.iter().map(|row| {
        let numbers = row.as_array()?.iter().skip(1).map(Value::as_u64).collect::<Option<Vec<u64>>>()?;
        Some((row[0].as_str().and_then(day), numbers))
    });
    let wanted = wanted.collect::<Option<Vec<_>>>()?.into_iter().filter(|(_, numbers)| numbers.iter().any(|n| *n > 0));
    Some(same(found, wanted.collect()))
}

fn dataset<'c>(case: &Case, all: &'c [Case]) -> Option<&'c Value> {
    let name = text(&case.given, "dataset")?;
    let defines = |given: &Value| text(given, "dataset") == Some(name) && given.get("rows").is_some();
    all.iter().map(|case| &case.given).find(|given| defines(given))
}

fn imported(given: &Value) -> Option<Ledger> {
    let home = instance(rows(given)?);
    let mut ledger = Ledger::in_memory().unwrap();
    import(&mut ledger, home.path());
    Some(ledger)
}
