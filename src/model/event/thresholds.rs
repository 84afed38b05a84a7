//! Which windows gate an account, and where the modes of the gate begin.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::error::{Error, Result};

/// Which windows of an account gate it.
///
/// ```
/// use usage_ledger::event::BudgetMode;
/// assert_eq!("session_only".parse::<BudgetMode>()?, BudgetMode::default());
/// assert!("sesion_only".parse::<BudgetMode>().is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetMode {
    /// The session and the weekly window.
    Full,
    /// The session window alone.
    #[default]
    SessionOnly,
    /// None: never gated.
    Disabled,
}

impl BudgetMode {
    /// Every mode.
    ///
    /// ```
    /// # use usage_ledger::event::BudgetMode;
    /// assert_eq!(BudgetMode::ALL.map(BudgetMode::name), ["full", "session_only", "disabled"]);
    /// ```
    pub const ALL: [Self; 3] = [Self::Full, Self::SessionOnly, Self::Disabled];

    /// The name: `full`, `session_only` or `disabled`.
    ///
    /// ```
    /// # use usage_ledger::event::BudgetMode;
    /// assert_eq!(BudgetMode::Full.name(), "full");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::SessionOnly => "session_only",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for BudgetMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mode = Self::ALL.into_iter().find(|named| named.name() == text);
        mode.ok_or_else(|| {
            Error::invalid(format!("`{text}` is not a budget mode: write full, session_only or disabled"))
        })
    }
}

/// The percentages at which the modes of the gate begin. All are percentages of a window that are *used*.
///
/// Without a margin, `review` begins at `warn` percent and `wait` at `stop` percent. With a margin a mode begins
/// earlier: at the first whole percent at which the sum of use and margin exceeds its percentage. The default margin is
/// 10, so `wait` begins at 76 % (76 + 10 > 85). [`Marks`](crate::budget::Marks) has the resulting percentages.
///
/// ```
/// use usage_ledger::event::Thresholds;
/// assert_eq!(Thresholds::default(), Thresholds::new(70, 85, 10)?);
/// assert!(Thresholds::new(20, 5, 10).is_err()); // percentages that are left, not used: nothing would ever run
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Thresholds {
    /// Where `review` begins, in percent.
    pub warn: u8,
    /// Where `wait` begins, in percent.
    pub stop: u8,
    /// How many percentage points earlier every mode begins. The cost of a run must also leave this many points.
    pub margin: u8,
    /// Where `implement` begins, in percent. The default is 60 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implement: Option<u8>,
}

impl Default for Thresholds {
    /// The thresholds of the seed system: warn at 70 %, stop at 85 %, margin 10.
    fn default() -> Self {
        Self { warn: 70, stop: 85, margin: 10, implement: None }
    }
}

impl Thresholds {
    /// Thresholds of which at least one mode allows a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 100 %, for a `warn` above `stop` under which even an unused window waits, and for
    /// any `warn` above `stop` without a margin.
    ///
    /// ```
    /// # use usage_ledger::event::Thresholds;
    /// assert!(Thresholds::new(101, 85, 10).is_err());
    /// assert!(Thresholds::new(85, 70, 0).is_err());
    /// assert!(Thresholds::new(85, 70, 10).is_ok()); // it stops without a warning
    /// ```
    pub fn new(warn: u8, stop: u8, margin: u8) -> Result<Self> {
        if warn > 100 || stop > 100 || margin > 100 {
            return Err(Error::invalid("thresholds and margin are percentages from 0 to 100"));
        }
        if warn > stop && (margin == 0 || margin > stop) {
            return Err(Error::invalid(format!(
                "warn at {warn} % and stop at {stop} % leave nothing between them: warn must be below stop, and both are \
                 percentages used, not left"
            )));
        }
        Ok(Self { warn, stop, margin, implement: None })
    }

    /// Sets where `implement` begins, in percent.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 100 %.
    pub(crate) fn implement_from(mut self, percent: u8) -> Result<Self> {
        if percent > 100 {
            return Err(Error::invalid("implement begins at a percentage from 0 to 100"));
        }
        self.implement = Some(percent);
        Ok(self)
    }

    /// Whether `warn` is above `stop`.
    pub(crate) const fn is_inverted(self) -> bool {
        self.warn > self.stop
    }
}
