//! Whether the provider itself refuses.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pause::resume_at;
use crate::error::Result;
use crate::event::{Payload, Percent, Position, QuotaObserved};
use crate::projection::{AccountRef, Subject, facts, facts_between};
use crate::time::{DAY, Timestamp};
use crate::view::{GO_ON, Order, STOP, View};

/// No quota window is longer than a month.
const LOOK_BACK: i64 = 32 * DAY;
/// The words that providers refuse with.
const REFUSED: [&str; 6] = ["rejected", "exceeded", "blocked", "throttled", "exhausted", "limit_reached"];

/// A refusal that still holds.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaExhausted}, time::HOUR};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// let refused = QuotaExhausted {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
///     resets_at: Some(now.plus(HOUR)),
///     rule: "http-429".to_owned(),
///     excerpt: "usage limit reached".to_owned(),
/// };
/// ledger.append([NewEvent::new(refused, now)], now)?;
/// assert!(ledger.budget("anthropic", now)?.gated);
/// assert!(!ledger.budget("anthropic", now.plus(2 * HOUR))?.gated);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exhausted {
    /// When it refused.
    pub at: Timestamp,
    /// When it is worth trying again.
    pub until: Timestamp,
    /// The rule that recognised it, or `observed`.
    pub rule: String,
    /// The words it was recognised by.
    pub excerpt: String,
    /// The event that says so.
    pub position: Position,
}

/// The latest word about each window of an account as a whole, by its length.
fn latest_words(
    view: &dyn View,
    subject: &Subject<'_>,
    now: Timestamp,
    trusts: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<u32, (Timestamp, QuotaObserved, Position)>> {
    let mut words = BTreeMap::new();
    let span = (now.plus(-LOOK_BACK), now);
    facts_between(view, "quota_observed", subject, span, Order::Ascending, &mut |fact| {
        if let Payload::QuotaObserved(seen) = fact.event.payload
            && seen.scope.is_none()
            && seen.window_minutes > 0
            && trusts(&seen.feed)
        {
            words.insert(seen.window_minutes, (fact.event.occurred_at, seen, fact.position));
        }
        GO_ON
    })?;
    Ok(words)
}

fn refuses(seen: &QuotaObserved) -> bool {
    let full = Percent::from_hundredths(100 * 100);
    let refused = seen.status.as_deref().is_some_and(|status| REFUSED.contains(&status));
    // `allowed` beats a full window: some plans go on with credits.
    refused || (seen.used_percent.is_some_and(|used| used >= full) && seen.status.is_none())
}

/// What a provider refuses at `now`, if it does. An override is a person's word that it no
/// longer does; a resume says nothing about the provider.
pub(crate) fn exhausted(
    view: &dyn View,
    account: &AccountRef<'_>,
    now: Timestamp,
    trusts: &dyn Fn(&str) -> bool,
) -> Result<Option<Exhausted>> {
    let subject = Subject::Account(account.clone());
    let mut lifted = Timestamp::MIN;
    facts(view, "usage_overridden", &subject, now, Order::Descending, &mut |fact| {
        lifted = lifted.max(fact.event.occurred_at);
        STOP
    })?;
    let words = latest_words(view, &subject, now, trusts)?;
    let seen =
        words.values().filter(|(at, seen, _)| refuses(seen) && *at > lifted).filter_map(|(at, seen, position)| {
            let until = seen.resets_at?;
            let used = seen.used_percent.map(|used| format!("{used} % used")).unwrap_or_default();
            let excerpt = seen.status.clone().unwrap_or(used);
            Some(Exhausted { at: *at, until, rule: "observed".to_owned(), excerpt, position: *position })
        });
    let mut found: Option<Exhausted> = seen.filter(|seen| seen.until > now).max_by_key(|seen| seen.until);
    // Every window that the provider spoke of since, it spoke of as open: the refusal is over.
    let denied =
        |at: Timestamp| !words.is_empty() && words.values().all(|(said, seen, _)| *said > at && !refuses(seen));
    let span = (now.plus(-LOOK_BACK), now);
    facts_between(view, "quota_exhausted", &subject, span, Order::Descending, &mut |fact| {
        let at = fact.event.occurred_at;
        if at <= lifted {
            return STOP;
        }
        if let Payload::QuotaExhausted(refused) = fact.event.payload {
            let until = resume_at(refused.resets_at, at);
            if until > now && !denied(at) && found.as_ref().is_none_or(|known| known.until < until) {
                let position = fact.position;
                found = Some(Exhausted { at, until, rule: refused.rule, excerpt: refused.excerpt, position });
            }
        }
        GO_ON
    })?;
    Ok(found)
}
