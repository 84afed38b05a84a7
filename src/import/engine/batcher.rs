//! The stage between readers and writer: joins sightings and serialises events while the writer commits an earlier
//! batch.

use std::collections::HashMap;

use crate::import::engine::chunk::Chunk;
use crate::import::engine::merge::{KeyedSighting, PendingSightings};
use crate::import::engine::seen_keys::SeenKeys;
use crate::ledger::PreparedEvent;
use crate::model::event::{ImportedFile, NewEvent, SkippedLine};
use crate::model::time::Timestamp;

/// Records and observations per batch.
const BATCH: usize = 1_024;

/// An event to be written.
pub(in crate::import) struct PendingEvent {
    pub ready: PreparedEvent,
    /// Whether an event of this run, or an earlier one, may have one of its keys.
    pub maybe_recorded: bool,
    /// Whether it comes from a file that an older version of the importer read.
    pub again: bool,
}

/// The unit of work of the writer.
#[derive(Default)]
pub(in crate::import) struct Batch {
    /// Index of the source, among those that are imported together.
    pub source_index: usize,
    /// Calls with at least one key, which determines the id.
    pub calls: Vec<PendingEvent>,
    /// Calls without keys.
    pub keyless: Vec<NewEvent>,
    /// Quota observations. The id is a hash of the content.
    pub observed: Vec<PendingEvent>,
    /// How far each file has been read.
    pub states: Vec<ImportedFile>,
    pub skipped: Vec<SkippedLine>,
    /// Number of skipped entries that stand for a file that cannot be read, or only in part.
    pub unreadable: u64,
    /// Start times of conversations that this batch reports.
    pub began: HashMap<String, Timestamp>,
    /// Duplicates that were joined before writing.
    pub copies: u64,
    /// Bytes that no earlier import read.
    pub bytes: u64,
}

impl Batch {
    /// Returns whether there is nothing to write or report.
    pub fn is_empty(&self) -> bool {
        let written = self.calls.is_empty() && self.keyless.is_empty() && self.observed.is_empty();
        written && self.states.is_empty() && self.skipped.is_empty() && self.copies == 0 && self.bytes == 0
    }
}

/// Collects the chunks of one source into batches.
pub(in crate::import) struct Batcher {
    source_index: usize,
    source: &'static str,
    /// The expected `recorded_at`. The writer serialises the line again if the actual one differs.
    recorded_at: Timestamp,
    pending: PendingSightings,
    began: HashMap<String, Timestamp>,
    states: HashMap<String, ImportedFile>,
    batch: Batch,
}

impl Batcher {
    pub fn new(source_index: usize, source: &'static str, recorded_at: Timestamp) -> Self {
        Self {
            source_index,
            source,
            recorded_at,
            pending: PendingSightings::default(),
            began: HashMap::new(),
            states: HashMap::new(),
            batch: Batch::default(),
        }
    }

    /// Adds a chunk. Returns a batch once it is full.
    pub fn take(&mut self, mut chunk: Chunk, keys: &mut SeenKeys) -> Option<Batch> {
        chunk.scrub();
        let file_began = chunk.state.as_ref().and_then(|state| Some((state.conversation.clone()?, state.began?)));
        for (conversation, at) in chunk.began.into_iter().chain(file_began) {
            let began = self.began.entry(conversation.clone()).or_insert(at);
            *began = at.min(*began);
            self.batch.began.insert(conversation, *began);
        }
        if let Some(state) = chunk.state {
            self.states.insert(state.path.clone(), state);
        }
        self.batch.bytes += chunk.bytes;
        self.batch.skipped.extend(chunk.skipped);
        self.batch.unreadable += chunk.unreadable;
        for mut sighting in chunk.calls {
            sighting.again = chunk.again;
            self.pending.add(sighting, &|conversation| self.began.get(conversation).copied());
        }
        for (id, event) in chunk.observed {
            let ready = PreparedEvent::new(id, event.source(self.source), None, self.recorded_at);
            self.batch.observed.push(PendingEvent { ready, maybe_recorded: keys.any(&[id]), again: false });
        }
        (self.pending.len() + self.batch.observed.len() >= BATCH).then(|| self.finish(keys))
    }

    /// Returns what remains as the last batch.
    pub fn finish(&mut self, keys: &mut SeenKeys) -> Batch {
        let mut batch = std::mem::take(&mut self.batch);
        batch.source_index = self.source_index;
        batch.copies = std::mem::take(&mut self.pending.copies);
        batch.states = std::mem::take(&mut self.states).into_values().collect();
        for KeyedSighting { call, ids, again } in self.pending.drain() {
            let event = NewEvent::new(call.record, call.at).source(self.source);
            match ids.first() {
                Some(id) => {
                    let maybe_recorded = keys.any(&ids);
                    let ready = PreparedEvent::new(*id, event, Some(ids), self.recorded_at);
                    batch.calls.push(PendingEvent { ready, maybe_recorded, again });
                }
                None => batch.keyless.push(event),
            }
        }
        batch
    }
}
