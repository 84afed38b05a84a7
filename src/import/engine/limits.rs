//! Limits for reading logs.

/// A longer line is skipped.
pub(in crate::import) const LONGEST_LINE: usize = 64 * 1024 * 1024;
