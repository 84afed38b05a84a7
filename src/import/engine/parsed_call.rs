//! A call that an importer found.

use crate::model::event::TokenRecord;
use crate::model::time::Timestamp;

/// A token record found in a log, resolved within its file: of several lines of one call the largest
/// total counts, at the earliest of their times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParsedCall {
    /// The earliest time the call was seen at.
    pub at: Timestamp,
    /// The record; its keys are every natural key the line knows, the one that makes the id first.
    pub record: TokenRecord,
}

impl ParsedCall {
    /// When its counts were told.
    pub fn told_at(&self) -> Timestamp {
        self.record.told_at(self.at)
    }

    /// The same call, with counts that were told then.
    pub fn counted(mut self, told_at: Timestamp) -> Self {
        self.count_at(told_at);
        self
    }

    /// Says when the counts were told, which needs no word where that was at the time of the call.
    pub fn count_at(&mut self, told_at: Timestamp) {
        self.record.counted_at = Some(told_at).filter(|told_at| *told_at > self.at);
    }
}
