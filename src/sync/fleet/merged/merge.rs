//! Adds what is new of a ledger to the merged ledger.

use std::cell::{Cell, RefCell};

use super::batch::StreamBatch;
use super::sighting::{LEDGER, LedgerOwner, Sighting, is_better, sighting};
use super::{HeadVector, LedgerOwners, OWN, SOURCE};
use crate::ledger::{Appender, Ledger, Snapshot};
use crate::model::error::Result;
use crate::model::event::{
    Event, EventId, EventVoided, Imported, ImportedFile, NewEvent, Payload, Position, TokenRecord, TokensAmended,
};
use crate::model::time::Timestamp;
use crate::projection::{effective, find_record};
use crate::store::ReadView;
use crate::sync::fleet::FleetServer;

/// A change of the merged ledger.
enum MergeStep {
    New(EventId, Sighting),
    Amend(EventId, Timestamp, Sighting),
    Void(EventId),
}

/// How far a merge came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergeProgress {
    /// Nothing is left.
    Whole,
    /// The bound was reached before the end, or the server ends.
    Partial,
    /// Events that are merged already were erased or lost, so the merged ledger must be made again.
    Lost,
}

/// A merge in progress.
pub(super) struct Merge<'m> {
    server: &'m FleetServer,
    merged: &'m Ledger,
    owners: &'m LedgerOwners,
    /// The positions that are merged.
    heads: RefCell<HeadVector>,
    now: Timestamp,
    /// Events that may still be merged.
    left: Cell<u64>,
}

impl<'m> Merge<'m> {
    pub fn new(
        server: &'m FleetServer,
        merged: &'m Ledger,
        owners: &'m LedgerOwners,
        heads: HeadVector,
        now: Timestamp,
        most: u64,
    ) -> Self {
        Self { server, merged, owners, heads: RefCell::new(heads), now, left: Cell::new(most) }
    }

    /// The positions that are merged.
    pub fn heads(self) -> HeadVector {
        self.heads.into_inner()
    }

    /// Adds what is new of a ledger, in transactions of bounded size.
    pub fn ledger(&self, id: &str) -> Result<MergeProgress> {
        let (Some(owner), Some(stream)) = (self.owners.get(id), self.stream(id)?) else {
            return Ok(MergeProgress::Whole);
        };
        let snapshot = stream.snapshot()?;
        let size = snapshot.head()?.position.get();
        loop {
            let known = self.merged_up_to(id, owner);
            if known >= size {
                let is_sound = known == size || known < owner.from;
                return Ok(if is_sound { MergeProgress::Whole } else { MergeProgress::Lost });
            }
            // A server that ends does not wait for a long merge.
            if self.left.get() == 0 || self.server.merged.state().is_ending {
                return Ok(MergeProgress::Partial);
            }
            let Some(batch) = StreamBatch::read(&snapshot, known, owner.from, self.left.get())? else {
                return Ok(MergeProgress::Lost);
            };
            let end = batch.end;
            self.merged.transact(self.now, |appender| self.add(appender, id, owner, &snapshot, batch))?;
            self.heads.borrow_mut().insert(id.to_owned(), end);
            self.left.set(self.left.get().saturating_sub(end - known));
        }
    }

    /// A pushed ledger, or the server's own one.
    fn stream(&self, id: &str) -> Result<Option<Ledger>> {
        if id == OWN { Ok(self.server.own.clone()) } else { self.server.streams.open_existing(id) }
    }

    fn add(
        &self,
        appender: &mut Appender<'_>,
        id: &str,
        owner: &LedgerOwner,
        snapshot: &Snapshot<'_>,
        batch: StreamBatch,
    ) -> Result<()> {
        let now = appender.recorded_at();
        let mut steps = Vec::new();
        for position in &batch.records {
            steps.extend(self.step(appender.view()?, id, owner, snapshot, *position)?);
        }
        for event in batch.shared {
            let view = appender.view()?;
            let is_known = view.position_of(event.id)?.is_some();
            // A withdrawal of something that is not merged concerns one machine.
            let is_apart = match event.payload.corrects() {
                Some(target) => view.position_of(target)?.is_none(),
                None => false,
            };
            if !is_known && !is_apart && is_valid(&event.payload, id) {
                let new = NewEvent {
                    id: Some(event.id),
                    occurred_at: event.occurred_at,
                    source: SOURCE.into(),
                    payload: event.payload,
                };
                appender.push_new(event.id, new, None)?;
            }
        }
        for step in steps {
            let new = match step {
                MergeStep::New(id, sighting) => {
                    NewEvent { id: Some(id), ..NewEvent::new(sighting.record, sighting.at) }
                }
                MergeStep::Amend(target, first, Sighting { at, record }) => {
                    let at = (at != first).then_some(at);
                    let reason = "another sighting counts".to_owned();
                    NewEvent::new(TokensAmended { target, reason, at, replacement: record }, now)
                }
                MergeStep::Void(target) => {
                    NewEvent::new(EventVoided { target, reason: "no ledger counts it".to_owned() }, now)
                }
            };
            if is_valid(&new.payload, id) {
                let new = new.source(SOURCE);
                match new.id {
                    Some(id) => appender.push_new(id, new, None)?,
                    None => appender.push(new)?,
                };
            }
        }
        let mut run = Imported::new(SOURCE);
        run.files =
            vec![ImportedFile { path: id.to_owned(), offset: batch.end, size: batch.end, ..ImportedFile::default() }];
        appender.push(NewEvent::new(run, now).source(SOURCE))?;
        Ok(())
    }

    /// What changes for a record of a ledger.
    fn step(
        &self,
        merged: &dyn ReadView,
        ledger: &str,
        owner: &LedgerOwner,
        snapshot: &Snapshot<'_>,
        position: Position,
    ) -> Result<Option<MergeStep>> {
        let event = snapshot.event(position)?;
        let Payload::TokensRecorded(original) = &event.payload else { return Ok(None) };
        let own = sighting(snapshot, position, ledger, owner)?;
        let known = match find_record(merged, own.as_ref().map_or(original, |own| &own.record))?.first() {
            Some(known) => Some(*known),
            None => merged.position_of(event.id)?,
        };
        let Some(known) = known else { return Ok(own.map(|own| MergeStep::New(event.id, own))) };
        let first = Event::from_line(known, &merged.expect_line(known)?)?;
        let counted = effective(merged, known, None)?.map(|now| Sighting { at: now.at, record: now.record });
        let is_own =
            counted.as_ref().is_none_or(|counted| counted.record.labels.get(LEDGER).is_some_and(|name| name == ledger));
        // What this ledger counted became smaller or was withdrawn, so another sighting may count now.
        let shrinks = counted.as_ref().is_some_and(|counted| own.as_ref().is_none_or(|own| is_better(counted, own)));
        let mut best = own;
        if is_own && shrinks {
            best = self.best_elsewhere(ledger, original, event.id, best)?;
        } else if !is_own
            && best.as_ref().is_none_or(|own| counted.as_ref().is_some_and(|counted| !is_better(own, counted)))
        {
            return Ok(None);
        }
        Ok(match (best, counted) {
            (None, None) => None,
            (None, Some(_)) => Some(MergeStep::Void(first.id)),
            (Some(best), Some(counted)) if best.at == counted.at && best.record == counted.record => None,
            (Some(best), _) => Some(MergeStep::Amend(first.id, first.occurred_at, best)),
        })
    }

    /// The best sighting of a call, in all other ledgers and `own`.
    fn best_elsewhere(
        &self,
        ledger: &str,
        record: &TokenRecord,
        id: EventId,
        own: Option<Sighting>,
    ) -> Result<Option<Sighting>> {
        let mut best = own;
        for (other, owner) in self.owners.iter().filter(|(other, _)| *other != ledger) {
            let Some(stream) = self.stream(other)? else { continue };
            let snapshot = stream.snapshot()?;
            let found = find_record(snapshot.view(), record)?.first().copied();
            let Some(position) = found.map_or_else(|| snapshot.view().position_of(id), |found| Ok(Some(found)))? else {
                continue;
            };
            // A position behind the merged part is added, and compared, later.
            if position.get() < owner.from || position.get() > self.merged_up_to(other, owner) {
                continue;
            }
            if let Some(there) = sighting(&snapshot, position, other, owner)?
                && best.as_ref().is_none_or(|best| is_better(&there, best))
            {
                best = Some(there);
            }
        }
        Ok(best)
    }

    fn merged_up_to(&self, id: &str, owner: &LedgerOwner) -> u64 {
        self.heads.borrow().get(id).copied().unwrap_or(owner.from - 1)
    }
}

/// Whether an event may be in the merged ledger. Nobody else checks the lines of a machine, and one line must not keep the
/// answers about all machines away.
fn is_valid(payload: &Payload, ledger: &str) -> bool {
    payload.validate().inspect_err(|why| tracing::warn!("an event of ledger {ledger} does not count: {why}")).is_ok()
}
