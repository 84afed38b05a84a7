//! Reservations: tokens that are set aside before a call, so that concurrent callers cannot exceed a limit together.

use super::counted::windows;
use super::decide::decide;
use super::evidence::Evidence;
use super::known::{expect_known, requests_meant};
use super::project::{ProjectRequests, with_project};
use super::status::strictness;
use super::{Mode, RunRequest, Verdict, money_windows};
use crate::ledger::{Ledger, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, BudgetMode, BudgetReserved, Event, EventId, NewEvent, Payload};
use crate::model::invariant::{bug, invariant};
use crate::model::time::Timestamp;
use crate::store::ReadView;
use crate::usage::{AccountAt, LONGEST, Reservation, ReservationEnd, WindowUsage, closing, reservations};

/// The remaining limit tokens of a window, before reservations; `None` if unknown.
fn left(window: &WindowUsage) -> Option<u128> {
    let limit = u128::from(window.limit?);
    let used = limit * u128::from(window.used()?.hundredths()) / 10_000;
    // Nothing remains of a window whose usage exceeds its limit.
    Some(limit.saturating_sub(used))
}

/// The decision for a request. Refuses if the gate is closed, or if the gating windows, minus open reservations, have
/// too few tokens.
fn check(view: &dyn ReadView, request: &RunRequest, tokens: u64, now: Timestamp) -> Result<Verdict> {
    let account = AccountRef::new(request.provider.as_str(), request.account.as_deref());
    let at = AccountAt::new(view, &account, now);
    let mut evidence = Evidence::gather(at, &[])?;
    // Reservations count in tokens below. In the ladder they would close the gate before the limit is reached.
    evidence.usage.reserved = 0;
    evidence.money = money_windows(&Snapshot::of_transaction(view), &account, now)?;
    let verdict = decide(&evidence, request);
    if verdict.gated {
        return Err(Error::Gated {
            provider: verdict.provider,
            reason: verdict.reason,
            resumes_at: verdict.resumes_at,
        });
    }
    if !verdict.metered || verdict.budget_mode == BudgetMode::Disabled {
        return Ok(verdict);
    }
    invariant!(verdict.mode > Mode::Wait, "a metered provider that is to wait is gated");
    // Reservations of callers whose clocks are ahead also count.
    let reserved = reservations(at, Timestamp::MAX)?;
    let reserved = reserved.iter().map(|one| u128::from(one.tokens)).sum::<u128>();
    let usage = &evidence.usage;
    let weekly_counts = windows(&evidence, request, verdict.budget_mode).weekly_counts;
    for (name, window, counts) in [("session", &usage.session, true), ("weekly", &usage.weekly, weekly_counts)] {
        let Some(left) = left(window).filter(|_| counts) else { continue };
        // Open reservations may exceed what is left, because usage that was not reserved counts too.
        let left = left.saturating_sub(reserved);
        if u128::from(tokens) > left {
            let left =
                u64::try_from(left).map_err(|_| bug!("{left} tokens are left of a limit of {:?}", window.limit))?;
            return Err(Error::OverBudget {
                provider: usage.provider.clone(),
                window: name,
                requested: tokens,
                left,
                resets_at: window.resets_at,
            });
        }
    }
    Ok(verdict)
}

impl Ledger {
    /// Reserves limit tokens for a call, for at most `ttl` milliseconds, if the gating windows have enough.
    ///
    /// The check and the reservation are one transaction, so concurrent callers cannot exceed a limit together. The
    /// tokens of a caller that dies become free when they expire. Without a known limit every reservation is granted,
    /// and counted.
    ///
    /// # Errors
    /// [`Error::Gated`] if the gate is closed, [`Error::OverBudget`] if the call does not fit, [`Error::Invalid`] for
    /// no tokens or a `ttl` outside 1 ms to a day, [`Error::InvalidProvider`] for a malformed id,
    /// [`Error::UnknownProvider`] for one that is in no catalogue, event or declaration, and the store's own errors.
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

    /// Like [`reserve`](Self::reserve), for an account.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
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
        let mut request = RunRequest::new(provider)?;
        request.account = account.map(str::to_owned);
        self.reserve_run(&request, tokens, ttl, now)
    }

    /// Like [`reserve`](Self::reserve), for a run with a model, a tier or a needed mode: whatever closes the gate for
    /// such a run also refuses the reservation. It is made with the provider that serves the model.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve).
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::RunRequest, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.reserve_run(&RunRequest::new("ollama")?.model("qwen3.5:cloud"), 700, MINUTE, now)?;
    /// assert_eq!(ledger.provider("ollama-cloud", now)?.reserved, 700);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn reserve_run(
        &self,
        request: &RunRequest,
        tokens: u64,
        ttl: i64,
        now: impl Into<Timestamp>,
    ) -> Result<Reservation> {
        self.reserve_with(None, request, tokens, ttl, now.into())
    }

    /// Like [`reserve_run`](Self::reserve_run), with the caller's own id. A caller without an answer repeats the call
    /// and gets the existing reservation, whatever the gate is now.
    ///
    /// # Errors
    /// As for [`reserve`](Self::reserve), and [`Error::Conflict`] if another event, or a reservation for another
    /// provider, account or number of tokens, has the id.
    #[cfg(feature = "cli")]
    pub(crate) fn reserve_as(
        &self,
        id: EventId,
        request: &RunRequest,
        tokens: u64,
        ttl: i64,
        now: impl Into<Timestamp>,
    ) -> Result<Reservation> {
        self.reserve_with(Some(id), request, tokens, ttl, now.into())
    }

    fn reserve_with(
        &self,
        id: Option<EventId>,
        request: &RunRequest,
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
                && let Some(made) = made_before(appender.view()?, id, request, tokens, now)?
            {
                return Ok(made);
            }
            // Callers' clocks differ: it must fit at the caller's time, and at that of the ledger, which is the latest
            // of all.
            let latest = appender.recorded_at();
            let view = appender.view()?;
            expect_known(view, request)?;
            let ProjectRequests { requests, warning, .. } =
                with_project(&Snapshot::of_transaction(view), request, now)?;
            if let Some(warning) = warning {
                tracing::warn!(provider = request.provider.as_str(), "{warning}");
            }
            // The tokens must fit into every account that may be meant, and are held on the fullest.
            let mut fullest = None;
            let mut meant = Vec::new();
            for request in &requests {
                meant.extend(requests_meant(view, request)?);
            }
            for request in meant {
                let verdict = check(view, &request, tokens, now)?;
                if latest > now {
                    check(view, &request, tokens, latest)?;
                }
                let strictness = strictness(&verdict);
                if fullest.as_ref().is_none_or(|(known, _)| strictness < *known) {
                    fullest = Some((strictness, request));
                }
            }
            let (_, request) = fullest.ok_or_else(|| bug!("a request means no account"))?;
            let expires_at = now.plus(ttl);
            let (provider, account) = (request.provider, request.account);
            let reserved = BudgetReserved { provider, account, tokens, expires_at };
            let event = NewEvent { id, ..NewEvent::new(reserved, now).source(source) };
            let outcome = appender.push(event)?;
            Ok(Reservation { id: outcome.id(), position: outcome.position(), tokens, expires_at })
        })
    }
}

/// The reservation with an id, if it is open or its call was recorded: then the caller repeats what it did. It is an error
/// if the reservation differs, was released, or has expired.
fn made_before(
    view: &dyn ReadView,
    id: EventId,
    request: &RunRequest,
    tokens: u64,
    now: Timestamp,
) -> Result<Option<Reservation>> {
    let Some(position) = view.position_of(id)? else { return Ok(None) };
    let event = Event::from_line(position, &view.expect_line(position)?)?;
    let is_same = |made: &BudgetReserved| {
        made.provider == request.provider
            && made.tokens == tokens
            && (request.account.is_none() || made.account == request.account)
    };
    let made = match event.payload {
        Payload::BudgetReserved(made) if is_same(&made) => made,
        _ => return Err(Error::Conflict { id, position }),
    };
    let closing = closing(view, id, event.occurred_at)?;
    if let Some(ReservationEnd::Released(_)) = closing {
        return Err(Error::AlreadyReleased { reservation: id });
    }
    if closing.is_none() && made.expires_at <= now {
        return Err(Error::ReservationExpired { reservation: id, at: made.expires_at });
    }
    Ok(Some(Reservation { id, position, tokens, expires_at: made.expires_at }))
}
