//! The status of a window in a provider's answer.

/// Parts of the statuses with which providers refuse.
const REFUSED: [&str; 6] = ["reject", "exceed", "block", "throttl", "exhaust", "reached"];

/// Whether a provider refuses with this status.
pub(crate) fn is_refusal(status: &str) -> bool {
    let status = status.to_ascii_lowercase();
    REFUSED.iter().any(|part| status.contains(part))
}
