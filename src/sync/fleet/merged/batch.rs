//! New lines of a pushed ledger, as far as the merged ledger needs them.

use std::collections::BTreeSet;

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{Event, Payload, Position};
use crate::projection::root;

/// Lines of one transaction.
const BATCH: u64 = 5_000;

/// New lines of a ledger.
pub(super) struct StreamBatch {
    pub end: u64,
    /// Records that are new or that a new correction concerns.
    pub records: BTreeSet<Position>,
    pub shared: Vec<Event>,
}

impl StreamBatch {
    /// Reads up to `most` lines behind a position; `None` if one of them erases an earlier line.
    pub fn read(snapshot: &Snapshot<'_>, after: u64, from: u64, most: u64) -> Result<Option<Self>> {
        let most = most.min(BATCH);
        let mut lines: Vec<(Position, String)> = Vec::new();
        snapshot.lines(Position::new(after + 1), &mut |position, line| {
            lines.push((position, line.to_owned()));
            Ok((lines.len() as u64) < most)
        })?;
        let mut batch = Self { end: after, records: BTreeSet::new(), shared: Vec::new() };
        for (position, line) in lines {
            batch.end = position.get();
            let event = Event::from_line(position, &line)?;
            match &event.payload {
                Payload::TokensRecorded(_) => drop(batch.records.insert(position)),
                Payload::TokensAmended(_) | Payload::EventVoided(_) => {
                    match root(snapshot.view(), &event, Position::new(u64::MAX))? {
                        Some(record) if record.get() >= from => drop(batch.records.insert(record)),
                        None if matches!(event.payload, Payload::EventVoided(_)) => batch.shared.push(event),
                        _ => {}
                    }
                }
                Payload::EventShredded(shredded)
                    if shredded.position.get() <= after && shredded.position.get() >= from =>
                {
                    return Ok(None);
                }
                payload if is_shared(payload) => batch.shared.push(event),
                _ => {}
            }
        }
        Ok(Some(batch))
    }
}

/// Whether events of this kind decide about windows and gates of an account. Pauses and switches concern one machine.
const fn is_shared(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::QuotaObserved(_)
            | Payload::QuotaExhausted(_)
            | Payload::LimitSet(_)
            | Payload::ProviderDeclared(_)
            | Payload::UsageOverridden(_)
            | Payload::PriceSet(_)
            | Payload::BudgetReserved(_)
            | Payload::BudgetSettled(_)
            | Payload::BudgetReleased(_)
    )
}
