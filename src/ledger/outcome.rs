//! The result of appending an event.

use crate::model::error::Result;
use crate::model::event::{Event, EventId, Position};
use crate::store::ReadView;

/// The result of appending an event.
///
/// ```
/// use usage_ledger::{EventId, Ledger, Outcome, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let call = TokenRecord::new("openai", "gpt-5").input(1).key("resp_1");
/// let (position, id) = (1.into(), EventId::from_key("openai", "resp_1"));
/// assert_eq!(ledger.record(call.clone(), now)?, Outcome::Appended { position, id });
/// assert_eq!(ledger.record(call, now)?, Outcome::Existing { position, id }); // a retry
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is new.
    Appended {
        /// Its position.
        position: Position,
        /// Its id.
        id: EventId,
    },
    /// The ledger already has the event.
    Existing {
        /// The position of the existing event.
        position: Position,
        /// The id of that event. It differs from the given id if another natural key identified the call.
        id: EventId,
    },
}

impl Outcome {
    /// The position of the event.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let outcome = Ledger::in_memory()?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(outcome.position().get(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn position(self) -> Position {
        match self {
            Self::Appended { position, .. } | Self::Existing { position, .. } => position,
        }
    }

    /// The id of the event, which amendments and voids need.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let call = ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.void(call.id(), "a test call", now)?;
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn id(self) -> EventId {
        match self {
            Self::Appended { id, .. } | Self::Existing { id, .. } => id,
        }
    }

    /// Whether the event is new.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let outcome = Ledger::in_memory()?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert!(outcome.is_new());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn is_new(self) -> bool {
        matches!(self, Self::Appended { .. })
    }

    /// An existing event at a position.
    pub(crate) fn existing(view: &dyn ReadView, position: Position) -> Result<Self> {
        let line = view.expect_line(position)?;
        Ok(Self::Existing { position, id: Event::from_line(position, &line)?.id })
    }
}
