//! One file per group of areas. Each takes a case to the nearest question this crate answers.

use serde::Deserialize;
use serde_json::Value;

mod feeds;
mod gate;
mod koan;
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
}

/// What came of a case.
#[allow(dead_code)]
pub enum Checked {
    Passed,
    Failed(String),
    /// It is about something this crate has no counterpart of, and why.
    NotApplicable(&'static str),
}

#[allow(dead_code, clippy::needless_pass_by_value)] // cases read better with values
/// Passed when two values are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Checked {
    if found == wanted { Checked::Passed } else { Checked::Failed(format!("found {found:?}, wanted {wanted:?}")) }
}

#[allow(dead_code)]
/// Passed when something holds.
pub fn holds(holds: bool, what: impl Into<String>) -> Checked {
    if holds { Checked::Passed } else { Checked::Failed(what.into()) }
}

/// A case no rule is written for.
pub fn unknown(case: &Case) -> Checked {
    Checked::Failed(format!("no rule for a case like this: given {}", case.given))
}

/// Runs one case; `all` holds the data sets that some cases refer to.
pub fn check(case: &Case, all: &[Case]) -> Checked {
    match case.area.as_str() {
        "quota_detection" | "reset_time" | "reset_extract" | "countdown" => text::check(case),
        "oauth" | "authoritative" => feeds::check(case),
        "aggregation" | "usage_md" | "record_format" | "activity_log" | "backfill" | "token_extraction"
        | "quota_command" => koan::check(case, all),
        "percent"
        | "session_rollover"
        | "weekly_rollover"
        | "provider_switch"
        | "provider_resolution"
        | "override"
        | "robustness"
        | "has_api_quota" => windows::check(case),
        "decide_mode" | "budget_mode" | "afford" | "burn_rate" | "pause" | "preflight" | "tui" | "dashboard" => {
            gate::check(case)
        }
        _ => unknown(case),
    }
}
