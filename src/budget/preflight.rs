//! A look before a run: a probe of the caller's, whose good answer holds for a while.

use super::Ask;
use super::known::expect_known;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{BudgetMode, EventKind, NewEvent, Payload, QuotaExhausted, QuotaObserved};
use crate::model::time::Timestamp;
use crate::projection::{AccountRef, Subject, facts};
use crate::store::{Order, ReadView, STOP};
use crate::usage::{Limits, is_metered};

/// The feed that a probe's good answer is kept under.
const FEED: &str = "probe";

/// What a probe came back with.
///
/// ```
/// use usage_ledger::budget::Probe;
/// let refused = Probe::Exhausted { excerpt: "429".to_owned(), resets_at: None };
/// assert_ne!(refused, Probe::Available);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The provider answers.
    Available,
    /// It refuses for lack of quota.
    Exhausted {
        /// Its words.
        excerpt: String,
        /// When it says it resets.
        resets_at: Option<Timestamp>,
    },
    /// The probe itself failed or took too long: that says nothing about the quota.
    Failed(String),
}

/// What came of a look before a run.
///
/// ```
/// use usage_ledger::{Ledger, budget::{Ask, Preflight, Probe}, time::MINUTE};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let ask = Ask::new("openai")?;
/// let first = ledger.preflight(&ask, 10 * MINUTE, now, || Probe::Available)?;
/// let again = ledger.preflight(&ask, 10 * MINUTE, now.plus(9 * MINUTE), || unreachable!("it is known"))?;
/// assert_eq!((first, again), (Preflight { ok: true, probed: true }, Preflight { ok: true, probed: false }));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// Whether to go on.
    pub ok: bool,
    /// Whether the probe was run.
    pub probed: bool,
}

/// Whether a probe came back well within `ttl` milliseconds.
fn known_good(view: &dyn ReadView, account: &AccountRef<'_>, ttl: i64, now: Timestamp) -> Result<bool> {
    let mut good = false;
    facts(view, EventKind::QuotaObserved, &Subject::Account(account.clone()), now, Order::Descending, &mut |fact| {
        let recent = now.millis() - fact.event.occurred_at.millis() < ttl;
        good = recent && matches!(&fact.event.payload, Payload::QuotaObserved(seen) if seen.feed == FEED);
        if recent && !good { crate::store::GO_ON } else { STOP }
    })?;
    Ok(good)
}

impl Ledger {
    /// Looks before a run: asks `probe` unless the provider is never gated, or answered well within the last `ttl`
    /// milliseconds. What the probe says is kept as an event, so the answer outlives the process.
    ///
    /// A probe that fails lets the run go on: it says nothing about the quota.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`](crate::Error::UnknownProvider) as for a gate, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::{Ask, Probe}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let refused = || Probe::Exhausted { excerpt: "429 Too Many Requests".to_owned(), resets_at: None };
    /// assert!(!ledger.preflight(&Ask::new("openai")?, 0, now, refused)?.ok);
    /// assert!(ledger.budget("openai", now)?.gated); // it is remembered
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn preflight(
        &self,
        ask: &Ask,
        ttl: i64,
        now: impl Into<Timestamp>,
        probe: impl FnOnce() -> Probe,
    ) -> Result<Preflight> {
        let now = now.into();
        let account = AccountRef::new(ask.provider.as_str(), ask.account.as_deref());
        {
            let snapshot = self.snapshot()?;
            expect_known(snapshot.view(), ask)?;
            let mode = Limits::at(snapshot.view(), &account, now)?.budget_mode.map(|(mode, _)| mode);
            let never_gated = mode == Some(BudgetMode::Disabled) || !is_metered(snapshot.view(), &account, now)?.0;
            if never_gated || known_good(snapshot.view(), &account, ttl, now)? {
                return Ok(Preflight { ok: true, probed: false });
            }
        }
        let (provider, of) = (ask.provider.clone(), ask.account.clone());
        let (event, ok): (Payload, bool) = match probe() {
            Probe::Available => {
                let seen = QuotaObserved {
                    provider,
                    account: of,
                    window_minutes: 0,
                    scope: None,
                    used_percent: None,
                    resets_at: None,
                    status: Some("allowed".to_owned()),
                    feed: FEED.to_owned(),
                };
                (seen.into(), true)
            }
            Probe::Exhausted { excerpt, resets_at } => {
                let rule = FEED.to_owned();
                (QuotaExhausted { provider, account: of, model: None, resets_at, rule, excerpt }.into(), false)
            }
            Probe::Failed(why) => {
                tracing::warn!(provider = provider.as_str(), why, "the probe failed: the run goes on");
                return Ok(Preflight { ok: true, probed: true });
            }
        };
        self.append([NewEvent::new(event, now)], now)?;
        Ok(Preflight { ok, probed: true })
    }
}
