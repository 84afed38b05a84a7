//! Detects what an import cannot see: skipped lines, missing usage, renamed counters, expiring logs.

#[cfg(feature = "cli")]
pub(super) mod changed;
pub(crate) mod inventory;
pub(in crate::import) mod missing_usage;
pub(in crate::import) mod schema_drift;
pub(in crate::import) mod self_check;
pub(crate) mod skip_reasons;
pub(crate) mod unread_agents;
