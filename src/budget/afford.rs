//! Decides whether the remaining percentage covers the cost of a run.

use std::str::FromStr;

use serde::Serialize;

use super::Mode;
use crate::model::error::{Error, Result};
use crate::model::event::Percent;

/// The difficulty of a task.
///
/// ```
/// use usage_ledger::budget::Tier;
/// assert_eq!("complex".parse::<Tier>()?.cost_percent(), 150);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tier {
    /// Half the cost of a medium run.
    Trivial,
    /// Three quarters of it.
    Simple,
    /// The reference cost.
    #[default]
    Medium,
    /// One and a half times the reference.
    Complex,
    /// Twice the reference.
    Critical,
}

impl Tier {
    /// Every tier, in ascending order of cost.
    ///
    /// ```
    /// # use usage_ledger::budget::Tier;
    /// assert!(Tier::ALL.is_sorted());
    /// ```
    pub const ALL: [Self; 5] = [Self::Trivial, Self::Simple, Self::Medium, Self::Complex, Self::Critical];

    /// The name: `trivial`, `simple`, `medium`, `complex` or `critical`.
    ///
    /// ```
    /// # use usage_ledger::budget::Tier;
    /// assert_eq!(Tier::Simple.name(), "simple");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trivial => "trivial",
            Self::Simple => "simple",
            Self::Medium => "medium",
            Self::Complex => "complex",
            Self::Critical => "critical",
        }
    }

    /// The cost of a run of this tier relative to a medium one, in percent.
    ///
    /// ```
    /// # use usage_ledger::budget::Tier;
    /// assert_eq!(Tier::ALL.map(Tier::cost_percent), [50, 75, 100, 150, 200]);
    /// ```
    pub const fn cost_percent(self) -> u32 {
        match self {
            Self::Trivial => 50,
            Self::Simple => 75,
            Self::Medium => 100,
            Self::Complex => 150,
            Self::Critical => 200,
        }
    }
}

impl FromStr for Tier {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let tier = Self::ALL.into_iter().find(|tier| tier.name() == text);
        tier.ok_or_else(|| {
            Error::invalid(format!("`{text}` is not a tier: write trivial, simple, medium, complex or critical"))
        })
    }
}

/// The cost of a medium run in percent of a session window: the used percentage divided by the number of runs. `None`
/// if either is zero, because the cost is then unknown.
pub fn run_cost(used: Percent, runs: u64) -> Option<Percent> {
    // The quotient is at most the dividend, so it fits.
    let cost = u64::from(used.hundredths()).checked_div(runs).and_then(|cost| u32::try_from(cost).ok());
    let cost = cost.map(Percent::from_hundredths);
    cost.filter(|_| used > Percent::default())
}

/// Whether a run of this mode and tier fits into the remaining percentage, if a medium run costs `cost`.
pub fn affordable(cost: Percent, mode: Mode, tier: Tier, left: Percent) -> bool {
    let wanted =
        u64::from(cost.hundredths()) * u64::from(mode.cost_percent()) * u64::from(tier.cost_percent()) / (100 * 100);
    wanted <= u64::from(left.hundredths())
}

/// The highest mode up to `mode` that fits into the remaining percentage; `wait` if none does. `cost` is the cost of a
/// medium run, which may differ by mode.
pub fn highest_affordable(mut mode: Mode, cost: impl Fn(Mode) -> Percent, tier: Tier, left: Percent) -> Mode {
    while mode > Mode::Wait && !affordable(cost(mode), mode, tier, left) {
        mode = mode.lower();
    }
    mode
}
