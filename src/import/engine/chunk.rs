//! A parsed part of a log, on its way to the writer.

use std::borrow::Cow;

use crate::import::engine::file_labels::Labels;
use crate::import::engine::merge::KeyedSighting;
use crate::import::engine::parsed_call::ParsedCall;
use crate::model::event::{EventData, EventId, ImportedFile, NewEvent, SkippedLine};
use crate::model::secrets;
use crate::model::time::Timestamp;

/// A parsed part of a file, up to the end of a line.
#[derive(Debug, Default)]
pub(in crate::import) struct Chunk {
    pub calls: Vec<KeyedSighting>,
    /// Quota observations. The id is a hash of the content.
    pub observed: Vec<(EventId, NewEvent)>,
    pub skipped: Vec<SkippedLine>,
    /// Number of skipped entries that stand for a file that cannot be read, or only in part.
    pub unreadable: u64,
    /// Start times of conversations, except the conversation of the file itself.
    pub began: Vec<(String, Timestamp)>,
    /// How far the file is read after this part. `None` if there is nothing to store.
    pub state: Option<ImportedFile>,
    /// Bytes that no earlier import read.
    pub bytes: u64,
    /// Bytes for the progress display, including those that were read before.
    pub progress: u64,
    /// Whether an older version of the importer read the file.
    pub again: bool,
}

impl Chunk {
    /// Sets the version of the importer, and whether an older version read the file.
    pub fn by(&mut self, version: u32, again: bool) {
        self.again = again;
        if let Some(state) = &mut self.state {
            state.version = version;
        }
    }

    /// Adds the labels of the file to its calls. A label that the log itself states stays.
    pub fn label(&mut self, labels: &Labels) {
        for sighting in &mut self.calls {
            for (name, value) in labels {
                sighting.call.record.labels.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        if let Some(state) = &mut self.state {
            state.labels.clone_from(labels);
        }
    }

    /// Returns the number of records and observations.
    pub fn weight(&self) -> usize {
        self.calls.len() + self.observed.len()
    }

    /// Removes credentials from everything except calls. Calls are scrubbed before their ids are derived.
    pub fn scrub(&mut self) {
        self.observed.iter_mut().for_each(|(_, event)| event.payload.scrub());
        self.skipped.iter_mut().for_each(SkippedLine::scrub);
        for (conversation, _) in &mut self.began {
            if let Cow::Owned(plain) = secrets::id(conversation) {
                *conversation = plain;
            }
        }
        if let Some(state) = &mut self.state {
            state.scrub();
        }
    }
}

/// Splits calls into those that a ledger accepts and skipped ones with a reason. One bad call must not end an import.
pub(in crate::import) fn admitted(file: &str, calls: Vec<ParsedCall>) -> (Vec<KeyedSighting>, Vec<SkippedLine>) {
    let mut refused = Vec::new();
    let admitted = calls.into_iter().filter(|call| match call.record.validate() {
        Ok(()) => true,
        Err(error) => {
            let key = call.record.keys.first().map(|key| format!(" (call {key})")).unwrap_or_default();
            refused.push(SkippedLine { file: file.to_owned(), line: 0, why: format!("unknown shape: {error}{key}") });
            false
        }
    });
    let sightings = admitted.map(KeyedSighting::from).collect();
    (sightings, refused)
}

/// Removes quoted text from a reason, because no text of a conversation may be stored.
pub(in crate::import) fn unquoted(why: &str) -> String {
    let mut parts = why.split('"');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    while parts.next().is_some() {
        plain.push('…');
        plain.push_str(parts.next().unwrap_or_default());
    }
    plain
}
