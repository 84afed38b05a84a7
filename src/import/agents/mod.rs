//! The importers, one for each agent.

pub(in crate::import) mod amp;
pub(in crate::import) mod claude_code;
pub(in crate::import) mod cline;
pub(in crate::import) mod codex;
pub(in crate::import) mod copilot_cli;
pub(in crate::import) mod cursor;
pub(in crate::import) mod droid;
pub(in crate::import) mod gemini_cli;
pub(in crate::import) mod goose;
pub mod koan;
pub(in crate::import) mod opencode;
pub(in crate::import) mod qwen_code;
