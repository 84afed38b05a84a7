//! What an importer of one agent's logs has to know.

use std::path::{Path, PathBuf};

use crate::import::engine::document::Document;
use crate::import::engine::query::Refusal;
use crate::import::health::missing_usage::Ending;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{EventId, NewEvent, SkippedLine, TokenRecord};
use crate::model::time::{Timestamp, Zone};

/// A token record found in a log, resolved within its file: of several lines of one call the largest
/// total counts, at the earliest of their times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParsedCall {
    /// The earliest time the call was seen at.
    pub at: Timestamp,
    /// The record; its keys are every natural key the line knows, the one that makes the id first.
    pub record: TokenRecord,
}

impl ParsedCall {
    /// When its counts were told.
    pub fn told_at(&self) -> Timestamp {
        self.record.told_at(self.at)
    }

    /// The same call, with counts that were told then.
    pub fn counted(mut self, told_at: Timestamp) -> Self {
        self.count_at(told_at);
        self
    }

    /// Says when the counts were told, which needs no word where that was at the time of the call.
    pub fn count_at(&mut self, told_at: Timestamp) {
        self.record.counted_at = Some(told_at).filter(|told_at| *told_at > self.at);
    }
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogForm {
    /// A log that grows line by line: only what is new is read.
    Lines,
    /// A document that is rewritten as a whole: read again when it changed.
    Document,
    /// An SQLite database: asked for what is new.
    Database,
}

/// One agent's log format: where its files are and how their lines read.
///
/// A source implements `parser`, `document` or `database`, whichever [`LogForm`] its files have.
pub(crate) trait Source: Sync {
    /// The importer's name, which is also the agent's: `claude-code`.
    fn name(&self) -> &'static str;

    /// The directories below `home` that hold this agent's logs, whether they exist or not.
    fn roots(&self, home: &Path) -> Vec<PathBuf>;

    /// The directories that the environment names besides, when no home is given on the command line.
    fn configured(&self, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf>;

    /// Whether a file below a root is a log. A root that is a file itself is one.
    fn wants(&self, path: &Path) -> bool;

    /// Whether logs may be in this directory below a root.
    fn enters(&self, _directory: &Path) -> bool {
        true
    }

    /// How the file at `path` is read.
    fn form(&self, _path: &Path) -> LogForm {
        LogForm::Lines
    }

    /// A parser for one file of lines, from its beginning or from where an earlier one stopped.
    fn parser(&self, _path: &Path, _resume: Option<&serde_json::Value>) -> Box<dyn LineParser> {
        Box::new(Unread)
    }

    /// Reads a document. An error says why nothing of it can be taken in.
    fn document(&self, _path: &Path, _text: &[u8], _zone: Zone) -> std::result::Result<Document, Refusal> {
        Err("documents of this source are not known".into())
    }

    /// The same for a document of which an earlier reading left `resume`.
    fn document_again(
        &self,
        path: &Path,
        text: &[u8],
        zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> std::result::Result<Document, Refusal> {
        self.document(path, text, zone)
    }

    /// Reads what is new in a database. `resume` is what the last reading left.
    fn database(
        &self,
        _path: &Path,
        _database: &rusqlite::Connection,
        _resume: Option<&serde_json::Value>,
    ) -> std::result::Result<Document, Refusal> {
        Err("databases of this source are not known".into())
    }

    /// The same as `parser` for a log whose times lack their offset: they are of this zone. An error says why the log
    /// cannot be read yet: what stands beside it decides which of its calls count, and cannot be read.
    fn parser_in(
        &self,
        path: &Path,
        resume: Option<&serde_json::Value>,
        _zone: Zone,
    ) -> std::result::Result<Box<dyn LineParser>, Refusal> {
        Ok(self.parser(path, resume))
    }

    /// Whether an import that names no source reads this one. Not so where other sources' logs tell of the same calls
    /// and nothing in these says which.
    fn by_default(&self) -> bool {
        true
    }

    /// Whether no other source tells of the calls that this one's logs tell of.
    fn is_apart(&self) -> bool {
        false
    }

    /// Whether a parser can go on where an earlier one stopped. Of small files it may be simpler to read all again.
    fn resumes(&self) -> bool {
        true
    }

    /// After how many days without a change the agent deletes a log below this root, if it does.
    fn kept_days(&self, _root: &Path) -> Option<u32> {
        None
    }

    /// What stands beside the logs and says how much of a quota is used.
    fn beside(&self, _roots: &[PathBuf], _zone: Zone, _ledger: &Ledger, _now: Timestamp) -> Result<Beside> {
        Ok(Beside::default())
    }
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

/// Of a source whose files are not lines.
struct Unread;

impl LineParser for Unread {
    fn line(&mut self, _line: &[u8]) -> std::result::Result<(), String> {
        Err("lines of this source are not known".to_owned())
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        Vec::new()
    }

    fn pending(&self) -> usize {
        0
    }

    fn conversation(&self) -> Option<&str> {
        None
    }

    fn began(&self) -> Option<Timestamp> {
        None
    }

    fn resume(&self) -> Option<serde_json::Value> {
        None
    }
}
