//! `reserve`, `settle`, `release`: reserve tokens before a call.

use serde::Serialize;

use super::call::Call;
use super::input::{ReleaseInput, ReserveInput, named};
use crate::budget::RunRequest;
use crate::ledger::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{BudgetReserved, EventId, Payload};
use crate::model::humanize::duration::read_duration;
use crate::model::time::{MINUTE, Timestamp};
use crate::model::tokens::MAX_COUNT;
use crate::present::output::AppendReceipt;
use crate::usage::Reservation;

/// Default lifetime of a reservation in milliseconds.
const TTL: i64 = 10 * MINUTE;
/// Default reason of a release.
pub(crate) const NO_CALL: &str = "the call did not happen";

/// A reservation and its provider.
#[derive(Serialize)]
pub(crate) struct ReservedAnswer {
    pub provider: String,
    #[serde(flatten)]
    pub reservation: Reservation,
}

/// Reserves tokens.
pub(crate) fn reserve(ledger: &Ledger, input: &ReserveInput, now: Timestamp) -> Result<ReservedAnswer> {
    let mut request = RunRequest::new(&input.provider)?.tier(input.tier.unwrap_or_default().into());
    if let Some(account) = named("account", input.account.as_deref())? {
        request = request.account(account);
    }
    if let Some(model) = named("model", input.model.as_deref())? {
        request = request.model(model);
    }
    if input.allow_undeclared {
        request = request.allow_undeclared();
    }
    if input.tokens > MAX_COUNT {
        return Err(Error::invalid(format!("`tokens` is {}: it must be 1 to {MAX_COUNT}", input.tokens)));
    }
    let ttl = match &input.ttl {
        None => TTL,
        Some(text) => read_duration(text).map_err(Error::invalid)?,
    };
    make(ledger, &request, input.tokens, ttl, named("key", input.key.as_deref())?, now)
}

/// Reserves tokens for at most `ttl` milliseconds. A key makes the call idempotent.
pub(crate) fn make(
    ledger: &Ledger,
    request: &RunRequest,
    tokens: u64,
    ttl: i64,
    key: Option<&str>,
    now: Timestamp,
) -> Result<ReservedAnswer> {
    let provider = request.provider().as_str().to_owned();
    let reservation = match key {
        // This id cannot collide with the id of a record, because no provider id contains a slash.
        Some(key) => {
            ledger.reserve_as(EventId::from_key(&format!("{provider}/reserve"), key), request, tokens, ttl, now)?
        }
        None => ledger.reserve_run(request, tokens, ttl, now)?,
    };
    Ok(ReservedAnswer { provider, reservation })
}

/// Returns the reservation with an id.
pub(crate) fn reserved(ledger: &Ledger, id: EventId) -> Result<BudgetReserved> {
    let position = ledger.snapshot()?.position(id)?;
    match ledger.event(position)?.payload {
        Payload::BudgetReserved(reserved) => Ok(reserved),
        _ => Err(Error::invalid(format!("event {id} reserves nothing: give the id that `reserve` returned"))),
    }
}

/// Settles a reservation with the record of its call.
pub(crate) fn settle(ledger: &Ledger, body: &[u8], now: Timestamp) -> Result<AppendReceipt> {
    let call = Call::parse(body)?;
    let reservation = call
        .reservation
        .ok_or_else(|| Error::invalid("`reservation` is missing: give the id that `reserve` returned"))?;
    if call.id.is_some() {
        return Err(Error::invalid("`id` is not taken here: name the record by `key`"));
    }
    let reserved = reserved(ledger, reservation)?;
    let (source, occurred_at) = (call.source.clone(), call.occurred_at);
    let (record, nested) = call.records(Some(&reserved.provider))?;
    let named = source.map(|source| ledger.clone().source(source));
    let reporter = named.as_ref().unwrap_or(ledger);
    let at = occurred_at.unwrap_or(now);
    let outcome = reporter.settle_with_nested(reservation, record, nested, at, now)?;
    receipt(ledger, outcome)
}

/// Releases a reservation.
pub(crate) fn release(ledger: &Ledger, input: &ReleaseInput, now: Timestamp) -> Result<AppendReceipt> {
    let reason = input.reason.as_deref().unwrap_or(NO_CALL);
    let outcome = ledger.release(input.reservation.parse()?, reason, now)?;
    receipt(ledger, outcome)
}

fn receipt(ledger: &Ledger, outcome: Outcome) -> Result<AppendReceipt> {
    let id = ledger.event(outcome.position())?.id;
    Ok(AppendReceipt::one(outcome, id))
}
