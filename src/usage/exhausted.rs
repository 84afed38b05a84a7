//! Whether the provider itself refuses.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Limits;
use super::observations::RecentObservation;
use super::pause::resume_at;
use crate::model::error::Result;
use crate::model::event::{Payload, Percent, Position, QuotaObserved, WindowKind};
use crate::model::time::{DAY, Timestamp};
use crate::model::window::kind_of;
use crate::projection::{AccountRef, Subject, facts, facts_between};
use crate::store::{GO_ON, Order, ReadView, STOP};

/// No refusal is remembered longer than this.
const LOOK_BACK: i64 = 32 * DAY;
/// Parts of the words that providers refuse with.
const REFUSED: [&str; 6] = ["reject", "exceed", "block", "throttl", "exhaust", "reached"];
/// Parts of the ids of rules that are about money or one model: no open window says that those are over.
const NOT_OF_A_WINDOW: [&str; 8] = ["credit", "spend", "billing", "balance", "cap", "extra", "insufficient", "402"];

/// A refusal that still holds.
///
/// ```
/// use usage_ledger::{Ledger, ProviderId, event::{NewEvent, QuotaExhausted}, time::HOUR};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// let refused = QuotaExhausted {
///     provider: ProviderId::new("anthropic")?,
///     account: None,
///     model: None,
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
fn latest_words<'h>(heard: &'h [RecentObservation], limits: &Limits) -> BTreeMap<u32, &'h RecentObservation> {
    let whole = heard.iter().filter(|one| {
        one.seen.scope.is_none() && one.seen.window_minutes > 0 && !one.is_weak() && limits.trusts(&one.seen.feed)
    });
    whole.map(|one| (one.seen.window_minutes, one)).collect()
}

fn refuses(seen: &QuotaObserved) -> bool {
    let status = seen.status.as_deref().unwrap_or_default().to_ascii_lowercase();
    // `allowed` beats a full window: some plans go on with credits.
    let full = seen.used_percent.is_some_and(|used| used >= Percent::from_hundredths(100 * 100));
    !status.starts_with("allowed") && (full || REFUSED.iter().any(|word| status.contains(word)))
}

/// Whether the provider spoke of its session as open since, and of every other window that it speaks of at all.
fn is_denied(words: &BTreeMap<u32, &RecentObservation>, at: Timestamp, rule: &str) -> bool {
    let session = words.keys().any(|minutes| kind_of(*minutes) == Some(WindowKind::Session));
    let open = words.values().all(|one| one.at > at && !refuses(&one.seen));
    session && open && !NOT_OF_A_WINDOW.iter().any(|part| rule.contains(part))
}

/// What a provider refuses at `now`, if it does. An override is a person's word that it no longer does; a resume says
/// nothing about the provider.
pub(super) fn exhausted(
    view: &dyn ReadView,
    account: &AccountRef<'_>,
    now: Timestamp,
    heard: &[RecentObservation],
    limits: &Limits,
) -> Result<Option<Exhausted>> {
    let subject = Subject::Account(account.clone());
    let mut lifted = Timestamp::MIN;
    facts(view, "usage_overridden", &subject, now, Order::Descending, &mut |fact| {
        lifted = lifted.max(fact.event.occurred_at);
        STOP
    })?;
    let words = latest_words(heard, limits);
    let refusing = words.values().filter(|one| refuses(&one.seen) && one.at > lifted).map(|one| {
        let used = one.seen.used_percent.map(|used| format!("{used} % used")).unwrap_or_default();
        Exhausted {
            at: one.at,
            // A window that is told is over at its reset; one that is not is given the time of any refusal.
            until: one.seen.resets_at.unwrap_or_else(|| resume_at(None, one.at)),
            rule: "observed".to_owned(),
            excerpt: one.seen.status.clone().unwrap_or(used),
            position: one.position,
        }
    });
    let mut found: Option<Exhausted> = refusing.filter(|seen| seen.until > now).max_by_key(|seen| seen.until);
    let span = (now.plus(-LOOK_BACK), now);
    facts_between(view, "quota_exhausted", &subject, span, Order::Descending, &mut |fact| {
        let at = fact.event.occurred_at;
        if at <= lifted {
            return STOP;
        }
        if let Payload::QuotaExhausted(refused) = fact.event.payload {
            let until = resume_at(refused.resets_at, at);
            let longer = found.as_ref().is_none_or(|known| known.until < until);
            if until > now && longer && !is_denied(&words, at, &refused.rule) {
                let position = fact.position;
                found = Some(Exhausted { at, until, rule: refused.rule, excerpt: refused.excerpt, position });
            }
        }
        GO_ON
    })?;
    Ok(found)
}
