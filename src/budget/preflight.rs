//! A check before a run with the caller's probe, whose success is valid for a while.

use super::known::{expect_known, on_the_account_meant};
use super::{RefusalSighting, RunRequest};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{
    AccountRef, BudgetMode, EventKind, NewEvent, Payload, QuotaExhausted, QuotaObserved, Subject,
};
use crate::model::time::Timestamp;
use crate::projection::each_event;
use crate::store::{Order, STOP};
use crate::usage::{AccountAt, Limits, PROBE, covers, is_metered};

/// The result of a probe.
///
/// ```
/// use usage_ledger::budget::Probe;
/// let refused = Probe::Exhausted { excerpt: "429".to_owned(), resets_at: None };
/// assert_ne!(refused, Probe::Available);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// The provider is available.
    Available,
    /// The provider refuses for lack of quota.
    Exhausted {
        /// Its message.
        excerpt: String,
        /// When it resets, if stated.
        resets_at: Option<Timestamp>,
    },
    /// The provider refuses one model, or the models of a family, for lack of quota.
    ModelExhausted {
        /// The model or the family, such as `opus`.
        model: String,
        /// Its message.
        excerpt: String,
        /// When it resets, if stated.
        resets_at: Option<Timestamp>,
    },
    /// The probe itself failed or timed out, so the quota is unknown.
    Failed(String),
}

/// The result of a check before a run.
///
/// ```
/// use usage_ledger::{Ledger, budget::{Probe, RunRequest}, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let request = RunRequest::new("openai")?;
/// let first = ledger.preflight(&request, 10 * MINUTE, now, || Probe::Available)?;
/// let again = ledger.preflight(&request, 10 * MINUTE, now.plus(9 * MINUTE), || unreachable!("it is known"))?;
/// assert!(first.ok && first.probed && again.ok && !again.probed);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preflight {
    /// Whether the run may start.
    pub ok: bool,
    /// Whether the probe was run.
    pub probed: bool,
}

/// Whether a probe succeeded within the last `ttl` milliseconds.
fn known_good(AccountAt { view, account, now }: AccountAt<'_>, ttl: i64) -> Result<bool> {
    let mut good = false;
    each_event(
        view,
        EventKind::QuotaObserved,
        &Subject::Account(account.clone()),
        now,
        Order::Descending,
        &mut |indexed| {
            let recent = now.millis() - indexed.event.occurred_at.millis() < ttl;
            good = recent && matches!(&indexed.event.payload, Payload::QuotaObserved(seen) if seen.feed == PROBE);
            if recent && !good { crate::store::GO_ON } else { STOP }
        },
    )?;
    Ok(good)
}

impl Ledger {
    /// Checks before a run: calls `probe`, unless the provider is never gated or a probe succeeded within the last
    /// `ttl` milliseconds. The result of the probe is recorded as an event, so it outlives the process.
    ///
    /// A failing probe does not prevent the run, because the quota is then unknown. A refusal of one model prevents the run
    /// of that model, and a run that names none, because the probe stands for it.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`](crate::Error::UnknownProvider) as for a gate, and the store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::{RunRequest, Probe}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let refused = || Probe::Exhausted { excerpt: "429 Too Many Requests".to_owned(), resets_at: None };
    /// assert!(!ledger.preflight(&RunRequest::new("openai")?, 0, now, refused)?.ok);
    /// assert!(ledger.budget("openai", now)?.gated); // it is remembered
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn preflight(
        &self,
        request: &RunRequest,
        ttl: i64,
        now: impl Into<Timestamp>,
        probe: impl FnOnce() -> Probe,
    ) -> Result<Preflight> {
        let now = now.into();
        let request = {
            let snapshot = self.snapshot()?;
            expect_known(snapshot.view(), request)?;
            let request = on_the_account_meant(snapshot.view(), request)?;
            let account = AccountRef::new(request.provider.as_str(), request.account.as_deref());
            let at = AccountAt::new(snapshot.view(), &account, now);
            let mode = Limits::at(at)?.budget_mode.map(|(mode, _)| mode);
            let never_gated = mode == Some(BudgetMode::Disabled) || !is_metered(at)?.0;
            if never_gated || known_good(at, ttl)? {
                return Ok(Preflight { ok: true, probed: false });
            }
            request
        };
        let (provider, account) = (request.provider, request.account);
        let (model, excerpt, resets_at) = match probe() {
            Probe::Available => {
                let seen = QuotaObserved {
                    provider,
                    account,
                    window_minutes: 0,
                    scope: None,
                    used_percent: None,
                    resets_at: None,
                    status: Some("allowed".to_owned()),
                    feed: PROBE.to_owned(),
                };
                self.append([NewEvent::new(seen, now)], now)?;
                return Ok(Preflight { ok: true, probed: true });
            }
            Probe::Exhausted { excerpt, resets_at } => (None, excerpt, resets_at),
            Probe::ModelExhausted { model, excerpt, resets_at } => (Some(model), excerpt, resets_at),
            Probe::Failed(why) => {
                tracing::warn!(provider = provider.as_str(), why, "the probe failed: the run goes on");
                return Ok(Preflight { ok: true, probed: true });
            }
        };
        let concerns = |refused: &String| request.model.as_ref().is_none_or(|model| covers(refused, model));
        let ok = !model.as_ref().is_none_or(concerns);
        let refused = QuotaExhausted { provider, account, model, resets_at, rule: PROBE.to_owned(), excerpt };
        // A probe does not tell whether its reset counts from now.
        self.refuse(refused, RefusalSighting { at: now, is_absolute: false, key: None }, now)?;
        Ok(Preflight { ok, probed: true })
    }
}
