//! `gate`: whether a run may start.

use serde::Serialize;

use super::confirmed::{self, ConfirmedSpend};
use super::input::{GateInput, named};
use crate::budget::{RunRequest, Verdict};
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::time::{Timestamp, Zone};
use crate::present::costs;
use crate::usage::{Cost, active_provider};

impl GateInput {
    /// Converts the input. The default provider is the active one.
    pub fn request(&self, snapshot: &Snapshot<'_>, now: Timestamp) -> Result<RunRequest> {
        let provider = match named("provider", self.provider.as_deref())? {
            Some(provider) => provider.to_owned(),
            None => active_provider(snapshot.view(), now)?.ok_or_else(|| {
                Error::invalid("no provider is active yet: name one, as in `usage-ledger gate anthropic`")
            })?,
        };
        let mut request = RunRequest::new(&provider)?
            .tier(self.tier.unwrap_or_default().into())
            .need(self.need.unwrap_or_default().into());
        if self.allow_undeclared {
            request = request.allow_undeclared();
        }
        if let Some(account) = named("account", self.account.as_deref())? {
            request = request.account(account);
        }
        if let Some(model) = named("model", self.model.as_deref())? {
            request = request.model(model);
        }
        if let Some(project) = named("project", self.project.as_deref())? {
            request = request.project(project);
        }
        Ok(request)
    }
}

/// A decision, and what the account's calls cost.
#[derive(Serialize)]
pub(crate) struct PricedVerdict {
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Of the calls in the session window.
    cost: Cost,
    /// Of the calls in the weekly window.
    cost_weekly: Cost,
    /// Of the calls since midnight.
    cost_today: Cost,
    /// The share of spend that recorded statements confirm: of the account, or of the provider.
    confirmed: Option<ConfirmedSpend>,
}

/// Adds what the account's calls cost to a decision.
pub(crate) fn priced(snapshot: &Snapshot<'_>, verdict: Verdict, zone: Zone, now: Timestamp) -> Result<PricedVerdict> {
    let account = (verdict.provider.as_str(), verdict.account.as_deref());
    let usage = costs::usage(snapshot, account, now)?;
    let cost_today = costs::today(snapshot, account, zone, now)?;
    let confirmed = of_account(snapshot, &verdict, now)?;
    let (cost, cost_weekly) = (usage.session.usage.cost, usage.weekly.usage.cost);
    Ok(PricedVerdict { verdict, cost, cost_weekly, cost_today, confirmed })
}

/// The share of an account's spend that statements confirm. Statements about the account come before those about all
/// accounts of its provider.
pub(crate) fn of_account(snapshot: &Snapshot<'_>, verdict: &Verdict, now: Timestamp) -> Result<Option<ConfirmedSpend>> {
    let mut found = confirmed::confirmed(snapshot, Some(&verdict.provider), now)?;
    found.retain(|one| one.account.is_none() || one.account == verdict.account);
    Ok(found.pop())
}
