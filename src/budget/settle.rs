//! Ends a reservation: its call is recorded, or did not happen.

use crate::ledger::{Appender, Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{
    BudgetReleased, BudgetReserved, BudgetSettled, Event, EventId, NewEvent, Payload, TokenRecord,
};
use crate::model::time::Timestamp;
use crate::store::ReadView;
use crate::usage::{ReservationEnd, closing};

impl Ledger {
    /// Ends a reservation and records its call, in one transaction. A record without an account gets that of the
    /// reservation.
    ///
    /// Settling again with the same record changes nothing, like recording a call twice.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such reservation, [`Error::Conflict`] when it was settled with another record,
    /// [`Error::Invalid`] when it was released or is of another provider or account, and as [`record`](Self::record). One
    /// that lapsed can still be settled: the tokens were used.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, Outcome, TokenRecord, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let reservation = ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// let call = TokenRecord::new("openai", "gpt-5").input(512);
    /// ledger.settle(reservation.id, call.clone(), now)?;
    /// let usage = ledger.provider("openai", now)?;
    /// assert_eq!((usage.reserved, usage.all_time.tokens.total()), (0, 512));
    /// assert!(!ledger.settle(reservation.id, call.clone(), now)?.is_new());
    /// let other = ledger.settle(reservation.id, call.output(1), now).unwrap_err();
    /// assert!(matches!(other, Error::Conflict { .. }));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn settle(&self, reservation: EventId, record: TokenRecord, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        self.settle_at(reservation, record, now, now)
    }

    /// Like [`settle`](Self::settle), for a call that ended at another time than now.
    ///
    /// # Errors
    /// As for [`settle`](Self::settle).
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let reservation = ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// let call = TokenRecord::new("openai", "gpt-5").input(512);
    /// ledger.settle_at(reservation.id, call, now.plus(MINUTE), now.plus(5 * MINUTE))?;
    /// assert_eq!(ledger.event(2)?.occurred_at, now.plus(MINUTE));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn settle_at(
        &self,
        reservation: EventId,
        record: TokenRecord,
        occurred_at: impl Into<Timestamp>,
        now: impl Into<Timestamp>,
    ) -> Result<Outcome> {
        self.settle_with_nested(reservation, record, Vec::new(), occurred_at.into(), now.into())
    }

    /// As [`settle_at`](Self::settle_at), with the calls of other models within the call, in the same transaction.
    pub(crate) fn settle_with_nested(
        &self,
        reservation: EventId,
        mut record: TokenRecord,
        mut nested: Vec<TokenRecord>,
        occurred_at: Timestamp,
        now: Timestamp,
    ) -> Result<Outcome> {
        let source = self.source.clone();
        self.transact(now, |appender| {
            let (reserved, made) = reserved(appender.view()?, reservation)?;
            for record in std::iter::once(&mut record).chain(&mut nested) {
                if record.account.is_none() {
                    record.account.clone_from(&reserved.account);
                }
            }
            let event = |record| NewEvent::new(record, occurred_at).source(source.clone());
            let outcome = match closing(appender.view()?, reservation, made)? {
                Some(ReservationEnd::Settled(Some(known))) => {
                    // Nested calls without a key are in the ledger since the first time, and nothing finds them there.
                    nested.retain(|record| !record.keys.is_empty());
                    settled_before(appender, known, event(record))?
                }
                Some(closing) => return Err(closed(reservation, &closing)),
                None => {
                    expect_own(&reserved, &record)?;
                    let outcome = appender.push(event(record))?;
                    let settled = BudgetSettled { reservation, record: Some(outcome.id()) };
                    appender.push(NewEvent::new(settled, now).source(source.clone()))?;
                    outcome
                }
            };
            for record in nested {
                appender.push(event(record))?;
            }
            Ok(outcome)
        })
    }

    /// Releases a reservation: its call did not happen, or another feed records it. Releasing it again returns the
    /// first release.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such reservation, [`Error::AlreadySettled`] when it was settled.
    ///
    /// ```
    /// use usage_ledger::{Ledger, time::MINUTE};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let reservation = ledger.reserve("openai", 700, 10 * MINUTE, now)?;
    /// let released = ledger.release(reservation.id, "the call timed out", now)?;
    /// assert_eq!(ledger.provider("openai", now)?.reserved, 0);
    /// assert_eq!(ledger.release(reservation.id, "", now)?.position(), released.position());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn release(&self, reservation: EventId, reason: &str, now: impl Into<Timestamp>) -> Result<Outcome> {
        let source = self.source.clone();
        let now = now.into();
        self.transact(now, |appender| {
            let (_, made) = reserved(appender.view()?, reservation)?;
            match closing(appender.view()?, reservation, made)? {
                Some(ReservationEnd::Released(at)) => return Outcome::existing(appender.view()?, at),
                Some(closing) => return Err(closed(reservation, &closing)),
                None => {}
            }
            let released = BudgetReleased { reservation, reason: reason.to_owned() };
            appender.push(NewEvent::new(released, now).source(source))
        })
    }
}

/// A reservation, open or not, and when it was made.
fn reserved(view: &dyn ReadView, id: EventId) -> Result<(BudgetReserved, Timestamp)> {
    let missing = || Error::NotFound { what: format!("with id {id} that reserves tokens") };
    let position = view.position_of(id)?.ok_or_else(missing)?;
    let event = Event::from_line(position, &view.expect_line(position)?)?;
    let Payload::BudgetReserved(reserved) = event.payload else { return Err(missing()) };
    Ok((reserved, event.occurred_at))
}

fn closed(reservation: EventId, closing: &ReservationEnd) -> Error {
    match closing {
        ReservationEnd::Settled(record) => Error::AlreadySettled { reservation, record: *record },
        ReservationEnd::Released(_) => Error::AlreadyReleased { reservation },
    }
}

/// Refuses a record of another provider or account than the reservation's.
fn expect_own(reserved: &BudgetReserved, record: &TokenRecord) -> Result<()> {
    let name = |provider: &str, account: Option<&str>| {
        account.map_or_else(|| provider.to_owned(), |account| format!("{provider} ({account})"))
    };
    let held = name(reserved.provider.as_str(), reserved.account.as_deref());
    let used = name(&record.provider, record.account.as_deref());
    if held == used {
        return Ok(());
    }
    Err(Error::OtherReservation { held, used })
}

/// The existing record that settled a reservation, if the content is equal; otherwise a conflict.
fn settled_before(appender: &mut Appender<'_>, known: EventId, event: NewEvent) -> Result<Outcome> {
    // A record without a key got an id when it was appended, and only that id identifies it.
    let has_key = matches!(&event.payload, Payload::TokensRecorded(record) if !record.keys.is_empty());
    let outcome = appender.push(if has_key { event } else { event.id(known) })?;
    match outcome {
        Outcome::Existing { id, .. } if id == known => Ok(outcome),
        // The error rolls back the transaction, so a pushed event is not stored.
        _ => {
            let lost =
                || Error::damaged(None, format!("record {known}, which settled a reservation, is not in the ledger"));
            let position = appender.view()?.position_of(known)?.ok_or_else(lost)?;
            Err(Error::Conflict { id: known, position })
        }
    }
}
