//! `switch`: marks the change to another provider.

use super::input::{SwitchInput, named};
use super::record::{ahead, hint};
use crate::ledger::{Ledger, Outcome};
use crate::model::error::Result;
use crate::model::event::EventId;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::clock::instant;
use crate::present::output::AppendReceipt;

/// Appends a switch.
pub(crate) fn switch(ledger: &Ledger, input: &SwitchInput, now: Timestamp) -> Result<(Outcome, AppendReceipt)> {
    let to = ProviderId::resolve(&input.provider)?;
    let reason = input.reason.as_deref().unwrap_or_default();
    let at = input.occurred_at.as_deref().map(instant).transpose()?.unwrap_or(now);
    let outcome = match named("key", input.key.as_deref())? {
        // This id cannot collide with the id of a record, because no provider id contains a slash.
        Some(key) => {
            ledger.switch_provider_as(EventId::from_key(&format!("{to}/switch"), key), to.as_str(), reason, at, now)?
        }
        None => ledger.switch_provider_at(to.as_str(), reason, at, now)?,
    };
    let id = ledger.event(outcome.position())?.id;
    let mut receipt = AppendReceipt::one(outcome, id);
    receipt.warnings.extend(hint(to.as_str(), ledger, now)?);
    receipt.warnings.extend(ahead(outcome.position(), at, now));
    Ok((outcome, receipt))
}
