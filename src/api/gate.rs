//! `gate`: whether a run may start.

use super::input::{GateInput, named};
use crate::budget::Ask;
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::usage::active_provider;

impl GateInput {
    /// Converts the input. The default provider is the active one.
    pub fn ask(&self, snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Ask> {
        let provider = match named("provider", self.provider.as_deref())? {
            Some(provider) => provider.to_owned(),
            None => active_provider(snapshot.view(), now)?.ok_or_else(|| {
                Error::invalid("no provider is active yet: name one, as in `usage-ledger gate anthropic`")
            })?,
        };
        let mut ask =
            Ask::new(&provider)?.tier(self.tier.unwrap_or_default().into()).need(self.need.unwrap_or_default().into());
        if self.allow_undeclared {
            ask = ask.allow_undeclared();
        }
        if let Some(account) = named("account", self.account.as_deref())? {
            ask = ask.account(account);
        }
        if let Some(model) = named("model", self.model.as_deref())? {
            ask = ask.model(model);
        }
        Ok(ask)
    }
}
