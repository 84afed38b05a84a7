//! The status.

use std::collections::BTreeMap;

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::usage::{ConfirmedAnswer, UsageSums};
use super::windows::{MoneyAnswer, PoolAnswer, RefusalAnswer, VerdictAnswer, WindowAnswer};

/// A provider account: windows, all-time totals and decision.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderAnswer {
    provider: String,
    #[schema(required)]
    account: Option<String>,
    metered: bool,
    declared: bool,
    session: WindowAnswer,
    weekly: WindowAnswer,
    pools: Vec<PoolAnswer>,
    #[schema(required)]
    exhausted: Option<RefusalAnswer>,
    exhausted_models: Vec<RefusalAnswer>,
    /// Weighted tokens reserved for calls in progress
    reserved: u64,
    all_time: UsageSums,
    #[schema(required)]
    since_switch: Option<UsageSums>,
    #[schema(required, format = DateTime)]
    last_switch: Option<String>,
    /// The amounts spent of its money limits, including those of projects
    money: Vec<MoneyAnswer>,
    budget: VerdictAnswer,
}

/// The pause in force.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseAnswer {
    reason: String,
    #[schema(format = DateTime)]
    since: String,
    #[schema(required, format = DateTime)]
    until: Option<String>,
    #[schema(required)]
    note: Option<String>,
    position: u64,
}

/// A provider switch.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchAnswer {
    position: u64,
    #[schema(format = DateTime)]
    at: String,
    /// Absent for the first provider
    #[schema(nullable = false)]
    from: Option<String>,
    to: String,
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// An event with a recording time in the future.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct AheadAnswer {
    position: u64,
    #[schema(format = DateTime)]
    recorded_at: String,
}

/// Events that state a time in the future. Each counts from that time on.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct FutureEventsAnswer {
    /// Position of the first one
    position: u64,
    /// The time that it states
    #[schema(format = DateTime)]
    occurred_at: String,
    /// How many there are
    events: u64,
}

/// The answer of `status`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusAnswer {
    /// Version of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// Time of the answer
    #[schema(format = DateTime)]
    now: String,
    /// Last position
    position: u64,
    /// The first event with a recording time in the future
    #[schema(nullable = false)]
    recorded_ahead: Option<AheadAnswer>,
    /// Events that state a time in the future
    #[schema(nullable = false)]
    occurred_ahead: Option<FutureEventsAnswer>,
    #[schema(required)]
    paused: Option<PauseAnswer>,
    #[schema(required)]
    active_provider: Option<String>,
    providers: Vec<ProviderAnswer>,
    /// Number of switches from one provider to another
    switches: u64,
    timeline: Vec<SwitchAnswer>,
    /// Limits that observations speak for, of windows without a limit
    suggested_limits: Vec<SuggestedLimitAnswer>,
    /// The share of spend that recorded statements confirm, of each account with statements
    confirmed: Vec<ConfirmedAnswer>,
    /// Over all machines: for each ledger the position up to which its events count. `server` is the server's own ledger
    #[schema(nullable = false)]
    heads: Option<BTreeMap<String, u64>>,
}

/// The limit that a provider's percentages speak for.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct SuggestedLimitAnswer {
    provider: String,
    #[schema(required)]
    account: Option<String>,
    /// `session` or `weekly`
    window: String,
    /// In weighted tokens
    limit: u64,
    /// The limit is no less than this, with 95 % confidence
    low: u64,
    /// The limit is no more than this, with 95 % confidence
    high: u64,
    observations: u64,
    /// The command that sets it
    command: String,
}
