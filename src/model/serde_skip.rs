//! Conditions under which serde omits a field.

/// Whether a number is zero.
pub(crate) fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}
