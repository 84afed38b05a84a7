use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event_data::EventData;
#[cfg(feature = "import")]
use super::scrub;
use super::shredded::SHREDDED;
use super::{NameKind, Subject};
use crate::model::error::Result;
use crate::model::humanize::number::{counted, grouped};
#[cfg(feature = "import")]
use crate::model::secrets;
use crate::model::serde_skip::is_zero;
use crate::model::time::Timestamp;

/// The beginning of the name of a redacted file. No path begins like this.
pub(crate) const REDACTED_PATH: &str = "shredded:";

/// The most files of an event. A pushed segment has a largest size, and each event must fit into one.
#[cfg(feature = "import")]
const FILES: usize = 4_096;

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

    /// The same run as events of at most [`FILES`] files each. The first one has the counts.
    #[cfg(feature = "import")]
    pub(crate) fn in_parts(mut self) -> Vec<Self> {
        let rest = self.files.split_off(self.files.len().min(FILES));
        let (source, version) = (self.source.clone(), self.version);
        let more = rest.chunks(FILES);
        let more = more.map(|files| Self { version, files: files.to_vec(), ..Self::new(source.clone()) });
        std::iter::once(self).chain(more).collect()
    }
}

impl EventData for Imported {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        None
    }

    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    fn redacted(&self) -> Result<Self, &'static str> {
        // The result becomes part of an `event_shredded`, from which nothing is erased later, so all names go.
        let mut kept = self.clone();
        kept.files = self.files.iter().filter_map(ImportedFile::redacted).collect();
        for line in &mut kept.skipped {
            SHREDDED.clone_into(&mut line.file);
            SHREDDED.clone_into(&mut line.why);
        }
        Ok(kept)
    }

    fn summary(&self) -> String {
        format!(
            "{}: {}, {} recorded, {} known, {} amended, {} skipped",
            self.source,
            counted(self.files.len() as u64, "file"),
            grouped(self.recorded),
            grouped(self.duplicates),
            grouped(self.amended),
            grouped(self.skipped.len() as u64)
        )
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}
}

/// How far one file was read.
///
/// ```
/// use usage_ledger::event::ImportedFile;
/// let mut file = ImportedFile::default();
/// (file.size, file.offset) = (120, 100);
/// assert!(file.offset < file.size); // the last 20 bytes are a line still being written
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// The labels that the import stated for its calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The importer's state at `offset`, in its own format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<serde_json::Value>,
}

impl ImportedFile {
    /// How far the file was read, without its path. The hash identifies an unchanged log, which then need not be opened
    /// again. An entry without a hash and without an identity is not a file.
    fn redacted(&self) -> Option<Self> {
        if self.hash.is_empty() && self.identity.is_none() {
            return None;
        }
        let path = format!("{REDACTED_PATH}{}", self.hash);
        Some(Self { path, conversation: None, began: None, labels: BTreeMap::new(), resume: None, ..self.clone() })
    }

    /// Removes credentials from the names in a log, and from the state of its importer.
    #[cfg(feature = "import")]
    pub(crate) fn scrub(&mut self) {
        scrub::apply(&mut self.path, secrets::path);
        scrub::optional(&mut self.conversation, secrets::id);
        if let Some(resume) = &mut self.resume {
            scrub::value(resume);
        }
    }
}

/// A line that an importer skipped.
///
/// ```
/// use usage_ledger::event::{Imported, SkippedLine};
/// let mut run = Imported::new("claude-code");
/// run.skipped.push(SkippedLine::new("a.jsonl", 3, "not JSON"));
/// assert!(serde_json::to_string(&run).unwrap().contains(r#""line":3"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SkippedLine {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: u64,
    /// The reason.
    pub why: String,
}

impl SkippedLine {
    /// A line of a file, from 1, and the reason why it was skipped.
    ///
    /// ```
    /// # use usage_ledger::event::SkippedLine;
    /// assert_eq!(SkippedLine::new("a.jsonl", 3, "not JSON").line, 3);
    /// ```
    pub fn new(file: impl Into<String>, line: u64, why: impl Into<String>) -> Self {
        Self { file: file.into(), line, why: why.into() }
    }
}

#[cfg(feature = "import")]
impl SkippedLine {
    /// Removes credentials and long texts from the reason.
    pub(crate) fn scrub(&mut self) {
        scrub::apply(&mut self.file, secrets::path);
        scrub::apply(&mut self.why, secrets::short);
    }
}

#[cfg(all(test, feature = "import"))]
mod tests {
    use super::*;

    #[test]
    fn a_run_over_many_files_is_several_events_with_one_set_of_counts() {
        let file = |n: usize| ImportedFile { path: format!("/log/{n}"), ..ImportedFile::default() };
        for (files, parts) in [(0, 1), (1, 1), (FILES, 1), (FILES + 1, 2), (3 * FILES, 3)] {
            let run = Imported { version: 7, recorded: 5, ..Imported::new("my-agent") };
            let run = Imported { files: (0..files).map(file).collect(), ..run };
            let all = run.clone().in_parts();
            assert_eq!(all.len(), parts);
            assert_eq!(all.iter().map(|part| part.recorded).sum::<u64>(), 5);
            assert!(all.iter().all(|part| part.version == 7 && part.source == "my-agent"));
            assert_eq!(all.into_iter().flat_map(|part| part.files).collect::<Vec<_>>(), run.files);
        }
    }
}
