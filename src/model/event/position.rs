use std::fmt;

use serde::{Deserialize, Serialize};

/// The index of an event in the ledger: 1, 2, 3 … without gaps. 0 is the position before the first event.
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
    /// The position before the first event.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Position};
    /// assert_eq!(Ledger::in_memory()?.head()?.position, Position::START);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const START: Self = Self(0);

    /// The position with a number.
    ///
    /// ```
    /// # use usage_ledger::Position;
    /// assert_eq!(Position::new(7), Position::from(7));
    /// ```
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the position.
    ///
    /// ```
    /// # use usage_ledger::Position;
    /// assert_eq!(Position::new(7).get(), 7);
    /// ```
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next position.
    ///
    /// ```
    /// # use usage_ledger::Position;
    /// assert_eq!(Position::new(7).next().get(), 8);
    /// ```
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
