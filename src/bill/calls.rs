//! The calls of the ledger that a statement can contain.

use std::collections::BTreeMap;

use crate::bill::model_name::model_key;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{EventId, SERVICE_TIER, TELEMETRY};
use crate::model::time::{DAY, Timestamp};
use crate::model::tokens::{TokenClass, Usd};
use crate::readers::price::Prices;
use crate::readers::statement::Class;

/// The time before a period of which calls are read too, in milliseconds. They show which machines are silent since.
pub(super) const BEFORE: i64 = 7 * DAY;

/// One call of the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerCall {
    pub at: Timestamp,
    pub provider: String,
    pub model: String,
    pub model_key: String,
    pub key: Option<String>,
    pub workspace: Option<String>,
    pub machine: Option<String>,
    pub tier: Option<String>,
    /// Why the agent made the call for itself, if it did.
    pub purpose: Option<String>,
    /// Telemetry alone reports the call.
    pub only_telemetry: bool,
    pub counts: [u64; 7],
    /// The price by the public list or by the user's own prices.
    pub cost: Option<Usd>,
    /// The ids of its natural keys: message, request and response ids.
    pub ids: Vec<EventId>,
}

impl LedgerCall {
    /// The tokens of a class of a statement.
    pub(crate) fn count(&self, class: Class) -> i128 {
        let parts = TokenClass::ALL.iter().zip(self.counts).filter(|(part, _)| class.parts().contains(part));
        parts.map(|(_, count)| i128::from(count)).sum()
    }
}

fn label(labels: &BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| labels.get(*name)).cloned()
}

/// The calls from one time up to another, of one account or of all, in the order of their times.
pub(super) fn calls(
    snapshot: &Snapshot<'_>,
    (since, until): (Timestamp, Timestamp),
    account: Option<&str>,
    prices: &Prices,
) -> Result<Vec<LedgerCall>> {
    let mut calls = Vec::new();
    snapshot.each_call_between(since, until, &mut |call| {
        let record = call.record;
        if account.is_some_and(|name| record.account.as_deref() != Some(name)) {
            return Ok(());
        }
        let model = record.model.clone().unwrap_or_default();
        calls.push(LedgerCall {
            at: call.at,
            provider: record.provider.to_string(),
            model_key: model_key(&model),
            model,
            key: label(&record.labels, &["api_key_id", "key_id", "api_key"]),
            workspace: label(&record.labels, &["workspace", "workspace_id"]),
            machine: label(&record.labels, &["machine", "host"]),
            tier: label(&record.labels, &[SERVICE_TIER]),
            purpose: label(&record.labels, &["purpose"]),
            only_telemetry: call.source == TELEMETRY,
            counts: record.tokens.counts(),
            cost: prices.cost(&record, call.at)?,
            ids: record.ids().collect(),
        });
        Ok(())
    })?;
    calls.sort_by_key(|call| call.at);
    Ok(calls)
}
