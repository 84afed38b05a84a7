//! The interface of an importer: which files of an agent are logs, and how each is parsed.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::health::missing_usage::LogEnd;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{EventId, NewEvent, SkippedLine};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;
use crate::readers::normalise::logged::Logged;

/// The format of a file, with its reader.
#[derive(Clone, Copy)]
pub(crate) enum LogFormat<'s> {
    /// A log that grows line by line. Only new lines are read.
    Lines(&'s dyn LineLog),
    /// A document that the agent rewrites. It is read as a whole when it changed.
    Document(&'s dyn DocumentLog),
    /// An SQLite database. Only new rows are queried.
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

/// The log files of an agent, and their formats.
pub(crate) trait Source: Sync {
    /// The version of the importer, from 1. Files that an older version read are read again once.
    fn version(&self) -> u32 {
        1
    }

    /// The format of the usage objects in its records, if counts depend on nothing else.
    fn usage_format(&self) -> Option<UsageFormat> {
        None
    }

    /// Returns the counts of a usage object that a record keeps, if the object has the agent's own format. An error states why
    /// it cannot be read.
    fn logged(&self, _raw: &Value) -> Option<std::result::Result<Logged, String>> {
        None
    }

    /// Returns whether a file below a root is a log. A root that is a file is always a log.
    fn wants(&self, path: &Path) -> bool;

    /// Returns whether this directory below a root may contain logs.
    fn enters(&self, _directory: &Path) -> bool {
        true
    }

    /// Returns the format of the log at `path`.
    fn format(&self, path: &Path) -> LogFormat<'_>;

    /// Returns the logs that the agent deletes at its next start, whatever their age, if it deletes logs at all.
    fn deleted_at_next_start(&self, _logs: &[&Path]) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Reads documents next to the logs that state how much of a quota is used.
    fn quota_documents(
        &self,
        _roots: &[PathBuf],
        _zone: Zone,
        _ledger: &Ledger,
        _now: Timestamp,
    ) -> Result<QuotaDocuments> {
        Ok(QuotaDocuments::default())
    }
}

/// A line log.
pub(crate) trait LineLog: Sync {
    /// Returns a parser for one file. It starts at the beginning or with the state `resume` of an earlier parser. Times
    /// without an offset are in `zone`. An error states why the log cannot be read yet.
    fn parser(
        &self,
        path: &Path,
        resume: Option<&Value>,
        zone: Zone,
    ) -> std::result::Result<Box<dyn LineParser>, Refusal>;

    /// Returns whether a parser can continue from a stored state. Small files may be simpler to read as a whole.
    fn resumes(&self) -> bool {
        true
    }
}

/// A document that the agent rewrites.
pub(crate) trait DocumentLog: Sync {
    /// Reads a document; `resume` is the state of an earlier reading. An error states why the whole document is
    /// skipped.
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
    /// Reads the rows that are new since the reading that returned `resume`.
    fn database(
        &self,
        path: &Path,
        database: &Connection,
        resume: Option<&Value>,
    ) -> std::result::Result<Document, Refusal>;
}

/// Events from documents that are not logs. Their ids are hashes of the content.
#[derive(Debug, Default)]
pub(crate) struct QuotaDocuments {
    pub events: Vec<NewEvent>,
    pub skipped: Vec<SkippedLine>,
    /// Number of documents that were examined.
    pub files: u64,
}

/// Parses the lines of one file in order.
pub(crate) trait LineParser: Send {
    /// Parses a complete line, without its newline. An error states why the line is skipped.
    fn line(&mut self, line: &[u8]) -> std::result::Result<(), String>;

    /// Returns the calls found since the last call of this function.
    fn take(&mut self) -> Vec<ParsedCall>;

    /// Returns the quota observations found since the last call of this function.
    fn take_observed(&mut self) -> Vec<(EventId, NewEvent)> {
        Vec::new()
    }

    /// Returns the number of calls and observations that are ready to be taken.
    fn pending(&self) -> usize;

    /// The conversation of this file, once it is known.
    fn conversation(&self) -> Option<&str>;

    /// The first time in the file, which is when this log begins.
    fn began(&self) -> Option<Timestamp>;

    /// State from which a later parser continues.
    fn resume(&self) -> Option<serde_json::Value>;

    /// Called at the end of the file. Reports answers without counts, once. `settled` states that the agent no longer
    /// writes to the file.
    fn end(&mut self, _settled: bool) -> LogEnd {
        LogEnd::Plain
    }

    /// Returns whether such a report still holds. It counts as a skip until the file has counts.
    fn is_missing_usage(&self) -> bool {
        false
    }
}

#[cfg(test)]
pub(in crate::import) mod tests {
    use super::*;

    /// Accepts every `.jsonl` file, compressed or not, and parses nothing.
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
