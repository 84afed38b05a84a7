//! Counts of sessions by outcome, and their trend.

use serde::Serialize;

/// The number of sessions by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// Sessions with a result.
    pub productive: u64,
    /// Sessions that found nothing to do.
    pub empty: u64,
    /// Sessions that were blocked.
    pub blocked: u64,
}

fn ratio(part: u128, whole: u128) -> f64 {
    part as f64 / whole as f64
}

impl Outcomes {
    /// Tokens per productive session; `None` without one.
    pub fn tokens_per_productive(self, tokens: u128) -> Option<f64> {
        (self.productive > 0).then(|| ratio(tokens, self.productive.into()))
    }

    /// The share of sessions that were not productive, from 0 to 1. Tokens without any session count as 1.
    pub fn waste(self, tokens: u128) -> f64 {
        let idle = self.empty.saturating_add(self.blocked);
        match idle.saturating_add(self.productive) {
            0 if tokens > 0 => 1.0,
            0 => 0.0,
            all => ratio(idle.into(), all.into()),
        }
    }
}

/// The trend of the share of productive sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Up by more than 0.15.
    Improving,
    /// A change of at most 0.15.
    Stable,
    /// Down by more than 0.15.
    Declining,
}

impl Trend {
    /// The minimal number of sessions for a trend.
    pub const FEWEST: usize = 6;
    const EDGE: f64 = 0.15;

    /// The trend between the shares of two halves.
    fn between(first: f64, second: f64) -> Self {
        let difference = second - first;
        if difference > Self::EDGE {
            Self::Improving
        } else if difference < -Self::EDGE {
            Self::Declining
        } else {
            Self::Stable
        }
    }

    /// The trend of sessions in the order of their ends, each productive or not; `None` for fewer than
    /// [`FEWEST`](Self::FEWEST). With an odd number, the one in the middle belongs to the second half.
    pub fn of(productive: &[bool]) -> Option<Self> {
        let (first, second) = productive.split_at_checked(productive.len() / 2)?;
        let share = |half: &[bool]| ratio(half.iter().filter(|one| **one).count() as u128, half.len() as u128);
        (productive.len() >= Self::FEWEST).then(|| Self::between(share(first), share(second)))
    }

    /// `improving`, `stable` or `declining`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Improving => "improving",
            Self::Stable => "stable",
            Self::Declining => "declining",
        }
    }
}
