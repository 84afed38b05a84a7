//! Answers of operations that are not part of the HTTP API.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::log::EventAnswer;
use super::usage::{ConfirmedAnswer, CostSums};
use super::windows::{BurnAnswer, MarksAnswer, ModeName, MoneyAnswer, WindowForecast};

/// The session window of a provider account, extrapolated from the use of the last hours.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct OutlookAnswer {
    provider: String,
    #[schema(required)]
    account: Option<String>,
    metered: bool,
    /// Used percentage of the session window
    #[schema(required)]
    percent: Option<f64>,
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    /// Percentage points per hour; null with too few calls
    #[schema(required)]
    percent_per_hour: Option<f64>,
    /// When the window is exhausted at that rate
    #[schema(required, format = DateTime)]
    runs_out_at: Option<String>,
    /// Whether the window resets before it is exhausted; null if either time is unknown
    #[schema(required)]
    lasts: Option<bool>,
    /// The forecast of the session in full: with an interval, and what it rests on
    #[schema(required)]
    session: Option<WindowForecast>,
    /// The forecast of the week
    #[schema(required)]
    weekly: Option<WindowForecast>,
    /// Whether the gate is closed now
    gated: bool,
    #[schema(required, format = DateTime)]
    resumes_at: Option<String>,
}

/// The answer of `forecast`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ForecastAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    #[schema(format = DateTime)]
    now: String,
    /// Last position
    position: u64,
    providers: Vec<OutlookAnswer>,
}

/// The answer of `explain`: that of `gate`, and the events it depends on.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    provider: String,
    /// Absent if there is only one account
    #[schema(nullable = false)]
    account: Option<String>,
    metered: bool,
    mode: ModeName,
    need: ModeName,
    /// Remaining percentage of the tightest window, minus the margin
    #[schema(required)]
    available_percent: Option<f64>,
    /// Whether the gate is closed
    gated: bool,
    reason: String,
    basis: String,
    /// Positions of the events that the decision depends on
    evidence: Vec<u64>,
    budget_mode: String,
    #[schema(required)]
    begins: Option<MarksAnswer>,
    /// When a retry may succeed
    #[schema(required, format = DateTime)]
    resumes_at: Option<String>,
    #[schema(required)]
    burn: Option<BurnAnswer>,
    #[schema(required)]
    run_cost: Option<f64>,
    /// The money budgets that count
    money: Vec<MoneyAnswer>,
    /// How the decision was come to, step by step
    trail: Vec<String>,
    warnings: Vec<String>,
    /// Of the calls in the session window
    cost: CostSums,
    /// Of the calls in the weekly window
    cost_weekly: CostSums,
    /// Of the calls since midnight
    cost_today: CostSums,
    /// The share of spend that recorded statements confirm: of the account, or of the provider
    #[schema(required)]
    confirmed: Option<ConfirmedAnswer>,
    /// The first hundred of the events that the decision rests on
    events: Vec<EventAnswer>,
}
