//! Options of an import.

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
