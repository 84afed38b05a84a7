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
const KNOWN: [(&str, &[LogPlace], &str); 28] = [
    ("augment", &[LogPlace::Home(&[".augment/sessions"])], NOT_KNOWN),
    ("codebuddy", &[LogPlace::Home(&[".codebuddy/projects"])], NOT_KNOWN),
    ("command-code", &[LogPlace::Home(&[".commandcode/projects"])], NOT_KNOWN),
    ("continue", &[LogPlace::Home(&[".continue/sessions", ".continue/dev_data"])], NOT_KNOWN),
    // Its sessions keep the counts of the last call, which each call replaces, and a cost that it works out itself.
    (
        "crush",
        &[LogPlace::Data(&["crush"]), LogPlace::Home(&[".crush"])],
        "it stores the token counts of the last call of a session only, and no counts of the others",
    ),
    ("deepseek-harness", &[LogPlace::Home(&[".dsh/sessions"])], NOT_KNOWN),
    ("devin", &[LogPlace::Data(&["devin/cli", "Devin/User/acp-events"])], NOT_KNOWN),
    ("fx", &[LogPlace::Home(&[".fx/sessions"])], NOT_KNOWN),
    ("gajae-code", &[LogPlace::Home(&[".gjc/agent/sessions"])], NOT_KNOWN),
    ("hindsight", &[LogPlace::Home(&[".hindsight/usage"])], NOT_KNOWN),
    ("jcode", &[LogPlace::Home(&[".jcode/sessions"])], NOT_KNOWN),
    ("junie", &[LogPlace::Home(&[".junie/sessions"])], NOT_KNOWN),
    ("kimchi", &[LogPlace::Home(&[".config/kimchi/harness/sessions"])], NOT_KNOWN),
    ("kimi-cli", &[LogPlace::Home(&[".kimi/sessions"])], NOT_KNOWN),
    (
        "kiro",
        &[
            LogPlace::Data(&["kiro-cli", "Kiro/User/globalStorage/kiro.kiroagent"]),
            LogPlace::Config(&["Kiro/User/globalStorage/kiro.kiroagent"]),
            LogPlace::Home(&[".kiro/sessions"]),
        ],
        NO_COUNTS,
    ),
    ("lm-studio", &[LogPlace::Home(&[".lmstudio/server-logs"])], NOT_KNOWN),
    ("mimo-code", &[LogPlace::Data(&["mimocode"])], NOT_KNOWN),
    ("mux", &[LogPlace::Home(&[".mux/sessions"])], NOT_KNOWN),
    ("oh-my-pi", &[LogPlace::Home(&[".omp/agent/sessions"])], NOT_KNOWN),
    ("opencode-review", &[LogPlace::Home(&[".opencodereview/sessions"])], NOT_KNOWN),
    ("prime-agent", &[LogPlace::Home(&[".prime/agent/sessions"])], NOT_KNOWN),
    ("reasonix", &[LogPlace::Home(&[".reasonix/stats"]), LogPlace::Config(&["reasonix/stats"])], NOT_KNOWN),
    ("senpi", &[LogPlace::Home(&[".senpi/agent/sessions"])], NOT_KNOWN),
    ("trae", &[LogPlace::Config(&["Trae/User/globalStorage"]), LogPlace::Home(&[".trae"])], NOT_KNOWN),
    ("unsloth", &[LogPlace::Home(&[".unsloth/studio"])], NOT_KNOWN),
    (
        "warp",
        &[
            LogPlace::Home(&[
                ".local/state/warp-terminal",
                ".local/state/warp-terminal-preview",
                "Library/Group Containers/2BBY89MBSN.dev.warp/Library/Application Support/dev.warp.Warp-Stable",
                "Library/Group Containers/2BBY89MBSN.dev.warp/Library/Application Support/dev.warp.Warp-Preview",
            ]),
            LogPlace::Data(&["warp/Warp/data"]),
        ],
        "it stores one total for each model, and neither input nor output",
    ),
    ("windsurf", &[LogPlace::Home(&[".codeium/windsurf"])], NOT_KNOWN),
    ("workbuddy", &[LogPlace::Home(&[".workbuddy"])], NOT_KNOWN),
];

/// A directory of an agent without an importer in this build.
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
