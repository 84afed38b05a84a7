//! When an observation is news, and what makes two of them one.

use crate::model::event::{EventId, NewEvent, QuotaObserved};
use crate::model::time::{MINUTE, Timestamp};

/// How far a reported reset may move within one window, in milliseconds: providers compute it anew for each answer.
const JITTER: i64 = 5 * MINUTE;

/// Whether an observation differs from the latest of the same provider, account, window and scope: a higher percentage, a
/// reset that moved by more than five minutes, or another status.
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

/// A reading that repeats after this long is kept, because it shows that the value still holds, in milliseconds.
pub(crate) const CONFIRMED: i64 = 5 * MINUTE;

/// How a reading relates to the leading one of the same provider, account, length and scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Another window, or one whose borders nobody reports.
    Other,
    /// More is used of the same window.
    Higher,
    /// The same is used of the same window.
    Same,
    /// Less is used of the same window, which only an old reading shows.
    Lower,
    /// A window that was already replaced by a later one when the reading arrived.
    Replaced,
}

/// Compares what is used of one window. A window without a reset may start anew at any time, so any change counts.
fn compare(lead: &QuotaObserved, seen: &QuotaObserved) -> Standing {
    match (lead.used_percent, seen.used_percent) {
        (Some(before), Some(now)) if now < before && lead.resets_at.is_some() && seen.window_minutes > 0 => {
            Standing::Lower
        }
        (before, Some(now)) if before != Some(now) => Standing::Higher,
        _ => Standing::Same,
    }
}

/// The leading reading of one window: the highest one of the latest window that the provider reported.
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

    /// Whether a later reading is worth an event: it says something else, or confirms the value after five minutes.
    pub fn is_news(&self, seen: &QuotaObserved, at: Timestamp) -> bool {
        let status = seen.status.is_some() && seen.status != self.seen.status;
        match self.standing(seen, at) {
            Standing::Other | Standing::Higher => true,
            Standing::Same => status || at.millis().saturating_sub(self.at.millis()) >= CONFIRMED,
            Standing::Lower => status,
            Standing::Replaced => false,
        }
    }

    /// Takes a later reading of the window. Returns whether the reading counts beside what was reported before.
    pub fn follow(lead: &mut Option<Self>, seen: &QuotaObserved, at: Timestamp) -> bool {
        let standing = lead.as_ref().map_or(Standing::Other, |lead| lead.standing(seen, at));
        // A reset that lies further off than the window is long is no reset of it, so later readings are not measured by it.
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
