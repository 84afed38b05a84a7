//! Queries of a data set: sums by any keys, series, missions, costs.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Value, json};
use usage_ledger::price::Prices;
use usage_ledger::report::{DateWindow, Granularity};
use usage_ledger::usage::Usage;
use usage_ledger::{Ledger, ProviderId, Report, ReportKey, ReportTable, TokenClass, Usd};

use super::aggregation::{granularity, prices};
use super::{alike, date, fields, import, instance, number, rows, text, usd};
use crate::seed_cases_by_area::{Case, Checked, holds};

fn label(name: &str) -> ReportKey {
    ReportKey::Label(name.to_owned())
}

/// A data set as a ledger, and a case's query: range, filters and prices.
struct DataQuery<'c> {
    case: &'c Case,
    data: &'c Value,
    ledger: Ledger,
    report: Report,
}

impl<'c> DataQuery<'c> {
    fn new(case: &'c Case, data: &'c Value) -> Option<Self> {
        let home = instance(rows(data)?);
        let ledger = Ledger::in_memory().unwrap();
        import(&ledger, home.path());
        let given = &case.given;
        let mut report = Report::by_all([]);
        let mut query: BTreeMap<&str, &str> =
            case.when.split(['&', '?', ' ']).filter_map(|part| part.split_once('=')).collect();
        for name in ["project", "model", "mode", "granularity"] {
            if let Some(value) = text(given, name) {
                query.insert(name, value);
            }
        }
        let days =
            query.get("days").and_then(|days| days.parse().ok()).or(number(given, "days").map(|days| days as i64));
        if let Some(range) = given.get("range").and_then(Value::as_array) {
            let (first, last) = (date(range.first()?)?, date(range.last()?)?);
            report = report.days(DateWindow { first, last });
        } else if let Some(today) = given.get("today").and_then(date) {
            let back = query.get("offset").and_then(|back| back.parse().ok()).or_else(|| given.get("offset")?.as_i64());
            let step = granularity(query.get("granularity").unwrap_or(&"day"));
            // A mission is searched for in thirty days, everything else in the given number.
            let days = days.or(given.get("mission_id").map(|_| 30));
            let window = days.map(|days| DateWindow::ending(today, days, back.unwrap_or(0), step));
            report = window.map_or(report.clone(), |window| report.days(window));
        }
        for (name, key) in [
            ("project", ReportKey::Project),
            ("model", ReportKey::Model),
            ("mode", label("mode")),
            ("type", label("type")),
        ] {
            if let Some(value) = query.get(name) {
                report = report.only(key, *value).unwrap();
            }
        }
        let list = data.get("pricing_per_million").filter(|pricing| !pricing.is_null());
        // The data set's list is the seed's own, which has no prices of cached tokens.
        let report = report.prices(list.map_or_else(Prices::none, |list| prices(list, "seed")));
        Some(Self { case, data, ledger, report })
    }

    fn by(&mut self, keys: &[ReportKey]) -> ReportTable {
        let query = keys.iter().cloned().fold(self.report.clone(), Report::and);
        self.ledger.report(&query).unwrap()
    }
}

pub fn over_data(case: &Case, data: &Value) -> Option<Checked> {
    let mut query = DataQuery::new(case, data)?;
    let (when, expect) = (case.when.to_lowercase(), &case.expect);
    if when.contains("cache reads") || when.contains("savings") {
        return Some(savings(&mut query));
    }
    if when.contains("top") && when.contains("mission") {
        return top_missions(&mut query);
    }
    if case.given.get("mission_id").is_some() || expect.get("unattributed").is_some() {
        return mission(&mut query);
    }
    if let Some(series) = series(&mut query, &when) {
        return Some(series);
    }
    if let Some(wanted) = expect.as_object().filter(|wanted| wanted.values().all(is_group)) {
        return grouped(&mut query, &when, wanted);
    }
    let total = query.by(&[]).total;
    match expect {
        Value::Object(_) => Some(fields(&sum(&total), expect)),
        Value::Array(_) => Some(holds(fits(&total, expect, &when), format!("found {}", sum(&total)))),
        Value::Number(_) if when.contains("rate") => Some(fields(&sum(&total)["cache_hit_rate"], expect)),
        Value::Number(_) if when.contains("recorded") => Some(fields(&sum(&total)["cost_usd"], expect)),
        Value::Number(_) if when.contains("pric") || when.contains("cost") => {
            Some(fields(&sum(&total)["cost"], expect))
        }
        Value::Number(_) if when.contains("count") || when.contains("runs") => {
            Some(fields(&sum(&total)["count"], expect))
        }
        _ => None,
    }
}

/// Whether a value describes a group of a report, not a single number.
fn is_group(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

fn output(usage: &Usage) -> u128 {
    usage.tokens.get(TokenClass::Output) + usage.tokens.get(TokenClass::Reasoning)
}

/// A sum under all the names that cases use for its parts.
fn sum(usage: &Usage) -> Value {
    let (input, read) = (usage.tokens.get(TokenClass::Input), usage.tokens.get(TokenClass::CacheRead));
    let rate = (usage.tokens.cache_hit_rate() * 1e10).round() / 1e10;
    let (output, created) = (output(usage), usage.tokens.cache_write());
    let (priced, recorded) = (usd(usage.cost.usd), usd(usage.cost.reported_usd));
    json!({
        "input": input, "total_input": input, "input_tokens": input,
        "output": output, "total_output": output, "output_tokens": output,
        "tokens": input + output, "total_tokens": input + output, "total": input + output,
        "cache_creation": created, "cache_write": created, "cache_creation_input_tokens": created,
        "cache_read": read, "cache_read_input_tokens": read,
        "count": usage.requests, "runs": usage.requests, "requests": usage.requests,
        "cost_usd": recorded, "total_cost_usd": recorded, "recorded_cost": recorded, "recorded": recorded,
        "priced": priced, "cost": priced, "estimated_cost": priced, "priced_cost": priced,
        "cache_hit_rate": rate, "unpriced": usage.cost.unpriced_requests, "unpriced_requests": usage.cost.unpriced_requests,
    })
}

/// Whether a sum equals the expectation in one of its forms: `[input, output, count]`, a number, or named parts.
fn fits(usage: &Usage, wanted: &Value, when: &str) -> bool {
    let all = sum(usage);
    match wanted {
        Value::Array(numbers) => {
            let actual = [&all["input"], &all["output"], &all["count"]];
            numbers.len() <= 3 && numbers.iter().zip(actual).all(|(wanted, actual)| alike(actual, wanted))
        }
        Value::Object(parts) => parts
            .iter()
            .filter(|(name, value)| all.get(name.as_str()).is_some() || value.is_number())
            .all(|(name, value)| all.get(name.as_str()).is_some_and(|actual| alike(actual, value))),
        Value::Null => usage.cost.usd.is_none(),
        wanted if when.contains("cost") => alike(&all["cost"], wanted),
        wanted if when.contains("token") => alike(&all["tokens"], wanted),
        wanted => alike(&all["count"], wanted),
    }
}

/// The savings of caches: the cost if everything had been read without a cache, minus the cost at a tenth of that.
fn savings(query: &mut DataQuery<'_>) -> Checked {
    let list = &query.data["pricing_per_million"];
    let mut cost = |share: f64| {
        let mut list = list.clone();
        for line in list.as_object_mut().unwrap().values_mut() {
            line["cache_read"] = json!(((line["input"].as_f64().unwrap() * share) * 1e9).round() / 1e9);
        }
        query.report = query.report.clone().prices(Prices::from_json(&list.to_string()).unwrap());
        query.by(&[]).total.cost.usd.unwrap_or_default()
    };
    let (anew, cached) = (cost(1.0), cost(0.1));
    let dollars = |amount: Usd| usd(Some(amount)).as_f64().unwrap();
    let saved = json!(dollars(anew) - dollars(cached));
    holds(alike(&saved, &query.case.expect), format!("found {saved}"))
}

/// The first day of a day, week or month from any of its names, and its granularity.
fn period(name: &str) -> Option<(Granularity, NaiveDate)> {
    if let Some((year, week)) = name.split_once("-W") {
        let monday = NaiveDate::parse_from_str(&format!("{year}-W{week}-1"), "%G-W%V-%u").ok()?;
        return Some((Granularity::Week, monday));
    }
    match name.len() {
        10 => Some((Granularity::Day, name.parse().ok()?)),
        7 => Some((Granularity::Month, format!("{name}-01").parse().ok()?)),
        _ => None,
    }
}

/// One entry of a series: a list that begins with its name, or an object.
fn entry(value: &Value) -> Option<(String, Value)> {
    match value {
        Value::Array(row) => Some((row.first()?.as_str()?.to_owned(), Value::Array(row[1..].to_vec()))),
        Value::Object(row) => {
            let name =
                ["week", "month", "date", "day", "start"].into_iter().find_map(|name| row.get(name)?.as_str())?;
            let parts = row.iter().filter(|(_, value)| !value.is_string());
            Some((name.to_owned(), Value::Object(parts.map(|(name, value)| (name.clone(), value.clone())).collect())))
        }
        _ => None,
    }
}

/// A series by days, weeks or months; unnamed ones are empty.
fn series(query: &mut DataQuery<'_>, when: &str) -> Option<Checked> {
    let wanted: Vec<(String, Value)> = match &query.case.expect {
        Value::Array(list) => list.iter().map(entry).collect::<Option<_>>()?,
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        _ => return None,
    };
    let periods: Vec<_> = wanted.iter().map(|(name, _)| period(name)).collect::<Option<_>>()?;
    let granularity = text(&query.case.given, "granularity").unwrap_or_default();
    let step = match periods.first() {
        _ if when.contains("week") || granularity == "week" => Granularity::Week,
        _ if when.contains("month") || granularity == "month" => Granularity::Month,
        Some((step, _)) => *step,
        None => Granularity::Day,
    };
    let key = match step {
        Granularity::Week => ReportKey::Week,
        Granularity::Month => ReportKey::Month,
        Granularity::Day => ReportKey::Day,
    };
    // For costs, only days with a cost count.
    let costs = when.contains("cost");
    let counts = |usage: &Usage| if costs { usage.cost.usd.is_some() } else { usage.requests > 0 };
    let actual = query.by(&[key]).rows.into_iter().filter(|row| counts(&row.usage));
    let actual: BTreeMap<NaiveDate, Usage> =
        actual.filter_map(|row| Some((period(row.keys[0].as_deref()?)?.1, row.usage))).collect();
    let is_empty = |value: &Value| match value {
        Value::Array(numbers) => numbers.iter().all(|number| number == &json!(0)),
        Value::Object(parts) => parts.get("count").or(parts.get("total_input")) == Some(&json!(0)),
        _ => false,
    };
    let wanted: Vec<_> =
        periods.iter().map(|(_, day)| *day).zip(wanted).filter(|(_, (_, value))| !is_empty(value)).collect();
    let equal = actual.len() == wanted.len()
        && wanted.iter().all(|(day, (_, value))| actual.get(day).is_some_and(|usage| fits(usage, value, when)));
    Some(holds(equal, format!("found {:?}", actual.iter().map(|(day, usage)| (day, sum(usage))).collect::<Vec<_>>())))
}

/// The keys that a query names, in its order.
fn keys(when: &str) -> Vec<ReportKey> {
    let known = [
        ("provider", ReportKey::Provider),
        ("project", ReportKey::Project),
        ("model", ReportKey::Model),
        ("type", label("type")),
        ("mode ", label("mode")),
    ];
    let when = format!("{when} ");
    // Text in parentheses is a comment.
    let when = when.split('(').next().unwrap_or_default().to_owned() + " ";
    let mut actual: Vec<_> = known.into_iter().filter_map(|(word, key)| Some((when.find(word)?, key))).collect();
    actual.sort_by_key(|(at, _)| *at);
    actual.into_iter().map(|(_, key)| key).collect()
}

/// This crate's name of a key's value: the seed names providers by their makers.
fn ours(key: &ReportKey, name: &str) -> String {
    match key {
        ReportKey::Provider => ProviderId::resolve(name).map_or_else(|_| name.to_owned(), |id| id.to_string()),
        _ => name.to_owned(),
    }
}

fn grouped(query: &mut DataQuery<'_>, when: &str, wanted: &serde_json::Map<String, Value>) -> Option<Checked> {
    let nested = wanted.values().all(|value| {
        value.as_object().is_some_and(|inner| inner.keys().all(|key| sum(&Usage::default()).get(key).is_none()))
    });
    let named = keys(when);
    let tries: Vec<Vec<ReportKey>> = match (nested, named.as_slice()) {
        (true, [first, second, ..]) => vec![vec![first.clone(), second.clone()]],
        // The default keys are project, then type or mode.
        (true, _) => ["type", "mode"].map(|second| vec![ReportKey::Project, label(second)]).into(),
        (false, [first, ..]) => vec![vec![first.clone()]],
        (false, []) => return None,
    };
    let mut why = String::new();
    for keys in tries {
        let table = query.by(&keys);
        let mut leaves: BTreeMap<Vec<String>, &Value> = BTreeMap::new();
        for (name, value) in wanted {
            let name = ours(&keys[0], name);
            match value.as_object().filter(|_| nested) {
                Some(inner) => leaves
                    .extend(inner.iter().map(|(second, value)| (vec![name.clone(), ours(&keys[1], second)], value))),
                None => drop(leaves.insert(vec![name], value)),
            }
        }
        let actual = table.rows.iter().map(|row| {
            let names: Vec<String> = row.keys.iter().map(|key| key.clone().unwrap_or_default()).collect();
            (names, &row.usage)
        });
        let actual: Vec<_> = actual.collect();
        let equal = actual.len() == leaves.len()
            && actual.iter().all(|(names, usage)| leaves.get(names).is_some_and(|value| fits(usage, value, when)));
        if equal {
            return Some(Checked::Passed);
        }
        why = format!("{why} found {:?}", actual.iter().map(|(names, usage)| (names, sum(usage))).collect::<Vec<_>>());
    }
    Some(Checked::Failed(why))
}

/// The part of a title that the import stores.
fn title_key(title: &str) -> Option<String> {
    let row = json!({"ts": "2026-06-10T00:00:00", "project": "p", "model": "m", "input_tokens": 1, "output_tokens": 0,
        "mode": "", "mission": title});
    let home = instance(&[row]);
    let ledger = Ledger::in_memory().unwrap();
    import(&ledger, home.path());
    ledger.report(&Report::by(label("title_key"))).unwrap().rows[0].keys[0].clone()
}

/// The rows of a mission by its id, and those without an id but with its title.
fn mission(query: &mut DataQuery<'_>) -> Option<Checked> {
    let (given, expect, when) = (&query.case.given, &query.case.expect, query.case.when.to_lowercase());
    let id = text(given, "mission_id").unwrap_or_default();
    let table = query.by(&[label("mission_id"), label("title_key")]);
    let titles = ["title", "mission", "mission_title", "text"].into_iter().find_map(|name| text(given, name));
    let titles: Vec<String> = match titles {
        Some(title) => title_key(title).into_iter().collect(),
        None => {
            let of_it = table.rows.iter().filter(|row| row.keys[0].as_deref() == Some(id));
            of_it.filter_map(|row| row.keys[1].clone()).collect()
        }
    };
    let total = |fits: &dyn Fn(&[Option<String>]) -> bool| {
        let rows = table.rows.iter().filter(|row| fits(&row.keys));
        rows.fold(BTreeMap::new(), |mut sums: BTreeMap<String, f64>, row| {
            for (name, value) in sum(&row.usage).as_object().unwrap() {
                *sums.entry(name.clone()).or_default() += value.as_f64().unwrap_or(0.0);
            }
            sums
        })
    };
    let own = total(&|keys| keys[0].as_deref() == Some(id));
    let rest = total(&|keys| keys[0].is_none() && keys[1].as_ref().is_some_and(|key| titles.contains(key)));
    let at = |sums: &BTreeMap<String, f64>, name: &str| sums.get(name).copied().unwrap_or(0.0);
    let equal = |sums: &BTreeMap<String, f64>, wanted: &Value| -> bool {
        let near =
            |name: &str, wanted: &Value| wanted.as_f64().is_some_and(|wanted| (at(sums, name) - wanted).abs() < 1e-9);
        match wanted {
            Value::Null => at(sums, "count") == 0.0,
            Value::Number(_) if when.contains("token") => near("tokens", wanted),
            Value::Number(_) => near("count", wanted),
            Value::Array(numbers) => {
                ["input", "output", "count"].iter().zip(numbers).all(|(name, wanted)| near(name, wanted))
            }
            Value::Object(parts) => {
                parts.iter().filter(|(name, _)| *name != "unattributed").all(|(name, wanted)| match wanted {
                    Value::Number(_) => near(name, wanted),
                    // A cost without records is 0.
                    Value::Null => at(sums, name) == 0.0,
                    _ => true,
                })
            }
            _ => false,
        }
    };
    let right = equal(&own, expect) && expect.get("unattributed").is_none_or(|wanted| equal(&rest, wanted));
    Some(holds(right, format!("found {own:?}, unattributed {rest:?}")))
}

/// The missions with the most input and output.
fn top_missions(query: &mut DataQuery<'_>) -> Option<Checked> {
    let limit = query.case.given.get("limit").and_then(Value::as_i64).unwrap_or(10).clamp(1, 200) as usize;
    let table = query.by(&[label("title_key")]);
    let top = table.top(limit);
    let named = |value: &Value| value.as_str().map(title_key);
    let is = |row: &usage_ledger::report::ReportRow, wanted: &Value| -> bool {
        // A recorded cost takes precedence over a computed one.
        let cost = usd(row.usage.cost.reported_usd.or(row.usage.cost.usd));
        let all = sum(&row.usage);
        match wanted {
            Value::String(_) => named(wanted) == Some(row.keys[0].clone()),
            Value::Array(parts) => {
                let numbers: Vec<_> = parts.iter().filter(|part| part.is_number()).collect();
                let right = match numbers.as_slice() {
                    [] => true,
                    [tokens] => alike(&all["tokens"], tokens),
                    [input, output, ..] => {
                        alike(&all["input"], input) && alike(&all["output"], output)
                            || alike(&all["tokens"], input) && alike(&cost, output)
                    }
                };
                right && parts.first().is_none_or(|name| !name.is_string() || named(name) == Some(row.keys[0].clone()))
            }
            Value::Object(parts) => parts.iter().all(|(name, wanted)| match name.as_str() {
                "mission" | "title" | "text" | "name" => named(wanted) == Some(row.keys[0].clone()),
                "cost" | "cost_usd" => alike(&cost, wanted),
                _ if wanted.is_number() => all.get(name.as_str()).is_some_and(|actual| alike(actual, wanted)),
                _ => true,
            }),
            _ => false,
        }
    };
    let actual = || format!("found {:?}", top.iter().map(|row| (&row.keys, sum(&row.usage))).collect::<Vec<_>>());
    Some(match &query.case.expect {
        Value::Array(wanted) => {
            holds(wanted.len() == top.len() && top.iter().zip(wanted).all(|(row, wanted)| is(row, wanted)), actual())
        }
        Value::Number(count) => holds(count.as_u64() == Some(top.len() as u64), actual()),
        Value::Object(wanted) if wanted.contains_key("count") => {
            holds(wanted["count"].as_u64() == Some(top.len() as u64), actual())
        }
        wanted => holds(top.first().is_some_and(|row| is(row, wanted)), actual()),
    })
}
