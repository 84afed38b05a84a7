//! Records refusals of providers, each once while it holds.

use crate::ledger::{Ledger, Outcome};
use crate::model::error::Result;
use crate::model::event::{AccountRef, EventId, EventKind, NewEvent, Payload, Position, QuotaExhausted, Subject};
use crate::model::provider::cloud_of;
use crate::model::time::{HOUR, Timestamp};
use crate::projection::each_event_between;
use crate::store::{GO_ON, Order, ReadView, STOP};
use crate::usage::{AccountAt, account_meant, holding};

/// When and how a refusal was seen.
#[derive(Clone, Copy)]
pub(crate) struct RefusalSighting<'a> {
    pub at: Timestamp,
    /// Whether the text states an absolute reset, so that the same words mean the same reset at any time.
    pub is_absolute: bool,
    /// The caller's key of the refused call.
    pub key: Option<&'a str>,
}

impl RefusalSighting<'_> {
    /// The id of the first event of a refusal.
    fn id(&self, refused: &QuotaExhausted) -> EventId {
        let of = |parts: &[&str]| EventId::from_key(refused.provider.as_str(), &parts.join("\0"));
        if let Some(key) = self.key {
            return of(&["quota-exhausted", key]);
        }
        let moment = match refused.resets_at.filter(|_| self.is_absolute) {
            Some(at) => format!("until {at}"),
            None => format!("hour {}", self.at.millis().div_euclid(HOUR)),
        };
        // A refusal without an account has an empty text in its place. One of every model has none.
        let account = refused.account.as_deref().unwrap_or("");
        let parts = ["quota-exhausted", account, &refused.rule, &refused.excerpt, &moment];
        of(&parts.into_iter().chain(refused.model.as_deref()).collect::<Vec<_>>())
    }

    /// Whether another sighting is the same: the same words about the same models, with the same reset or within an hour.
    fn repeats(&self, refused: &QuotaExhausted, other: &QuotaExhausted, at: Timestamp) -> bool {
        let is_reset = refused.resets_at.is_some() && refused.resets_at == other.resets_at;
        let is_soon = !self.is_absolute && at.millis().abs_diff(self.at.millis()) < HOUR.unsigned_abs();
        let words = (&refused.model, &refused.rule, &refused.excerpt);
        (is_reset || is_soon) && words == (&other.model, &other.rule, &other.excerpt)
    }
}

/// The event that a sighting repeats and that still holds at the time of the sighting. An event that was withdrawn,
/// overridden, contradicted by a later reading, or is over does not hold: the provider then refused again.
fn repeated(
    view: &dyn ReadView,
    refused: &QuotaExhausted,
    sighting: RefusalSighting<'_>,
    now: Timestamp,
) -> Result<Option<Position>> {
    let account = AccountRef::new(refused.provider.as_str(), refused.account.as_deref());
    let cloud = cloud_of(refused.provider.as_str());
    // A refusal of a local program closes the gate of its cloud, so it must hold there too.
    let clouds = cloud.map(|cloud| AccountRef { provider: cloud.into(), account: account.account.clone() });
    let mut repeated = None;
    for (number, of) in std::iter::once(&account).chain(&clouds).enumerate() {
        let standing = holding(AccountAt::new(view, of, sighting.at))?;
        let is_of_account = |one: &QuotaExhausted| one.provider == refused.provider && one.account == refused.account;
        let mut same = standing
            .into_iter()
            .filter(|one| is_of_account(&one.refused) && sighting.repeats(refused, &one.refused, one.at));
        let found = same.find(|one| number == 0 || repeated == Some(one.position));
        repeated = found.map(|one| one.position);
        if repeated.is_none() {
            break;
        }
    }
    if repeated.is_some() || sighting.at >= now {
        return Ok(repeated);
    }
    // An output that is scanned again may be dated earlier than it was the first time.
    let later = (sighting.at.plus(1), now);
    let subject = Subject::Account(account);
    each_event_between(view, EventKind::QuotaExhausted, &subject, later, Order::Ascending, &mut |indexed| {
        if let Payload::QuotaExhausted(one) = &indexed.event.payload {
            let is_same = sighting.repeats(refused, one, indexed.event.occurred_at);
            repeated = is_same.then_some(indexed.position);
        }
        if repeated.is_some() { STOP } else { GO_ON }
    })?;
    Ok(repeated)
}

impl Ledger {
    /// Records a refusal. Without a key, the same words about the same models are one event while it holds: with the same
    /// absolute reset, or within an hour. With a key, the first event of the key counts.
    pub(crate) fn refuse(
        &self,
        mut refused: QuotaExhausted,
        sighting: RefusalSighting<'_>,
        now: Timestamp,
    ) -> Result<Outcome> {
        let source = self.source.clone();
        self.transact(now, |appender| {
            let view = appender.view()?;
            refused.account = account_meant(view, refused.provider.as_str(), refused.account.take())?;
            let id = sighting.id(&refused);
            let first = view.position_of(id)?;
            if let (Some(_), Some(position)) = (sighting.key, first) {
                return Ok(Outcome::Existing { position, id });
            }
            if sighting.key.is_none()
                && let Some(position) = repeated(view, &refused, sighting, now)?
            {
                return Outcome::existing(view, position);
            }
            let event = NewEvent::new(refused, sighting.at).source(source);
            // The id of an event that no longer holds is taken.
            appender.push(if first.is_none() { event.id(id) } else { event })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{EventId, UsageOverridden, WindowKind};
    use crate::model::provider::ProviderId;
    use crate::model::time::MINUTE;

    const NOW: Timestamp = Timestamp::from_millis(1_795_467_600_000);

    fn refused(reset: Option<i64>, model: Option<&str>) -> QuotaExhausted {
        let mut refused = QuotaExhausted::new(ProviderId::new("anthropic").unwrap(), "session-limit", "it is used up");
        refused.resets_at = reset.map(|minutes| NOW.plus(minutes * MINUTE));
        refused.model = model.map(str::to_owned);
        refused
    }

    /// Records a sighting, and returns its position.
    fn see(ledger: &Ledger, refused: QuotaExhausted, is_absolute: bool, minutes: i64) -> u64 {
        let at = NOW.plus(minutes * MINUTE);
        let sighting = RefusalSighting { at, is_absolute, key: None };
        ledger.refuse(refused, sighting, at).unwrap().position().get()
    }

    fn gated(ledger: &Ledger, minutes: i64) -> bool {
        ledger.budget("anthropic", NOW.plus(minutes * MINUTE)).unwrap().gated
    }

    #[test]
    fn a_refusal_that_holds_is_recorded_once() {
        let ledger = Ledger::in_memory().unwrap();
        assert_eq!(see(&ledger, refused(Some(360), None), true, 0), 1);
        assert_eq!(see(&ledger, refused(Some(360), None), true, 300), 1);
        assert_eq!(see(&ledger, refused(Some(361), None), true, 300), 2, "another reset");
        assert_eq!(see(&ledger, refused(Some(360), Some("opus")), true, 300), 3, "another scope");
        assert_eq!(see(&ledger, refused(Some(360), Some("sonnet")), true, 300), 4);
    }

    #[test]
    fn a_wait_counted_from_now_is_recorded_once_within_an_hour_while_it_holds() {
        let ledger = Ledger::in_memory().unwrap();
        assert_eq!(see(&ledger, refused(Some(20), None), false, 0), 1);
        assert_eq!(see(&ledger, refused(Some(35), None), false, 15), 1);
        assert!(!gated(&ledger, 45));
        assert_eq!(see(&ledger, refused(Some(65), None), false, 45), 2, "the first one is over");
        assert!(gated(&ledger, 46));
        // One without a reset holds for five hours, and each hour's sighting begins them again.
        let ledger = Ledger::in_memory().unwrap();
        assert_eq!([0, 59, 60, 110].map(|minutes| see(&ledger, refused(None, None), false, minutes)), [1, 1, 2, 2]);
    }

    #[test]
    fn a_refusal_after_an_override_or_a_withdrawal_counts() {
        let ledger = Ledger::in_memory().unwrap();
        see(&ledger, refused(Some(360), None), true, 0);
        let provider = ProviderId::new("anthropic").unwrap();
        let word = UsageOverridden::new(provider, WindowKind::Session, "0".parse().unwrap(), "me", "it is open");
        ledger.override_with(word, NOW.plus(10 * MINUTE)).unwrap();
        assert!(!gated(&ledger, 11));
        assert_eq!(see(&ledger, refused(Some(360), None), true, 15), 3);
        assert!(gated(&ledger, 16));
        ledger.void(ledger.event(3).unwrap().id, "misread", NOW.plus(17 * MINUTE)).unwrap();
        assert!(!gated(&ledger, 18));
        assert_eq!(see(&ledger, refused(Some(360), None), true, 19), 5);
        assert!(gated(&ledger, 20));
    }

    #[test]
    fn a_refusal_of_a_clock_that_is_ahead_hides_none() {
        let ledger = Ledger::in_memory().unwrap();
        assert_eq!(see(&ledger, refused(Some(360), None), true, 60), 1);
        assert_eq!(see(&ledger, refused(Some(360), None), true, 5), 2);
        assert!(gated(&ledger, 6));
        // The output of that time, dated earlier, is the same sighting.
        let early = RefusalSighting { at: NOW, is_absolute: true, key: None };
        let again = ledger.refuse(refused(Some(360), None), early, NOW.plus(7 * MINUTE)).unwrap();
        assert_eq!(again.position().get(), 2);
    }

    #[test]
    fn the_first_event_of_a_key_counts() {
        let ledger = Ledger::in_memory().unwrap();
        let sighting = |key| RefusalSighting { at: NOW, is_absolute: false, key: Some(key) };
        let see = |key| ledger.refuse(refused(None, None), sighting(key), NOW).unwrap();
        let first = see("a");
        assert_eq!(first.id(), EventId::from_key("anthropic", "quota-exhausted\0a"));
        assert_eq!((see("a").position().get(), see("b").position().get()), (1, 2));
    }
}
