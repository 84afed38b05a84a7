//! Windows and decisions.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::usage::{CostSums, TokenCounts};

/// What the provider or a person said last about a window.
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
    /// The feed, or the author
    source: String,
    /// Whether it is too old to be relied on
    stale: bool,
    position: u64,
}

/// One quota window, now.
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
    /// How much of the window is used
    #[schema(required)]
    percent: Option<f64>,
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    /// What the provider said, where that is too old to be relied on
    #[schema(required)]
    at_least: Option<f64>,
    /// The percentage by recorded tokens alone
    #[schema(required)]
    estimate: Option<f64>,
    #[schema(required)]
    observed: Option<SignalAnswer>,
    #[schema(required)]
    overridden: Option<SignalAnswer>,
    /// Weighted tokens since the percentage was said
    since: u64,
    /// `observed`, `observed + local delta`, `estimated`, `unmetered`, `overridden` or `unknown`
    basis: String,
    /// Positions of the events that the numbers rest on
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

/// A provider's own refusal, while it holds.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusalAnswer {
    #[schema(format = DateTime)]
    at: String,
    #[schema(format = DateTime)]
    until: String,
    /// Absent where it is about every model
    #[schema(nullable = false)]
    model: Option<String>,
    rule: String,
    excerpt: String,
    position: u64,
}

/// The percentage used at which each mode begins.
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

/// How fast the session is being used.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct BurnAnswer {
    percent_per_hour: f64,
    #[schema(required)]
    minutes_left: Option<u64>,
}

/// What a run may take on.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeName {
    Wait,
    Review,
    Implement,
    Deep,
}

/// A decision, within a status.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictAnswer {
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
    #[schema(required, format = DateTime)]
    resumes_at: Option<String>,
    #[schema(required)]
    burn: Option<BurnAnswer>,
    #[schema(required)]
    run_cost: Option<f64>,
    /// How the decision was come to, step by step
    trail: Vec<String>,
    warnings: Vec<String>,
}

/// The answer of `gate`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct GateAnswer {
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
}
