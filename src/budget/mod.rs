//! May I run? One function decides, and every surface asks it.

mod status;

use serde::Serialize;

pub use status::{ProviderStatus, Status};

use crate::event::{Percent, Position};
use crate::usage::{Basis, ProviderUsage, WindowUsage};

/// How much a run may take on.
///
/// ```
/// use usage_ledger::budget::Mode;
/// assert!(Mode::Wait < Mode::Review && Mode::Implement < Mode::Deep); // `mode >= Mode::Review` reads well
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
}

/// A decision and what it rests on.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, budget::Mode};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("ollama", "qwen3").input(9_000_000), now)?;
/// let verdict = ledger.budget("ollama", now)?;
/// assert_eq!((verdict.mode, verdict.gated), (Mode::Deep, false)); // no quota: never gated
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// What is left of the tighter window, less the margin; `None` when no window's use is known.
    pub available_percent: Option<Percent>,
    /// Whether the gate is closed. Never for an unmetered provider.
    pub gated: bool,
    /// Why, in a sentence.
    pub reason: String,
    /// What the numbers rest on.
    pub basis: Basis,
    /// Positions of the events it rests on.
    pub evidence: Vec<Position>,
}

/// Where the rungs of the ladder are, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thresholds {
    warn: u32,
    stop: u32,
    margin: u32,
}

/// The seed system's defaults: warn at 70 %, stop at 85 %, a margin of 10 points.
const DEFAULT: Thresholds = Thresholds { warn: 70, stop: 85, margin: 10 };
/// Below this much left, nothing deep is begun.
const DEEP_LEFT: u32 = 40;

/// Decides from what an account has used.
pub(crate) fn decide(usage: &ProviderUsage) -> Verdict {
    let verdict = |mode: Mode, available, reason: String, basis, evidence| Verdict {
        provider: usage.provider.clone(),
        account: usage.account.clone(),
        metered: usage.metered,
        mode,
        available_percent: available,
        gated: usage.metered && mode == Mode::Wait,
        reason,
        basis,
        evidence,
    };
    if !usage.metered {
        let evidence = usage.session.evidence.clone();
        return verdict(Mode::Deep, None, "no API quota".to_owned(), Basis::Unmetered, evidence);
    }
    let windows = [("session", &usage.session), ("weekly", &usage.weekly)];
    let tighter: Option<(&str, &WindowUsage, Percent)> = windows
        .into_iter()
        .filter_map(|(name, window)| window.percent.map(|percent| (name, window, percent)))
        .max_by_key(|(_, _, percent)| *percent);
    let Some((name, window, used)) = tighter else {
        let reason = "no limit is set and the provider said nothing: not gated".to_owned();
        return verdict(Mode::Deep, None, reason, Basis::Unknown, Vec::new());
    };
    let left = (100 * 100_u32).saturating_sub(used.hundredths() + DEFAULT.margin * 100);
    let mode = ladder(left, DEFAULT);
    let word = match mode {
        Mode::Wait => "budget exhausted",
        Mode::Review => "low budget",
        Mode::Implement => "normal budget",
        Mode::Deep => "ample budget",
    };
    let available = Percent::from_hundredths(left);
    let reason =
        format!("{word}: {name} window at {used} %, {available} % left after a margin of {} %", DEFAULT.margin);
    verdict(mode, Some(available), reason, window.basis, window.evidence.clone())
}

fn ladder(left: u32, at: Thresholds) -> Mode {
    let (stop, warn) = (100 * (100 - at.stop), 100 * (100 - at.warn));
    if left < stop {
        Mode::Wait
    } else if left < warn {
        Mode::Review
    } else if left < warn.max(100 * DEEP_LEFT) {
        Mode::Implement
    } else {
        Mode::Deep
    }
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
            let left = (90_u32).saturating_sub(used) * 100;
            assert_eq!(ladder(left, DEFAULT), mode, "{used} % used");
        }
    }
}
