//! The registry of agents: one folder and one line in [`ALL`] for each.

pub(in crate::import) mod aider;
pub(in crate::import) mod amp;
pub(in crate::import) mod antigravity;
pub(in crate::import) mod claude_code;
pub(in crate::import) mod cline;
pub(in crate::import) mod codebuff;
pub(in crate::import) mod codex;
pub(in crate::import) mod copilot_cli;
pub(in crate::import) mod cursor;
pub(in crate::import) mod droid;
pub(in crate::import) mod gemini_cli;
pub(in crate::import) mod goose;
pub(in crate::import) mod grok_cli;
pub(in crate::import) mod hermes;
pub(in crate::import) mod kimi_code;
pub mod koan;
pub(in crate::import) mod llm;
pub(in crate::import) mod mistral_vibe;
pub(in crate::import) mod openclaw;
pub(in crate::import) mod opencode;
pub(in crate::import) mod openhands;
pub(in crate::import) mod pi;
pub(in crate::import) mod qwen_code;
pub(in crate::import) mod zcode;
pub(in crate::import) mod zed;

#[cfg(test)]
mod database_tests;

use crate::import::engine::agent::Agent;

/// Every agent, in the order in which the importers run. If two logs contain the same call, the first record stays.
pub(in crate::import) static ALL: &[&Agent] = &[
    &claude_code::DESCRIPTOR,
    &codex::DESCRIPTOR,
    &gemini_cli::DESCRIPTOR,
    &qwen_code::DESCRIPTOR,
    &opencode::DESCRIPTOR,
    &copilot_cli::DESCRIPTOR,
    &amp::DESCRIPTOR,
    &cline::descriptor::CLINE,
    &cline::descriptor::ROO_CODE,
    &cline::descriptor::KILO_CODE,
    &cursor::DESCRIPTOR,
    &droid::DESCRIPTOR,
    &goose::DESCRIPTOR,
    &hermes::DESCRIPTOR,
    &kimi_code::DESCRIPTOR,
    &llm::DESCRIPTOR,
    &mistral_vibe::DESCRIPTOR,
    &openclaw::DESCRIPTOR,
    &pi::DESCRIPTOR,
    &aider::DESCRIPTOR,
    &antigravity::DESCRIPTOR,
    &codebuff::DESCRIPTOR,
    &grok_cli::DESCRIPTOR,
    &openhands::DESCRIPTOR,
    &zcode::DESCRIPTOR,
    &zed::DESCRIPTOR,
    &koan::DESCRIPTOR,
];

/// Returns the agent with this name or alias.
pub(in crate::import) fn find(name: &str) -> Option<&'static Agent> {
    let by_name = ALL.iter().find(|agent| agent.name == name);
    by_name.or_else(|| ALL.iter().find(|agent| agent.is_called(name))).copied()
}
