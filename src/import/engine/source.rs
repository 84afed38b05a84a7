//! What an importer states about one agent's log files: which files are logs, and how each is read.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::health::missing_usage::Ending;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{EventId, NewEvent, SkippedLine};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;

/// How a file is read, and by whom.
#[derive(Clone, Copy)]
pub(crate) enum LogFormat<'s> {
    /// A log that grows line by line: only what is new is read.
    Lines(&'s dyn LineLog),
    /// A document that is rewritten as a whole: it is read again when it changed.
    Document(&'s dyn DocumentLog),
    /// An SQLite database: it is asked for what is new.
    Database(&'s dyn DatabaseLog),
}

impl LogFormat<'_> {
    pub const fn is_lines(&self) -> bool {
        matches!(self, Self::Lines(_))
    }

    pub const fn is_database(&self) -> bool {
        matches!(self, Self::Database(_))
    }
}

/// Which of the files below an agent's directories are logs, and in which format.
pub(crate) trait Source: Sync {
    /// The version of the importer, from 1. Files that an older version read are read again once.
    fn version(&self) -> u32 {
        1
    }

    /// The format of the usage objects that its records keep, if their counts can be made of nothing else.
    fn usage_format(&self) -> Option<UsageFormat> {
        None
    }

    /// Whether a file below a root is a log. A root that is a file itself is one.
    fn wants(&self, path: &Path) -> bool;

    /// Whether logs may be in this directory below a root.
    fn enters(&self, _directory: &Path) -> bool {
        true
    }

    /// How the log at `path` is read.
    fn format(&self, path: &Path) -> LogFormat<'_>;

    /// Documents beside the logs that state how much of a quota is used.
    fn beside(&self, _roots: &[PathBuf], _zone: Zone, _ledger: &Ledger, _now: Timestamp) -> Result<Beside> {
        Ok(Beside::default())
    }
}

/// A log of lines.
pub(crate) trait LineLog: Sync {
    /// A parser for one file, from its beginning or from the state that an earlier parser left in `resume`. Times
    /// without an offset are of `zone`. An error says why the log cannot be read yet.
    fn parser(
        &self,
        path: &Path,
        resume: Option<&Value>,
        zone: Zone,
    ) -> std::result::Result<Box<dyn LineParser>, Refusal>;

    /// Whether a parser can continue where an earlier one stopped. Small files may be simpler to read whole.
    fn resumes(&self) -> bool {
        true
    }
}

/// A document that the agent rewrites.
pub(crate) trait DocumentLog: Sync {
    /// Reads a document, of which an earlier reading may have left `resume`. An error says why nothing of it counts.
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        zone: Zone,
        resume: Option<&Value>,
    ) -> std::result::Result<Document, Refusal>;
}

/// An SQLite database.
pub(crate) trait DatabaseLog: Sync {
    /// Reads what is new since the reading that left `resume`.
    fn database(
        &self,
        path: &Path,
        database: &Connection,
        resume: Option<&Value>,
    ) -> std::result::Result<Document, Refusal>;
}

/// Facts from documents that are no logs, with ids that their contents make.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub events: Vec<NewEvent>,
    pub skipped: Vec<SkippedLine>,
    /// Documents that were looked at.
    pub files: u64,
}

/// Reads one file's lines in order.
pub(crate) trait LineParser: Send {
    /// Takes a complete line, without its newline. An error says why the line cannot be taken in.
    fn line(&mut self, line: &[u8]) -> std::result::Result<(), String>;

    /// Hands over the records found since the last call.
    fn take(&mut self) -> Vec<ParsedCall>;

    /// Hands over what the log tells of quotas, found since the last call.
    fn take_observed(&mut self) -> Vec<(EventId, NewEvent)> {
        Vec::new()
    }

    /// How many records and observations would be handed over.
    fn pending(&self) -> usize;

    /// The conversation this file is the log of, once it is known.
    fn conversation(&self) -> Option<&str>;

    /// The first time that stands in the file: when this log begins.
    fn began(&self) -> Option<Timestamp>;

    /// What a later parser needs to go on from here.
    fn resume(&self) -> Option<serde_json::Value>;

    /// At the end of the file as it stands: whether answers stand in it and no counts, told once. `settled` says that
    /// nobody writes to it any more.
    fn end(&mut self, _settled: bool) -> Ending {
        Ending::Plain
    }

    /// Whether that was told and still holds: it counts as a skip until the file tells counts after all.
    fn is_silent(&self) -> bool {
        false
    }
}

#[cfg(test)]
pub(in crate::import) mod tests {
    use super::*;

    /// Takes every file that ends in `.jsonl`, packed or not, and reads nothing in it.
    pub(in crate::import) struct AnyLines;

    impl Source for AnyLines {
        fn wants(&self, path: &Path) -> bool {
            path.extension().is_some_and(|extension| extension == "jsonl")
        }

        fn format(&self, _path: &Path) -> LogFormat<'_> {
            LogFormat::Lines(self)
        }
    }

    impl LineLog for AnyLines {
        fn parser(
            &self,
            _path: &Path,
            _resume: Option<&Value>,
            _zone: Zone,
        ) -> std::result::Result<Box<dyn LineParser>, Refusal> {
            Err("this source reads nothing".into())
        }
    }
}
