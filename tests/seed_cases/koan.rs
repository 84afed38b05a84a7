//! Rows, reports, pages and lines of the seed system: imported, asked, and written again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use usage_ledger::budget::Mode;
use usage_ledger::event::{LimitSet, NewEvent, QuotaObserved};
use usage_ledger::export::{self, ExportOptions};
use usage_ledger::import::{self, ImportOptions, SourceReport, koan};
use usage_ledger::normalise::agent::{self, Turns};
use usage_ledger::price::Prices;
use usage_ledger::report::{DateWindow, Granularity, Outcomes, Trend};
use usage_ledger::usage::Usage;
use usage_ledger::{
    Ledger, ProviderId, Report, ReportKey, Table, Timestamp, TokenClass, TokenRecord, Tokens, Zone, short,
};

use super::{Case, Checked, holds, same, unknown};

pub fn check(case: &Case, all: &[Case]) -> Checked {
    let checked = match case.area.as_str() {
        "aggregation" => aggregation(case, all),
        "usage_md" => usage_md(case),
        "record_format" => Some(record_format(case)),
        "activity_log" => activity_log(case),
        "backfill" => backfill(case, all),
        "token_extraction" => token_extraction(case),
        "quota_command" => quota_command(case),
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

fn close(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() < 1e-9
}

/// Whether a value that was found is the one that is wanted; a number that is wanted is compared as such.
fn alike(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => close(found, wanted),
        _ => found == wanted,
    }
}

/// Passed when what was found has every field that is wanted.
fn fields(found: &Value, wanted: &Value) -> Checked {
    let Some(wanted) = wanted.as_object() else { return holds(alike(found, wanted), format!("found {found}")) };
    let wrong: Vec<_> = wanted
        .iter()
        .filter(|(name, value)| !alike(found.get(name.as_str()).unwrap_or(&Value::Null), value))
        .map(|(name, value)| format!("{name}: wanted {value}"))
        .collect();
    holds(wrong.is_empty(), format!("{}; found {found}", wrong.join(", ")))
}

fn usd(amount: Option<usage_ledger::Usd>) -> Value {
    amount.map_or(Value::Null, |amount| json!(amount.to_string().parse::<f64>().unwrap()))
}

/// Whether a text has all the parts that are wanted, and none that are not.
fn contains(found: &str, wanted: &Value) -> Option<Checked> {
    let parts = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|part| part.as_str().map(str::to_owned)).collect()
    };
    let (wanted, unwanted) = match wanted {
        Value::Object(object) => (object.get("contains"), object.get("not_contains")),
        list => (Some(list), None),
    };
    let missing = parts(wanted?)?.into_iter().filter(|part| !found.contains(part.as_str()));
    let present = unwanted.and_then(parts).unwrap_or_default().into_iter().filter(|part| found.contains(part.as_str()));
    let wrong: Vec<_> = missing.chain(present).collect();
    Some(holds(wrong.is_empty(), format!("{wrong:?} in {found:?}")))
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
    ImportOptions { sources: vec!["koan".to_owned()], home: Some(home.to_owned()), zone: None }
}

fn import(ledger: &mut Ledger, home: &Path) -> SourceReport {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    import::run(ledger, &options(home), now, &mut |_| {}).unwrap().sources.remove(0)
}

fn dataset<'c>(case: &Case, all: &'c [Case]) -> Option<&'c Value> {
    let name = text(&case.given, "dataset")?;
    let defines = |given: &Value| text(given, "dataset") == Some(name) && given.get("rows").is_some();
    all.iter().map(|case| &case.given).find(|given| defines(given))
}

fn rows(given: &Value) -> Option<&Vec<Value>> {
    given.get("rows")?.as_array()
}

fn imported(given: &Value) -> Option<Ledger> {
    let home = instance(rows(given)?);
    let mut ledger = Ledger::in_memory().unwrap();
    import(&mut ledger, home.path());
    Some(ledger)
}

// Aggregation.

fn aggregation(case: &Case, all: &[Case]) -> Option<Checked> {
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
        let cost = prices.cost(text(given, "model")?, tokens);
        return Some(holds(alike(&usd(cost), expect), format!("found {cost:?}, wanted {expect}")));
    }
    if let Some(title) = given.get("title").and_then(Value::as_str) {
        return Some(same(json!(koan::mission_type(title)), expect.clone()));
    }
    if let Some(count) = number(given, "n") {
        return Some(same(json!(short::tokens(count)), expect.clone()));
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
    for name in ["project", "model", "mode"] {
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
    if let Some(pricing) = data.get("pricing_per_million").filter(|pricing| !pricing.is_null()) {
        report = report.prices(Prices::from_json(&pricing.to_string()).unwrap());
    }
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
    let mut ask = |keys: Vec<ReportKey>| -> Table {
        let asked = keys.into_iter().fold(report.clone(), Report::and);
        ledger.report(&asked).unwrap()
    };
    let label = |name: &str| ReportKey::Label(name.to_owned());
    if when.contains("cache reads") {
        let prices = Prices::from_json(&data["pricing_per_million"].to_string()).unwrap();
        let saved = ask(vec![ReportKey::Model])
            .rows
            .into_iter()
            .filter_map(|row| prices.cache_savings(row.keys[0].as_deref().unwrap_or_default(), row.usage.tokens));
        let saved = saved.fold(usage_ledger::Usd::default(), |sum, one| sum.checked_add(one).unwrap());
        return Some(holds(alike(&usd(Some(saved)), expect), format!("found {saved}")));
    }
    if let Some(wanted) = expect.as_array() {
        return series(wanted, &mut ask);
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

/// A series by days, weeks or months, as its names tell; what is not named is empty.
fn series(wanted: &[Value], ask: &mut dyn FnMut(Vec<ReportKey>) -> Table) -> Option<Checked> {
    let name = wanted.first()?.get(0)?.as_str()?;
    let key = match name.len() {
        10 => ReportKey::Day,
        7 => ReportKey::Month,
        _ => ReportKey::Week,
    };
    let rows = ask(vec![key]).rows.into_iter().filter(|one| one.usage.requests > 0);
    let found: Vec<Value> = rows
        .map(|one| {
            json!([one.keys[0], one.usage.tokens.get(TokenClass::Input), output(&one.usage), one.usage.requests])
        })
        .collect();
    let wanted: Vec<Value> = wanted.iter().filter(|row| row[3] != 0).cloned().collect();
    Some(same(found, wanted))
}

// usage.md.

const NOW: &str = "2026-06-10T12:00:00";
const PROVIDER: &str = "anthropic";

fn usage_md(case: &Case) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.contains("render") {
        return contains(&render(given)?, expect);
    }
    if given.get("file").is_none() {
        return None; // the safety margin has rules of its own
    }
    let page = koan::usage_md::parse(text(given, "file").unwrap_or_default());
    let [session, weekly] = page.percents();
    let percent = |percent: usage_ledger::event::Percent| json!(f64::from(percent.hundredths()) / 100.0);
    let left = |reading: &Option<koan::usage_md::Reading>| {
        reading.as_ref().map_or_else(|| json!("unknown"), |reading| json!(reading.resets_in))
    };
    let mut found = json!({
        "session_pct": percent(session), "weekly_pct": percent(weekly),
        "session_reset": left(&page.session), "weekly_reset": left(&page.weekly),
        "malformed": page.is_malformed(), "warning": page.is_malformed(), "warns": page.is_malformed(),
    });
    if expect.get("mode_full").is_some() {
        found["mode_full"] = json!(mode(session, weekly).name());
    }
    Some(fields(&found, expect))
}

/// What may be begun when the provider says that so much is used.
fn mode(session: usage_ledger::event::Percent, weekly: usage_ledger::event::Percent) -> Mode {
    let now = moment(&json!(NOW)).unwrap();
    let mut ledger = Ledger::in_memory().unwrap();
    for (minutes, used) in [(300, session), (10_080, weekly)] {
        ledger
            .append([NewEvent::new(observed(minutes, used, Some(now.plus(usage_ledger::time::HOUR))), now)], now)
            .unwrap();
    }
    ledger.budget(PROVIDER, now).unwrap().mode
}

fn observed(window_minutes: u32, used: usage_ledger::event::Percent, resets_at: Option<Timestamp>) -> QuotaObserved {
    QuotaObserved {
        provider: ProviderId::new(PROVIDER).unwrap(),
        account: None,
        window_minutes,
        scope: None,
        used_percent: Some(used),
        resets_at,
        status: None,
        feed: "oauth".to_owned(),
    }
}

/// The page for a state: its tokens as records, its account percentages as observations.
fn render(given: &Value) -> Option<String> {
    let now = given.get("now").and_then(moment).or_else(|| moment(&json!(NOW)))?;
    let start = given.get("session_start").and_then(moment).unwrap_or(now);
    let mut ledger = Ledger::in_memory().unwrap();
    let limit = |name: &str, other| number(given, name).unwrap_or(other);
    let limits = LimitSet::new(PROVIDER)
        .unwrap()
        .session(limit("session_token_limit", 500_000))
        .weekly(limit("weekly_token_limit", 5_000_000));
    let long_ago = now.plus(-30 * usage_ledger::time::DAY);
    ledger.set_limit(limits, long_ago).unwrap();
    let session = number(given, "session_tokens").unwrap_or(0);
    let weekly = number(given, "weekly_tokens").unwrap_or(session).saturating_sub(session);
    let day = Zone::UTC.day(now);
    let monday = day - TimeDelta::days(i64::from(chrono::Datelike::weekday(&day).num_days_from_monday()));
    let call = |tokens| TokenRecord::new(PROVIDER, "claude-opus-4-5").input(tokens);
    if weekly > 0 {
        ledger.record(call(weekly), Zone::UTC.start_of_day(monday)).unwrap();
    }
    let runs = number(given, "runs").unwrap_or(u64::from(session > 0));
    for run in 0..runs {
        let share = session / runs + if run == 0 { session % runs } else { 0 };
        ledger.record(call(share), start).unwrap();
    }
    let oauth = given.get("oauth").filter(|oauth| oauth.is_object());
    for (minutes, name) in [(300, "session"), (10_080, "weekly")] {
        let Some(used) = oauth.and_then(|oauth| oauth.get(name)).and_then(Value::as_f64) else { continue };
        let left = oauth.and_then(|oauth| text(oauth, &format!("{name}_reset"))).and_then(koan::usage_md::duration);
        let resets_at = now.plus(left.unwrap_or(usage_ledger::time::HOUR));
        ledger
            .append([NewEvent::new(observed(minutes, used.to_string().parse().unwrap(), Some(resets_at)), now)], now)
            .unwrap();
    }
    // Whoever renders works with the provider, whether or not it was used.
    let options = ExportOptions { now: Some(now), provider: Some(PROVIDER.to_owned()), zone: Zone::UTC };
    let mut page = Vec::new();
    export::find("usage-md").unwrap().export_with(&ledger.sight().unwrap(), &options, &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let read = koan::usage_md::parse(&page);
    assert!(read.session.is_some() && read.weekly.is_some() && read.source.is_some(), "does not read back: {page}");
    Some(page)
}

// Rows written.

fn record(given: &Value) -> TokenRecord {
    let count = |names: &[&str]| names.iter().find_map(|name| number(given, name));
    let name = |name: &str| text(given, name).filter(|text| !text.is_empty());
    let mut record = TokenRecord::new(name("provider").unwrap_or("anthropic"), name("model").unwrap_or_default());
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

fn record_format(case: &Case) -> Checked {
    // The last millisecond of a day: what is written a moment later still belongs to it.
    let at = moment(&json!("2026-06-10T23:59:59.999")).unwrap();
    let mut ledger = Ledger::in_memory().unwrap();
    ledger.record(record(&case.given), at).unwrap();
    let mut out = Vec::new();
    let written = export::find("koan-jsonl").unwrap().export(&ledger.sight().unwrap(), &mut out);
    assert!(written.is_ok());
    let line = String::from_utf8(out).unwrap();
    let row: Value = serde_json::from_str(&line).unwrap();
    let mut found = row.clone();
    found["recorded"] = json!(row["input_tokens"].is_u64());
    found["one_line"] = json!(line.ends_with('\n') && line.matches('\n').count() == 1);
    found["no_space_after_separator"] = json!(!line.contains(", ") && !line.contains(": "));
    let day = row["ts"].as_str().unwrap()[..10].to_owned();
    // Written into the file of its day, the row is read at the time it was of.
    let home = instance(std::slice::from_ref(&row));
    let read = home.path().join(format!("instance/usage/{day}.jsonl")).exists();
    let mut second = Ledger::in_memory().unwrap();
    let back = import(&mut second, home.path()).recorded == 1 && second.event(1).unwrap().occurred_at == at;
    found["file_day_equals_ts_day"] = json!(read && back && day == Zone::UTC.day(at).to_string());
    fields(&found, &case.expect)
}

fn activity_log(case: &Case) -> Option<Checked> {
    if let Some(seconds) = number(&case.given, "seconds") {
        return Some(same(json!(short::duration(seconds)), case.expect.clone()));
    }
    let line = export::activity(&record(&case.given), moment(&json!(NOW))?, Zone::UTC);
    contains(&line, &case.expect)
}

// Backfill.

fn backfill(case: &Case, all: &[Case]) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(times) = number(given, "same_file_imported") {
        let data = all.iter().find_map(|case| rows(&case.given))?;
        let home = instance(data);
        let mut ledger = Ledger::in_memory().unwrap();
        import(&mut ledger, home.path());
        let before = ledger.head().unwrap().position;
        let again: u64 = (1..times).map(|_| import(&mut ledger, home.path()).recorded).sum();
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
        let told = (0..outcomes).map(|n| json!({ "timestamp": at(8, n), "project": "a", "outcome": "productive" }));
        let told = Value::Array(told.collect()).to_string();
        fs::write(home.path().join("instance/session_outcomes.json"), told).unwrap();
    }
    let mut ledger = Ledger::in_memory().unwrap();
    import(&mut ledger, home.path());
    let before = ledger.head().unwrap().position.get();
    let apply = given.get("apply").and_then(Value::as_bool).unwrap_or(true);
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let done = koan::backfill(&mut ledger, &options(home.path()), apply, now).unwrap();
    let head = ledger.head().unwrap().position.get();
    let mut found = json!({ "planned": done.planned, "written": done.written });
    let label = ReportKey::Label("backfill".to_owned());
    let table = ledger.report(&Report::by(ReportKey::Model).and(label)).unwrap();
    found["rows"] = json!(table.total.requests);
    found["warning"] = json!(done.days.iter().any(|day| day.surplus > 0));
    found["warn"] = found["warning"].clone();
    let events = (before + 1..=head).map(|position| ledger.event(position).unwrap());
    let written: Vec<TokenRecord> = events
        .map(|event| match event.payload {
            usage_ledger::event::Payload::TokensRecorded(record) => record,
            other => panic!("a backfill wrote {}", other.kind()),
        })
        .collect();
    found["tokens"] = json!(written.iter().map(|record| record.tokens.total().unwrap()).sum::<u64>());
    found["model"] = json!(written.first().and_then(|record| record.model.clone()));
    found["marker"] = json!(written.iter().all(|record| record.labels.contains_key("backfill")));
    Some(fields(&found, expect))
}

// Outputs of agents.

fn token_extraction(case: &Case) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if case.when.contains("hit rate") {
        let tokens = Tokens {
            input: number(given, "input"),
            cache_read: number(given, "cache_read"),
            cache_write: number(given, "cache_creation"),
            ..Tokens::default()
        };
        let rate = (tokens.cache_hit_rate() * 1e10).round() / 1e10;
        return Some(holds(alike(&json!(rate), expect), format!("found {rate}, wanted {expect}")));
    }
    let output = match (given.get("document"), given.get("lines"), text(given, "text")) {
        (Some(Value::String(text)), _, _) => text.clone(),
        (Some(document), _, _) => document.to_string(),
        (None, Some(lines), _) => {
            let line = |line: &Value| line.as_str().map_or_else(|| line.to_string(), str::to_owned);
            lines.as_array()?.iter().map(|one| line(one) + "\n").collect()
        }
        (None, None, text) => text?.to_owned(),
    };
    let turns = match text(given, "semantics") {
        Some("per_turn") => Turns::Add,
        Some("cumulative") => Turns::Last,
        _ => Turns::Told,
    };
    let run = match agent::extract_as(&output, turns) {
        Ok(run) => run,
        Err(error) => {
            let rejected = expect.get("or").is_some() || expect.get("rejected").is_some() || expect == "error";
            return Some(holds(rejected, format!("refused: {error}")));
        }
    };
    let Some(run) = run else { return Some(holds(expect.is_null(), "nothing was found")) };
    let count = |classes: &[TokenClass]| classes.iter().map(|class| run.tokens.get(*class).unwrap_or(0)).sum::<u64>();
    let cost = run.cost.map_or(0.0, |cost| cost.to_string().parse::<f64>().unwrap());
    let found = json!({
        "input": count(&[TokenClass::Input]),
        // The seed counts reasoning in the output.
        "output": count(&[TokenClass::Output, TokenClass::Reasoning]),
        "cache_read": count(&[TokenClass::CacheRead]),
        "cache_creation": count(&[TokenClass::CacheWrite, TokenClass::CacheWrite5m, TokenClass::CacheWrite1h]),
        "model": run.model.as_deref().unwrap_or("unknown"),
        "cost_usd": (cost * 1e6).round() / 1e6,
        "or": expect.get("or"),
    });
    Some(fields(&found, expect))
}

// The quota page.

fn quota_command(case: &Case) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(percent) = given.get("pct").and_then(Value::as_f64) {
        return Some(same(json!(short::bar(percent.max(0.0) as u32)), expect.clone()));
    }
    if let Some(model) = text(given, "model") {
        return Some(same(json!(short::family(model)), expect.clone()));
    }
    let (projects, models) = (number(given, "projects")?, number(given, "models")?);
    let now = moment(&json!(NOW))?;
    let mut ledger = Ledger::in_memory().unwrap();
    for n in 0..projects.max(models) {
        let (project, model) = (format!("p{}", n % projects), format!("claude-m{}", n % models));
        ledger.record(TokenRecord::new(PROVIDER, model).input(n + 1).project(project), now).unwrap();
    }
    let week = DateWindow::ending(Zone::UTC.day(now), 7, 0, Granularity::Day);
    let mut top = |key, most| ledger.report(&Report::by(key).days(week)).unwrap().top(most).len();
    let found = json!({ "projects": top(ReportKey::Project, 3), "models": top(ReportKey::Model, 2) });
    Some(fields(&found, expect))
}
