use std::fmt;

use serde::{Deserialize, Serialize};

/// An event's place in the ledger: 1, 2, 3 … without gaps. 0 is the place before the first event.
///
/// ```
/// use usage_ledger::Position;
/// assert_eq!(Position::new(7).get(), 7);
/// assert_eq!(Position::START.next(), Position::new(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// The place before the first event.
    pub const START: Self = Self(0);

    /// A place by its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl From<u64> for Position {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
