//! One file per group of areas. Each translates a case to the corresponding query of this crate.

use serde::Deserialize;
use serde_json::Value;
use usage_ledger::Timestamp;

mod burn;
mod corrections;
mod feeds;
mod gate;
mod instance;
mod koan;
mod panels;
mod pause;
mod screen;
mod text;
mod windows;

/// A case as the file has it.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub area: String,
    pub name: String,
    pub given: Value,
    pub when: String,
    pub expect: Value,
    /// `seed` for the seed's behaviour, `better` for the desired one.
    #[serde(default)]
    pub conformance: String,
}

/// The result of a case.
#[allow(dead_code)]
pub enum Checked {
    Passed,
    Failed(String),
}

#[allow(dead_code, clippy::needless_pass_by_value)]
/// Passes if two values are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(actual: T, wanted: T) -> Checked {
    if actual == wanted { Checked::Passed } else { Checked::Failed(format!("found {actual:?}, wanted {wanted:?}")) }
}

#[allow(dead_code)]
/// Passes if a condition is true.
pub fn holds(holds: bool, what: impl Into<String>) -> Checked {
    if holds { Checked::Passed } else { Checked::Failed(what.into()) }
}

/// The time of cases that name none.
pub const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

/// A failed case where a value is not what the rule reads: `Err` ends the rule.
pub type Read<T> = Result<T, Checked>;

fn unreadable<T>(name: &str, kind: &str, actual: &Value) -> Read<T> {
    Err(Checked::Failed(format!("no rule for `{name}`: {actual} is not {kind}")))
}

/// A text of a case.
pub fn word<'v>(value: &'v Value, name: &str) -> Read<&'v str> {
    value.as_str().map_or_else(|| unreadable(name, "a text", value), Ok)
}

/// The fields of a case.
pub fn members<'v>(value: &'v Value, name: &str) -> Read<&'v serde_json::Map<String, Value>> {
    value.as_object().map_or_else(|| unreadable(name, "an object", value), Ok)
}

/// A number of a case; the seed counts what is not there as 0.
pub fn real(value: &Value, name: &str) -> Read<f64> {
    if value.is_null() { Ok(0.0) } else { value.as_f64().map_or_else(|| unreadable(name, "a number", value), Ok) }
}

/// A local time of a case without a zone is one of the host, which is UTC.
pub fn local(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

/// The clock of a case: [`NOW`] where the case names none.
pub fn clock(given: &Value) -> Read<Timestamp> {
    match &given["now"] {
        Value::Null => Ok(NOW),
        text => text.as_str().and_then(local).map_or_else(|| unreadable("now", "a time", text), Ok),
    }
}

/// The start of a window. The state of the seed begins at the time at which it is read first, so a start that is not there
/// or that is no time is now; one in the future never ends before it begins.
pub fn opening(given: &Value, name: &str, now: Timestamp) -> Timestamp {
    given[name].as_str().and_then(local).map_or(now, |opened| opened.min(now))
}

/// Something no rule is written for.
pub fn unknown_value(given: &Value) -> Checked {
    Checked::Failed(format!("no rule for {given}"))
}

/// A case without a rule.
pub fn unknown(case: &Case) -> Checked {
    Checked::Failed(format!("no rule for a case like this: given {}", case.given))
}

/// Why this crate has no counterpart for a case, if so.
pub fn no_counterpart(case: &Case) -> Option<&'static str> {
    let (given, expect) = (&case.given, &case.expect);
    let has = |name: &str| given.get(name).is_some();
    match case.area.as_str() {
        "oauth" if case.when.contains("fetch") || has("http") || has("token") || has("tokens") => {
            Some("no network and no credentials: observations are handed in")
        }
        "authoritative" if case.when.contains("poll") => {
            Some("nothing is polled: observations are handed in, and the caller decides how often")
        }
        "authoritative" if feeds::is_damaged(given) => Some("counters are folds of events: none is damaged alone"),
        "pause" if has("mission") => Some("missions and their queue are the agent's, not the ledger's"),
        "burn_rate" if case.when == "samples kept" && !has("writers") => {
            Some("there is no ring of samples: every use is kept, and the rate looks at five hours")
        }
        "decide_mode" if expect.to_string().contains("allback") || has("rounds") || has("focus") => {
            Some("an error is an error, and an agent's own rounds are its own")
        }
        "tui" if !cfg!(feature = "tui") => Some("built without the dashboard"),
        _ => None,
    }
}

/// Runs one case; `all` are the cases of its file, and `data` those that define data sets.
pub fn check(case: &Case, all: &[Case], data: &[Case]) -> Checked {
    match case.area.as_str() {
        "quota_detection" | "reset_time" | "reset_extract" | "countdown" => text::check(case),
        "oauth" | "authoritative" => feeds::check(case),
        "aggregation" | "usage_md" | "record_format" | "activity_log" | "backfill" | "token_extraction"
        | "quota_command" => koan::check(case, all, data),
        "percent"
        | "session_rollover"
        | "weekly_rollover"
        | "provider_switch"
        | "provider_resolution"
        | "has_api_quota" => windows::check(case).unwrap_or_else(|failed| failed),
        "override" => corrections::overridden(case).unwrap_or_else(|failed| failed),
        "robustness" => corrections::robust(case),
        "decide_mode" | "budget_mode" | "afford" => gate::check(case).unwrap_or_else(|failed| failed),
        "burn_rate" => burn::check(case).unwrap_or_else(|failed| failed),
        "pause" => pause::pause(case).unwrap_or_else(|failed| failed),
        "preflight" => pause::preflight(case),
        "tui" => panels::tui(case),
        "dashboard" => panels::dashboard(case),
        area => Checked::Failed(format!("no rule for the area `{area}`; the areas are those of this match")),
    }
}
