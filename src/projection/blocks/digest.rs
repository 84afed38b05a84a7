//! Computes one block from its lines.

use super::super::corrections;
use super::column::ColumnWriter;
use super::names::names_of_record;
use super::summary::Summary;
use super::{BLOCK, place, position_at};
use crate::model::error::{Error, Result};
use crate::model::event::{Envelope, EventId, EventKind, Payload, TokenView};
use crate::model::time::Timestamp;
use crate::store::{GO_ON, ReadView, STOP};

/// Builds a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    pub summary: Summary,
    column: ColumnWriter,
}

impl Digest {
    /// Adds a record.
    pub fn record(&mut self, offset: u16, at: Timestamp, record: &TokenView<'_>) -> Result<()> {
        self.summary.add_kind(EventKind::TokensRecorded);
        self.summary.add_time(at);
        if self.column.add(offset, at, record)? {
            names_of_record(record, &mut |kind, name| self.summary.add_name(kind, name));
        }
        Ok(())
    }

    /// Adds any event.
    pub fn event(&mut self, offset: u16, at: Timestamp, payload: &Payload) -> Result<()> {
        if let Payload::TokensRecorded(record) = payload {
            return self.record(offset, at, &TokenView::from(record));
        }
        self.summary.add_kind(payload.event_kind());
        self.summary.add_time(at);
        payload.names(&mut |kind, name| self.summary.add_name(kind, name));
        Ok(())
    }

    /// The bytes of the column.
    pub fn column(&self) -> Vec<u8> {
        self.column.encode()
    }
}

/// Computes a block from its lines and the stored corrections.
pub(crate) fn digest_of(view: &dyn ReadView, number: u64) -> Result<Digest> {
    let mut digest = Digest::default();
    let mut records: Vec<(u16, EventId)> = Vec::new();
    view.expect_rows(position_at(number, 0), position_at(number + 1, 0))?;
    view.rows(position_at(number, 0), &mut |position, row| {
        let (block, offset) = place(position);
        if block != number {
            return STOP;
        }
        let envelope = Envelope::parse(position, row.body)?;
        if row.is_kind(EventKind::TokensRecorded) {
            let record: TokenView<'_> = serde_json::from_str(envelope.data.get())
                .map_err(|e| Error::damaged(position, format!("this record is unreadable ({e})")))?;
            digest.record(offset, envelope.occurred_at, &record)?;
            records.push((offset, row.id));
        } else {
            let event = envelope.open(position)?;
            digest.event(offset, event.occurred_at, &event.payload)?;
        }
        if u64::from(offset) + 1 == BLOCK { STOP } else { GO_ON }
    })?;
    if corrections::corrections_exist(view)? {
        for (offset, id) in records {
            if corrections::any(view, id)? {
                digest.summary.correct(offset, &corrections::amended_times(view, id)?);
            }
        }
    }
    Ok(digest)
}
