//! Reservations: tokens set aside before a call, so that a burst of callers cannot pass a limit together.

use super::{Ledger, Outcome};
use crate::error::{Error, Result};
use crate::event::{
    BudgetMode, BudgetReleased, BudgetReserved, BudgetSettled, Event, EventId, NewEvent, Payload, Position, TokenRecord,
};
use crate::projection::AccountRef;
use crate::provider::ProviderId;
use crate::store::View;
use crate::time::Timestamp;
use crate::usage::{LONGEST, Limits, Reservation, WindowUsage, is_closed, provider_usage};

/// What is left of a window in limit tokens, before reservations; `None` when that is not known.
fn left(window: &WindowUsage) -> Option<u64> {
    let limit = window.limit?;
    let said = window.percent.map_or(0, |used| u128::from(limit) * u128::from(used.hundredths()) / 10_000);
    let used = window.weighted.max(u64::try_from(said).unwrap_or(u64::MAX));
    Some(limit.saturating_sub(used))
}

/// Refuses what the windows that gate, less what is reserved already, cannot bear.
fn check(view: &dyn View, account: &AccountRef<'_>, tokens: u64, now: Timestamp) -> Result<()> {
    let usage = provider_usage(view, account, now, &[])?;
    let mode = Limits::at(view, account, now)?.budget_mode.map(|(mode, _)| mode).unwrap_or_default();
    if !usage.metered || mode == BudgetMode::Disabled {
        return Ok(());
    }
    let windows = [("session", &usage.session, true), ("weekly", &usage.weekly, mode == BudgetMode::Full)];
    let over = |name: &'static str, left: u64, resets_at| Error::OverBudget {
        provider: usage.provider.clone(),
        window: name,
        asked: tokens,
        left,
        resets_at,
    };
    if let Some(refused) = &usage.exhausted {
        return Err(over("provider's own", 0, Some(refused.until)));
    }
    for (name, window, _) in windows.into_iter().filter(|(_, _, counts)| *counts) {
        if let Some(left) = left(window) {
            let left = left.saturating_sub(usage.reserved);
            if tokens > left {
                return Err(over(name, left, window.resets_at));
            }
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
    /// [`Error::OverBudget`] when the call does not fit, [`Error::Invalid`] for no tokens or a `ttl` outside
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
    /// assert_eq!(ledger.sight()?.account("openai", Some("work"), now)?.reserved, 700);
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
        self.transact(now.into(), |appender| {
            // Callers' clocks differ; the ledger's own order is the one that counts.
            let now = appender.recorded_at();
            let view = appender.view()?;
            check(view, &AccountRef::new(provider.as_str(), account), tokens, now)?;
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
        self.transact(now.into(), |appender| {
            let now = appender.recorded_at();
            let reserved = open(appender.view()?, reservation, now)?;
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
        self.transact(now.into(), |appender| {
            let now = appender.recorded_at();
            open(appender.view()?, reservation, now)?;
            let released = BudgetReleased { reservation, reason: reason.to_owned() };
            appender.push(NewEvent::new(released, now).source(source))
        })
    }
}

fn id_at(view: &dyn View, position: Position) -> Result<EventId> {
    Ok(Event::from_line(position, &view.expect_line(position)?)?.id)
}

/// A reservation that was neither settled nor released.
fn open(view: &dyn View, id: EventId, now: Timestamp) -> Result<BudgetReserved> {
    let missing = || Error::NotFound { what: format!("with id {id} that reserves tokens") };
    let position = view.position_of(id)?.ok_or_else(missing)?;
    let event = Event::from_line(position, &view.expect_line(position)?)?;
    let Payload::BudgetReserved(reserved) = event.payload else { return Err(missing()) };
    if is_closed(view, id, event.occurred_at, now)? {
        return Err(Error::invalid(format!("reservation {id} was settled or released already")));
    }
    Ok(reserved)
}
