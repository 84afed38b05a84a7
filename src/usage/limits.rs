//! The current settings of a provider account: limits, weights, policies, metering.

use super::AccountAt;
use crate::model::error::Result;
use crate::model::event::{
    AccountRef, BudgetMode, EventKind, LimitSetting, Payload, Position, SessionPolicy, Subject, Thresholds,
    WeeklyPolicy, Weights, WindowKind,
};
use crate::model::provider::ProviderId;
use crate::model::time::SECOND;
use crate::projection::{IndexedEvent, events_latest_first};

/// The default of the seed system: a reading is fresh for a quarter of an hour.
const STALE_AFTER_SECONDS: u32 = 900;

/// The settings of one account at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub budget_mode: Option<(BudgetMode, Position)>,
    pub thresholds: Option<(Thresholds, Position)>,
    pub stale_after_seconds: Option<u32>,
    pub feeds: Option<String>,
    pub session: Option<(u64, Position)>,
    pub weekly: Option<(u64, Position)>,
    pub weights: Weights,
    pub session_policy: SessionPolicy,
    pub weekly_policy: WeeklyPolicy,
}

impl Limits {
    /// The settings at `now`. For each setting the latest event applies, the account's own before the provider's.
    pub fn at(at: AccountAt<'_>) -> Result<Self> {
        let mut limits = Self::default();
        let mut settled: Vec<LimitSetting> = Vec::new();
        for indexed in settings(at, EventKind::LimitSet)? {
            let Payload::LimitSet(set) = indexed.event.payload else { continue };
            if set.project.is_some() {
                continue;
            }
            let mut take = |setting: LimitSetting, named: bool| {
                let fresh = (named || set.unset.contains(&setting)) && !settled.contains(&setting);
                if fresh {
                    settled.push(setting);
                }
                fresh && named
            };
            if take(LimitSetting::Session, set.session.is_some()) {
                limits.session = set.session.map(|tokens| (tokens, indexed.position));
            }
            if take(LimitSetting::Weekly, set.weekly.is_some()) {
                limits.weekly = set.weekly.map(|tokens| (tokens, indexed.position));
            }
            if take(LimitSetting::Weights, set.weights.is_some())
                && let Some(weights) = set.weights
            {
                limits.weights = weights;
            }
            if take(LimitSetting::SessionPolicy, set.session_policy.is_some())
                && let Some(policy) = set.session_policy
            {
                limits.session_policy = policy;
            }
            if take(LimitSetting::WeeklyPolicy, set.weekly_policy.is_some())
                && let Some(policy) = set.weekly_policy
            {
                limits.weekly_policy = policy;
            }
            if take(LimitSetting::BudgetMode, set.budget_mode.is_some()) {
                limits.budget_mode = set.budget_mode.map(|mode| (mode, indexed.position));
            }
            if take(LimitSetting::Thresholds, set.thresholds.is_some()) {
                limits.thresholds = set.thresholds.map(|at| (at, indexed.position));
            }
            if take(LimitSetting::StaleAfter, set.stale_after_seconds.is_some()) {
                limits.stale_after_seconds = set.stale_after_seconds;
            }
            if take(LimitSetting::Feeds, set.feeds.is_some()) {
                limits.feeds.clone_from(&set.feeds);
            }
        }
        Ok(limits)
    }

    /// How long an observation is fresh, in milliseconds.
    pub fn stale_after(&self) -> i64 {
        i64::from(self.stale_after_seconds.unwrap_or(STALE_AFTER_SECONDS)) * SECOND
    }

    /// Whether the readings of a feed count.
    pub fn trusts(&self, feed: &str) -> bool {
        match self.feeds.as_deref() {
            None | Some("any") => true,
            Some(one) => one == feed,
        }
    }

    /// The limit of a window and the event that set it.
    pub const fn of(&self, kind: WindowKind) -> Option<(u64, Position)> {
        match kind {
            WindowKind::Session => self.session,
            WindowKind::Weekly => self.weekly,
        }
    }
}

/// Settings of an account, then those of its provider, each latest first.
pub(super) fn settings(AccountAt { view, account, now }: AccountAt<'_>, kind: EventKind) -> Result<Vec<IndexedEvent>> {
    let mut settings = events_latest_first(view, kind, &Subject::Account(account.clone()), now)?;
    if account.account.is_some() {
        let provider = AccountRef { provider: account.provider.clone(), account: None };
        settings.extend(events_latest_first(view, kind, &Subject::Account(provider), now)?);
    }
    Ok(settings)
}

/// Whether an account has a quota, whether that is declared, and the event that declares it. An undeclared provider
/// counts as metered, because a wrong guess then costs no money.
pub(crate) fn is_metered(at: AccountAt<'_>) -> Result<(bool, bool, Option<Position>)> {
    if let Some(indexed) = settings(at, EventKind::ProviderDeclared)?.into_iter().next()
        && let Payload::ProviderDeclared(declared) = indexed.event.payload
    {
        return Ok((declared.metered, true, Some(indexed.position)));
    }
    let known = ProviderId::new(&at.account.provider).ok().and_then(|id| id.known());
    Ok((known.is_none_or(|known| known.metered), known.is_some(), None))
}
