//! The descriptor of an agent: everything this build knows about the agent except how its logs are parsed.
//!
//! Each agent states its descriptor in its own folder. Code that depends on an agent asks the descriptor.

use std::path::{Path, PathBuf};

use crate::export::CcusageAgent;
use crate::import::engine::log_places::{self, LogPlace};
use crate::import::engine::platform_dirs::EnvLookup;
use crate::import::engine::regular;
use crate::import::engine::source::Source;
use crate::import::engine::telemetry_vocabulary::TelemetryVocabulary;
use crate::model::event::TokenRecord;

/// Maximum size in bytes of an agent's settings file. A larger file is ignored.
const LONGEST_SETTINGS: u64 = 1 << 20;

/// One agent. Its folder in `import/agents` defines the value.
pub(crate) struct Agent {
    /// The id of the agent and of its importer: `claude-code`.
    pub name: &'static str,
    /// Other names that people or programs use for it.
    pub aliases: &'static [&'static str],
    /// Directories of its logs on Linux, macOS and Windows, and the environment variables that override them.
    pub places: &'static [LogPlace],
    /// How its log files are recognised and parsed.
    pub source: &'static dyn Source,
    /// Whether and when it deletes its logs.
    pub retention: Retention,
    /// Which counters its log states for each call.
    pub counters: Counters,
    /// The calls that its log never contains, each as part of a sentence: `the calls that make a session's title`.
    pub unlogged: &'static [&'static str],
    /// Whether the logs of other agents contain the same calls.
    pub overlap: Overlap,
    /// Feeds of quota readings that its importer records.
    pub feeds: &'static [&'static str],
    /// Its own telemetry, if it sends any.
    pub telemetry: Option<&'static TelemetryVocabulary>,
    /// How ccusage reports it, if ccusage knows it.
    pub ccusage: Option<CcusageAgent>,
}

/// Whether and when an agent deletes its logs.
#[derive(Clone, Copy)]
pub(crate) enum Retention {
    /// It never deletes logs.
    Kept,
    /// `settings.json` next to the log directory decides. The function receives that directory and the bytes of the
    /// file (empty if absent). It returns the days after the last change, or `None` if logs are never deleted.
    BySettings(fn(&Path, &[u8]) -> Option<u32>),
}

/// Which counters the log of an agent states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Input and output: absent only if the agent omits a count of 0.
    pub omits_zeros: bool,
    pub cache_read: StatedWhen,
    pub cache_write: StatedWhen,
}

/// Whether a log states a counter of each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatedWhen {
    /// Always, including 0.
    Always,
    /// Always, if the call was served by this provider.
    By(&'static str),
    /// Not always.
    Sometimes,
}

impl StatedWhen {
    /// Returns whether this record must have the counter.
    pub fn of(self, record: &TokenRecord) -> bool {
        match self {
            Self::Always => true,
            Self::By(provider) => record.provider == provider,
            Self::Sometimes => false,
        }
    }
}

/// Whether the logs of other agents contain the same calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// No other importer reads the same calls. Such importers run in parallel.
    Apart,
    /// Other logs may contain the same calls with the same keys. The importer that runs first owns the record.
    ByKeys,
    /// Other logs contain the same calls without a common key. An import reads this agent only if it is named.
    Unmarked,
}

impl Agent {
    /// Whether `name` is a name of this agent.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The directories below `home` that hold its logs, whether they exist or not.
    pub fn roots(&self, home: &Path) -> Vec<PathBuf> {
        log_places::below(self.places, home)
    }

    /// Further log directories from environment variables. Used only if the command line names no home.
    pub fn configured(&self, variable: EnvLookup<'_>) -> Vec<PathBuf> {
        log_places::configured(self.places, variable)
    }

    /// After how many days without a change the agent deletes a log below this root, if it does.
    pub fn kept_days(&self, root: &Path) -> Option<u32> {
        match self.retention {
            Retention::Kept => None,
            Retention::BySettings(days) => {
                let settings = regular::read(&root.with_file_name("settings.json"), LONGEST_SETTINGS);
                days(root, &settings.unwrap_or_default())
            }
        }
    }
}
