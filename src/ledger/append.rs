//! Appending: identity, order, hashes, tree and projections, in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};

use super::outcome::Outcome;
use super::prepared_event::PreparedEvent;
use super::reused_key::NewCall;
use crate::merkle::{Hash, leaf_hash};
use crate::model::error::{Error, Result};
use crate::model::event::{
    Event, EventId, NewEvent, Payload, Position, TokenRecord, TokenView, Tombstone, has_line_break,
};
use crate::model::time::Timestamp;
use crate::projection::append_leaves;
use crate::projection::{Fold, effective, find_record, find_record_beside};
use crate::store::{ReadView, Row, Transaction, WriteView};

/// Rows per write to the store.
const CHUNK: usize = 1_024;
/// Events whose counters are collected before they are written.
const COUNTERS: usize = 50_000;

/// The caller's own id, or that of the first natural key.
fn identify(new: &NewEvent) -> Option<EventId> {
    let key = match &new.payload {
        Payload::TokensRecorded(record) => record.keys.first().map(|key| EventId::from_key(&record.provider, key)),
        _ => None,
    };
    new.id.or(key)
}

/// Repeats work until the store has read every row that it needs. The last pass sees a complete state, so its error counts.
fn in_passes<S: Clone>(
    tx: &mut dyn Transaction,
    state: &mut S,
    work: &mut dyn FnMut(&mut dyn Transaction, &mut S) -> Result<()>,
) -> Result<()> {
    if !tx.reads_together() {
        return work(tx, state);
    }
    loop {
        let mut trial = state.clone();
        tx.begin_pass()?;
        let done = work(tx, &mut trial);
        if tx.end_pass()? {
            *state = trial;
            return done;
        }
    }
}

/// Runs every part, even after one that fails, and returns the first error.
pub(crate) fn run_all(parts: impl Iterator<Item = Result<()>>) -> Result<()> {
    let mut done = Ok(());
    for part in parts {
        done = done.and(part);
    }
    done
}

/// Makes the lookups of an event that is appended. One that fails does not prevent the others.
fn look_up(view: &dyn ReadView, new: &NewEvent) -> Result<()> {
    let ids = identify(new).into_iter().chain(new.payload.corrects());
    let done = run_all(ids.map(|id| view.position_of(id).map(drop)));
    let Payload::TokensRecorded(record) = &new.payload else { return done };
    let found = find_record(view, record);
    done.and(found.and_then(|found| found.first().map_or(Ok(()), |position| view.line(*position).map(drop))))
}

/// Writes events behind the first `size` ones to the log, the tree and the projections.
fn write(tx: &mut dyn Transaction, fold: &mut Fold, size: u64, events: &[PreparedEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = events.iter().map(|ready| Row {
        id: ready.event.id,
        kind: ready.event.payload.event_kind().code(),
        occurred_at: ready.event.occurred_at,
        recorded_at: ready.event.recorded_at,
        body: &ready.line,
    });
    let rows: Vec<Row<'_>> = rows.collect();
    tx.append(&rows)?;
    let leaves: Vec<Hash> = events.iter().map(|ready| ready.leaf).collect();
    // A part that fails does not prevent the reads of the others.
    let mut done = append_leaves(tx, size, &leaves);
    let mut position = Position::new(size);
    for ready in events {
        position = position.next();
        done = done.and(fold.event(tx, position, &ready.event, ready.ids.as_deref()));
    }
    done.and(fold.flush_small(tx))
}

/// A write transaction that appends events.
pub(crate) struct Appender<'t> {
    tx: Box<dyn Transaction + 't>,
    size: u64,
    recorded_at: Timestamp,
    /// The clock.
    now: Timestamp,
    fold: Fold,
    pending: Vec<PreparedEvent>,
    pending_ids: HashMap<EventId, usize>,
    pending_keys: HashSet<EventId>,
    unflushed: usize,
    ids: &'t Mutex<uuid::ContextV7>,
    /// The last id drawn in the current millisecond.
    last: Option<EventId>,
    /// A thread that frees written events, so that the writer need not do it.
    spent: Option<SyncSender<Vec<PreparedEvent>>>,
}

/// The number of events of one millisecond that are examined to keep their order.
const SAME_MOMENT: u64 = 64;

/// The greatest id that was drawn in a millisecond.
fn last_drawn(tx: &dyn ReadView, size: u64, at: Timestamp) -> Result<Option<EventId>> {
    let mut last = None;
    tx.rows(Position::new(size.saturating_sub(SAME_MOMENT) + 1), &mut |_, row| {
        if row.recorded_at == at && row.id.is_drawn() {
            last = last.max(Some(row.id));
        }
        crate::store::GO_ON
    })?;
    Ok(last)
}

/// Checks a clock. `recorded_at` never decreases, so all later events would have at least its time.
pub(super) fn expect_plausible(now: Timestamp) -> Result<()> {
    if now <= Timestamp::LAST_PLAUSIBLE {
        return Ok(());
    }
    let why = "the clock is ahead of the year 2199: set it".to_owned();
    Err(Error::InvalidTime { text: now.to_string(), why })
}

impl<'t> Appender<'t> {
    pub fn new(tx: Box<dyn Transaction + 't>, now: Timestamp, ids: &'t Mutex<uuid::ContextV7>) -> Result<Self> {
        expect_plausible(now)?;
        let head = tx.head()?;
        let size = head.position.get();
        let same = size > 0 && head.recorded_at >= now;
        let last = if same { last_drawn(&*tx, size, head.recorded_at)? } else { None };
        Ok(Self {
            last,
            fold: Fold::default(),
            tx,
            size,
            // A clock that jumps back must not break the order of the ledger.
            recorded_at: now.max(head.recorded_at),
            now,
            pending: Vec::new(),
            pending_ids: HashMap::new(),
            pending_keys: HashSet::new(),
            unflushed: 0,
            ids,
            spent: None,
        })
    }

    /// Sends written events to another thread that frees them, because each one consists of many allocations.
    #[cfg(feature = "import")]
    pub fn leave_spent(&mut self, to: SyncSender<Vec<PreparedEvent>>) {
        self.spent = Some(to);
    }

    /// Pushes the events of another caller at its clock. If nothing is added, the clock stays as it was.
    pub(super) fn push_at(&mut self, now: Timestamp, events: Vec<NewEvent>) -> Result<Vec<Outcome>> {
        let (size, clock) = (self.size(), (self.now, self.recorded_at, self.last));
        self.now = now;
        self.recorded_at = self.recorded_at.max(now);
        let done = self.push_all(events.into_iter().map(Ok));
        if self.size() == size {
            (self.now, self.recorded_at, self.last) = clock;
        }
        done
    }

    /// The number of events in the ledger, including everything pushed so far.
    pub(super) fn size(&self) -> u64 {
        self.size + self.pending.len() as u64
    }

    /// The transaction, including everything pushed so far.
    pub fn view(&mut self) -> Result<&dyn ReadView> {
        self.flush()?;
        Ok(&*self.tx)
    }

    /// The `recorded_at` of everything that is pushed.
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The transaction without pending events.
    pub fn flushed_view(&self) -> &dyn ReadView {
        &*self.tx
    }

    /// Makes lookups together that follow one by one, if the store reads rows together. `look` may run several times, and
    /// may see a state that lacks rows: a lookup that fails must not prevent the others.
    pub fn read_ahead(&mut self, look: &mut dyn FnMut(&dyn ReadView) -> Result<()>) -> Result<()> {
        if !self.tx.reads_together() {
            return Ok(());
        }
        in_passes(&mut *self.tx, &mut (), &mut |tx, ()| look(&*tx))
    }

    /// Appends events. Files get them one by one; a store that reads rows together needs all of them at once.
    pub fn push_all(&mut self, events: impl IntoIterator<Item = Result<NewEvent>>) -> Result<Vec<Outcome>> {
        if !self.tx.reads_together() {
            return events.into_iter().map(|event| self.push(event?)).collect();
        }
        let events: Vec<NewEvent> = events.into_iter().collect::<Result<_>>()?;
        self.look_up_all(&events.iter().collect::<Vec<_>>())?;
        events.into_iter().map(|event| self.push(event)).collect()
    }

    /// Makes the lookups of events that are pushed next.
    pub(super) fn look_up_all(&mut self, events: &[&NewEvent]) -> Result<()> {
        self.read_ahead(&mut |view| run_all(events.iter().map(|new| look_up(view, new))))
    }

    /// Appends an event, or returns the existing one.
    pub fn push(&mut self, mut new: NewEvent) -> Result<Outcome> {
        new.payload.validate()?;
        self.read_ahead(&mut |view| look_up(view, &new))?;
        if let Some(outcome) = self.resolve_server_key(&mut new)? {
            return Ok(outcome);
        }
        let Some(id) = identify(&new) else {
            // A new random id cannot be in the ledger.
            let id = self.draw();
            return self.push_new(id, new, None);
        };
        if let Some((position, id)) = self.existing(id, &new.payload)? {
            return Ok(Outcome::Existing { position, id });
        }
        self.push_new(id, new, None)
    }

    /// Distinguishes a call from other calls whose responses have the same id.
    fn resolve_server_key(&mut self, new: &mut NewEvent) -> Result<Option<Outcome>> {
        let (at, has_id) = (new.occurred_at, new.id.is_some());
        let Payload::TokensRecorded(record) = &mut new.payload else { return Ok(None) };
        if !record.server_key.is_present() {
            return Ok(None);
        }
        if record.ids().any(|id| self.pending_keys.contains(&id) || self.pending_ids.contains_key(&id)) {
            self.flush()?;
        }
        if find_record(&*self.tx, record)?.is_empty() {
            return Ok(None);
        }
        self.flush()?;
        NewCall { record, at, has_id, has_time: at != self.now }.resolve(&*self.tx)
    }

    /// An id later than all drawn before.
    fn draw(&mut self) -> EventId {
        // Any counter is valid after a panic, because `last` keeps the order.
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let id = EventId::fresh_after(&ids, self.recorded_at, self.last);
        drop(ids);
        self.last = Some(id);
        id
    }

    /// Appends an event that is known to be new. `ids` are the ids of a record's keys, if they are already computed.
    pub fn push_new(&mut self, id: EventId, new: NewEvent, ids: Option<Vec<EventId>>) -> Result<Outcome> {
        let ids = ids.or_else(|| match &new.payload {
            // A single key already makes the event's id, unless the caller gave one.
            Payload::TokensRecorded(record) if record.keys.len() > 1 || new.id.is_some() => {
                Some(record.ids().collect())
            }
            _ => None,
        });
        if let Payload::TokensAmended(amend) = &new.payload {
            self.pending_keys.extend(amend.replacement.ids());
        }
        self.push_ready(PreparedEvent::new(id, new, ids, self.recorded_at))
    }

    /// Appends an event that is known to be new and whose line is computed.
    pub fn push_ready(&mut self, mut ready: PreparedEvent) -> Result<Outcome> {
        if ready.event.recorded_at != self.recorded_at || ready.line.is_empty() {
            // Another writer has committed meanwhile.
            ready.event.recorded_at = self.recorded_at;
            ready.line = ready.event.to_line()?;
            ready.leaf = leaf_hash(ready.line.as_bytes());
        }
        if has_line_break(&ready.line) {
            return Err(Error::LineBreak { id: ready.event.id, kind: ready.event.payload.kind() });
        }
        self.pending_keys.extend(ready.ids.iter().flatten());
        let id = ready.event.id;
        self.pending_ids.insert(id, self.pending.len());
        self.pending.push(ready);
        let position = Position::new(self.size + self.pending.len() as u64);
        if self.pending.len() >= CHUNK && !self.tx.reads_together() {
            self.flush()?;
        }
        Ok(Outcome::Appended { position, id })
    }

    /// Adds records with their corrections to the counters, or removes them.
    pub fn count(&mut self, records: &[Position], is_removal: bool) -> Result<()> {
        self.flush()?;
        for position in records {
            if let Some(now) = effective(&*self.tx, *position, None)? {
                self.fold.deltas.add(now.at, &TokenView::from(&now.record), is_removal)?;
            }
        }
        self.unflushed += records.len();
        Ok(())
    }

    /// Appends `event_shredded` events, and replaces the bodies of their targets with tombstones.
    pub fn shred(&mut self, shreddings: impl Iterator<Item = Result<(NewEvent, String)>>) -> Result<()> {
        let mut tombstones = Vec::new();
        for shredding in shreddings {
            let (event, kept) = shredding?;
            let Payload::EventShredded(shredded) = &event.payload else { continue };
            let (position, leaf) = (shredded.position, shredded.leaf.clone());
            let id = self.draw();
            let by = self.push_new(id, event, None)?.position();
            tombstones.push((position, Tombstone { position, leaf: &leaf, by, kept: &kept }.to_line()));
        }
        self.flush()?;
        tombstones.iter().try_for_each(|(position, tombstone)| self.tx.shred(*position, tombstone))
    }

    /// Appends a line of another copy of this ledger, byte for byte. For a tombstone, `event` is what remains of the event.
    #[cfg(feature = "cli")]
    pub fn push_copied(&mut self, event: Event, line: String, leaf: Hash) -> Result<()> {
        self.pending.push(PreparedEvent { event, line, leaf, ids: None });
        if self.pending.len() >= CHUNK && !self.tx.reads_together() {
            self.flush()?;
        }
        Ok(())
    }

    /// Replaces the bodies of events with tombstones.
    #[cfg(feature = "cli")]
    pub fn replace_bodies(&mut self, tombstones: &[(Position, String)]) -> Result<()> {
        self.flush()?;
        tombstones.iter().try_for_each(|(position, tombstone)| self.tx.shred(*position, tombstone))
    }

    /// The projections, including everything pushed and counted so far.
    pub fn sink(&mut self) -> Result<&mut dyn WriteView> {
        self.write_pending(true)?;
        Ok(&mut *self.tx)
    }

    /// The existing event with this identity, if its content is the same.
    fn existing(&mut self, id: EventId, payload: &Payload) -> Result<Option<(Position, EventId)>> {
        if let Some(index) = self.pending_ids.get(&id) {
            let position = Position::new(self.size + *index as u64 + 1);
            let same = self.pending.get(*index).is_some_and(|pending| pending.event.payload.has_same_content(payload));
            return if same { Ok(Some((position, id))) } else { Err(Error::Conflict { id, position }) };
        }
        if let Some(position) = self.tx.position_of(id)? {
            let line = self.flushed_view().expect_line(position)?;
            let stored = Event::from_line(position, &line)?;
            let same = stored.payload.has_same_content(payload)
                // For a shredded event, only the remaining content can be compared.
                || (Tombstone::is(&line) && payload.redacted().is_ok_and(|kept| kept.has_same_content(&stored.payload)));
            return if same { Ok(Some((position, id))) } else { Err(Error::Conflict { id, position }) };
        }
        match payload {
            Payload::TokensRecorded(record) if !record.keys.is_empty() => self.existing_call(id, record),
            _ => Ok(None),
        }
    }

    /// Another feed may have recorded the same call under another of its keys. No event has the id `absent`.
    fn existing_call(&mut self, absent: EventId, record: &TokenRecord) -> Result<Option<(Position, EventId)>> {
        let mut absent = Some(absent);
        if record.ids().any(|id| self.pending_keys.contains(&id) || self.pending_ids.contains_key(&id)) {
            self.flush()?;
            absent = None;
        }
        let found = find_record_beside(&*self.tx, record, absent)?;
        let Some(position) = found.into_iter().next() else { return Ok(None) };
        let stored = Event::from_line(position, &self.flushed_view().expect_line(position)?)?;
        match stored.payload {
            Payload::TokensRecorded(known) if known.tokens == record.tokens => Ok(Some((position, stored.id))),
            _ => Err(Error::Conflict { id: stored.id, position }),
        }
    }

    /// Writes pending events to the log, the tree and the projections.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // This bounds the memory of a transaction with millions of events.
        let is_full = self.unflushed + self.pending.len() >= COUNTERS;
        self.write_pending(is_full)
    }

    /// Writes pending events, and the collected counters if that is wanted.
    fn write_pending(&mut self, with_counters: bool) -> Result<()> {
        let (size, pending) = (self.size, std::mem::take(&mut self.pending));
        in_passes(&mut *self.tx, &mut self.fold, &mut |tx, fold| {
            let written = write(tx, fold, size, &pending);
            if with_counters { written.and(fold.flush(tx)) } else { written }
        })?;
        self.size += pending.len() as u64;
        self.unflushed = if with_counters { 0 } else { self.unflushed + pending.len() };
        self.pending_ids.clear();
        self.pending_keys.clear();
        if let Some(spent) = &self.spent {
            // If the thread has ended, the events are freed here.
            let _ = spent.send(pending);
        }
        Ok(())
    }

    /// Writes everything that is pending. A commit that follows writes nothing more.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.write_pending(true)
    }

    /// Makes the transaction visible and durable.
    pub fn commit(mut self) -> Result<()> {
        self.finish()?;
        self.tx.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventStore, MemoryStore};

    #[test]
    fn a_line_with_a_line_break_is_refused() {
        let at = Timestamp::from_millis(1_780_308_000_000);
        for broken in ["{\n}", "{\r}"] {
            let store = MemoryStore::new();
            let ids = Mutex::new(uuid::ContextV7::new());
            let mut appender = Appender::new(store.write().unwrap(), at, &ids).unwrap();
            let new = NewEvent::new(TokenRecord::new("openai", "gpt-5").input(1), at);
            let mut ready = PreparedEvent::new(EventId::from_key("openai", "a"), new, None, at);
            ready.line = broken.to_owned();
            assert!(matches!(appender.push_ready(ready), Err(Error::LineBreak { kind: "tokens_recorded", .. })));
        }
    }

    #[test]
    fn a_clock_of_another_century_records_nothing() {
        let ledger = crate::Ledger::in_memory().unwrap();
        let call = TokenRecord::new("openai", "gpt-5").input(1);
        let error = ledger.record(call, Timestamp::LAST_PLAUSIBLE.plus(1)).unwrap_err();
        assert!(matches!(error, Error::InvalidTime { .. }), "{error}");
        assert_eq!(ledger.head().unwrap().position, Position::START);
    }

    #[test]
    fn a_usage_object_with_line_breaks_is_minified() {
        let ledger = crate::Ledger::in_memory().unwrap();
        let at = Timestamp::from_millis(1_780_308_000_000);
        let json = "{\"provider\":\"openai\",\"tokens\":{\"input\":1},\"raw\":{\n  \"a\": \"b  c\"\r\n}}";
        let record: TokenRecord = serde_json::from_str(json).unwrap();
        ledger.record(record.clone(), at).unwrap();
        let target = ledger.event(1).unwrap().id;
        ledger.amend(target, record, "again", at).unwrap();
        for position in [1, 2] {
            let line = ledger.event(position).unwrap().to_line().unwrap();
            assert!(line.contains(r#""raw":{"a":"b  c"}"#), "{line}");
        }
    }
}
