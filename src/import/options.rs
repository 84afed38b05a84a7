//! Options of an import.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::import::agents::{self, ALL};
use crate::import::engine::agent::{Agent, Overlap};
use crate::model::error::{Error, Result};
use crate::model::time::Zone;

/// Options of an import.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let home = tempfile::tempdir()?;
/// let ledger = Ledger::in_memory()?;
/// let options = ImportOptions::new().homes([home.path().to_owned()]);
/// let report = import::run(&ledger, &options, chrono::Utc::now(), &mut |_| {})?;
/// let read: Vec<_> = report.sources.iter().map(|source| &*source.source).collect();
/// assert!(read.contains(&"opencode") && !read.contains(&"koan")); // which is read when it is named
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Importers by name. Empty selects all except `koan`, whose calls are also in the logs of the agents it runs.
    pub sources: Vec<String>,
    /// Home directories to search, such as one per machine or user. Empty selects the user's own home and the
    /// directories in the agents' environment variables.
    pub homes: Vec<PathBuf>,
    /// Time zone of log times without an offset; UTC if absent.
    pub zone: Option<Zone>,
    /// Labels of every call, such as the machine and the key, which logs do not name. A label that a log states stays.
    pub labels: BTreeMap<String, String>,
    /// Labels of the calls whose logs are below a directory. They replace `labels`.
    pub home_labels: BTreeMap<PathBuf, BTreeMap<String, String>>,
    /// Whether the labels replace those with which a log was imported before. Its calls are then amended.
    pub relabel: bool,
}

impl ImportOptions {
    /// All importers that have logs below the user's own home.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these importers.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.sources = sources.into_iter().map(Into::into).collect();
        self
    }

    /// Searches these home directories.
    #[must_use]
    pub fn homes(mut self, homes: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.homes = homes.into_iter().map(Into::into).collect();
        self
    }

    /// Reads log times without an offset in this zone.
    #[must_use]
    pub const fn zone(mut self, zone: Zone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Gives every call a label.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, import::{self, ImportOptions}};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// # let home = tempfile::tempdir()?;
    /// # let logs = home.path().join(".claude/projects/acme");
    /// # std::fs::create_dir_all(&logs)?;
    /// let line = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-11-23T19:00:00Z","requestId":"req_1",
    ///     "message":{"id":"msg_1","model":"claude-opus-4-5","usage":{"input_tokens":30,"output_tokens":12}}}"#;
    /// std::fs::write(logs.join("s.jsonl"), line.replace('\n', " ") + "\n")?;
    /// let options = ImportOptions::new().homes([home.path().to_owned()]).label("machine", "laptop");
    /// let ledger = Ledger::in_memory()?;
    /// import::run(&ledger, &options, now, &mut |_| {})?;
    /// let by_machine = ledger.report(&Report::by(ReportKey::Label("machine".to_owned())))?;
    /// assert_eq!(by_machine.rows[0].keys, [Some("laptop".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Gives the calls of logs below a directory a label.
    ///
    /// ```
    /// use usage_ledger::import::ImportOptions;
    /// let options = ImportOptions::new().home_label("/mnt/laptop/home", "machine", "laptop");
    /// assert_eq!(options.home_labels.len(), 1);
    /// ```
    #[must_use]
    pub fn home_label(mut self, home: impl Into<PathBuf>, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.home_labels.entry(home.into()).or_default().insert(name.into(), value.into());
        self
    }

    /// Returns the selected agents.
    pub(in crate::import) fn agents(&self) -> Result<Vec<&'static Agent>> {
        if self.sources.is_empty() {
            return Ok(ALL.iter().copied().filter(|agent| agent.overlap != Overlap::Unmarked).collect());
        }
        self.sources
            .iter()
            .map(|name| {
                agents::find(name).ok_or_else(|| {
                    let names: Vec<_> = ALL.iter().map(|agent| agent.name).collect();
                    let names = names.join(", ");
                    Error::invalid(format!("`{name}` is not a source that can be imported: use {names}"))
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

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
            let importer = agents::find(source).unwrap();
            let directories = importer.configured(&|wanted| (wanted == name).then(|| value.to_owned()));
            assert!(directories.contains(&PathBuf::from(directory)), "{source} {name}: {directories:?}");
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
            let importer = agents::find(source).unwrap();
            let roots = importer.roots(Path::new("/h"));
            for directory in directories {
                assert!(roots.contains(&Path::new("/h").join(directory)), "{source} {directory}");
            }
        }
    }
}
