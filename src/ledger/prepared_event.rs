//! Events that are prepared for an append outside of its transaction.

use crate::merkle::{Hash, leaf_hash};
use crate::model::event::{Event, EventId, NewEvent};
use crate::model::time::Timestamp;

/// An event whose line and leaf hash are computed.
pub(crate) struct PreparedEvent {
    pub(super) event: Event,
    pub(super) line: String,
    pub(super) leaf: Hash,
    /// The ids of a record's keys, if they are already computed.
    pub(super) ids: Option<Vec<EventId>>,
}

impl From<PreparedEvent> for NewEvent {
    fn from(ready: PreparedEvent) -> Self {
        let Event { id, occurred_at, source, payload, .. } = ready.event;
        Self { id: Some(id), occurred_at, source, payload }
    }
}

impl PreparedEvent {
    /// Computes the line of an event with its own id, for an append at that time.
    pub fn new(id: EventId, mut new: NewEvent, ids: Option<Vec<EventId>>, recorded_at: Timestamp) -> Self {
        new.payload.minify();
        new.payload.scrub_usage();
        let event = Event { id, occurred_at: new.occurred_at, recorded_at, source: new.source, payload: new.payload };
        // `push_ready` serialises a missing line again, and returns the error.
        let line = event.to_line().unwrap_or_default();
        let leaf = leaf_hash(line.as_bytes());
        Self { event, line, leaf, ids }
    }

    /// The event.
    #[cfg(feature = "import")]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The event alone.
    #[cfg(feature = "import")]
    pub fn into_event(self) -> Event {
        self.event
    }
}
