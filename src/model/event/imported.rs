use serde::{Deserialize, Serialize};

use crate::model::serde_skip::is_zero;
use crate::model::time::Timestamp;

/// One run of an importer: what it recorded, and how far it read each file.
///
/// ```
/// use usage_ledger::event::Imported;
/// let run = Imported::new("claude-code");
/// assert_eq!(run.recorded, 0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Imported {
    /// The importer.
    pub source: String,
    /// The importer's version; 0 for builds that did not state one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    /// Each file that was read, and where reading stopped.
    pub files: Vec<ImportedFile>,
    /// Records that were new.
    pub recorded: u64,
    /// Records that already existed.
    pub duplicates: u64,
    /// Records whose numbers, time or conversation later evidence changed.
    pub amended: u64,
    /// Lines that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedLine>,
}

impl Imported {
    /// An empty run of an importer.
    ///
    /// ```
    /// # use usage_ledger::event::Imported;
    /// assert_eq!(Imported::new("my-agent").source, "my-agent");
    /// ```
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), ..Self::default() }
    }
}

/// How far one file was read.
///
/// ```
/// use usage_ledger::event::ImportedFile;
/// let file = ImportedFile { path: "a.jsonl".to_owned(), size: 120, offset: 100, ..ImportedFile::default() };
/// assert!(file.offset < file.size); // the last 20 bytes are a line still being written
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedFile {
    /// Its path.
    pub path: String,
    /// Device and inode (or the platform's equivalent), to detect a replaced file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Its size in bytes when it was read.
    pub size: u64,
    /// Its modification time in nanoseconds since the epoch when it was read.
    pub modified: i64,
    /// Bytes read, always up to the end of a line.
    pub offset: u64,
    /// XXH3-64 of those bytes in hex, to detect a rewritten file.
    pub hash: String,
    /// Lines read.
    pub lines: u64,
    /// Lines or entries among them that were skipped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// The version of the importer that read it; 0 for builds that did not state one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    /// The conversation that the file is the log of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// When that log begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// The importer's state at `offset`, in its own format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<serde_json::Value>,
}

/// A line that an importer skipped.
///
/// ```
/// use usage_ledger::event::{Imported, SkippedLine};
/// let mut run = Imported::new("claude-code");
/// run.skipped.push(SkippedLine { file: "a.jsonl".to_owned(), line: 3, why: "not JSON".to_owned() });
/// assert!(serde_json::to_string(&run).unwrap().contains(r#""line":3"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedLine {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: u64,
    /// The reason.
    pub why: String,
}
