//! A call that an importer parsed.

use crate::model::event::TokenRecord;
use crate::model::time::Timestamp;

/// A token record from a log, joined within its file: of several lines of one call the largest total wins, dated at the
/// earliest time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParsedCall {
    /// The earliest time of a sighting.
    pub at: Timestamp,
    /// The record. Its keys are all natural keys of the line; the first one determines the id.
    pub record: TokenRecord,
}

impl ParsedCall {
    /// Returns when its counts were reported.
    pub fn counted_time(&self) -> Timestamp {
        self.record.counted_time(self.at)
    }

    /// Sets when its counts were reported.
    pub fn counted(mut self, counted_at: Timestamp) -> Self {
        self.count_at(counted_at);
        self
    }

    /// Sets when its counts were reported. Stores nothing if that is the time of the call.
    pub fn count_at(&mut self, counted_at: Timestamp) {
        self.record.counted_at = Some(counted_at).filter(|counted_at| *counted_at > self.at);
    }
}
