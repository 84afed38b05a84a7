//! The counts of a usage object.

use crate::readers::normalise::{self, Normalised, UsageFormat};
use crate::readers::price;

/// A parsed usage object.
pub(super) struct CountedReply {
    pub counts: Normalised,
    pub total: u64,
}

impl CountedReply {
    pub fn new(usage: &str) -> Result<Self, String> {
        let unknown = |error: crate::Error| format!("unknown shape: {error}");
        let counts = normalise::usage(UsageFormat::ClaudeCode, usage).map_err(unknown)?;
        counts.tokens.validate().map_err(unknown)?;
        let total = counts.tokens.total().map_err(unknown)?;
        Ok(Self { counts, total })
    }

    /// Returns the input tokens, cached ones included.
    pub fn prompt(&self) -> u64 {
        price::prompt(&self.counts.tokens)
    }
}
