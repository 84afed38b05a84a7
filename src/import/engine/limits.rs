//! Limits of what is read of a log.

/// A longer line is skipped, not kept.
pub(in crate::import) const LONGEST_LINE: usize = 64 * 1024 * 1024;
