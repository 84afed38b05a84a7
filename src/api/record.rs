//! `record`: records one call or many.

use serde::Serialize;

use super::call::Call;
use super::json_line::JsonLine;
use crate::ledger::{Appender, Ledger, Outcome, is_ahead};
use crate::model::error::{Error, Result};
use crate::model::event::{NewEvent, Position};
use crate::model::invariant::bug;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::decision_text::withdrawal;
use crate::present::output::{AppendReceipt, grouped};
use crate::readers::normalise::NO_USAGE;

/// Number of records by result.
#[derive(Default, Serialize)]
pub(crate) struct RecordTally {
    pub recorded: u64,
    pub duplicates: u64,
    /// The first record of the transaction.
    #[serde(skip)]
    first: Option<Position>,
}

impl RecordTally {
    /// Adds a record to a transaction.
    pub fn push(&mut self, appender: &mut Appender<'_>, line: JsonLine, source: &str, now: Timestamp) -> Result<()> {
        let mut event = NewEvent::new(line.record, line.occurred_at.unwrap_or(now)).source(source.to_owned());
        event.id = line.id;
        match appender.push(event) {
            Ok(Outcome::Appended { position, .. }) => {
                self.recorded += 1;
                self.first = self.first.or(Some(position));
            }
            Ok(Outcome::Existing { .. }) => self.duplicates += 1,
            // Nothing of this transaction is written, so there is no event to amend.
            Err(Error::Conflict { id, position }) if self.first.is_some_and(|first| position >= first) => {
                return Err(Error::invalid(format!(
                    "an earlier record of this input has the same key or id ({id}) with other content: leave one of them \
                     out, or give them different keys"
                )));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Records one call and its nested calls. The receipt is that of the outer call; its warnings name suspicious values.
pub(crate) fn record_one(
    ledger: &Ledger,
    event: NewEvent,
    nested: impl IntoIterator<Item = NewEvent>,
    now: Timestamp,
) -> Result<(Outcome, AppendReceipt)> {
    let crate::model::event::Payload::TokensRecorded(record) = &event.payload else {
        return Err(Error::invalid("only the tokens of a call are recorded here"));
    };
    let at = event.occurred_at;
    let (implausible, provider) = (record.tokens.implausible(), record.provider.to_string());
    let states_no_usage = record.residual.as_deref().is_some_and(|residual| residual.ends_with(NO_USAGE));
    let outcome = match ledger.append(std::iter::once(event).chain(nested), now)?.as_slice() {
        [outcome, ..] => *outcome,
        [] => return Err(bug!("no outcome for one appended record")),
    };
    let position = outcome.position();
    let mut receipt = AppendReceipt::one(outcome, ledger.event(position)?.id);
    receipt.warnings.extend(hint(&provider, ledger, now)?);
    receipt.warnings.extend(ahead(position, at, now));
    if states_no_usage {
        receipt
            .warnings
            .push(format!("position {position}: {NO_USAGE}; the server of this response does not report it"));
    }
    if let Some((class, count)) = implausible {
        receipt.warnings.push(format!(
            "position {position}: {} {} tokens is implausible; if it is wrong: {}",
            grouped(count),
            class.name(),
            withdrawal(position)
        ));
    }
    Ok((outcome, receipt))
}

/// Records a call that a program sends.
pub(crate) fn record_sent(ledger: &Ledger, body: &[u8], now: Timestamp) -> Result<AppendReceipt> {
    let call = Call::parse(body)?;
    if call.reservation.is_some() {
        return Err(Error::invalid("`reservation` is not taken here: end a reservation with `settle`"));
    }
    let (id, occurred_at) = (call.id, call.occurred_at);
    let source = call.source.clone().map_or_else(|| ledger.source.clone(), Into::into);
    let (record, nested) = call.records(None)?;
    let event = |record| NewEvent::new(record, occurred_at.unwrap_or(now)).source(source.clone());
    let (_, receipt) = record_one(ledger, NewEvent { id, ..event(record) }, nested.into_iter().map(event), now)?;
    Ok(receipt)
}

/// Returns a warning if an event states a time in the future.
pub(super) fn ahead(position: Position, at: Timestamp, now: Timestamp) -> Option<String> {
    is_ahead(at, now).then(|| {
        format!(
            "position {position}: the time {at} is in the future, so it counts only from then on; if it is wrong: usage-ledger void \
             {position} --reason TEXT"
        )
    })
}

/// Returns a warning if the provider is undeclared and similar to a known one.
pub(crate) fn hint(provider: &str, ledger: &Ledger, now: Timestamp) -> Result<Option<String>> {
    if let Some(near) = ProviderId::new(provider)?.near_miss()
        && !ledger.provider(provider, now)?.declared
    {
        return Ok(Some(format!(
            "hint: `{provider}` is not in the catalogue and was taken as it is; did you mean `{near}`? \
             If not, declare it: usage-ledger provider declare {provider} --metered"
        )));
    }
    Ok(None)
}
