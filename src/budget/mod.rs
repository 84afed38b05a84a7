//! Decides whether a run may start. All surfaces call the same function.
//!
//! A decision has these steps, which its trail lists: the effective budget mode; the provider's refusals and pauses;
//! the windows that count; the ladder; the cost of a run; the burn rate of the session; the mode that the run needs.

pub(crate) mod afford;
#[cfg(feature = "cli")]
mod alerts;
pub(crate) mod burn;
mod counted;
mod decide;
mod effective_mode;
mod evidence;
#[cfg(feature = "cli")]
mod feed;
mod future;
mod known;
pub(crate) mod ladder;
mod money;
mod preflight;
mod project;
mod records;
mod refusal;
mod request;
mod reserve;
mod run_cost;
#[cfg(feature = "cli")]
pub(crate) mod settings;
mod settle;
mod status;

use serde::Serialize;

pub use afford::Tier;
pub use burn::{Burn, Rate};
pub use ladder::{Marks, Mode, Rung};
pub use money::MoneyWindow;
pub use preflight::{Preflight, Probe};
pub use request::RunRequest;
pub use status::{ProviderStatus, Status};

pub(crate) use afford::{affordable, highest_affordable, run_cost};
#[cfg(feature = "cli")]
pub(crate) use alerts::{AlertRule, Threshold, alert_rules};
pub(crate) use burn::{Uses, burn_rate, slowed};
pub(crate) use effective_mode::effective_mode;
pub(crate) use ladder::safety_margin;
pub(crate) use money::money_windows;
pub(crate) use refusal::RefusalSighting;
#[cfg(feature = "cli")]
pub(crate) use settings::BudgetSettings;

use crate::model::event::{BudgetMode, Percent, Position};
use crate::model::time::Timestamp;
use crate::usage::Basis;

/// A decision and its evidence.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, budget::Mode};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("ollama", "qwen3").input(9_000_000), now)?;
/// let verdict = ledger.budget("ollama", now)?;
/// assert_eq!((verdict.mode, verdict.gated), (Mode::Deep, false)); // no quota: never gated
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The provider.
    pub provider: String,
    /// The account, when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether it has a quota.
    pub metered: bool,
    /// What a run may do.
    pub mode: Mode,
    /// The mode that the run needs.
    pub need: Mode,
    /// The remaining percentage of the window that decides, after the margin; `None` if no window's usage is
    /// known.
    pub available_percent: Option<Percent>,
    /// Whether the gate is closed: the allowed mode is lower than the needed one. Never for an unmetered provider.
    pub gated: bool,
    /// The reason, as a sentence.
    pub reason: String,
    /// The basis of the numbers.
    pub basis: Basis,
    /// Positions of the events that it depends on.
    pub evidence: Vec<Position>,
    /// Which windows gate.
    pub budget_mode: BudgetMode,
    /// The used percentage at which each mode begins; `None` if no window decides.
    pub begins: Option<Marks>,
    /// When to try again; `None` unless the gate is closed.
    pub resumes_at: Option<Timestamp>,
    /// The burn rate of the session, if known.
    pub burn: Option<Burn>,
    /// The cost of an ordinary run in percent of a session window, if known.
    pub run_cost: Option<Percent>,
    /// The money budgets that count for the run: the account's, and those of its project.
    pub money: Vec<MoneyWindow>,
    /// The steps of the decision.
    pub trail: Vec<String>,
    /// Missing or suspicious information.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// The decision as one line for scripts, `mode:left:reason`. If no window counts, 90 % remain. The mode of a closed
    /// gate is `wait`.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::Mode};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let rung = Ledger::in_memory()?.budget("ollama", now)?.rung();
    /// assert_eq!(rung.to_string(), "deep:90:Ample budget (90% remaining) - full capability");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn rung(&self) -> Rung {
        let mode = if self.gated { Mode::Wait } else { self.mode };
        Rung::new(mode, self.available_percent.unwrap_or(ladder::NOT_COUNTED))
    }
}
