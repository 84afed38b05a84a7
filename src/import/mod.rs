//! Agents' logs into a ledger: incremental, idempotent, whatever order the files come in.

mod claude_code;
mod codex;
mod discover;
mod jsonl;
mod merge;
mod reader;
mod run;
mod source;

use std::path::PathBuf;

use serde::Serialize;

use self::source::Source;
use crate::error::{Error, Result};
use crate::event::SkippedLine;

pub use run::run;

/// Every importer, in the order in which they run.
fn all() -> [&'static dyn Source; 2] {
    [&claude_code::ClaudeCode, &codex::Codex]
}

/// The names of the importers of this build.
///
/// ```
/// assert!(usage_ledger::import::names().contains(&"claude-code"));
/// ```
pub fn names() -> Vec<&'static str> {
    all().iter().map(|source| source.name()).collect()
}

/// What to import.
///
/// ```no_run
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// let mut ledger = Ledger::open("usage.db")?;
/// let report = import::run(&mut ledger, &ImportOptions::default(), chrono::Utc::now(), &mut |_| {})?;
/// println!("{} new records", report.sources.iter().map(|source| source.recorded).sum::<u64>());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Importers by name; none means all.
    pub sources: Vec<String>,
    /// The home directory to look in. Without one it is the user's own, and the agents' environment
    /// variables are honoured besides.
    pub home: Option<PathBuf>,
}

impl ImportOptions {
    fn sources(&self) -> Result<Vec<&'static dyn Source>> {
        if self.sources.is_empty() {
            return Ok(all().to_vec());
        }
        self.sources
            .iter()
            .map(|name| {
                all().into_iter().find(|source| source.name() == name).ok_or_else(|| {
                    Error::invalid(format!("`{name}` is not a source that can be imported: use {}", names().join(", ")))
                })
            })
            .collect()
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// One entry for each importer that ran.
    pub sources: Vec<SourceReport>,
}

/// What one importer did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// The importer.
    pub source: String,
    /// Log files found.
    pub files: u64,
    /// Bytes newly read.
    pub bytes: u64,
    /// Records that were new.
    pub recorded: u64,
    /// Copies of records that were known already.
    pub duplicates: u64,
    /// Records whose numbers, time or conversation the new lines changed.
    pub amended: u64,
    /// Lines that could not be read, each with its reason.
    pub skipped: Vec<SkippedLine>,
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes to look at.
    pub total: u64,
    /// Bytes looked at.
    pub done: u64,
    /// Records found so far.
    pub records: u64,
}
