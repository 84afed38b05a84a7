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

    /// Returns when the call began.
    pub fn began(&self) -> Timestamp {
        began(&self.record, self.at)
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

/// Returns when a call that ended at `at` began, if its record states how long it took, and `at` otherwise.
pub(in crate::import) fn began(record: &TokenRecord, at: Timestamp) -> Timestamp {
    let lasted = record.duration_ms.and_then(|millis| i64::try_from(millis).ok());
    lasted.map_or(at, |millis| at.plus(-millis))
}
