use serde::Serialize;

use super::{Verdict, decide};
use crate::error::Result;
use crate::ledger::{Ledger, Sight};
use crate::projection::AccountRef;
use crate::time::Timestamp;
use crate::usage::{ProviderUsage, Switch, accounts, active_provider, provider_usage, switches};

/// A provider account with the decision for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderStatus {
    /// What it has used.
    #[serde(flatten)]
    pub usage: ProviderUsage,
    /// Whether a run may start on it.
    pub budget: Verdict,
}

/// Everything at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The provider worked with.
    pub active_provider: Option<String>,
    /// Every provider account that has records, settings or is active.
    pub providers: Vec<ProviderStatus>,
    /// How often work moved from one provider to another.
    pub switches: usize,
    /// The switches themselves, earliest first.
    pub timeline: Vec<Switch>,
}

impl Sight<'_> {
    /// Everything at a glance.
    ///
    /// # Errors
    /// The store's own.
    pub fn status(&self, now: impl Into<Timestamp>) -> Result<Status> {
        let (view, now) = (self.view(), now.into());
        let timeline = switches(view, now)?;
        let active_provider = active_provider(view, now)?;
        let mut known = accounts(view)?;
        if let Some(active) = &active_provider
            && known.iter().all(|account| account.provider != *active)
        {
            known.push(AccountRef::new(active, None).into_owned());
            known.sort_unstable();
        }
        let mut providers = Vec::new();
        for account in &known {
            let usage = provider_usage(view, account, now, &timeline)?;
            let budget = decide(&usage);
            providers.push(ProviderStatus { usage, budget });
        }
        Ok(Status {
            active_provider,
            providers,
            switches: timeline.iter().filter(|switch| switch.switch.from.is_some()).count(),
            timeline,
        })
    }

    /// May I run on this provider?
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id, and the store's own.
    pub fn budget(&self, provider: &str, now: impl Into<Timestamp>) -> Result<Verdict> {
        Ok(decide(&self.provider(provider, now)?))
    }
}

impl Ledger {
    /// May I run on this provider?
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id, and the store's own.
    pub fn budget(&mut self, provider: &str, now: impl Into<Timestamp>) -> Result<Verdict> {
        self.sight()?.budget(provider, now)
    }

    /// Everything at a glance.
    ///
    /// # Errors
    /// The store's own.
    pub fn status(&mut self, now: impl Into<Timestamp>) -> Result<Status> {
        self.sight()?.status(now)
    }
}
