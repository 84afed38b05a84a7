//! What ccusage calls things.

use std::collections::HashMap;

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::projection::file_states;

/// Stands for a model, an agent or a session that is not known.
pub(super) const UNKNOWN: &str = "unknown";

/// The agent whose logs blocks are made of.
pub(super) const CLAUDE_CODE: &str = "claude-code";

/// The agent whose sessions go by their files.
pub(super) const CODEX: &str = "codex";

/// An agent as ccusage sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agent<'a> {
    pub name: &'a str,
    /// Whether its reasoning is in `totalTokens` alone, beside `outputTokens`.
    pub reasoning_beside: bool,
    /// Whether its sessions say when they were last active.
    pub tells_activity: bool,
}

/// An agent that the ledger calls so; one that ccusage does not know keeps its name.
pub(super) fn agent(ours: Option<&str>) -> Agent<'_> {
    let (name, reasoning_beside, tells_activity) = match ours {
        None => (UNKNOWN, false, true),
        Some(CLAUDE_CODE) => ("claude", false, true),
        Some("amp") => ("amp", false, false),
        Some("copilot-cli") => ("copilot", false, true),
        Some("droid") => ("droid", true, false),
        Some("gemini-cli") => ("gemini", true, false),
        Some("goose") => ("goose", true, false),
        Some("kilo-code") => ("kilo", false, true),
        Some("opencode") => ("opencode", true, true),
        Some("qwen-code") => ("qwen", true, true),
        Some(other) => (other, false, true),
    };
    Agent { name, reasoning_beside, tells_activity }
}

/// The sessions of Codex, which ccusage names by the places of their files, by their threads.
pub(super) fn rollouts(snapshot: &Snapshot<'_>) -> Result<HashMap<String, String>> {
    places(snapshot, CODEX, rollout)
}

/// The directories of Claude Code's projects by their sessions.
pub(super) fn projects(snapshot: &Snapshot<'_>) -> Result<HashMap<String, String>> {
    places(snapshot, CLAUDE_CODE, project)
}

/// What the paths of a source's files say of its conversations; of several the least.
fn places(
    snapshot: &Snapshot<'_>,
    source: &str,
    place: impl Fn(&str) -> Option<String>,
) -> Result<HashMap<String, String>> {
    let mut places: HashMap<String, String> = HashMap::new();
    for file in file_states(snapshot.view(), source)?.into_values() {
        let (Some(conversation), Some(place)) = (file.conversation, place(&file.path)) else { continue };
        match places.get_mut(&conversation) {
            Some(known) if *known <= place => {}
            Some(known) => *known = place,
            None => {
                places.insert(conversation, place);
            }
        }
    }
    Ok(places)
}

/// A rollout's place below the directory of all of them, without its ending.
fn rollout(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let place = ["/sessions/", "/archived_sessions/"].iter().find_map(|root| path.rsplit_once(root))?.1;
    let place = place.strip_suffix(".zst").unwrap_or(place);
    Some(place.strip_suffix(".jsonl").unwrap_or(place).to_owned())
}

/// The directory of a log's project below the directory of all of them.
fn project(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let (project, _) = path.rsplit_once("/projects/")?.1.split_once('/')?;
    Some(project.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_ccusage_does_not_know_keeps_its_name() {
        assert_eq!(agent(Some("gemini-cli")), Agent { name: "gemini", reasoning_beside: true, tells_activity: false });
        assert_eq!(agent(Some("koan")), Agent { name: "koan", reasoning_beside: false, tells_activity: true });
        assert_eq!(agent(None).name, UNKNOWN);
    }

    #[test]
    fn a_rollout_is_named_by_its_place() {
        let named = |path: &str| rollout(path).unwrap();
        assert_eq!(named("/h/.codex/sessions/2026/03/01/rollout-a.jsonl"), "2026/03/01/rollout-a");
        assert_eq!(named("/h/.codex/sessions/2026/03/01/rollout-a.jsonl.zst"), "2026/03/01/rollout-a");
        assert_eq!(named(r"C:\h\.codex\archived_sessions\rollout-a.jsonl"), "rollout-a");
        assert_eq!(named("/old/sessions/h/.codex/sessions/2026/rollout-a.jsonl"), "2026/rollout-a");
        assert_eq!(rollout("/elsewhere/rollout-a.jsonl"), None);
    }

    #[test]
    fn a_project_is_named_by_its_directory() {
        let named = |path: &str| project(path).unwrap();
        assert_eq!(named("/h/.claude/projects/-home-dev-a/b.jsonl"), "-home-dev-a");
        assert_eq!(named(r"C:\h\.claude\projects\C--src\b\subagents\agent-c.jsonl"), "C--src");
        assert_eq!(project("/elsewhere/b.jsonl"), None);
    }
}
