//! The commands of a ledger: calls, switches, corrections and settings, each an event.

use super::group::SMALL;
use super::seals::{current_seals, refuse_overlap, restored_seal};
use super::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{
    Event, EventId, EventVoided, LimitSet, NewEvent, Payload, PriceSet, ProviderDeclared, ProviderSwitched,
    TokenRecord, TokensAmended,
};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::{correction_of, corrections_of};
use crate::usage::{active_provider, last_switch};

impl Ledger {
    /// Appends events, all or none of them. An existing event is returned, not appended again.
    ///
    /// `now` is the clock. `recorded_at` never decreases, even if the clock does.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::InvalidProvider`] for a malformed event, [`Error::Conflict`] if an id or key
    /// already has other content, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, event::NewEvent};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let call = || NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1).key("resp_1"), now);
    /// let outcomes = ledger.append([call(), call()], now)?;
    /// assert!(outcomes[0].is_new() && !outcomes[1].is_new());
    /// assert_eq!(outcomes[0].id(), outcomes[1].id());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn append(
        &self,
        events: impl IntoIterator<Item = NewEvent>,
        now: impl Into<Timestamp>,
    ) -> Result<Vec<Outcome>> {
        let (mut events, now) = (events.into_iter(), now.into());
        let first: Vec<NewEvent> = events.by_ref().take(SMALL + 1).collect();
        if first.len() <= SMALL {
            return self.append_small(first, now);
        }
        self.try_append(first.into_iter().chain(events).map(Ok), now)
    }

    /// Like [`append`](Self::append), for a stream of events that may fail; nothing is written then.
    pub(crate) fn try_append(
        &self,
        events: impl IntoIterator<Item = Result<NewEvent>>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.transact(now, |appender| appender.push_all(events))
    }

    pub(super) fn append_one(&self, payload: impl Into<Payload>, now: Timestamp) -> Result<Outcome> {
        let event = NewEvent::new(payload, now).source(self.source.clone());
        match self.append_small(vec![event], now)?.as_slice() {
            [outcome] => Ok(*outcome),
            other => Err(bug!("{} outcomes of one event", other.len())),
        }
    }

    /// Records the tokens of a call that ended now.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let outcome = ledger.record(TokenRecord::new("openai", "gpt-5").input(30).output(12), now)?;
    /// assert!(outcome.is_new());
    /// assert_eq!(ledger.provider("openai", now)?.all_time.tokens.total(), 42);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn record(&self, record: TokenRecord, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(record, now.into())
    }

    /// Records a switch to another provider. No counter changes.
    ///
    /// A switch to the provider of the last switch adds nothing.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed id, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(100), now)?;
    /// ledger.switch_provider("ollama", "rate limited", now)?;
    /// assert_eq!(ledger.status(now)?.active_provider.as_deref(), Some("ollama"));
    /// assert_eq!(ledger.provider("anthropic", now)?.session.usage.tokens.total(), 100); // not reset
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn switch_provider(&self, to: &str, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        self.switch_provider_at(to, reason, now, now)
    }

    /// Records a switch to another provider at another time than now.
    ///
    /// # Errors
    /// As for [`switch_provider`](Self::switch_provider).
    pub(crate) fn switch_provider_at(
        &self,
        to: &str,
        reason: &str,
        at: impl Into<Timestamp>,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        self.switch_with(None, ProviderSwitched::to(to)?.because(reason), at.into(), now.into())
    }

    /// Like [`switch_provider_at`](Self::switch_provider_at), with the caller's own id. Repeating the call returns the
    /// same switch, even after later switches.
    ///
    /// # Errors
    /// As for [`switch_provider`](Self::switch_provider), and [`Error::Conflict`] if another event has the id.
    #[cfg(feature = "cli")]
    pub(crate) fn switch_provider_as(
        &self,
        id: EventId,
        to: &str,
        reason: &str,
        at: impl Into<Timestamp>,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        self.switch_with(Some(id), ProviderSwitched::to(to)?.because(reason), at.into(), now.into())
    }

    fn switch_with(
        &self,
        id: Option<EventId>,
        mut switch: ProviderSwitched,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Outcome> {
        let source = self.source.clone();
        self.transact(now, |appender| {
            let view = appender.view()?;
            if let Some(id) = id
                && let Some(position) = view.position_of(id)?
            {
                return match Event::from_line(position, &view.expect_line(position)?)?.payload {
                    Payload::ProviderSwitched(known) if known.to == switch.to && known.reason == switch.reason => {
                        Ok(Outcome::Existing { position, id })
                    }
                    _ => Err(Error::Conflict { id, position }),
                };
            }
            if let Some(last) = last_switch(view, at)?
                && last.switch.to == switch.to
            {
                return Outcome::existing(view, last.position);
            }
            let from = active_provider(view, at)?.filter(|from| from != switch.to.as_str());
            switch.from = from.map(|from| crate::ProviderId::new(&from)).transpose()?;
            appender.push(NewEvent { id, ..NewEvent::new(switch, at).source(source) })
        })
    }

    /// Replaces the content of a token record. The original event stays.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing event, [`Error::NotAmendable`] if it is not a token record.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(100), now)?;
    /// let wrong = ledger.event(1)?.id;
    /// ledger.amend(wrong, TokenRecord::new("openai", "gpt-5").input(10), "a typing error", now)?;
    /// assert_eq!(ledger.provider("openai", now)?.all_time.tokens.total(), 10);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn amend(
        &self,
        target: EventId,
        replacement: TokenRecord,
        reason: &str,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        let now = now.into();
        let source = self.source.clone();
        self.transact(now, |appender| {
            let event = find(appender.view()?, target)?;
            if !matches!(event.payload, Payload::TokensRecorded(_)) {
                return Err(Error::NotAmendable { id: target, kind: event.payload.kind() });
            }
            let amend = TokensAmended { target, reason: reason.to_owned(), at: None, replacement };
            appender.push(NewEvent::new(amend, now).source(source))
        })
    }

    /// Withdraws an event of any kind. The original event stays. Voiding a void restores the event; voiding a voided
    /// event adds nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing event, [`Error::Invalid`] for an `event_shredded`, [`Error::AlreadySealed`] if it
    /// restores a seal whose period overlaps another.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let call = ledger.event(1)?.id;
    /// ledger.void(call, "a test call", now)?;
    /// assert_eq!(ledger.provider("openai", now)?.all_time.requests, 0);
    /// let withdrawal = ledger.event(2)?.id;
    /// ledger.void(withdrawal, "it was real after all", now)?;
    /// assert_eq!(ledger.provider("openai", now.plus(1))?.all_time.requests, 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn void(&self, target: EventId, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        let source = self.source.clone();
        self.transact(now, |appender| {
            appender.read_ahead(&mut |view| {
                let found = view.position_of(target).map(drop);
                found.and(corrections_of(view, target).map(drop))
            })?;
            let event = find(appender.view()?, target)?;
            if matches!(event.payload, Payload::EventShredded(_)) {
                return Err(Error::invalid("what was shredded is gone: that cannot be withdrawn"));
            }
            // A correction must be later than its target and than an amendment that applies, whatever the clock shows.
            let mut at = if event.payload.corrects().is_some() { now.max(event.occurred_at.plus(1)) } else { now };
            match correction_of(appender.view()?, &event)? {
                Some(standing) if standing.void => return Outcome::existing(appender.view()?, standing.position),
                Some(standing) => at = at.max(standing.at.plus(1)),
                None => {}
            }
            if let Some(sealed) = restored_seal(appender.view()?, &event)? {
                let seals = current_seals(appender.view()?, Timestamp::MAX)?;
                refuse_overlap(&seals, sealed.since, sealed.until)?;
            }
            let void = EventVoided { target, reason: reason.to_owned() };
            appender.push(NewEvent::new(void, at).source(source))
        })
    }

    /// Sets limits, weights or window policies of a provider account.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid setting.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::LimitSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
    /// assert_eq!(ledger.provider("openai", now)?.session.limit, Some(1_000));
    /// assert!(ledger.set_limit(LimitSet::new("openai")?.session(0), now).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn set_limit(&self, limit: LimitSet, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(limit, now.into())
    }

    /// Sets the price of a model's tokens.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative price, and for one that does not begin at a full quarter of an hour.
    ///
    /// ```
    /// use usage_ledger::{Ledger, event::PriceSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_price(PriceSet::new("openai", "gpt-5", "1.25".parse()?, "10".parse()?)?, now)?;
    /// assert!(ledger.set_price(PriceSet::new("openai", "gpt-5", "-1".parse()?, "10".parse()?)?, now).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn set_price(&self, price: PriceSet, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(price, now.into())
    }

    /// Declares whether a provider has a quota.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, ProviderId, event::ProviderDeclared};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let provider = ProviderId::new("my-gateway")?;
    /// ledger.declare(ProviderDeclared::new(provider, false), now)?;
    /// assert!(!ledger.budget("my-gateway", now)?.metered);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn declare(&self, declaration: ProviderDeclared, now: impl Into<Timestamp>) -> Result<Outcome> {
        self.append_one(declaration, now.into())
    }
}

fn find(view: &dyn crate::store::ReadView, id: EventId) -> Result<Event> {
    let position = view.position_of(id)?.ok_or_else(|| Error::NotFound { what: format!("with id {id}") })?;
    Event::from_line(position, &view.expect_line(position)?)
}
