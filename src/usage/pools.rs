//! Quota windows that are neither the session nor the week: a model's own, a month's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Limits;
use crate::error::Result;
use crate::event::{Payload, Percent, Position};
use crate::projection::{AccountRef, Subject, facts_between};
use crate::time::{DAY, Timestamp};
use crate::view::{GO_ON, Order, View};
use crate::window::kind_of;

/// No quota window is longer than a month.
const LOOK_BACK: i64 = 32 * DAY;

/// What a provider said last about a pool of quota of its own.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaObserved}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// let seen = QuotaObserved {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
///     window_minutes: 10_080,
///     scope: Some("opus".to_owned()),
///     used_percent: Some("12".parse()?),
///     resets_at: None,
///     status: None,
///     feed: "oauth".to_owned(),
/// };
/// ledger.append([NewEvent::new(seen, now)], now)?;
/// let usage = ledger.provider("anthropic", now)?;
/// assert_eq!(usage.pools[0].scope.as_deref(), Some("opus"));
/// assert_eq!(usage.weekly.percent, None); // one model's week says nothing about the account's
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Length of its window in minutes.
    pub window_minutes: u32,
    /// What it is about; `None` for the account as a whole.
    pub scope: Option<String>,
    /// How much of it is used.
    pub percent: Option<Percent>,
    /// When it ends.
    pub resets_at: Option<Timestamp>,
    /// When this was said.
    pub at: Timestamp,
    /// Whether that is too long ago to be relied on.
    pub stale: bool,
    /// The event that says so.
    pub position: Position,
}

/// The pools whose windows have not ended at `now`.
pub(super) fn pools(view: &dyn View, account: &AccountRef<'_>, limits: &Limits, now: Timestamp) -> Result<Vec<Pool>> {
    let mut latest = BTreeMap::new();
    let subject = Subject::Account(account.clone());
    let span = (now.plus(-LOOK_BACK), now);
    facts_between(view, "quota_observed", &subject, span, Order::Ascending, &mut |fact| {
        if let Payload::QuotaObserved(seen) = fact.event.payload
            && (seen.scope.is_some() || kind_of(seen.window_minutes).is_none())
            && seen.window_minutes > 0
            && limits.trusts(&seen.feed)
        {
            let at = fact.event.occurred_at;
            let pool = Pool {
                window_minutes: seen.window_minutes,
                scope: seen.scope,
                percent: seen.used_percent,
                resets_at: seen.resets_at,
                at,
                stale: now.millis() - at.millis() > limits.stale_after(),
                position: fact.position,
            };
            latest.insert((pool.window_minutes, pool.scope.clone()), pool);
        }
        GO_ON
    })?;
    latest.retain(|_, pool| pool.resets_at.map_or(!pool.stale, |end| end > now));
    Ok(latest.into_values().collect())
}
