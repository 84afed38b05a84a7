//! Decides whether an observation is new, and gives observations their ids.

use crate::model::event::{EventId, NewEvent, QuotaObserved};
use crate::model::time::{MINUTE, Timestamp};

/// How far a reported reset may vary within one window, in milliseconds: providers recompute it for each response.
const JITTER: i64 = 5 * MINUTE;

/// Whether an observation differs from the latest of the same provider, account, window and scope: a higher percentage,
/// a reset that differs by more than five minutes, or another status.
///
/// Within one window usage only grows, so a lower percentage with the same reset is an old reading of an idle feed.
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
/// assert!(!quota::changed(Some(&first), &seen(12, 1_795_474_800, at(9)))); // an idle terminal
/// ```
pub fn changed(latest: Option<&QuotaObserved>, seen: &QuotaObserved) -> bool {
    let Some(latest) = latest else { return true };
    let moved = match (latest.resets_at, seen.resets_at) {
        (Some(before), Some(now)) => (now.millis() - before.millis()).abs() > JITTER,
        (before, now) => before != now,
    };
    let status = seen.status.is_some() && latest.status != seen.status;
    moved || status || compare(latest, seen) == Standing::Higher || !is_same_window(latest, seen)
}

/// A repeated reading is recorded after this time, in milliseconds, because it shows that the value is still valid.
pub(crate) const CONFIRMED: i64 = 5 * MINUTE;

/// How a reading relates to the leading one of the same provider, account, length and scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Another window, or one without reported borders.
    Other,
    /// The same window with higher usage.
    Higher,
    /// The same window with equal usage.
    Same,
    /// The same window with lower usage, which only an old reading shows.
    Lower,
    /// A window that a later one had replaced when the reading arrived.
    Replaced,
}

/// Compares the usage of one window. A window without a reset may restart at any time, so any change counts.
fn compare(lead: &QuotaObserved, seen: &QuotaObserved) -> Standing {
    match (lead.used_percent, seen.used_percent) {
        (Some(before), Some(now)) if now < before && lead.resets_at.is_some() && seen.window_minutes > 0 => {
            Standing::Lower
        }
        (before, Some(now)) if before != Some(now) => Standing::Higher,
        _ => Standing::Same,
    }
}

/// The leading reading of one window: the highest one of the latest reported window.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    seen: QuotaObserved,
    at: Timestamp,
}

impl Lead {
    pub const fn new(seen: QuotaObserved, at: Timestamp) -> Self {
        Self { seen, at }
    }

    fn standing(&self, seen: &QuotaObserved, at: Timestamp) -> Standing {
        match (self.seen.resets_at, seen.resets_at) {
            (Some(lead), Some(reset)) if reset.millis() > lead.millis().saturating_add(JITTER) => Standing::Other,
            (Some(lead), Some(reset)) if reset.millis() < lead.millis().saturating_sub(JITTER) => Standing::Replaced,
            (Some(lead), None) if at >= lead => Standing::Other,
            (None, Some(_)) => Standing::Other,
            _ => compare(&self.seen, seen),
        }
    }

    /// Whether a later reading deserves an event: it differs, or confirms the value after five minutes.
    pub fn is_news(&self, seen: &QuotaObserved, at: Timestamp) -> bool {
        let status = seen.status.is_some() && seen.status != self.seen.status;
        match self.standing(seen, at) {
            Standing::Other | Standing::Higher => true,
            Standing::Same => status || at.millis().saturating_sub(self.at.millis()) >= CONFIRMED,
            Standing::Lower => status,
            Standing::Replaced => false,
        }
    }

    /// Processes a later reading of the window. Returns whether the reading counts in addition to earlier ones.
    pub fn follow(lead: &mut Option<Self>, seen: &QuotaObserved, at: Timestamp) -> bool {
        let standing = lead.as_ref().map_or(Standing::Other, |lead| lead.standing(seen, at));
        // A reset further away than the length of the window is invalid, so later readings are not compared with it.
        let length = i64::from(seen.window_minutes).saturating_mul(MINUTE).saturating_add(JITTER);
        let sound = seen.resets_at.is_none_or(|reset| reset.millis().saturating_sub(at.millis()) <= length);
        if matches!(standing, Standing::Lower | Standing::Replaced) {
            return false;
        }
        if sound {
            let mut next = Self::new(seen.clone(), at);
            if let Some(lead) = lead.as_ref().filter(|_| standing != Standing::Other) {
                // Steps within the jitter must not add up to another window, so only a higher reading moves the reset.
                let moved = seen.resets_at.filter(|_| standing == Standing::Higher);
                next.seen.resets_at = moved.or(lead.seen.resets_at);
                next.seen.used_percent = seen.used_percent.or(lead.seen.used_percent);
            }
            *lead = Some(next);
        }
        true
    }
}

/// Whether two observations concern the same window.
pub(crate) fn is_same_window(a: &QuotaObserved, b: &QuotaObserved) -> bool {
    a.window_minutes == b.window_minutes && a.scope == b.scope && a.provider == b.provider && a.account == b.account
}

/// The event of an observation at a time. Its id is made from its whole content, so recording it again adds nothing.
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

/// The id made from the whole content.
pub(crate) fn id(seen: &QuotaObserved, at: Timestamp) -> EventId {
    // Every field is part of it. Otherwise two observations that differ only in a missing field would conflict.
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
    // Serialising strings and numbers cannot fail.
    EventId::from_key(seen.provider.as_str(), &serde_json::to_string(&key).unwrap_or_default())
}
