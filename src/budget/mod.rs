//! May I run? One function decides, and every surface asks it.
//!
//! A decision goes through these steps, and says so in its trail: the effective budget mode; the provider's own refusal
//! and pauses; the windows that count; the ladder; what a run costs; how fast the session is being used up; what the run
//! needs.

mod afford;
mod burn;
mod counted;
mod decide;
mod evidence;
mod feed;
mod known;
mod ladder;
mod preflight;
mod request;
mod reserve;
mod run_cost;
mod settings;
mod settle;
mod status;

use serde::Serialize;

pub use afford::{Tier, affordable, highest_affordable, run_cost};
pub use burn::{Burn, Rate, Uses, burn_rate, minutes_left, runs_out, slowed};
pub use ladder::{Marks, Mode, Rung, left, safety_margin};
pub use preflight::{Preflight, Probe};
pub use request::Ask;
pub use settings::{BudgetSettings, effective_mode};
pub use status::{ProviderStatus, Status};

use crate::model::event::{BudgetMode, Percent, Position};
use crate::model::time::Timestamp;
use crate::usage::Basis;

/// A decision and what it rests on.
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
    /// What a run may take on.
    pub mode: Mode,
    /// What the run needs.
    pub need: Mode,
    /// What is left of the tightest window that counts, less the margin; `None` when no window's use is known.
    pub available_percent: Option<Percent>,
    /// Whether the gate is closed: less may be taken on than is needed. Never for an unmetered provider.
    pub gated: bool,
    /// Why, in a sentence.
    pub reason: String,
    /// What the numbers rest on.
    pub basis: Basis,
    /// Positions of the events it rests on.
    pub evidence: Vec<Position>,
    /// Which windows gate.
    pub budget_mode: BudgetMode,
    /// The percentage used at which each mode begins; `None` when no window decides.
    pub begins: Option<Marks>,
    /// When it is worth asking again; `None` unless the gate is closed.
    pub resumes_at: Option<Timestamp>,
    /// How fast the session is being used, where that can be told.
    pub burn: Option<Burn>,
    /// What an ordinary run costs, in percent of a session window, where that can be told.
    pub run_cost: Option<Percent>,
    /// How the decision was come to, step by step.
    pub trail: Vec<String>,
    /// What is not known, or does not look right.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// The decision as one line for scripts, `mode:left:reason`. Where no window counts, 90 % are left.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::Mode};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let rung = Ledger::in_memory()?.budget("ollama", now)?.rung();
    /// assert_eq!(rung.to_string(), "deep:90:Ample budget (90% remaining) - full capability");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn rung(&self) -> Rung {
        Rung { mode: self.mode, left: self.available_percent.unwrap_or(ladder::NOT_COUNTED) }
    }
}
