//! Detects agents that this build cannot read, by their directories.

use std::path::PathBuf;

use serde::Serialize;

use crate::import::ImportOptions;
use crate::import::engine::discover::whole;
use crate::import::engine::places::{self, Place};
use crate::model::secrets;

/// Names and directories, from the documentation of the agents, ccusage and tokscale.
const KNOWN: [(&str, &[Place]); 9] = [
    ("antigravity", &[Place::Home(&[".gemini/antigravity"])]),
    ("codebuff", &[Place::Config(&["manicode/projects"])]),
    ("crush", &[Place::Data(&["crush"])]),
    ("grok-cli", &[Place::Home(&[".grok/sessions"])]),
    ("kimi-cli", &[Place::Home(&[".kimi/sessions"])]),
    ("kiro", &[Place::Data(&["kiro-cli"]), Place::Home(&[".kiro/sessions"])]),
    ("openhands", &[Place::Home(&[".openhands/sessions", ".openhands/conversations"])]),
    ("warp", &[Place::Home(&[".local/state/warp-terminal"])]),
    ("zed", &[Place::Data(&["zed/threads"])]),
];

/// A directory of an agent without an importer in this build.
///
/// ```
/// use usage_ledger::import::{self, ImportOptions};
/// # let home = tempfile::tempdir()?;
/// # std::fs::create_dir_all(home.path().join(".grok/sessions"))?;
/// let options = ImportOptions { homes: vec![home.path().to_owned()], ..ImportOptions::default() };
/// let unread = import::unread_agents(&options);
/// assert_eq!(unread[0].agent, "grok-cli");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadAgent {
    /// The agent.
    pub agent: &'static str,
    /// The directory.
    pub directory: PathBuf,
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
    let mut found = Vec::new();
    for (agent, known) in KNOWN {
        let directories = homes.iter().flat_map(|home| places::below(known, home)).collect();
        for directory in whole(directories).into_iter().filter(|directory| directory.is_dir()) {
            let directory = PathBuf::from(&*secrets::path(&directory.to_string_lossy()));
            found.push(UnreadAgent { agent, directory });
        }
    }
    found
}
