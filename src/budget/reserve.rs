//! Reservations: tokens set aside before a call, so that a burst of callers cannot pass a limit together.

use super::decide::decide;
use super::evidence::Evidence;
use super::{Ask, Mode};
use crate::ledger::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{
    BudgetMode, BudgetReleased, BudgetReserved, BudgetSettled, Event, EventId, NewEvent, Payload, Position, TokenRecord,
};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::projection::AccountRef;
use crate::store::ReadView;
use crate::usage::{LONGEST, Reservation, WindowUsage, is_closed, reservations};

/// What is left of a window in limit tokens, before reservations; `None` when that is not known.
fn left(window: &WindowUsage) -> Option<u64> {
    let limit = window.limit?;
    let used = u128::from(limit) * u128::from(window.used()?.hundredths()) / 10_000;
    Some(limit.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX)))
}

/// Refuses when the gate is shut, and what the windows that gate, less what is reserved already, cannot bear.
fn check(view: &dyn ReadView, ask: &Ask, tokens: u64, now: Timestamp) -> Result<()> {
    let account = AccountRef::new(ask.provider.as_str(), ask.account.as_deref());
    let mut evidence = Evidence::gather(view, &account, &[], now)?;
    // What is reserved counts in tokens below; in the ladder it would shut the gate before the limit is reached.
    evidence.usage.reserved = 0;
    let verdict = decide(&evidence, ask);
    if verdict.gated {
        return Err(Error::Gated {
            provider: verdict.provider,
            reason: verdict.reason,
            resumes_at: verdict.resumes_at,
        });
    }
    if !verdict.metered || verdict.budget_mode == BudgetMode::Disabled {
        return Ok(());
    }
    debug_assert!(verdict.mode > Mode::Wait, "a metered provider that is to wait is gated");
    // Reservations of callers whose clocks are ahead count too.
    let held = reservations(view, &account, now, Timestamp::MAX)?;
    let held = held.iter().fold(0_u64, |sum, one| sum.saturating_add(one.tokens));
    let usage = &evidence.usage;
    let full = verdict.budget_mode == BudgetMode::Full;
    for (name, window, counts) in [("session", &usage.session, true), ("weekly", &usage.weekly, full)] {
        let Some(left) = left(window).filter(|_| counts) else { continue };
        let left = left.saturating_sub(held);
        if tokens > left {
            return Err(Error::OverBudget {
                provider: usage.provider.clone(),
                window: name,
                asked: tokens,
                left,
                resets_at: window.resets_at,
            });
        }
    }
    Ok(())
}

impl Ledger {
    /// Sets limit tokens aside for a call, for at most `ttl` milliseconds, if the windows that gate can bear it.
    ///
    /// Checking and reserving are one transaction: callers that ask at once can never pass a limit together. One that
    /// dies keeps its tokens until they lapse. Without a known limit everything is granted, and counted.
    ///
    /// # Errors
    /// [`Error::Gated`] when the gate is shut, [`Error::OverBudget`] when the call does not fit, [`Error::Invalid`] for no tokens or a `ttl` outside
    /// 1 ms to a day, [`Error::InvalidProvider`] for a malformed id, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, event::LimitSet, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
    /// ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// let refused = ledger.reserve("openai", 700, 10 * MINUTE, now).unwrap_err();
    /// assert!(matches!(refused, Error::OverBudget { left: 300, .. }));
    /// ledger.reserve("openai", 700, 10 * MINUTE, now.plus(10 * MINUTE))?; // the first has lapsed
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve(&mut self, provider: &str, tokens: u64, ttl: i64, now: impl Into<Timestamp>) -> Result<Reservation> {
        self.reserve_for(provider, None, tokens, ttl, now)
    }

    /// As [`reserve`](Self::reserve), for an account.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// ledger.reserve_for("openai", Some("work"), 700, MINUTE, now)?;
    /// assert_eq!(ledger.snapshot()?.account("openai", Some("work"), now)?.reserved, 700);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve_for(
        &mut self,
        provider: &str,
        account: Option<&str>,
        tokens: u64,
        ttl: i64,
        now: impl Into<Timestamp>,
    ) -> Result<Reservation> {
        if tokens == 0 || !(1..=LONGEST).contains(&ttl) {
            return Err(Error::invalid("a reservation is of at least 1 token, for 1 ms to 24 hours"));
        }
        let provider = ProviderId::resolve(provider)?;
        let source = self.source.clone();
        let now = now.into();
        let mut ask = Ask::new(provider.as_str())?;
        ask.account = account.map(str::to_owned);
        self.transact(now, |appender| {
            // Callers' clocks differ: it must fit by this one's, and by the ledger's, which is the latest of them all.
            let latest = appender.recorded_at();
            let view = appender.view()?;
            check(view, &ask, tokens, now)?;
            if latest > now {
                check(view, &ask, tokens, latest)?;
            }
            let expires_at = now.plus(ttl);
            let reserved = BudgetReserved { provider, account: account.map(str::to_owned), tokens, expires_at };
            let outcome = appender.push(NewEvent::new(reserved, now).source(source))?;
            let position = outcome.position();
            Ok(Reservation { id: id_at(appender.view()?, position)?, position, tokens, expires_at })
        })
    }

    /// Ends a reservation with the record of its call, both in one transaction.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such reservation, [`Error::Invalid`] when it was settled or released
    /// already or is of another provider, and as [`record`](Self::record). One that lapsed can still be settled:
    /// the tokens were used.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// let reservation = ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// ledger.settle(reservation.id, TokenRecord::new("openai", "gpt-5").input(512), now)?;
    /// let usage = ledger.provider("openai", now)?;
    /// assert_eq!((usage.reserved, usage.all_time.tokens.total()), (0, 512));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn settle(&mut self, reservation: EventId, record: TokenRecord, now: impl Into<Timestamp>) -> Result<Outcome> {
        let source = self.source.clone();
        let now = now.into();
        self.transact(now, |appender| {
            let reserved = open(appender.view()?, reservation)?;
            if reserved.provider.as_str() != record.provider {
                return Err(Error::invalid(format!(
                    "the reservation is for {}, the record for {}: settle it with the record of its own call",
                    reserved.provider, record.provider
                )));
            }
            let outcome = appender.push(NewEvent::new(record, now).source(source.clone()))?;
            let record = Some(id_at(appender.view()?, outcome.position())?);
            let settled = BudgetSettled { reservation, record };
            appender.push(NewEvent::new(settled, now).source(source))?;
            Ok(outcome)
        })
    }

    /// Gives a reservation back: its call did not happen, or is recorded by another feed.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such reservation, [`Error::Invalid`] when it was settled or released.
    ///
    /// ```
    /// use usage_ledger::{Ledger, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let mut ledger = Ledger::in_memory()?;
    /// let reservation = ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// ledger.release(reservation.id, "the call timed out", now)?;
    /// assert_eq!(ledger.provider("openai", now)?.reserved, 0);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn release(&mut self, reservation: EventId, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let source = self.source.clone();
        let now = now.into();
        self.transact(now, |appender| {
            open(appender.view()?, reservation)?;
            let released = BudgetReleased { reservation, reason: reason.to_owned() };
            appender.push(NewEvent::new(released, now).source(source))
        })
    }
}

fn id_at(view: &dyn ReadView, position: Position) -> Result<EventId> {
    Ok(Event::from_line(position, &view.expect_line(position)?)?.id)
}

/// A reservation that was neither settled nor released.
fn open(view: &dyn ReadView, id: EventId) -> Result<BudgetReserved> {
    let missing = || Error::NotFound { what: format!("with id {id} that reserves tokens") };
    let position = view.position_of(id)?.ok_or_else(missing)?;
    let event = Event::from_line(position, &view.expect_line(position)?)?;
    let Payload::BudgetReserved(reserved) = event.payload else { return Err(missing()) };
    if is_closed(view, id, event.occurred_at)? {
        return Err(Error::invalid(format!("reservation {id} was settled or released already")));
    }
    Ok(reserved)
}
