//! The ladder deep, implement, review, wait: how much of a window must be left for what.

use std::fmt;

use serde::Serialize;

use crate::model::event::{BudgetMode, Percent, Thresholds};
use crate::model::time::HOUR;

/// How much a run may take on.
///
/// ```
/// use usage_ledger::budget::Mode;
/// assert!(Mode::Wait < Mode::Review && Mode::Implement < Mode::Deep); // `mode >= Mode::Review` reads well
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing: wait for a reset.
    Wait,
    /// Reading and small answers.
    Review,
    /// Ordinary work.
    Implement,
    /// Anything.
    Deep,
}

impl Mode {
    /// Every mode, the most modest first.
    ///
    /// ```
    /// # use usage_ledger::budget::Mode;
    /// assert!(Mode::ALL.is_sorted());
    /// ```
    pub const ALL: [Self; 4] = [Self::Wait, Self::Review, Self::Implement, Self::Deep];

    /// `wait`, `review`, `implement` or `deep`.
    ///
    /// ```
    /// # use usage_ledger::budget::Mode;
    /// assert_eq!(Mode::Implement.name(), "implement");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Review => "review",
            Self::Implement => "implement",
            Self::Deep => "deep",
        }
    }

    /// The next mode down; `wait` stays.
    ///
    /// ```
    /// # use usage_ledger::budget::Mode;
    /// assert_eq!(Mode::Deep.lower(), Mode::Implement);
    /// ```
    pub const fn lower(self) -> Self {
        match self {
            Self::Deep => Self::Implement,
            Self::Implement => Self::Review,
            Self::Review | Self::Wait => Self::Wait,
        }
    }

    /// What a run of this mode costs beside an ordinary one, in percent.
    ///
    /// ```
    /// # use usage_ledger::budget::Mode;
    /// assert_eq!([Mode::Review, Mode::Implement, Mode::Deep].map(Mode::cost_percent), [50, 100, 200]);
    /// ```
    pub const fn cost_percent(self) -> u32 {
        match self {
            Self::Review => 50,
            Self::Deep => 200,
            Self::Implement | Self::Wait => 100,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Below this much left, nothing deep is begun, in percent.
const DEEP_LEFT: u32 = 40;
/// What counts as left of a window that does not gate, in percent.
const NOT_COUNTED: Percent = Percent::from_hundredths(90 * 100);
/// What is known longer than this is kept further away from the limit.
const OLD: i64 = 6 * HOUR;
/// How much further, in percentage points.
const OLD_MARGIN: u8 = 5;

/// A place on the ladder. It prints as one line, `mode:left:reason`.
///
/// ```
/// use usage_ledger::budget::{Mode, Rung};
/// let rung = Rung { mode: Mode::Review, left: "20".parse()? };
/// assert_eq!(rung.to_string(), "review:20:Low budget (20% remaining) - conservative mode");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// What a run may take on.
    pub mode: Mode,
    /// What is left after the margin.
    pub left: Percent,
}

impl Rung {
    /// The place that what is left gives.
    ///
    /// ```
    /// use usage_ledger::{budget::{Mode, Rung}, event::Thresholds};
    /// assert_eq!(Rung::at("39".parse()?, Thresholds::default()).mode, Mode::Implement);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn at(left: Percent, at: Thresholds) -> Self {
        let below = |used: u8| 100 * (100 - u32::from(used.min(100)));
        let (stop, warn, hundredths) = (below(at.stop), below(at.warn), left.hundredths());
        let mode = if hundredths < stop {
            Mode::Wait
        } else if hundredths < warn {
            Mode::Review
        } else if hundredths < warn.max(100 * DEEP_LEFT) {
            Mode::Implement
        } else {
            Mode::Deep
        };
        Self { mode, left }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, left) = (self.mode, self.left.whole());
        let (word, consequence) = match mode {
            Mode::Wait => ("Budget exhausted", ""),
            Mode::Review => ("Low budget", " - conservative mode"),
            Mode::Implement => ("Normal budget", ""),
            Mode::Deep => ("Ample budget", " - full capability"),
        };
        write!(f, "{mode}:{left}:{word} ({left}% remaining){consequence}")
    }
}

/// What is left of a window: 100 % less what is used and the margin, never below 0.
///
/// ```
/// use usage_ledger::budget::left;
/// assert_eq!(left("76".parse()?, 10), "14".parse()?);
/// assert_eq!(left("98".parse()?, 10), "0".parse()?);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn left(used: Percent, margin: u8) -> Percent {
    Percent::from_hundredths((100 * 100_u32).saturating_sub(used.hundredths()).saturating_sub(100 * u32::from(margin)))
}

/// The place that the use of both windows gives: the tighter one that counts decides.
///
/// ```
/// use usage_ledger::{budget::{Mode, ladder}, event::{BudgetMode, Thresholds}};
/// let (session, weekly) = ("20".parse()?, "95".parse()?);
/// assert_eq!(ladder(session, weekly, BudgetMode::Full, Thresholds::default()).mode, Mode::Wait);
/// assert_eq!(ladder(session, weekly, BudgetMode::SessionOnly, Thresholds::default()).mode, Mode::Deep);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn ladder(session: Percent, weekly: Percent, budget: BudgetMode, at: Thresholds) -> Rung {
    let session = left(session, at.margin);
    match budget {
        BudgetMode::Full => Rung::at(session.min(left(weekly, at.margin)), at),
        BudgetMode::SessionOnly => Rung::at(session.min(NOT_COUNTED), at),
        BudgetMode::Disabled => Rung { mode: Mode::Deep, left: NOT_COUNTED },
    }
}

/// The margin to keep when what is known is so many milliseconds old: five points more after six hours.
///
/// ```
/// use usage_ledger::{budget::safety_margin, time::{HOUR, MINUTE}};
/// assert_eq!((safety_margin(10, 6 * HOUR - MINUTE), safety_margin(10, 6 * HOUR + MINUTE)), (10, 15));
/// ```
pub const fn safety_margin(margin: u8, age: i64) -> u8 {
    if age > OLD { margin.saturating_add(OLD_MARGIN) } else { margin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_of_the_seed_system() {
        for (used, mode) in [
            (0, Mode::Deep),
            (50, Mode::Deep),
            (51, Mode::Implement),
            (60, Mode::Implement),
            (61, Mode::Review),
            (75, Mode::Review),
            (76, Mode::Wait),
            (100, Mode::Wait),
        ] {
            let used = Percent::from_hundredths(100 * used);
            let rung = ladder(used, Percent::default(), BudgetMode::SessionOnly, Thresholds::default());
            assert_eq!(rung.mode, mode, "{used} % used");
        }
    }
}
