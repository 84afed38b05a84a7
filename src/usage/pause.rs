//! Determines whether work is paused.

use serde::Serialize;

use crate::model::error::Result;
use crate::model::event::{EventKind, Payload, Position, Subject};
use crate::model::time::{HOUR, MINUTE, Timestamp};
use crate::projection::collect_events;
use crate::store::ReadView;

/// The delay after a known reset, because the provider's clock may differ.
const AFTER_RESET: i64 = 10 * MINUTE;
/// The length of a pause without a known reset: a session window.
const RESET_UNKNOWN: i64 = 5 * HOUR;

/// When to continue after a refusal: ten minutes after the stated reset, or five hours from now without one. A reset in
/// the past counts as none.
pub fn resume_at(resets_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    resets_at.filter(|reset| *reset > now).map_or_else(|| now.plus(RESET_UNKNOWN), |reset| reset.plus(AFTER_RESET))
}

/// A pause that applies.
///
/// ```
/// use usage_ledger::{Ledger, event::Paused};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.pause(Paused::new("manual"), now)?;
/// let pause = ledger.status(now)?.paused.unwrap();
/// assert_eq!((pause.reason.as_str(), pause.until), ("manual", None));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pause {
    /// The reason.
    pub reason: String,
    /// When it began.
    pub since: Timestamp,
    /// When it ends by itself; `None` if it needs a resume.
    pub until: Option<Timestamp>,
    /// A further remark.
    pub note: Option<String>,
    /// The event.
    pub position: Position,
}

impl Pause {
    /// Whether the quota is the reason.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, event::Paused};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let ledger = Ledger::in_memory()?;
    /// ledger.pause(Paused::new("quota").until(now.plus(60_000)), now)?;
    /// assert!(ledger.status(now)?.paused.unwrap().is_quota());
    /// assert!(ledger.status(now.plus(60_000))?.paused.is_none()); // it ended by itself
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn is_quota(&self) -> bool {
        self.reason == QUOTA
    }
}

/// The reason of a pause for the provider's quota.
const QUOTA: &str = "quota";
/// The reason of a pause with a fixed end.
const TIMED: &str = "timed";

/// When a pause ends by itself: only a quota pause, or one with a fixed end, does.
fn ends_at(reason: &str, until: Option<Timestamp>) -> Option<Timestamp> {
    until.filter(|_| reason == QUOTA || reason == TIMED)
}

/// The resumes up to `now`: the time, and the reason of the pauses that they end.
fn resumes(view: &dyn ReadView, now: Timestamp) -> Result<Vec<(Timestamp, Option<String>, Position)>> {
    collect_events(view, EventKind::Resumed, &Subject::Ledger, (Timestamp::MIN, now), |indexed| {
        let Payload::Resumed(resumed) = indexed.event.payload else { return None };
        Some((indexed.event.occurred_at, resumed.only, indexed.position))
    })
}

/// The last resume that ends pauses with a reason.
pub(crate) fn last_resume(
    view: &dyn ReadView,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<(Timestamp, Position)>> {
    let lifts = |only: &Option<String>| only.is_none() || only.as_deref() == reason;
    Ok(resumes(view, now)?.into_iter().rev().find(|(_, only, _)| lifts(only)).map(|(at, _, position)| (at, position)))
}

/// Pauses without a later resume, whether or not they ended by themselves, earliest first.
pub(crate) fn unresumed(view: &dyn ReadView, now: Timestamp) -> Result<Vec<Pause>> {
    let resumes = resumes(view, now)?;
    let lifted = |pause: &Pause| {
        let lifts = |only: &Option<String>| only.as_ref().is_none_or(|only| *only == pause.reason);
        resumes.iter().any(|(at, only, _)| *at >= pause.since && lifts(only))
    };
    let since = resumes.iter().filter(|(_, only, _)| only.is_none()).map(|(at, ..)| *at).max();
    let span = (since.unwrap_or(Timestamp::MIN), now);
    collect_events(view, EventKind::Paused, &Subject::Ledger, span, |indexed| {
        let Payload::Paused(paused) = indexed.event.payload else { return None };
        let until = ends_at(&paused.reason, paused.until);
        let since = indexed.event.occurred_at;
        let pause = Pause { reason: paused.reason, since, until, note: paused.note, position: indexed.position };
        (!lifted(&pause)).then_some(pause)
    })
}

/// The pause that applies at `now`: of several the one that ends last.
pub(crate) fn paused(view: &dyn ReadView, now: Timestamp) -> Result<Option<Pause>> {
    let holding = unresumed(view, now)?.into_iter().filter(|pause| pause.until.is_none_or(|end| end > now));
    Ok(holding.max_by_key(|pause| (pause.until.is_none(), pause.until, pause.position)))
}
