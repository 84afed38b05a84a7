//! The label for the service tier of a call, on which its price depends.

/// The label that holds the service tier of a call: `batch`, `flex`, `priority`, `fast` …
///
/// ```
/// use usage_ledger::{TokenRecord, event::SERVICE_TIER};
/// let record = TokenRecord::new("anthropic", "claude-opus-4-5").input(10).label(SERVICE_TIER, "batch");
/// assert_eq!(record.labels["service_tier"], "batch");
/// ```
pub const SERVICE_TIER: &str = "service_tier";

/// Service tiers that have the standard price.
const ORDINARY: [&str; 5] = ["standard", "default", "auto", "on_demand", "not_available"];

/// Whether a service tier has prices of its own.
pub(crate) fn is_special(tier: &str) -> bool {
    !tier.is_empty() && !ORDINARY.iter().any(|ordinary| tier.eq_ignore_ascii_case(ordinary))
}
