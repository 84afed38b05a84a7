//! Windows and decisions.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::usage::{CostSums, TokenCounts};

/// The last reading of a window, from the provider or a person.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalAnswer {
    #[schema(required)]
    percent: Option<f64>,
    #[schema(format = DateTime)]
    at: String,
    /// `provider` or `person`
    by: String,
    /// The feed or the author
    source: String,
    /// Whether it is too old to be used as is
    stale: bool,
    position: u64,
}

/// The current state of a quota window.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowAnswer {
    requests: u64,
    tokens: TokenCounts,
    cost: CostSums,
    /// Tokens times the weight of their class
    weighted: u64,
    /// The limit in weighted tokens
    #[schema(required)]
    limit: Option<u64>,
    /// Used percentage
    #[schema(required)]
    percent: Option<f64>,
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    /// The provider's reading, if it is stale
    #[schema(required)]
    at_least: Option<f64>,
    /// The percentage computed from recorded tokens alone
    #[schema(required)]
    estimate: Option<f64>,
    #[schema(required)]
    observed: Option<SignalAnswer>,
    #[schema(required)]
    overridden: Option<SignalAnswer>,
    /// Weighted tokens since that reading
    since: u64,
    /// `observed`, `observed + local delta`, `estimated`, `unmetered`, `overridden` or `unknown`
    basis: String,
    /// Positions of the events that the numbers depend on
    evidence: Vec<u64>,
}

/// A window of another length, or of a single model.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolAnswer {
    window_minutes: u32,
    #[schema(required)]
    scope: Option<String>,
    #[schema(required)]
    percent: Option<f64>,
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    #[schema(format = DateTime)]
    at: String,
    stale: bool,
    position: u64,
}

/// A provider's refusal in force.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusalAnswer {
    #[schema(format = DateTime)]
    at: String,
    #[schema(format = DateTime)]
    until: String,
    /// Absent if it applies to every model
    #[schema(nullable = false)]
    model: Option<String>,
    rule: String,
    excerpt: String,
    position: u64,
}

/// The used percentage at which each mode begins.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct MarksAnswer {
    #[schema(required)]
    implement: Option<u8>,
    #[schema(required)]
    review: Option<u8>,
    #[schema(required)]
    wait: Option<u8>,
}

/// The rate at which the session window is used.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct BurnAnswer {
    percent_per_hour: f64,
    #[schema(required)]
    minutes_left: Option<u64>,
}

/// What a run may do.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeName {
    Wait,
    Review,
    Implement,
    Deep,
}

/// The decision in a status.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictAnswer {
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
    #[schema(required, format = DateTime)]
    resumes_at: Option<String>,
    #[schema(required)]
    burn: Option<BurnAnswer>,
    #[schema(required)]
    run_cost: Option<f64>,
    /// The steps of the decision
    trail: Vec<String>,
    warnings: Vec<String>,
}

/// The answer of `gate`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct GateAnswer {
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
    /// The steps of the decision
    trail: Vec<String>,
    warnings: Vec<String>,
}
