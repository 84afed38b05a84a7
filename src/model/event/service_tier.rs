//! The labels for the service tier and the region of a call, on which its price depends.

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

/// Whether a service tier has separate prices.
pub(crate) fn is_special(tier: &str) -> bool {
    !tier.is_empty() && !ORDINARY.iter().any(|ordinary| tier.eq_ignore_ascii_case(ordinary))
}

/// The label that holds the region in which a model had to run, if the caller chose one: `us`. Prices depend on it.
///
/// ```
/// use usage_ledger::{TokenRecord, event::INFERENCE_GEO};
/// let record = TokenRecord::new("anthropic", "claude-opus-4-8").input(10).label(INFERENCE_GEO, "us");
/// assert_eq!(record.labels["inference_geo"], "us");
/// ```
pub const INFERENCE_GEO: &str = "inference_geo";

/// Whether a region has separate prices. `global` and unknown regions have the standard prices.
pub(crate) fn is_special_geo(geo: &str) -> bool {
    !geo.is_empty() && !["global", "not_available", "unknown"].iter().any(|ordinary| geo.eq_ignore_ascii_case(ordinary))
}
