//! Edits the JSON settings of Claude Code and Gemini CLI. Comments and formatting are preserved.

use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode};
use jsonc_parser::{ParseOptions, json};

use super::{EditedText, is_ours, line};

/// Time limit of an import, in seconds. After it the agent continues without waiting.
const TIMEOUT: u32 = 60;

fn root(text: &str) -> Result<(CstRootNode, CstObject), String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let root =
        CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| format!("it is no JSON ({error})"))?;
    let object = root.object_value().ok_or("it holds no JSON object")?;
    Ok((root, object))
}

fn command_of(node: &CstNode) -> Option<String> {
    let command = node.as_object()?.get("command")?.value()?;
    command.as_string_lit()?.decoded_value().ok()
}

/// Returns whether a group of hooks contains a hook that `install` added.
fn has_ours(group: &CstNode) -> bool {
    let hooks = group.as_object().and_then(|group| group.array_value("hooks"));
    hooks.is_some_and(|hooks| {
        hooks.elements().iter().any(|hook| command_of(hook).is_some_and(|line| is_ours(&line, "hook")))
    })
}

/// Returns the list of an event's hooks. Creates the list if it is missing.
fn hooks_of(settings: &CstObject, event: &str) -> Result<CstArray, String> {
    let hooks = settings.object_value_or_create("hooks").ok_or("`hooks` is no object")?;
    hooks.array_value_or_create(event).ok_or_else(|| format!("`hooks.{event}` is no list"))
}

/// Adds the import hook to an event, unless the event has it already.
fn add_hook(settings: &CstObject, event: &str, hook: CstInputValue) -> Result<(), String> {
    let list = hooks_of(settings, event)?;
    if !list.elements().iter().any(has_ours) {
        list.append(json!({ "hooks": [hook] }));
        list.ensure_multiline();
    }
    Ok(())
}

/// Removes the hooks that `install` added to an event, and the lists and objects that become empty.
fn remove_hook(settings: &CstObject, event: &str) {
    let Some(hooks) = settings.object_value("hooks") else { return };
    let Some(list) = hooks.array_value(event) else { return };
    for group in list.elements() {
        let Some(own) = group.as_object().and_then(|group| group.array_value("hooks")) else { continue };
        let before = own.elements().len();
        for hook in own.elements() {
            if command_of(&hook).is_some_and(|line| is_ours(&line, "hook")) {
                hook.remove();
            }
        }
        if before > 0 && own.elements().is_empty() {
            group.remove();
        }
    }
    if list.elements().is_empty()
        && let Some(event) = hooks.get(event)
    {
        event.remove();
    }
    if hooks.properties().is_empty()
        && let Some(hooks) = settings.get("hooks")
    {
        hooks.remove();
    }
}

/// Edits the settings of Claude Code: `statusLine`, and a hook of the event `Stop`.
pub(super) fn claude_code(text: &str, command: &[String], undo: bool) -> Result<EditedText, String> {
    let (root, settings) = root(text)?;
    let mut notes = Vec::new();
    let status = settings.get("statusLine").and_then(|line| command_of(&line.value()?));
    if undo {
        if status.is_some_and(|status| is_ours(&status, "statusline"))
            && let Some(line) = settings.get("statusLine")
        {
            line.remove();
        }
        remove_hook(&settings, "Stop");
        return Ok(EditedText { text: root.to_string(), notes });
    }
    if settings.get("statusLine").is_none() {
        let shown = line(command, &["statusline"]);
        settings.append("statusLine", json!({ "type": "command", "command": shown }));
    } else if !status.is_some_and(|status| is_ours(&status, "statusline")) {
        notes.push(
            "`statusLine` is set to another command, which stays: remove it to have that of usage-ledger".to_owned(),
        );
    }
    let hook = line(command, &["hook", "claude-code"]);
    add_hook(&settings, "Stop", json!({ "type": "command", "command": hook, "timeout": TIMEOUT }))?;
    Ok(EditedText { text: root.to_string(), notes })
}

/// Edits the settings of Gemini CLI: a hook of the event `AfterAgent`.
pub(super) fn gemini_cli(text: &str, command: &[String], undo: bool) -> Result<EditedText, String> {
    let (root, settings) = root(text)?;
    if undo {
        remove_hook(&settings, "AfterAgent");
    } else {
        let hook = line(command, &["hook", "gemini-cli"]);
        // Gemini CLI states time limits in milliseconds.
        let timeout = 1_000 * TIMEOUT;
        let hook = json!({ "name": "usage-ledger", "type": "command", "command": hook, "timeout": timeout });
        add_hook(&settings, "AfterAgent", hook)?;
    }
    Ok(EditedText { text: root.to_string(), notes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Vec<String> {
        vec!["usage-ledger".to_owned()]
    }

    const USER: &str = "{\n  // mine\n  \"model\": \"opus\",\n  \"hooks\": {\n    \"Stop\": [\n      { \"hooks\": [{ \"type\": \"command\", \"command\": \"say done\" }] }\n    ]\n  }\n}\n";

    #[test]
    fn settings_and_comments_of_the_user_stay_and_undo_gives_them_back() {
        let added = claude_code(USER, &ours(), false).unwrap();
        assert!(added.text.contains("// mine") && added.text.contains("say done"), "{}", added.text);
        assert!(added.text.contains(r#""command": "usage-ledger statusline""#), "{}", added.text);
        assert!(added.text.contains(r#""command": "usage-ledger hook claude-code""#), "{}", added.text);
        assert_eq!(claude_code(&added.text, &ours(), false).unwrap().text, added.text, "a second run adds nothing");
        assert_eq!(claude_code(&added.text, &ours(), true).unwrap().text, USER);
    }

    #[test]
    fn a_new_file_is_valid_and_undo_leaves_an_empty_object() {
        for edit in [claude_code, gemini_cli] {
            let added = edit("", &ours(), false).unwrap().text;
            let value: serde_json::Value = serde_json::from_str(&added).unwrap();
            assert!(value["hooks"].is_object(), "{added}");
            let undone = edit(&added, &ours(), true).unwrap().text;
            assert_eq!(serde_json::from_str::<serde_json::Value>(&undone).unwrap(), serde_json::json!({}), "{undone}");
        }
    }

    #[test]
    fn an_existing_status_line_is_preserved() {
        let text = r#"{"statusLine":{"type":"command","command":"ccusage statusline"}}"#;
        let added = claude_code(text, &ours(), false).unwrap();
        assert!(added.text.contains("ccusage statusline") && !added.text.contains("usage-ledger statusline"));
        assert_eq!(added.notes.len(), 1);
        assert!(claude_code(&added.text, &ours(), true).unwrap().text.contains("ccusage statusline"));
    }

    #[test]
    fn a_value_that_is_not_an_object_is_refused() {
        for text in ["[]", "{", "5", r#"{"hooks": 5}"#, r#"{"hooks": {"Stop": {}}}"#] {
            assert!(claude_code(text, &ours(), false).is_err(), "{text}");
        }
    }
}
