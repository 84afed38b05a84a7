//! What depends on an agent is in the agent's folder. Every other file that names one is listed here with the reason, and
//! in ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::path::Path;

use super::layers::{code, sources};

/// Files outside `src/import/agents` that name an agent.
const ALLOWED: [(&str, &str); 35] = [
    ("src/api/schema/inputs.rs", "usage formats"),
    ("src/app/serve.rs", "examples in the help"),
    ("src/cli/hook.rs", "an example in the help"),
    ("src/cli/import.rs", "examples in the help, and the option for sessions of Koan"),
    ("src/cli/install/json_settings.rs", "settings of agents that `install` edits"),
    ("src/cli/install/mod.rs", "settings of agents that `install` edits"),
    ("src/cli/install/toml_settings.rs", "settings of agents that `install` edits"),
    ("src/cli/plans.rs", "subscriptions that agents use"),
    ("src/cli/quota.rs", "examples in the help"),
    ("src/cli/scan_output.rs", "examples in the help"),
    ("src/cli/statusline.rs", "the status line of Claude Code"),
    ("src/export/koan_jsonl.rs", "an export format"),
    ("src/export/mod.rs", "export formats"),
    ("src/import/engine/attribution.rs", "families of models"),
    ("src/import/engine/platform_dirs.rs", "directories of editors"),
    ("src/import/engine/repeated_ids.rs", "a usage format"),
    ("src/import/mod.rs", "the module for sessions of Koan"),
    ("src/import/telemetry/gen_ai.rs", "kinds of spans"),
    ("src/import/health/unread_agents.rs", "agents that no importer reads"),
    ("src/internals.rs", "the module for sessions of Koan"),
    ("src/model/provider/catalogue.rs", "aliases of providers"),
    ("src/readers/exhaustion/table.rs", "rules for messages of agents"),
    ("src/readers/normalise/agent.rs", "usage formats"),
    ("src/readers/normalise/agent/shape.rs", "usage formats"),
    ("src/readers/normalise/format.rs", "usage formats"),
    ("src/readers/normalise/mod.rs", "usage formats"),
    ("src/readers/normalise/qwen_code.rs", "a usage format"),
    ("src/readers/normalise/reply.rs", "usage formats"),
    ("src/readers/quota/claude_statusline.rs", "a quota feed"),
    ("src/readers/quota/codex.rs", "a quota feed"),
    ("src/readers/quota/format.rs", "quota feeds"),
    ("src/readers/quota/mod.rs", "quota feeds"),
    ("src/readers/statement/anthropic.rs", "the name of a report of the provider"),
    ("src/readers/statement/cursor.rs", "a provider of the same name"),
    ("src/usage/observations.rs", "a quota feed"),
];

/// Agents whose names are also words: only string literals count.
const WORDS: [&str; 9] = ["aider", "amp", "cline", "cursor", "droid", "goose", "hermes", "llm", "pi"];

/// Whether `code` names an agent, in any spelling: `claude-code`, `claude_code`, `ClaudeCode`, `Claude Code`.
fn names(code: &str, agent: &str) -> bool {
    if WORDS.contains(&agent) {
        return code.contains(&format!("\"{agent}\""));
    }
    let code = code.to_lowercase();
    ["-", "_", " ", ""].iter().map(|mark| agent.replace('-', mark)).any(|name| {
        code.match_indices(&name).any(|(at, _)| {
            let letter = |char: Option<char>| char.is_some_and(char::is_alphabetic);
            !letter(code[..at].chars().next_back()) && !letter(code[at + name.len()..].chars().next())
        })
    })
}

#[test]
fn files_outside_an_agents_folder_do_not_name_it_without_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let agents = usage_ledger::import::names();
    let mut naming = BTreeSet::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
        if path.starts_with("src/import/agents/") || is_test {
            continue;
        }
        let code = code(&std::fs::read_to_string(&file).unwrap());
        if agents.iter().any(|agent| names(&code, agent)) {
            naming.insert(path);
        }
    }
    let allowed: BTreeSet<String> = ALLOWED.iter().map(|(path, _)| (*path).to_owned()).collect();
    let new: Vec<_> = naming.difference(&allowed).collect();
    assert!(new.is_empty(), "move what these files know of an agent to its descriptor, or list a reason: {new:?}");
    let old: Vec<_> = allowed.difference(&naming).collect();
    assert!(old.is_empty(), "these files name no agent any more: {old:?}");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for (path, _) in ALLOWED {
        assert!(page.contains(path.trim_start_matches("src/")), "ARCHITECTURE.md does not list {path}");
    }
}
