//! Bars, short names and the largest shares.

use serde_json::{Value, json};
use usage_ledger::report::{DateWindow, Granularity};
use usage_ledger::{Ledger, Report, ReportKey, TokenRecord, Zone, internals::humanize::number};

use super::{NOW, PROVIDER, fields, moment, number, text};
use crate::seed_cases_by_area::{Case, Checked, same};

pub fn quota_command(case: &Case) -> Option<Checked> {
    let (given, expect) = (&case.given, &case.expect);
    if let Some(percent) = given.get("pct").and_then(Value::as_f64) {
        return Some(same(json!(number::bar(percent.max(0.0) as u32)), expect.clone()));
    }
    if let Some(model) = text(given, "model") {
        return Some(same(json!(number::family(model)), expect.clone()));
    }
    let (projects, models) = (number(given, "projects")?, number(given, "models")?);
    let now = moment(&json!(NOW))?;
    let ledger = Ledger::in_memory().unwrap();
    for n in 0..projects.max(models) {
        let (project, model) = (format!("p{}", n % projects), format!("claude-m{}", n % models));
        ledger.record(TokenRecord::new(PROVIDER, model).input(n + 1).project(project), now).unwrap();
    }
    let week = DateWindow::ending(Zone::UTC.day(now), 7, 0, Granularity::Day);
    let top = |key, most| ledger.report(&Report::by(key).days(week)).unwrap().top(most).len();
    let actual = json!({ "projects": top(ReportKey::Project, 3), "models": top(ReportKey::Model, 2) });
    Some(fields(&actual, expect))
}
