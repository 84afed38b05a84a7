//! Events that are not in a ledger yet.

use std::borrow::Cow;

use super::{EventId, Payload};
use crate::model::time::Timestamp;

/// An event to append. The ledger adds `recorded_at` and a position.
///
/// ```
/// use usage_ledger::event::{NewEvent, ProviderSwitched};
/// # let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let switch = NewEvent::new(ProviderSwitched::to("ollama")?, at).source("my-agent");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewEvent {
    /// The caller's own id. Without it the id is made from the first key, or is a UUIDv7.
    pub id: Option<EventId>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The source.
    pub source: Cow<'static, str>,
    /// The content.
    pub payload: Payload,
}

impl NewEvent {
    /// An event that happened at `occurred_at`, with the source `library`.
    ///
    /// ```
    /// use usage_ledger::{TokenRecord, event::NewEvent};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let event = NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1), now);
    /// assert_eq!((event.occurred_at, event.source.as_ref()), (now, "library"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(payload: impl Into<Payload>, occurred_at: impl Into<Timestamp>) -> Self {
        Self { id: None, occurred_at: occurred_at.into(), source: "library".into(), payload: payload.into() }
    }

    /// Uses the caller's own id, which makes the append idempotent.
    ///
    /// ```
    /// use usage_ledger::{EventId, Ledger, Outcome, event::{NewEvent, ProviderSwitched}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let id = EventId::from_key("my-agent", "switch 1");
    /// let switch = || Ok::<_, usage_ledger::Error>(NewEvent::new(ProviderSwitched::to("ollama")?, now).id(id));
    /// let ledger = Ledger::in_memory()?;
    /// ledger.append([switch()?], now)?;
    /// assert!(!ledger.append([switch()?], now)?[0].is_new()); // a retry, counted once
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the source.
    ///
    /// ```
    /// use usage_ledger::{TokenRecord, event::NewEvent};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let event = NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1), now).source("my-agent");
    /// assert_eq!(event.source, "my-agent");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn source(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = source.into();
        self
    }
}
