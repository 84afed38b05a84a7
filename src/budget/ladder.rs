//! The ladder of the modes deep, implement, review and wait, by the remaining percentage of a window.

use std::fmt;

use serde::Serialize;

use crate::model::event::{Percent, Thresholds};
use crate::model::time::HOUR;

/// What a run may do.
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
    /// Everything.
    Deep,
}

impl Mode {
    /// Every mode, in ascending order.
    ///
    /// ```
    /// # use usage_ledger::budget::Mode;
    /// assert!(Mode::ALL.is_sorted());
    /// ```
    pub const ALL: [Self; 4] = [Self::Wait, Self::Review, Self::Implement, Self::Deep];

    /// The name: `wait`, `review`, `implement` or `deep`.
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

    /// The next lower mode; `wait` stays.
    pub(crate) const fn lower(self) -> Self {
        match self {
            Self::Deep => Self::Implement,
            Self::Implement => Self::Review,
            Self::Review | Self::Wait => Self::Wait,
        }
    }

    /// The cost of a run of this mode relative to an ordinary one, in percent.
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

/// `implement` begins when less than this remains after the margin, in percent.
const DEEP_LEFT: u8 = 40;
/// The remaining percentage if no window gates.
pub(super) const NOT_COUNTED: Percent = Percent::from_hundredths(90 * 100);
/// A reading older than this increases the margin, in milliseconds.
const OLD: i64 = 6 * HOUR;
/// The increase, in percentage points.
const OLD_MARGIN: u8 = 5;

/// The used percentage at which each mode begins. A mode applies from its percentage up to the next one; `deep` applies
/// below all of them.
///
/// ```
/// use usage_ledger::{budget::{Marks, Mode}, event::Thresholds};
/// let marks = Marks::of(Thresholds::default());
/// assert_eq!(marks.to_string(), "implement from 51 %, review from 61 %, wait from 76 %");
/// assert_eq!(marks.mode("75.99".parse()?), Mode::Review);
/// assert_eq!(marks.mode("76".parse()?), Mode::Wait);
/// let own = Marks::of(Thresholds::new(70, 85, 0)?);
/// assert_eq!(own.mode("85".parse()?), Mode::Wait); // `--stop 85` means 85
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Marks {
    /// Where `implement` begins, if it does.
    pub implement: Option<u8>,
    /// Where `review` begins, if it does.
    pub review: Option<u8>,
    /// Where `wait` begins; `None` if usage alone never closes the gate.
    pub wait: Option<u8>,
}

impl Marks {
    /// The marks of thresholds.
    ///
    /// Without a margin a mode begins at its percentage. With one it begins at the first whole percent at which the sum
    /// of use and margin exceeds that percentage.
    ///
    /// ```
    /// use usage_ledger::{budget::Marks, event::Thresholds};
    /// assert_eq!(Marks::of(Thresholds::new(70, 85, 10)?).wait, Some(76)); // 76 + 10 > 85
    /// assert_eq!(Marks::of(Thresholds::new(70, 85, 0)?).wait, Some(85));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn of(at: Thresholds) -> Self {
        let mark = |percent: u8| match (percent, at.margin) {
            (percent, 0) => Some(percent),
            // The sum of use and margin cannot exceed 100 %.
            (100.., _) => None,
            (percent, margin) => Some((percent + 1).saturating_sub(margin)),
        };
        let implement = mark(at.implement.unwrap_or(100 - DEEP_LEFT));
        Self { implement, review: mark(at.warn), wait: mark(at.stop) }
    }

    /// The same with every mark some points earlier.
    pub(crate) fn earlier(self, points: u8) -> Self {
        let earlier = |mark: Option<u8>| mark.map(|mark| mark.saturating_sub(points));
        Self { implement: earlier(self.implement), review: earlier(self.review), wait: earlier(self.wait) }
    }

    /// The mode that a window allows.
    ///
    /// ```
    /// use usage_ledger::{budget::{Marks, Mode}, event::Thresholds};
    /// assert_eq!(Marks::of(Thresholds::default()).mode("50".parse()?), Mode::Deep);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn mode(self, used: Percent) -> Mode {
        let reached = |mark: Option<u8>| mark.is_some_and(|mark| used.hundredths() >= 100 * u32::from(mark));
        if reached(self.wait) {
            Mode::Wait
        } else if reached(self.review) {
            Mode::Review
        } else if reached(self.implement) {
            Mode::Implement
        } else {
            Mode::Deep
        }
    }
}

impl fmt::Display for Marks {
    /// The reachable modes, each with the used percentage at which it begins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut end = u8::MAX;
        let mut reachable = Vec::new();
        for (mode, mark) in [(Mode::Wait, self.wait), (Mode::Review, self.review), (Mode::Implement, self.implement)] {
            if let Some(mark) = mark.filter(|mark| *mark < end) {
                reachable.push(format!("{mode} from {mark} %"));
                end = mark;
            }
        }
        reachable.reverse();
        if reachable.is_empty() { f.write_str("deep at any use") } else { f.write_str(&reachable.join(", ")) }
    }
}

/// A position on the ladder. It prints as one line, `mode:left:reason`.
///
/// ```
/// use usage_ledger::budget::{Mode, Rung};
/// let rung = Rung::new(Mode::Review, "20".parse()?);
/// assert_eq!(rung.to_string(), "review:20:Low budget (20% remaining) - conservative mode");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rung {
    /// What a run may do.
    pub mode: Mode,
    /// The remaining percentage after the margin.
    pub left: Percent,
}

impl Rung {
    /// The position of a mode with a remaining percentage.
    ///
    /// ```
    /// # use usage_ledger::budget::{Mode, Rung};
    /// assert_eq!(Rung::new(Mode::Deep, "80".parse()?).mode, Mode::Deep);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn new(mode: Mode, left: Percent) -> Self {
        Self { mode, left }
    }

    /// The position for the usage of a window.
    pub(super) fn of(used: Percent, marks: Marks, margin: u8) -> Self {
        Self::new(marks.mode(used), left(used, margin))
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

/// The remaining percentage of a window: 100 % minus the used percentage and the margin, at least 0.
pub fn left(used: Percent, margin: u8) -> Percent {
    Percent::from_hundredths((100 * 100_u32).saturating_sub(used.hundredths()).saturating_sub(100 * u32::from(margin)))
}

/// By how many points each mode begins earlier for the age of a reading in milliseconds.
pub(super) const fn points_for_age(age: i64) -> u8 {
    if age > OLD { OLD_MARGIN } else { 0 }
}

/// The margin for the age of a reading in milliseconds: five more points after six hours.
pub const fn safety_margin(margin: u8, age: i64) -> u8 {
    margin.saturating_add(points_for_age(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mode according to the arithmetic of the seed system, in whole percent.
    fn seed(used: u32, at: Thresholds) -> Mode {
        let left = 100_u32.saturating_sub(used).saturating_sub(at.margin.into());
        let below = |percent: u8| 100 - u32::from(percent);
        if left < below(at.stop) {
            Mode::Wait
        } else if left < below(at.warn) {
            Mode::Review
        } else if left < below(at.warn).max(40) {
            Mode::Implement
        } else {
            Mode::Deep
        }
    }

    #[test]
    fn with_a_margin_modes_begin_as_in_the_seed_system() {
        for (warn, stop, margin) in [
            (70, 85, 10),
            (70, 85, 15),
            (50, 85, 10),
            (60, 90, 10),
            (80, 95, 10),
            (90, 95, 10),
            (100, 100, 10),
            (85, 70, 10),
            (0, 0, 10),
            (20, 5, 10),
            (99, 100, 1),
        ] {
            let at = Thresholds { warn, stop, margin, implement: None };
            for used in 0..=100 {
                let percent = Percent::from_hundredths(100 * used);
                assert_eq!(Marks::of(at).mode(percent), seed(used, at), "{used} % used, {at:?}");
            }
        }
    }

    #[test]
    fn without_a_margin_a_mode_begins_at_its_percentage() {
        for stop in 1..=100 {
            let marks = Marks::of(Thresholds::new(1, stop, 0).unwrap());
            let mode = |hundredths| marks.mode(Percent::from_hundredths(hundredths));
            assert_eq!(mode(100 * u32::from(stop)), Mode::Wait, "{stop}");
            assert!(mode(100 * u32::from(stop) - 1) > Mode::Wait, "{stop}");
        }
    }

    #[test]
    fn only_reachable_modes_are_named() {
        let begins = |warn, stop, margin| Marks::of(Thresholds { warn, stop, margin, implement: None }).to_string();
        assert_eq!(begins(50, 85, 10), "review from 41 %, wait from 76 %");
        assert_eq!(begins(100, 100, 10), "implement from 51 %");
        assert_eq!(begins(85, 70, 10), "implement from 51 %, wait from 61 %");
        assert_eq!(Marks { implement: None, review: None, wait: None }.to_string(), "deep at any use");
    }
}
