use std::cmp::Reverse;

use serde::Serialize;

use super::decide::decide;
use super::evidence::Evidence;
use super::future::future_warnings;
use super::known::{expect_known, requests_meant};
use super::project::{ProjectRequests, with_project};
use super::{Mode, MoneyWindow, RunRequest, Verdict, money_windows, records};
use crate::ledger::{Ledger, Snapshot};
use crate::model::error::Result;
use crate::model::event::{AccountRef, Percent};
use crate::model::invariant::bug;
use crate::model::provider::cloud_of;
use crate::model::time::Timestamp;
use crate::store::ReadView;
use crate::usage::{
    AccountAt, Basis, Pause, ProviderUsage, Switch, accounts, active_provider, cloud_refusal, paused, sum_up, switches,
};

/// A provider account and its decision.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("ollama", "qwen3").input(9), now)?;
/// let ollama = &ledger.status(now)?.providers[0];
/// assert_eq!((ollama.usage.all_time.requests, ollama.budget.gated), (1, false));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProviderStatus {
    /// Its usage.
    #[serde(flatten)]
    pub usage: ProviderUsage,
    /// The amounts spent of its money limits, including those of projects.
    pub money: Vec<MoneyWindow>,
    /// The decision for it.
    pub budget: Verdict,
}

/// The state of all accounts.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(1), now)?;
/// ledger.switch_provider("ollama", "rate limited", now)?;
/// let status = ledger.status(now)?;
/// assert_eq!((status.active_provider.as_deref(), status.switches), (Some("ollama"), 1));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The pause that applies.
    pub paused: Option<Pause>,
    /// The active provider.
    pub active_provider: Option<String>,
    /// Every provider account that has records, settings or is active.
    pub providers: Vec<ProviderStatus>,
    /// The number of switches from one provider to another.
    pub switches: usize,
    /// The switches, earliest first.
    pub timeline: Vec<Switch>,
}

impl Snapshot<'_> {
    /// The state of all accounts.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{AsOf, Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.switch_provider("ollama", "", now)?;
    /// let before = ledger.as_of(AsOf::Position(1.into()))?;
    /// assert_eq!(before.status(now)?.active_provider.as_deref(), Some("openai"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn status(&self, now: impl Into<Timestamp>) -> Result<Status> {
        let (view, now) = (self.view(), now.into());
        let timeline = switches(view, now)?;
        let active_provider = active_provider(view, now)?;
        let mut selected_keys = accounts(view)?;
        if let Some(active) = &active_provider
            && selected_keys.iter().all(|account| account.provider != *active)
        {
            selected_keys.push(AccountRef::new(active, None).into_owned());
            selected_keys.sort_unstable();
        }
        for account in clouds_that_refuse(view, &selected_keys, now)? {
            selected_keys.push(account);
            selected_keys.sort_unstable();
        }
        let mut providers = Vec::new();
        for account in &selected_keys {
            let at = AccountAt::new(view, account, now);
            let mut evidence = Evidence::gather(at, &timeline)?;
            sum_up(at, &timeline, &mut evidence.usage)?;
            evidence.money = money_windows(self, account, now)?;
            let mut request = RunRequest::new(&account.provider)?;
            request.account = account.account.as_deref().map(str::to_owned);
            let budget = decide(&evidence, &request);
            providers.push(ProviderStatus { usage: evidence.usage, money: evidence.money, budget });
        }
        Ok(Status {
            paused: paused(view, now)?,
            active_provider,
            providers,
            switches: timeline.iter().filter(|switch| switch.switch.from.is_some()).count(),
            timeline,
        })
    }

    /// The account of a request and its decision, without the records that an estimate depends on. The usage of all
    /// time is summed only on request.
    pub(crate) fn provider_status(
        &self,
        request: &RunRequest,
        all_time: bool,
        now: Timestamp,
    ) -> Result<ProviderStatus> {
        let view = self.view();
        let account = AccountRef::new(request.provider.as_str(), request.account.as_deref());
        let timeline = switches(view, now)?;
        let at = AccountAt::new(view, &account, now);
        let mut evidence = Evidence::gather(at, &timeline)?;
        evidence.money = money_windows(self, &account, now)?;
        if all_time {
            sum_up(at, &timeline, &mut evidence.usage)?;
        }
        let budget = decide(&evidence, request);
        Ok(ProviderStatus { usage: evidence.usage, money: evidence.money, budget })
    }

    /// Like [`provider_status`](Self::provider_status). Of the accounts that a request without an account may mean, the
    /// one with the strictest decision.
    pub(crate) fn strictest_status(
        &self,
        request: &RunRequest,
        all_time: bool,
        now: Timestamp,
    ) -> Result<ProviderStatus> {
        let mut decisions = Vec::new();
        for request in requests_meant(self.view(), request)? {
            decisions.push(self.provider_status(&request, all_time, now)?);
        }
        let several = several_accounts(&decisions);
        let strictest = decisions.into_iter().min_by_key(|decision| strictness(&decision.budget));
        let mut strictest = strictest.ok_or_else(|| bug!("a request means no account"))?;
        strictest.budget.trail.extend(several);
        Ok(strictest)
    }

    /// Decides whether a run on this provider may start.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id,
    /// [`Error::UnknownProvider`](crate::Error::UnknownProvider) for one that is in no catalogue, event or declaration, and
    /// the store's own.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let verdict = ledger.snapshot()?.budget("openai", now)?;
    /// assert_eq!((verdict.gated, verdict.available_percent), (false, None)); // nothing is selected_keys yet
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn budget(&self, provider: &str, now: impl Into<Timestamp>) -> Result<Verdict> {
        self.gate(&RunRequest::new(provider)?, now)
    }

    /// Decides whether this run may start, and also reports missing information through `tracing`.
    ///
    /// Without an account the decision is that of the account without a name, if it has calls. Otherwise it is the
    /// strictest decision of the provider's accounts.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`](crate::Error::UnknownProvider) for a provider that is in no catalogue, event or declaration,
    /// unless the request [allows it](RunRequest::allow_undeclared), and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::{RunRequest, Mode, Tier}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let verdict = ledger.snapshot()?.gate(&RunRequest::new("openai")?.tier(Tier::Critical), now)?;
    /// assert_eq!((verdict.mode, verdict.warnings.len()), (Mode::Deep, 1)); // nothing is selected_keys, and it says so
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn gate(&self, request: &RunRequest, now: impl Into<Timestamp>) -> Result<Verdict> {
        let (view, now) = (self.view(), now.into());
        expect_known(view, request)?;
        let ProjectRequests { requests, step, warning } = with_project(self, request, now)?;
        let decisions =
            requests.iter().map(|request| self.strictest_status(request, false, now)).collect::<Result<Vec<_>>>()?;
        let strictest = decisions.into_iter().min_by_key(|decision| strictness(&decision.budget));
        let ProviderStatus { usage, budget: mut verdict, .. } =
            strictest.ok_or_else(|| bug!("a request means no project"))?;
        verdict.trail.splice(0..0, step);
        verdict.warnings.extend(warning);
        verdict.warnings.extend(future_warnings(self, request, now)?);
        for (window, counts) in
            [(&usage.session, true), (&usage.weekly, verdict.budget_mode == crate::model::event::BudgetMode::Full)]
        {
            if verdict.metered && counts && window.basis != Basis::Observed {
                let account = AccountRef::new(&usage.provider, usage.account.as_deref());
                if let Some(start) = window.started_at {
                    verdict.evidence.extend(records::latest(view, &account, start, now)?);
                }
            }
        }
        verdict.evidence.sort_unstable();
        verdict.evidence.dedup();
        for warning in &verdict.warnings {
            tracing::warn!(provider = verdict.provider, basis = verdict.basis.name(), "{warning}");
        }
        Ok(verdict)
    }
}

/// Orders decisions, the strictest first: the lowest mode, the longest wait, the least that is left.
pub(super) fn strictness(verdict: &Verdict) -> (Mode, Reverse<Option<Timestamp>>, bool, Option<Percent>) {
    let left = verdict.available_percent;
    (verdict.mode, Reverse(verdict.resumes_at), left.is_none(), left)
}

/// The step of a decision that selects one of several accounts.
fn several_accounts(decisions: &[ProviderStatus]) -> Option<String> {
    let name = |one: &ProviderStatus| one.usage.account.clone().unwrap_or_else(|| "the one without a name".to_owned());
    let names: Vec<String> = decisions.iter().map(name).collect();
    let several = names.len() > 1;
    several.then(|| format!("no account is named, so the strictest decision counts: {}", names.join(", ")))
}

/// Paid clouds whose refusals are recorded for the local program that forwards models to them, and that have no
/// records.
fn clouds_that_refuse(
    view: &dyn ReadView,
    selected_keys: &[AccountRef<'static>],
    now: Timestamp,
) -> Result<Vec<AccountRef<'static>>> {
    let mut clouds = Vec::new();
    for account in selected_keys {
        let Some(cloud) = cloud_of(&account.provider) else { continue };
        let cloud = AccountRef { provider: cloud.into(), account: account.account.clone() };
        if !selected_keys.contains(&cloud) && cloud_refusal(AccountAt::new(view, account, now))?.is_some() {
            clouds.push(cloud);
        }
    }
    Ok(clouds)
}

impl Ledger {
    /// Decides whether a run on this provider may start.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id,
    /// [`Error::UnknownProvider`](crate::Error::UnknownProvider) for one that is in no catalogue, event or declaration, and
    /// the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, budget::Mode, event::LimitSet};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.set_limit(LimitSet::new("openai")?.session(1_000), now)?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(900), now)?;
    /// let verdict = ledger.budget("openai", now)?;
    /// assert_eq!((verdict.mode, verdict.gated), (Mode::Wait, true)); // waiting begins at 76 % used
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn budget(&self, provider: &str, now: impl Into<Timestamp>) -> Result<Verdict> {
        self.snapshot()?.budget(provider, now)
    }

    /// Decides whether this run may start, like [`Snapshot::gate`].
    ///
    /// # Errors
    /// As for [`Snapshot::gate`].
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::RunRequest};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// assert!(!ledger.gate(&RunRequest::new("anthropic")?.account("work"), now)?.gated);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn gate(&self, request: &RunRequest, now: impl Into<Timestamp>) -> Result<Verdict> {
        self.snapshot()?.gate(request, now)
    }

    /// The state of all accounts.
    ///
    /// # Errors
    /// The store's own errors.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let status = ledger.status(now)?;
    /// assert_eq!((status.providers.len(), status.switches), (1, 0));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn status(&self, now: impl Into<Timestamp>) -> Result<Status> {
        self.snapshot()?.status(now)
    }
}
