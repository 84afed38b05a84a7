//! Windows and decisions.

use std::collections::BTreeMap;

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::usage::{ConfirmedAnswer, CostSums, TokenCounts};

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
    /// Used percentage: the last reading and the tokens recorded since, or the estimate if the reading is stale, but
    /// never less than the reading
    #[schema(required)]
    percent: Option<f64>,
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    resets_at: Option<String>,
    /// The provider's reading, if it is stale; `percent` is not less
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
    /// When it is used up if work goes on as it did
    #[schema(required)]
    forecast: Option<WindowForecast>,
}

/// How fast a window is used, and when it is used up at that rate. Bounds hold with 95 % confidence.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowForecast {
    percent_per_hour: f64,
    #[schema(required)]
    low_percent_per_hour: Option<f64>,
    #[schema(required)]
    high_percent_per_hour: Option<f64>,
    /// How much is used now: the last reading and what the tokens recorded since make
    percent: f64,
    /// `null` when nothing is used
    #[schema(required, format = DateTime)]
    used_up_at: Option<String>,
    #[schema(required, format = DateTime)]
    earliest_at: Option<String>,
    /// `null` when it may last for any time
    #[schema(required, format = DateTime)]
    latest_at: Option<String>,
    /// Whether it is used up before it resets
    #[schema(required)]
    before_reset: Option<bool>,
    /// How much will be used when it resets, from 0 to 100
    #[schema(required)]
    percent_at_reset: Option<f64>,
    /// `observations`, `records` or `observations + records`
    basis: String,
    /// From when on the rate was measured
    #[schema(format = DateTime)]
    since: String,
    /// Whether nothing was used for half an hour
    idle: bool,
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

/// A money limit, and what was spent of it in its calendar period.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct MoneyAnswer {
    /// `day`, `week` or `month`
    period: String,
    /// The project that the limit is of; `null` for all of the account's calls
    #[schema(required)]
    project: Option<String>,
    /// The limit in US dollars
    limit_usd: String,
    cost: CostSums,
    /// The share of the limit that is spent
    percent: f64,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    resets_at: String,
    /// The event that set the limit
    position: u64,
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
    /// The money budgets that count
    money: Vec<MoneyAnswer>,
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
    /// The money budgets that count
    money: Vec<MoneyAnswer>,
    /// The steps of the decision
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
    /// Over all machines: for each ledger the position up to which its events count. `server` is the server's own ledger
    #[schema(nullable = false)]
    heads: Option<BTreeMap<String, u64>>,
}
