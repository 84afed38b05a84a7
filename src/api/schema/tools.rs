//! Answers that only tools of agents have.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::log::EventAnswer;
use super::windows::{BurnAnswer, MarksAnswer, ModeName};

/// What becomes of the session window of a provider account if work goes on as in the last hours.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct OutlookAnswer {
    provider: String,
    #[schema(required)]
    account: Option<String>,
    metered: bool,
    /// How much of the session window is used
    #[schema(required)]
    percent: Option<f64>,
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    /// Percentage points an hour; null where too few calls are known
    #[schema(required)]
    percent_per_hour: Option<f64>,
    /// When the window is used up at that rate
    #[schema(required, format = DateTime)]
    runs_out_at: Option<String>,
    /// Whether the window resets before it is used up; null where either time is not known
    #[schema(required)]
    lasts: Option<bool>,
    /// Whether the gate is shut now
    gated: bool,
    #[schema(required, format = DateTime)]
    resumes_at: Option<String>,
}

/// The answer of `forecast`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ForecastAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    #[schema(format = DateTime)]
    now: String,
    /// The last event
    position: u64,
    providers: Vec<OutlookAnswer>,
}

/// The answer of `explain`: that of `gate`, and events that it rests on.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    provider: String,
    /// Absent where there is only one account
    #[schema(nullable = false)]
    account: Option<String>,
    metered: bool,
    mode: ModeName,
    need: ModeName,
    /// What is left of the tightest window, less the margin
    #[schema(required)]
    available_percent: Option<f64>,
    /// Whether the gate is shut
    gated: bool,
    reason: String,
    basis: String,
    /// Positions of the events that the decision rests on
    evidence: Vec<u64>,
    budget_mode: String,
    #[schema(required)]
    begins: Option<MarksAnswer>,
    /// When it is worth asking again
    #[schema(required, format = DateTime)]
    resumes_at: Option<String>,
    #[schema(required)]
    burn: Option<BurnAnswer>,
    #[schema(required)]
    run_cost: Option<f64>,
    /// How the decision was come to, step by step
    trail: Vec<String>,
    warnings: Vec<String>,
    /// The first hundred of the events that the decision rests on
    events: Vec<EventAnswer>,
}
