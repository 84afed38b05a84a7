//! One file per group of areas. Each translates a case to the corresponding query of this crate.

use serde::Deserialize;
use serde_json::Value;

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
pub fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Checked {
    if found == wanted { Checked::Passed } else { Checked::Failed(format!("found {found:?}, wanted {wanted:?}")) }
}

#[allow(dead_code)]
/// Passes if a condition is true.
pub fn holds(holds: bool, what: impl Into<String>) -> Checked {
    if holds { Checked::Passed } else { Checked::Failed(what.into()) }
}

/// A value without a rule.
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
        | "has_api_quota" => windows::check(case),
        "override" => corrections::overridden(case),
        "robustness" => corrections::robust(case),
        "decide_mode" | "budget_mode" | "afford" => gate::check(case),
        "burn_rate" => burn::check(case),
        "pause" => pause::pause(case),
        "preflight" => pause::preflight(case),
        "tui" => panels::tui(case),
        "dashboard" => panels::dashboard(case),
        _ => unknown(case),
    }
}
