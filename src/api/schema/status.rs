//! The status.

#[cfg(test)]
use serde::Deserialize;
use utoipa::ToSchema;

use super::usage::UsageSums;
use super::windows::{PoolAnswer, RefusalAnswer, VerdictAnswer, WindowAnswer};

/// A provider account: its windows, all time, and the decision for it.
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
    /// Weighted tokens set aside for calls in progress
    reserved: u64,
    all_time: UsageSums,
    #[schema(required)]
    since_switch: Option<UsageSums>,
    #[schema(required, format = DateTime)]
    last_switch: Option<String>,
    budget: VerdictAnswer,
}

/// The pause that holds.
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

/// A switch on the time line.
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

/// An event that is recorded later than now.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct AheadAnswer {
    position: u64,
    #[schema(format = DateTime)]
    recorded_at: String,
}

/// The answer of `status`.
#[derive(ToSchema)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusAnswer {
    /// The number of this shape
    #[schema(minimum = 1, maximum = 1)]
    schema: u32,
    /// The moment it is of
    #[schema(format = DateTime)]
    now: String,
    /// The last event
    position: u64,
    /// The first event that a clock recorded in the future
    #[schema(nullable = false)]
    recorded_ahead: Option<AheadAnswer>,
    #[schema(required)]
    paused: Option<PauseAnswer>,
    #[schema(required)]
    active_provider: Option<String>,
    providers: Vec<ProviderAnswer>,
    /// How often work moved from one provider to another
    switches: u64,
    timeline: Vec<SwitchAnswer>,
}
