//! Appending: identity, order, hashes, tree and projections, in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};

use crate::merkle::{Hash, leaf_hash};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, NewEvent, Payload, Position, Stub, TokenRecord, TokenView, has_line_break};
use crate::model::time::Timestamp;
use crate::projection::append_leaves;
use crate::projection::{Fold, effective, find_record};
use crate::store::{ReadView, Row, Transaction, WriteView};

/// What became of an event that was appended.
///
/// ```
/// use usage_ledger::{EventId, Ledger, Outcome, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let call = TokenRecord::new("openai", "gpt-5").input(1).key("resp_1");
/// let (position, id) = (1.into(), EventId::from_key("openai", "resp_1"));
/// assert_eq!(ledger.record(call.clone(), now)?, Outcome::Appended { position, id });
/// assert_eq!(ledger.record(call, now)?, Outcome::Existing { position, id }); // a retry
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is new.
    Appended {
        /// Its position.
        position: Position,
        /// Its id.
        id: EventId,
    },
    /// The ledger has the event already.
    Existing {
        /// The position of the event that the ledger has.
        position: Position,
        /// The id of that event. It differs from the id that was given when another natural key found the call.
        id: EventId,
    },
}

impl Outcome {
    /// Where the event is.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let outcome = Ledger::in_memory()?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert_eq!(outcome.position().get(), 1);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn position(self) -> Position {
        match self {
            Self::Appended { position, .. } | Self::Existing { position, .. } => position,
        }
    }

    /// The id of the event, by which it can be amended and voided.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let call = ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// ledger.void(call.id(), "a test call", now)?;
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn id(self) -> EventId {
        match self {
            Self::Appended { id, .. } | Self::Existing { id, .. } => id,
        }
    }

    /// Whether the event was not in the ledger before.
    ///
    /// ```
    /// # use usage_ledger::{Ledger, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let outcome = Ledger::in_memory()?.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// assert!(outcome.is_new());
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn is_new(self) -> bool {
        matches!(self, Self::Appended { .. })
    }

    /// An event that the ledger has at a position.
    pub(crate) fn existing(view: &dyn ReadView, position: Position) -> Result<Self> {
        let line = view.expect_line(position)?;
        Ok(Self::Existing { position, id: Event::from_line(position, &line)?.id })
    }
}

/// Rows written to the store at a time.
const CHUNK: usize = 1_024;
/// Events whose counters are gathered before they are written.
const COUNTERS: usize = 50_000;

/// The caller's own id, or the one that the first natural key makes.
fn identify(new: &NewEvent) -> Option<EventId> {
    let key = match &new.payload {
        Payload::TokensRecorded(record) => record.keys.first().map(|key| EventId::from_key(&record.provider, key)),
        _ => None,
    };
    new.id.or(key)
}

/// An event whose line and hash are worked out.
pub(crate) struct Ready {
    event: Event,
    line: String,
    leaf: Hash,
    /// What the keys of a record make, where that is known.
    ids: Option<Vec<EventId>>,
}

impl From<Ready> for NewEvent {
    fn from(ready: Ready) -> Self {
        let Event { id, occurred_at, source, payload, .. } = ready.event;
        Self { id: Some(id), occurred_at, source, payload }
    }
}

impl Ready {
    /// Works out the line of an event with an id of its own, as it will be if it is appended at that time.
    pub fn new(id: EventId, mut new: NewEvent, ids: Option<Vec<EventId>>, recorded_at: Timestamp) -> Self {
        new.payload.minify();
        new.payload.scrub_usage();
        let event = Event { id, occurred_at: new.occurred_at, recorded_at, source: new.source, payload: new.payload };
        // `push_ready` writes a line that is missing again, and returns its error.
        let line = event.to_line().unwrap_or_default();
        let leaf = leaf_hash(line.as_bytes());
        Self { event, line, leaf, ids }
    }

    /// The event.
    #[cfg(feature = "import")]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The event alone.
    #[cfg(feature = "import")]
    pub fn into_event(self) -> Event {
        self.event
    }
}

/// A transaction that appends.
pub(crate) struct Appender<'t> {
    tx: Box<dyn Transaction + 't>,
    size: u64,
    recorded_at: Timestamp,
    fold: Fold,
    pending: Vec<Ready>,
    pending_ids: HashMap<EventId, usize>,
    pending_keys: HashSet<EventId>,
    unflushed: usize,
    ids: &'t Mutex<uuid::ContextV7>,
    /// The last id drawn for the present millisecond.
    last: Option<EventId>,
    /// Who drops what is written, if somebody else than the writer.
    spent: Option<SyncSender<Vec<Ready>>>,
}

/// As many events of one millisecond are looked at to keep their order.
const SAME_MOMENT: u64 = 64;

/// The greatest id that was drawn for a millisecond.
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

impl<'t> Appender<'t> {
    pub fn new(tx: Box<dyn Transaction + 't>, now: Timestamp, ids: &'t Mutex<uuid::ContextV7>) -> Result<Self> {
        if now > Timestamp::LAST_PLAUSIBLE {
            // Events behind it would be recorded no earlier, for all time.
            let why = "the clock is ahead of the year 2199: set it".to_owned();
            return Err(Error::InvalidTime { text: now.to_string(), why });
        }
        let head = tx.head()?;
        let size = head.position.get();
        let same = size > 0 && head.recorded_at >= now;
        let last = if same { last_drawn(&*tx, size, head.recorded_at)? } else { None };
        Ok(Self {
            last,
            fold: Fold::new(&*tx)?,
            tx,
            size,
            // A clock that jumps back does not take the ledger's order with it.
            recorded_at: now.max(head.recorded_at),
            pending: Vec::new(),
            pending_ids: HashMap::new(),
            pending_keys: HashSet::new(),
            unflushed: 0,
            ids,
            spent: None,
        })
    }

    /// Leaves it to another thread to drop what is written: each event is many pieces of memory.
    #[cfg(feature = "import")]
    pub fn leave_spent(&mut self, to: SyncSender<Vec<Ready>>) {
        self.spent = Some(to);
    }

    /// The transaction with everything pushed so far in it.
    pub fn view(&mut self) -> Result<&dyn ReadView> {
        self.flush()?;
        Ok(&*self.tx)
    }

    /// The time that what is pushed is recorded at.
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The transaction as it was before what is pending.
    pub fn flushed_view(&self) -> &dyn ReadView {
        &*self.tx
    }

    /// Adds an event, or finds that it is there already.
    pub fn push(&mut self, new: NewEvent) -> Result<Outcome> {
        new.payload.validate()?;
        let Some(id) = identify(&new) else {
            // Nobody can have told this before under an id drawn just now.
            let id = self.draw();
            return self.push_new(id, new, None);
        };
        if let Some((position, id)) = self.existing(id, &new.payload)? {
            return Ok(Outcome::Existing { position, id });
        }
        self.push_new(id, new, None)
    }

    /// An id later than all that were drawn before.
    fn draw(&mut self) -> EventId {
        // A counter that a panic left behind is as good as any other: `last` keeps the order.
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let id = EventId::fresh_after(&ids, self.recorded_at, self.last);
        drop(ids);
        self.last = Some(id);
        id
    }

    /// Adds an event that is known to be new. Who has worked out the ids of a record's keys already hands them over.
    pub fn push_new(&mut self, id: EventId, new: NewEvent, ids: Option<Vec<EventId>>) -> Result<Outcome> {
        let ids = ids.or_else(|| match &new.payload {
            // A single key makes the event's id, unless the caller gave one.
            Payload::TokensRecorded(record) if record.keys.len() > 1 || new.id.is_some() => {
                Some(record.ids().collect())
            }
            _ => None,
        });
        if let Payload::TokensAmended(amend) = &new.payload {
            self.pending_keys.extend(amend.replacement.ids());
        }
        self.push_ready(Ready::new(id, new, ids, self.recorded_at))
    }

    /// Adds an event that is known to be new and whose line is worked out already.
    pub fn push_ready(&mut self, mut ready: Ready) -> Result<Outcome> {
        if ready.event.recorded_at != self.recorded_at || ready.line.is_empty() {
            // Somebody else has written meanwhile.
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
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(Outcome::Appended { position, id })
    }

    /// Takes records as they count now out of the counters, or adds them.
    pub fn count(&mut self, records: &[Position], taken_back: bool) -> Result<()> {
        self.flush()?;
        for position in records {
            if let Some(now) = effective(&*self.tx, *position, None)? {
                self.fold.deltas.add(now.at, &TokenView::from(&now.record), taken_back)?;
            }
        }
        self.unflushed += records.len();
        Ok(())
    }

    /// Adds words that events are shredded, and puts stubs in place of their bodies.
    pub fn shred(&mut self, words: impl Iterator<Item = Result<(NewEvent, String)>>) -> Result<()> {
        let mut stubs = Vec::new();
        for word in words {
            let (word, kept) = word?;
            let Payload::EventShredded(shredded) = &word.payload else { continue };
            let (position, leaf) = (shredded.position, shredded.leaf.clone());
            let id = self.draw();
            let by = self.push_new(id, word, None)?.position();
            stubs.push((position, Stub { position, leaf: &leaf, by, kept: &kept }.to_line()));
        }
        self.flush()?;
        stubs.iter().try_for_each(|(position, stub)| self.tx.shred(*position, stub))
    }

    /// The projections, with everything pushed and counted so far in them.
    pub fn sink(&mut self) -> Result<&mut dyn WriteView> {
        self.flush()?;
        self.fold.flush(&mut *self.tx)?;
        Ok(&mut *self.tx)
    }

    /// Where an event of this identity stands, if its content is the same.
    fn existing(&mut self, id: EventId, payload: &Payload) -> Result<Option<(Position, EventId)>> {
        if let Some(index) = self.pending_ids.get(&id) {
            let position = Position::new(self.size + *index as u64 + 1);
            let same = self.pending.get(*index).is_some_and(|pending| pending.event.payload.says_what(payload));
            return if same { Ok(Some((position, id))) } else { Err(Error::Conflict { id, position }) };
        }
        if let Some(position) = self.tx.position_of(id)? {
            let line = self.flushed_view().expect_line(position)?;
            let stored = Event::from_line(position, &line)?;
            let same = stored.payload.says_what(payload)
                // Of a shredded event only what stays can be compared.
                || (Stub::is(&line) && payload.withdrawn().is_some_and(|kept| kept.says_what(&stored.payload)));
            return if same { Ok(Some((position, id))) } else { Err(Error::Conflict { id, position }) };
        }
        match payload {
            Payload::TokensRecorded(record) if !record.keys.is_empty() => self.known_call(record),
            _ => Ok(None),
        }
    }

    /// Another feed may have told of the same call under another of its keys.
    fn known_call(&mut self, record: &TokenRecord) -> Result<Option<(Position, EventId)>> {
        if record.ids().any(|id| self.pending_keys.contains(&id) || self.pending_ids.contains_key(&id)) {
            self.flush()?;
        }
        let Some(position) = find_record(&*self.tx, record)?.into_iter().next() else { return Ok(None) };
        let stored = Event::from_line(position, &self.flushed_view().expect_line(position)?)?;
        match stored.payload {
            Payload::TokensRecorded(known) if known.tokens == record.tokens => Ok(Some((position, stored.id))),
            _ => Err(Error::Conflict { id: stored.id, position }),
        }
    }

    /// Writes what is pending to the log, the tree and the projections.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows: Vec<Row<'_>> = self
            .pending
            .iter()
            .map(|pending| Row {
                id: pending.event.id,
                kind: pending.event.payload.event_kind().code(),
                occurred_at: pending.event.occurred_at,
                recorded_at: pending.event.recorded_at,
                body: &pending.line,
            })
            .collect();
        let rows_written = rows.len();
        self.tx.append(&rows)?;
        let leaves: Vec<Hash> = self.pending.iter().map(|pending| pending.leaf).collect();
        append_leaves(&mut *self.tx, self.size, &leaves)?;
        let mut position = Position::new(self.size);
        let pending = std::mem::take(&mut self.pending);
        for pending in &pending {
            position = position.next();
            self.fold.event(&mut *self.tx, position, &pending.event, pending.ids.as_deref())?;
        }
        self.size = position.get();
        self.fold.flush_small(&mut *self.tx)?;
        self.unflushed += rows_written;
        if self.unflushed >= COUNTERS {
            // A transaction of millions of events keeps its memory flat.
            self.fold.flush(&mut *self.tx)?;
            self.unflushed = 0;
        }
        self.pending_ids.clear();
        self.pending_keys.clear();
        if let Some(spent) = &self.spent {
            // Should nobody take it, it is dropped here.
            let _ = spent.send(pending);
        }
        Ok(())
    }

    /// Makes it all visible and durable.
    pub fn commit(mut self) -> Result<()> {
        self.flush()?;
        self.fold.flush(&mut *self.tx)?;
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
            let mut ready = Ready::new(EventId::from_key("openai", "a"), new, None, at);
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
