//! The descriptor of an agent: all that this build knows about it besides how its logs read.
//!
//! Each agent states its descriptor in its own folder. Code that depends on an agent asks the descriptor.

use std::path::{Path, PathBuf};

use crate::export::CcusageAgent;
use crate::import::engine::places::{self, Place};
use crate::import::engine::platform_dirs::EnvLookup;
use crate::import::engine::regular;
use crate::import::engine::source::Source;
use crate::import::engine::telemetry_words::TelemetryWords;
use crate::model::event::TokenRecord;

/// Bytes of an agent's settings that are read.
const LONGEST_SETTINGS: u64 = 1 << 20;

/// An agent, as its folder in `import/agents` describes it.
pub(crate) struct Agent {
    /// The id of the agent and of its importer: `claude-code`.
    pub name: &'static str,
    /// Further names by which a person, or another program, may call it.
    pub aliases: &'static [&'static str],
    /// Where its logs are, on Linux, macOS and Windows, and which environment variables move them.
    pub places: &'static [Place],
    /// Which files are logs, and how each is read.
    pub source: &'static dyn Source,
    /// Whether and when it deletes its logs.
    pub retention: Retention,
    /// Which counters its log states for each call.
    pub counters: Counters,
    /// The calls that its log never contains, each as part of a sentence: `the calls that make a session's title`.
    pub unlogged: &'static [&'static str],
    /// Whether the logs of other agents contain the same calls.
    pub overlap: Overlap,
    /// Its own telemetry, if it sends any.
    pub telemetry: Option<&'static TelemetryWords>,
    /// How ccusage reports it, if ccusage knows it.
    pub ccusage: Option<CcusageAgent>,
}

/// Whether and when an agent deletes its logs.
#[derive(Clone, Copy)]
pub(crate) enum Retention {
    /// It keeps them.
    Kept,
    /// Its settings, `settings.json` beside the directory of the logs, decide: the days after the last change, if it
    /// deletes logs at all. The function gets the directory, and no bytes if there are no settings.
    BySettings(fn(&Path, &[u8]) -> Option<u32>),
}

/// Which counters the log of an agent states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Input and output: absent only if the agent omits a count of 0.
    pub omits_zeros: bool,
    pub cache_read: Stated,
    pub cache_write: Stated,
}

/// Whether a log states a counter of each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    /// Always, be it 0.
    Always,
    /// Always, if this provider served the call.
    By(&'static str),
    /// Not always.
    Sometimes,
}

impl Stated {
    /// Whether the counter of a record must be there.
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
    /// No other importer sees a call of this one: such importers run in parallel.
    Apart,
    /// Other logs may contain the same calls under the same keys: of two, the record of the first importer stays.
    ByKeys,
    /// Other logs contain the same calls and nothing tells which: an import reads this agent only if it is named.
    Unmarked,
}

impl Agent {
    /// Whether `name` is a name of this agent.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The directories below `home` that hold its logs, whether they exist or not.
    pub fn roots(&self, home: &Path) -> Vec<PathBuf> {
        places::below(self.places, home)
    }

    /// The directories that the environment names besides, if no home is given on the command line.
    pub fn configured(&self, variable: EnvLookup<'_>) -> Vec<PathBuf> {
        places::configured(self.places, variable)
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
