//! The event that a command refers to.

use std::str::FromStr;

use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::event::{EventId, Position};

/// An event by its position, its id, or a provider's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventRef {
    Position(Position),
    Id(EventId),
    Other(String),
}

impl FromStr for EventRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Position(Position::new(number)));
        }
        Ok(text.parse().map_or_else(|_| Self::Other(text.to_owned()), Self::Id))
    }
}

impl EventRef {
    /// Returns its position.
    pub fn position(&self, snapshot: &Snapshot<'_>) -> Result<Position> {
        match self {
            Self::Position(position) => Ok(*position),
            Self::Id(id) => snapshot.position(*id),
            Self::Other(text) => Err(Error::invalid(format!(
                "`{text}` is neither a position nor an event id: `usage-ledger log` prints both, and \
                 `usage-ledger show KEY` finds a record by its provider's own key"
            ))),
        }
    }

    /// Returns its id.
    pub fn id(&self, snapshot: &Snapshot<'_>) -> Result<EventId> {
        match self {
            Self::Id(id) => Ok(*id),
            _ => Ok(snapshot.event(self.position(snapshot)?)?.id),
        }
    }
}
