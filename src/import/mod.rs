//! Agents' logs into a ledger: incremental, idempotent, whatever order the files come in.

mod agents;
mod engine;
mod health;
#[cfg(feature = "web")]
pub mod telemetry;

use std::path::PathBuf;

use serde::Serialize;

use crate::import::engine::source::Source;
use crate::model::error::{Error, Result};
use crate::model::event::SkippedLine;
use crate::model::time::Zone;

pub use agents::koan;
#[cfg(feature = "cli")]
pub(crate) use engine::first::fill;
pub use engine::first::first;
pub use engine::follow::Follower;
pub use engine::run::run;
pub use health::inventory::{ExpiringLog, Surveyed, Unreadable, survey};
pub use health::schema_drift::SchemaDrift;
pub use health::skip_reasons::loses_counts;

/// Every importer, in the order in which they run.
fn all() -> Vec<&'static dyn Source> {
    vec![
        &agents::claude_code::ClaudeCode,
        &agents::codex::Codex,
        &agents::gemini_cli::GeminiCli,
        &agents::qwen_code::QwenCode,
        &agents::opencode::Opencode,
        &agents::copilot_cli::CopilotCli,
        &agents::amp::Amp,
        &agents::cline::CLINE,
        &agents::cline::ROO_CODE,
        &agents::cline::KILO_CODE,
        &agents::cursor::Cursor,
        &agents::droid::Droid,
        &agents::goose::Goose,
        &agents::koan::Koan,
    ]
}

/// The names of the importers of this build.
///
/// ```
/// assert!(usage_ledger::import::names().contains(&"claude-code"));
/// ```
pub fn names() -> Vec<&'static str> {
    all().iter().map(|source| source.name()).collect()
}

/// The directories that an import without options searches, by agent.
#[cfg(feature = "cli")]
pub(crate) fn searched() -> Result<Vec<(&'static str, Vec<PathBuf>)>> {
    let sources = ImportOptions::default().sources()?.into_iter();
    sources.map(|source| Ok((source.name(), engine::discover::roots(source, &[])?))).collect()
}

/// What to import.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let home = tempfile::tempdir()?;
/// let ledger = Ledger::in_memory()?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let report = import::run(&ledger, &options, chrono::Utc::now(), &mut |_| {})?;
/// let read: Vec<_> = report.sources.iter().map(|source| &*source.source).collect();
/// assert!(read.contains(&"opencode") && !read.contains(&"koan")); // which is read when it is named
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Importers by name; none means all but `koan`, whose calls the logs of the agents it runs tell of too.
    pub sources: Vec<String>,
    /// The home directories to look in, such as one for each machine or user. Without one it is the user's own, and
    /// the agents' environment variables are honoured besides.
    pub homes: Vec<PathBuf>,
    /// The zone of times that a log states without an offset; without one, UTC.
    pub zone: Option<Zone>,
}

impl ImportOptions {
    fn sources(&self) -> Result<Vec<&'static dyn Source>> {
        if self.sources.is_empty() {
            return Ok(all().into_iter().filter(|source| source.by_default()).collect());
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
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// let ledger = Ledger::in_memory()?;
/// let options = ImportOptions { sources: vec!["codex".to_owned()], homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let report = import::run(&ledger, &options, now, &mut |_| {})?;
/// assert_eq!(report.sources.len(), 1); // one importer ran, and found nothing in an empty home
/// assert_eq!(report.sources[0].files, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// One entry for each importer that ran.
    pub sources: Vec<SourceReport>,
}

/// What one importer did.
///
/// ```
/// use usage_ledger::import::SourceReport;
/// let report = SourceReport { source: "codex".to_owned(), files: 2, recorded: 5, ..SourceReport::default() };
/// assert!(report.skipped.is_empty()); // every line was taken in
/// ```
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
    /// Of these, files and directories that cannot be read, or not to their end: a later import tries again.
    pub unreadable: u64,
    /// What the logs tell of quotas and was new: observations, and how much an agent took for used.
    pub observed: u64,
    /// What makes the counts of the new records doubtful.
    #[serde(flatten)]
    pub doubts: SchemaDrift,
}

/// How far an import has come.
///
/// ```
/// use usage_ledger::import::Progress;
/// let progress = Progress { total: 2_000, done: 500, records: 3 };
/// assert_eq!(100 * progress.done / progress.total, 25); // percent
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes to look at.
    pub total: u64,
    /// Bytes looked at.
    pub done: u64,
    /// Records found so far.
    pub records: u64,
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::all;

    #[test]
    fn directories_that_the_environment_names_are_looked_at() {
        for (source, name, value, directory) in [
            ("copilot-cli", "COPILOT_HOME", "/c", "/c"),
            ("copilot-cli", "COPILOT_OTEL_FILE_EXPORTER_PATH", "/o/calls.jsonl", "/o/calls.jsonl"),
            ("copilot-cli", "XDG_STATE_HOME", "/s", "/s/.copilot"),
            ("amp", "AMP_DATA_DIR", "/a,/b", "/b/threads"),
            ("amp", "XDG_DATA_HOME", "/d", "/d/amp/threads"),
            ("cline", "CLINE_DIR", "/c", "/c/data/tasks"),
            ("cline", "XDG_CONFIG_HOME", "/x", "/x/Code/User/globalStorage/saoudrizwan.claude-dev/tasks"),
            ("roo-code", "APPDATA", "/r", "/r/Windsurf/User/globalStorage/rooveterinaryinc.roo-cline/tasks"),
            ("kilo-code", "VSCODE_PORTABLE", "/p", "/p/user-data/User/globalStorage/kilocode.kilo-code/tasks"),
            ("cursor", "XDG_CONFIG_HOME", "/x", "/x/Cursor/User/globalStorage"),
            ("goose", "GOOSE_PATH_ROOT", "/g", "/g/data/sessions"),
            ("goose", "APPDATA", "/r", "/r/Block/goose/data/sessions"),
            ("droid", "FACTORY_DIR", "/f", "/f/sessions"),
        ] {
            let importer = all().into_iter().find(|importer| importer.name() == source).unwrap();
            let found = importer.configured(&|asked| (asked == name).then(|| value.to_owned()));
            assert!(found.contains(&PathBuf::from(directory)), "{source} {name}: {found:?}");
            assert!(importer.configured(&|_| None).is_empty(), "{source}");
        }
    }

    #[test]
    fn each_importer_looks_below_a_home_on_linux_macos_and_windows() {
        for (source, directories) in [
            (
                "amp",
                [".local/share/amp/threads", "Library/Application Support/amp/threads", "AppData/Roaming/amp/threads"],
            ),
            (
                "cursor",
                [
                    ".config/Cursor/User/globalStorage",
                    "Library/Application Support/Cursor/User/globalStorage",
                    "AppData/Roaming/Cursor/User/globalStorage",
                ],
            ),
            (
                "goose",
                [
                    ".local/share/goose/sessions",
                    "Library/Application Support/Block/goose/sessions",
                    "AppData/Roaming/Block/goose/data/sessions",
                ],
            ),
        ] {
            let importer = all().into_iter().find(|importer| importer.name() == source).unwrap();
            let roots = importer.roots(Path::new("/h"));
            for directory in directories {
                assert!(roots.contains(&Path::new("/h").join(directory)), "{source} {directory}");
            }
        }
    }
}
