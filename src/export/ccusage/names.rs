//! What ccusage calls things.

use std::collections::HashMap;

use crate::error::Result;
use crate::ledger::Sight;
use crate::projection::file_states;

/// Stands for a model, an agent or a session that is not known.
pub(super) const UNKNOWN: &str = "unknown";

/// The agent whose logs blocks are made of.
pub(super) const CLAUDE_CODE: &str = "claude-code";

/// The agent whose sessions go by their files.
pub(super) const CODEX: &str = "codex";

/// ccusage's name of an agent.
pub(super) fn agent(name: Option<&str>) -> &str {
    match name {
        None => UNKNOWN,
        Some(CLAUDE_CODE) => "claude",
        Some("copilot-cli") => "copilot",
        Some("gemini-cli") => "gemini",
        Some("qwen-code") => "qwen",
        Some(other) => other,
    }
}

/// The sessions of Codex, which ccusage names by the places of their files, by their threads.
pub(super) fn rollouts(sight: &Sight<'_>) -> Result<HashMap<String, String>> {
    let mut rollouts: HashMap<String, String> = HashMap::new();
    for file in file_states(sight.view(), CODEX)?.into_values() {
        let (Some(thread), Some(place)) = (file.conversation, rollout(&file.path)) else { continue };
        match rollouts.get_mut(&thread) {
            Some(known) if *known <= place => {}
            Some(known) => *known = place,
            None => {
                rollouts.insert(thread, place);
            }
        }
    }
    Ok(rollouts)
}

/// A rollout's place below the directory of all of them, without its ending.
fn rollout(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let place = ["/sessions/", "/archived_sessions/"].iter().find_map(|root| path.rsplit_once(root))?.1;
    let place = place.strip_suffix(".zst").unwrap_or(place);
    Some(place.strip_suffix(".jsonl").unwrap_or(place).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_named_by_its_place() {
        let named = |path: &str| rollout(path).unwrap();
        assert_eq!(named("/h/.codex/sessions/2026/03/01/rollout-a.jsonl"), "2026/03/01/rollout-a");
        assert_eq!(named("/h/.codex/sessions/2026/03/01/rollout-a.jsonl.zst"), "2026/03/01/rollout-a");
        assert_eq!(named(r"C:\h\.codex\archived_sessions\rollout-a.jsonl"), "rollout-a");
        assert_eq!(named("/old/sessions/h/.codex/sessions/2026/rollout-a.jsonl"), "2026/rollout-a");
        assert_eq!(rollout("/elsewhere/rollout-a.jsonl"), None);
    }
}
