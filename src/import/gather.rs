//! Between the readers and the writer: joins sightings, and makes lines of them, while the writer is at an earlier batch.

use std::collections::HashMap;

use super::known::Known;
use super::merge::{Pending, Sighting};
use super::reader::Chunk;
use crate::event::{ImportedFile, NewEvent, SkippedLine};
use crate::ledger::Ready;
use crate::time::Timestamp;

/// Records and observations handed over at a time.
const BATCH: usize = 2_048;

/// An event to be written.
pub(super) struct Told {
    pub ready: Ready,
    /// Whether an event of this run, or one that was there before it, may have one of its keys.
    pub known: bool,
}

/// What is handed over to the writer.
#[derive(Default)]
pub(super) struct Batch {
    /// Calls whose keys make an id.
    pub calls: Vec<Told>,
    /// Calls without keys.
    pub keyless: Vec<NewEvent>,
    /// What is told of quotas, each with an id that its words make.
    pub observed: Vec<Told>,
    /// How far files are read.
    pub states: Vec<ImportedFile>,
    pub skipped: Vec<SkippedLine>,
    /// When conversations begin, as far as this batch tells.
    pub began: HashMap<String, Timestamp>,
    /// Copies that met each other before they were written.
    pub copies: u64,
    /// Bytes newly read.
    pub bytes: u64,
}

/// Gathers chunks into batches.
pub(super) struct Gatherer<'k> {
    source: &'static str,
    /// When what is written will have been recorded; should that turn out otherwise, the line is made anew.
    recorded_at: Timestamp,
    known: &'k mut Known,
    pending: Pending,
    began: HashMap<String, Timestamp>,
    states: HashMap<String, ImportedFile>,
    batch: Batch,
}

impl<'k> Gatherer<'k> {
    pub fn new(source: &'static str, recorded_at: Timestamp, known: &'k mut Known) -> Self {
        Self {
            source,
            recorded_at,
            known,
            pending: Pending::default(),
            began: HashMap::new(),
            states: HashMap::new(),
            batch: Batch::default(),
        }
    }

    /// Takes what was read. Gives a batch when there is enough for one.
    pub fn take(&mut self, chunk: Chunk) -> Option<Batch> {
        let own = chunk.state.as_ref().and_then(|state| Some((state.conversation.clone()?, state.began?)));
        for (conversation, at) in chunk.began.into_iter().chain(own) {
            let known = self.began.entry(conversation.clone()).or_insert(at);
            *known = at.min(*known);
            self.batch.began.insert(conversation, *known);
        }
        if let Some(state) = chunk.state {
            self.states.insert(state.path.clone(), state);
        }
        self.batch.bytes += chunk.bytes;
        self.batch.skipped.extend(chunk.skipped);
        for found in chunk.found {
            self.pending.add(found, &|conversation| self.began.get(conversation).copied());
        }
        for (id, event) in chunk.observed {
            let ready = Ready::new(id, event.source(self.source), None, self.recorded_at);
            self.batch.observed.push(Told { ready, known: self.known.any(&[id]) });
        }
        (self.pending.len() + self.batch.observed.len() >= BATCH).then(|| self.rest())
    }

    /// What is left.
    pub fn rest(&mut self) -> Batch {
        let mut batch = std::mem::take(&mut self.batch);
        batch.copies = std::mem::take(&mut self.pending.copies);
        batch.states = std::mem::take(&mut self.states).into_values().collect();
        for Sighting { found, ids } in self.pending.drain() {
            let event = NewEvent::new(found.record, found.at).source(self.source);
            match ids.first() {
                Some(id) => {
                    let known = self.known.any(&ids);
                    batch.calls.push(Told { ready: Ready::new(*id, event, Some(ids), self.recorded_at), known });
                }
                None => batch.keyless.push(event),
            }
        }
        batch
    }
}
