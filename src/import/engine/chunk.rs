//! A part of a log that was read, on its way to the writer.

use std::borrow::Cow;

use crate::import::engine::merge::KeyedCall;
use crate::import::engine::parsed_call::ParsedCall;
use crate::model::event::{EventId, ImportedFile, NewEvent, SkippedLine};
use crate::model::secrets;
use crate::model::time::Timestamp;

/// A part of a file that was read, up to the end of a line.
#[derive(Debug, Default)]
pub(in crate::import) struct Chunk {
    pub found: Vec<KeyedCall>,
    /// What the file tells of quotas, each with the id that its words make.
    pub observed: Vec<(EventId, NewEvent)>,
    pub skipped: Vec<SkippedLine>,
    /// Of these, files that cannot be read, or not to their end.
    pub unreadable: u64,
    /// When conversations began, besides the one that the file is the log of.
    pub began: Vec<(String, Timestamp)>,
    /// How far the file is read with this part; `None` when there is nothing to remember.
    pub state: Option<ImportedFile>,
    /// Bytes newly taken in with this part.
    pub bytes: u64,
    /// Bytes of progress, those read again included.
    pub progress: u64,
    /// Whether an older version of the importer read the file before.
    pub again: bool,
}

impl Chunk {
    /// States which version of the importer read it, and whether an older one did before.
    pub fn by(&mut self, version: u32, again: bool) {
        self.again = again;
        if let Some(state) = &mut self.state {
            state.version = version;
        }
    }

    /// How many records and observations it holds.
    pub fn weight(&self) -> usize {
        self.found.len() + self.observed.len()
    }

    /// Removes credentials from everything but the calls, which had theirs removed before their ids were made.
    pub fn scrub(&mut self) {
        self.observed.iter_mut().for_each(|(_, event)| event.payload.scrub());
        self.skipped.iter_mut().for_each(SkippedLine::scrub);
        for (conversation, _) in &mut self.began {
            if let Cow::Owned(kept) = secrets::id(conversation) {
                *conversation = kept;
            }
        }
        if let Some(state) = &mut self.state {
            state.scrub();
        }
    }
}

/// The calls that a ledger takes, and why it would refuse the others: one bad call is a skip, not the end of an import.
pub(in crate::import) fn admitted(file: &str, found: Vec<ParsedCall>) -> (Vec<KeyedCall>, Vec<SkippedLine>) {
    let mut refused = Vec::new();
    let admitted = found.into_iter().filter(|found| match found.record.validate() {
        Ok(()) => true,
        Err(error) => {
            let call = found.record.keys.first().map(|key| format!(" (call {key})")).unwrap_or_default();
            refused.push(SkippedLine { file: file.to_owned(), line: 0, why: format!("unknown shape: {error}{call}") });
            false
        }
    });
    let sightings = admitted.map(KeyedCall::from).collect();
    (sightings, refused)
}

/// A reason without what it quotes of the line: nothing that was said or typed is stored.
pub(in crate::import) fn unquoted(why: &str) -> String {
    let mut parts = why.split('"');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    while parts.next().is_some() {
        kept.push('…');
        kept.push_str(parts.next().unwrap_or_default());
    }
    kept
}
