//! Amendments that start from the current content of a record.

use super::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, NewEvent, Payload, TokenRecord, TokensAmended};
use crate::model::time::Timestamp;
use crate::projection::effective;

impl Ledger {
    /// Amends a token record by changing its current content, including earlier amendments, in one transaction.
    ///
    /// `change` receives the time of the call and the record.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing event, [`Error::Invalid`] if it is not a token record, if it is voided, or if
    /// nothing changes.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(100).output(7), now)?;
    /// let wrong = ledger.event(1)?.id;
    /// ledger.revise(wrong, "a typing error", now, |_, record| record.tokens.input = Some(10))?;
    /// assert_eq!(ledger.provider("openai", now)?.all_time.tokens.total(), 17);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn revise(
        &self,
        target: EventId,
        reason: &str,
        now: impl Into<Timestamp>,
        change: impl FnOnce(&mut Timestamp, &mut TokenRecord),
    ) -> Result<Outcome> {
        let now = now.into();
        let source = self.source.clone();
        self.transact(now, |appender| {
            let view = appender.view()?;
            let position =
                view.position_of(target)?.ok_or_else(|| Error::NotFound { what: format!("with id {target}") })?;
            let original = Event::from_line(position, &view.expect_line(position)?)?;
            if !matches!(original.payload, Payload::TokensRecorded(_)) {
                return Err(Error::NotAmendable { id: target, kind: original.payload.kind() });
            }
            let standing = effective(view, position, None)?.ok_or(Error::Withdrawn { id: target })?;
            let (mut at, mut replacement) = (standing.at, standing.record.clone());
            change(&mut at, &mut replacement);
            if at == standing.at && replacement == standing.record {
                return Err(Error::Unchanged { id: target });
            }
            if at != standing.at && replacement.counted_at == standing.record.counted_at {
                // It belonged to the incorrect time.
                replacement.counted_at = None;
            }
            let at = (at != original.occurred_at).then_some(at);
            // The latest correction applies, so this one must be later than the previous one, whatever the clock shows.
            let made = standing.amended_at.map_or(now, |earlier| now.max(earlier.plus(1)));
            let amend = TokensAmended { target, reason: reason.to_owned(), at, replacement };
            appender.push(NewEvent::new(amend, made).source(source))
        })
    }
}
