//! Reservations: tokens set aside before a call, so that a burst of callers cannot pass a limit together.

use super::decide::decide;
use super::evidence::Evidence;
use super::known::{expect_known, on_the_account_meant};
use super::{Ask, Mode};
use crate::ledger::Ledger;
use crate::model::error::{Error, Result};
use crate::model::event::{BudgetMode, BudgetReserved, Event, EventId, NewEvent, Payload};
use crate::model::time::Timestamp;
use crate::projection::AccountRef;
use crate::store::ReadView;
use crate::usage::{LONGEST, Reservation, WindowUsage, reservations};

/// What is left of a window in limit tokens, before reservations; `None` when that is not known.
fn left(window: &WindowUsage) -> Option<u64> {
    let limit = window.limit?;
    let used = u128::from(limit) * u128::from(window.used()?.hundredths()) / 10_000;
    // Nothing is left of a window that is used beyond its limit.
    Some(u128::from(limit).checked_sub(used).and_then(|left| u64::try_from(left).ok()).unwrap_or(0))
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
    /// [`Error::Gated`] when the gate is shut, [`Error::OverBudget`] when the call does not fit, [`Error::Invalid`] for no
    /// tokens or a `ttl` outside 1 ms to a day, [`Error::InvalidProvider`] for a malformed id, [`Error::UnknownProvider`] for
    /// one that is in no catalogue, event or declaration, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, event::LimitSet, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
    /// ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// let refused = ledger.reserve("openai", 700, 10 * MINUTE, now).unwrap_err();
    /// assert!(matches!(refused, Error::OverBudget { left: 300, .. }));
    /// ledger.reserve("openai", 700, 10 * MINUTE, now.plus(10 * MINUTE))?; // the first has lapsed
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve(&self, provider: &str, tokens: u64, ttl: i64, now: impl Into<Timestamp>) -> Result<Reservation> {
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
    /// let ledger = Ledger::in_memory()?;
    /// ledger.reserve_for("openai", Some("work"), 700, MINUTE, now)?;
    /// assert_eq!(ledger.snapshot()?.account("openai", Some("work"), now)?.reserved, 700);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve_for(
        &self,
        provider: &str,
        account: Option<&str>,
        tokens: u64,
        ttl: i64,
        now: impl Into<Timestamp>,
    ) -> Result<Reservation> {
        let mut ask = Ask::new(provider)?;
        ask.account = account.map(str::to_owned);
        self.reserve_run(&ask, tokens, ttl, now)
    }

    /// As [`reserve`](Self::reserve), for a run with a model, a tier or a mode that it needs: what shuts the gate for such a
    /// run refuses the reservation too. It is made with the provider that serves the model.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::Ask, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.reserve_run(&Ask::new("ollama")?.model("qwen3.5:cloud"), 700, MINUTE, now)?;
    /// assert_eq!(ledger.provider("ollama-cloud", now)?.reserved, 700);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve_run(&self, ask: &Ask, tokens: u64, ttl: i64, now: impl Into<Timestamp>) -> Result<Reservation> {
        self.reserve_with(None, ask, tokens, ttl, now.into())
    }

    /// As [`reserve_run`](Self::reserve_run), under an id of the caller's. A caller that got no answer repeats the call: the
    /// reservation that was made already is found, whatever became of the gate since.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve), and [`Error::Conflict`] when the id is that of another event or of a reservation for
    /// another provider, account or number of tokens.
    ///
    /// ```
    /// use usage_ledger::{EventId, Ledger, budget::Ask, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let (id, ask) = (EventId::from_key("my-agent", "call 7"), Ask::new("openai")?);
    /// let first = ledger.reserve_as(id, &ask, 700, MINUTE, now)?;
    /// assert_eq!(ledger.reserve_as(id, &ask, 700, MINUTE, now.plus(1))?, first);
    /// assert_eq!(ledger.provider("openai", now)?.reserved, 700);
    /// assert!(ledger.reserve_as(id, &ask, 701, MINUTE, now).is_err());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve_as(
        &self,
        id: EventId,
        ask: &Ask,
        tokens: u64,
        ttl: i64,
        now: impl Into<Timestamp>,
    ) -> Result<Reservation> {
        self.reserve_with(Some(id), ask, tokens, ttl, now.into())
    }

    fn reserve_with(
        &self,
        id: Option<EventId>,
        ask: &Ask,
        tokens: u64,
        ttl: i64,
        now: Timestamp,
    ) -> Result<Reservation> {
        if tokens == 0 || !(1..=LONGEST).contains(&ttl) {
            return Err(Error::invalid("a reservation is of at least 1 token, for 1 ms to 24 hours"));
        }
        let source = self.source.clone();
        self.transact(now, |appender| {
            if let Some(id) = id
                && let Some(made) = made_before(appender.view()?, id, ask, tokens)?
            {
                return Ok(made);
            }
            // Callers' clocks differ: it must fit by this one's, and by the ledger's, which is the latest of them all.
            let latest = appender.recorded_at();
            let view = appender.view()?;
            expect_known(view, ask)?;
            let ask = on_the_account_meant(view, ask)?;
            check(view, &ask, tokens, now)?;
            if latest > now {
                check(view, &ask, tokens, latest)?;
            }
            let expires_at = now.plus(ttl);
            let (provider, account) = (ask.provider, ask.account);
            let reserved = BudgetReserved { provider, account, tokens, expires_at };
            let event = NewEvent { id, ..NewEvent::new(reserved, now).source(source) };
            let outcome = appender.push(event)?;
            Ok(Reservation { id: outcome.id(), position: outcome.position(), tokens, expires_at })
        })
    }
}

/// The reservation that an id stands for already.
fn made_before(view: &dyn ReadView, id: EventId, ask: &Ask, tokens: u64) -> Result<Option<Reservation>> {
    let Some(position) = view.position_of(id)? else { return Ok(None) };
    match Event::from_line(position, &view.expect_line(position)?)?.payload {
        Payload::BudgetReserved(made)
            if made.provider == ask.provider
                && made.tokens == tokens
                && (ask.account.is_none() || made.account == ask.account) =>
        {
            Ok(Some(Reservation { id, position, tokens, expires_at: made.expires_at }))
        }
        _ => Err(Error::Conflict { id, position }),
    }
}
