//! Logs of the Claude Code sessions that Cowork, the agent in Claude Desktop, runs.
//!
//! Each session has its own home: `local-agent-mode-sessions/<account>/<organisation>/local_<id>/.claude/projects`,
//! optionally with `agent` before `local_<id>`. Next to the logs are `audit.jsonl`, which repeats answers before their
//! output is complete, and uploaded files. Neither is read.

use std::ffi::OsStr;
use std::path::{Component, Path};

const SESSIONS: &str = "local-agent-mode-sessions";
/// Maximum number of directories between `local-agent-mode-sessions` and `.claude`.
const DEEPEST: usize = 4;

/// Returns whether a root belongs to Cowork.
pub(super) fn is_root(root: &Path) -> bool {
    root.file_name().is_some_and(|name| name == SESSIONS)
}

/// Returns the path components after `local-agent-mode-sessions`; `None` for other paths.
fn within(path: &Path) -> Option<Vec<&str>> {
    let mut parts = path.components();
    parts.find(|part| *part == Component::Normal(OsStr::new(SESSIONS)))?;
    parts.map(|part| part.as_os_str().to_str()).collect()
}

/// Returns whether a directory may contain logs. Always true outside Cowork.
pub(super) fn may_hold_logs(directory: &Path) -> bool {
    let Some(parts) = within(directory) else { return true };
    match parts.iter().position(|part| *part == ".claude") {
        Some(at) => parts.get(at + 1).is_none_or(|next| *next == "projects"),
        // The session's own files are next to its `.claude`.
        None => parts.len() <= DEEPEST && parts.iter().rev().skip(1).all(|part| !part.starts_with("local_")),
    }
}

/// Returns whether a file may be a log. Always true outside Cowork.
pub(super) fn may_be_a_log(file: &Path) -> bool {
    let Some(parts) = within(file) else { return true };
    let home = parts.iter().position(|part| *part == ".claude");
    home.is_some_and(|at| parts.get(at + 1) == Some(&"projects"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::DESCRIPTOR;
    use super::*;

    const AT: &str = "/h/Library/Application Support/Claude/local-agent-mode-sessions";

    #[test]
    fn each_of_the_three_systems_has_log_places() {
        let home = tempfile::tempdir().unwrap();
        let package = home.path().join("AppData/Local/Packages/Claude_pzs8sxrjxfjjc");
        fs::create_dir_all(&package).unwrap();
        let roots = DESCRIPTOR.roots(home.path());
        for place in [
            "Library/Application Support/Claude",
            "AppData/Roaming/Claude",
            ".config/Claude",
            "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude",
        ] {
            assert!(roots.contains(&home.path().join(place).join(SESSIONS)), "{place}");
        }
        let variable = |name: &str| (name == "APPDATA").then(|| "/r".to_owned());
        assert_eq!(DESCRIPTOR.configured(&variable), [Path::new("/r/Claude").join(SESSIONS)]);
    }

    #[test]
    fn only_the_logs_of_sessions_are_read() {
        let at = |path: &str| Path::new(AT).join(path);
        for (directory, enters) in [
            ("a", true),
            ("a/o", true),
            ("a/o/local_1", true),
            ("a/o/agent/local_ditto_1", true),
            ("a/o/local_1/.claude", true),
            ("a/o/local_1/.claude/projects/-x", true),
            ("a/o/local_1/.claude/projects/-x/s/subagents", true),
            ("a/o/local_1/.claude/todos", false),
            ("a/o/local_1/uploads", false),
            ("a/o/local_1/outputs/app/.git", false),
            ("skills-plugin/b/c/skills/docx", false),
        ] {
            assert_eq!(may_hold_logs(&at(directory)), enters, "{directory}");
        }
        for (file, is_log) in [
            ("a/o/local_1/.claude/projects/-x/s.jsonl", true),
            ("a/o/local_1/audit.jsonl", false),
            ("a/o/local_1/.claude/history.jsonl", false),
        ] {
            assert_eq!(may_be_a_log(&at(file)), is_log, "{file}");
        }
        assert!(
            may_hold_logs(Path::new("/h/.claude/projects/-x"))
                && may_be_a_log(Path::new("/h/.claude/projects/-x/s.jsonl"))
        );
    }
}
