//! Detects agents that this build cannot read, by their directories.

use std::path::PathBuf;

use serde::Serialize;

use crate::import::ImportOptions;
use crate::import::engine::discover::absolute;
use crate::import::engine::log_places::{self, LogPlace};
use crate::model::secrets;

/// Why an agent's calls cannot be counted from its files.
const NO_COUNTS: &str = "it stores no token counts";
const NOT_KNOWN: &str = "this build does not know its format";

/// Names and directories, after the documentation of the agents and of ccusage, tokscale and codeburn, and why they are not read.
const KNOWN: [(&str, &[LogPlace], &str); 4] = [
    // Its sessions keep the counts of the last call, which each call replaces, and a cost that it works out itself.
    (
        "crush",
        &[LogPlace::Data(&["crush"])],
        "it stores the token counts of the last call of a session only, and no counts of the others",
    ),
    ("kimi-cli", &[LogPlace::Home(&[".kimi/sessions"])], NOT_KNOWN),
    ("kiro", &[LogPlace::Data(&["kiro-cli"]), LogPlace::Home(&[".kiro/sessions"])], NO_COUNTS),
    (
        "warp",
        &[LogPlace::Home(&[
            ".local/state/warp-terminal",
            "Library/Group Containers/2BBY89MBSN.dev.warp/Library/Application Support/dev.warp.Warp-Stable",
        ])],
        "it stores one total for each model, and neither input nor output",
    ),
];

/// A directory of an agent without an importer in this build.
///
/// ```
/// use usage_ledger::import::{self, ImportOptions};
/// # let home = tempfile::tempdir()?;
/// # std::fs::create_dir_all(home.path().join(".kiro/sessions"))?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let unread = import::unread_agents(&options);
/// assert_eq!((unread[0].agent, unread[0].why), ("kiro", "it stores no token counts"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnreadAgent {
    /// The agent.
    pub agent: &'static str,
    /// The directory.
    pub directory: PathBuf,
    /// Why it is not read.
    pub why: &'static str,
}

/// Lists the existing directories of agents without an importer in this build.
///
/// ```
/// use usage_ledger::import::{self, ImportOptions};
/// # let home = tempfile::tempdir()?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// assert!(import::unread_agents(&options).is_empty()); // an empty home
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn unread_agents(options: &ImportOptions) -> Vec<UnreadAgent> {
    let own = if options.homes.is_empty() { std::env::home_dir() } else { None };
    let homes: Vec<&PathBuf> = options.homes.iter().chain(&own).collect();
    let mut unread = Vec::new();
    for (agent, places_of_agent, why) in KNOWN {
        let directories = homes.iter().flat_map(|home| log_places::below(places_of_agent, home)).collect();
        for directory in absolute(directories).into_iter().filter(|directory| directory.is_dir()) {
            let directory = PathBuf::from(&*secrets::path(&directory.to_string_lossy()));
            unread.push(UnreadAgent { agent, directory, why });
        }
    }
    unread
}
