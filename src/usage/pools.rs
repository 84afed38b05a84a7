//! Quota windows other than the session and the week: of a model, of a month.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Limits;
use super::observations::RecentObservation;
#[cfg(feature = "cli")]
use super::{AccountAt, observations};
#[cfg(feature = "cli")]
use crate::model::error::Result;
use crate::model::event::{Percent, Position};
use crate::model::time::Timestamp;
use crate::model::window::kind_of;

/// The provider's last reading of such a window.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaObserved}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let seen = QuotaObserved::new(ProviderId::new("anthropic")?, 10_080, "oauth").scope("opus").used("12".parse()?);
/// ledger.append([NewEvent::new(seen, now)], now)?;
/// let usage = ledger.provider("anthropic", now)?;
/// assert_eq!(usage.pools[0].scope.as_deref(), Some("opus"));
/// assert_eq!(usage.weekly.percent, None); // one model's week says nothing about the account's
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pool {
    /// Length of its window in minutes.
    pub window_minutes: u32,
    /// Its subject; `None` for the whole account.
    pub scope: Option<String>,
    /// How much of it is used.
    pub percent: Option<Percent>,
    /// When it ends.
    pub resets_at: Option<Timestamp>,
    /// When this was reported.
    pub at: Timestamp,
    /// Whether the reading is stale.
    pub stale: bool,
    /// The position of its event.
    pub position: Position,
}

/// A reading whose reset cannot be true.
#[cfg(feature = "cli")]
pub(crate) struct Misdated {
    pub position: Position,
    pub minutes: u32,
    pub at: Timestamp,
    /// The reset that it states.
    pub resets_at: Timestamp,
}

/// The latest readings of windows that have not ended, if their resets cannot be true.
#[cfg(feature = "cli")]
pub(crate) fn misdated(at: AccountAt<'_>) -> Result<Vec<Misdated>> {
    let limits = Limits::at(at)?;
    let mut latest = BTreeMap::new();
    for one in observations::recent(at, &limits, &[])? {
        if one.seen.window_minutes > 0 {
            latest.insert((one.seen.window_minutes, one.seen.scope.clone()), one);
        }
    }
    let wrong = |one: RecentObservation| {
        let (believed, stated) = (one.seen.resets_at?, one.stated_reset?);
        (believed > at.now).then_some(Misdated {
            position: one.position,
            minutes: one.seen.window_minutes,
            at: one.at,
            resets_at: stated,
        })
    };
    Ok(latest.into_values().filter_map(wrong).collect())
}

/// The windows that have not ended at `now`.
pub(super) fn pools(observations: &[RecentObservation], limits: &Limits, now: Timestamp) -> Vec<Pool> {
    let mut latest = BTreeMap::new();
    for one in observations {
        let seen = &one.seen;
        if (seen.scope.is_some() || kind_of(seen.window_minutes).is_none())
            && seen.window_minutes > 0
            && limits.trusts(&seen.feed)
        {
            let pool = Pool {
                window_minutes: seen.window_minutes,
                scope: seen.scope.clone(),
                percent: seen.used_percent,
                resets_at: seen.resets_at,
                at: one.at,
                stale: now.millis() - one.at.millis() > limits.stale_after(),
                position: one.position,
            };
            latest.insert((pool.window_minutes, pool.scope.clone()), pool);
        }
    }
    latest.retain(|_, pool| pool.resets_at.map_or(!pool.stale, |end| end > now));
    latest.into_values().collect()
}
