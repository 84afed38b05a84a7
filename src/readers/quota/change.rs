//! When an observation is news, and what makes two of them one.

use crate::model::event::{EventId, NewEvent, QuotaObserved};
use crate::model::time::{MINUTE, SECOND, Timestamp};

/// How far a reset may move without being another one: providers work it out anew for each answer.
const JITTER: i64 = 2 * SECOND;

/// Whether an observation says something new compared with the latest of the same provider, account, window and scope:
/// another percentage, a reset that moved by more than two seconds, or another status.
///
/// For feeds that repeat themselves many times a minute.
///
/// ```
/// use usage_ledger::quota::{self, QuotaFormat};
/// let at = |seconds: i64| usage_ledger::Timestamp::from_millis(1_795_464_000_000 + 1_000 * seconds);
/// let seen = |percent, reset, at| {
///     let json = format!(r#"{{"rate_limits":{{"five_hour":{{"used_percentage":{percent},"resets_at":{reset}}}}}}}"#);
///     quota::observe(QuotaFormat::ClaudeStatusline, &json, at).unwrap().observations.remove(0)
/// };
/// let first = seen(41, 1_795_474_800, at(0));
/// assert!(quota::changed(None, &first));
/// assert!(!quota::changed(Some(&first), &seen(41, 1_795_474_801, at(5)))); // a reset jitters
/// assert!(quota::changed(Some(&first), &seen(42, 1_795_474_800, at(9))));
/// ```
pub fn changed(latest: Option<&QuotaObserved>, seen: &QuotaObserved) -> bool {
    let Some(latest) = latest else { return true };
    let moved = match (latest.resets_at, seen.resets_at) {
        (Some(before), Some(now)) => (now.millis() - before.millis()).abs() > JITTER,
        (before, now) => before != now,
    };
    moved || latest.used_percent != seen.used_percent || latest.status != seen.status || !is_same_window(latest, seen)
}

/// What is said again after this long is news: it still holds.
pub(crate) const CONFIRMED: i64 = 5 * MINUTE;

/// Whether an observation is worth keeping beside what was said last of its window, and when.
pub(crate) fn is_news(latest: Option<(&QuotaObserved, Timestamp)>, seen: &QuotaObserved, at: Timestamp) -> bool {
    latest.is_none_or(|(known, then)| changed(Some(known), seen) || at.millis() - then.millis() >= CONFIRMED)
}

/// Whether two observations are about the same window.
pub(crate) fn is_same_window(a: &QuotaObserved, b: &QuotaObserved) -> bool {
    a.window_minutes == b.window_minutes && a.scope == b.scope && a.provider == b.provider && a.account == b.account
}

/// The event of an observation made at a time. Its id is made of all that it says, so telling it again adds nothing.
///
/// ```
/// use usage_ledger::quota::{self, QuotaFormat};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let seen = quota::observe(QuotaFormat::OllamaCloud, r#"{"session":0.25}"#, now)?.observations.remove(0);
/// assert_eq!(quota::event(seen.clone(), now).id, quota::event(seen.clone(), now).id);
/// assert_ne!(quota::event(seen.clone(), now).id, quota::event(seen, now.plus(1)).id);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn event(seen: QuotaObserved, at: Timestamp) -> NewEvent {
    let id = id(&seen, at);
    NewEvent::new(seen, at).id(id)
}

/// The id that all that is said makes.
pub(crate) fn id(seen: &QuotaObserved, at: Timestamp) -> EventId {
    // Every field has a part in it: were one left out, two observations that differ in it alone would be a conflict.
    let key = (
        "quota_observed",
        at,
        &seen.account,
        seen.window_minutes,
        &seen.scope,
        seen.used_percent.map(crate::model::event::Percent::hundredths),
        seen.resets_at,
        &seen.status,
        &seen.feed,
    );
    // Texts and numbers: this cannot fail.
    EventId::from_key(seen.provider.as_str(), &serde_json::to_string(&key).unwrap_or_default())
}
