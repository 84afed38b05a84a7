//! The state of a parser between two imports. The `imported` event stores it, next to the length of the log that was read.
//!
//! A parser without its state must not continue in the middle of a log: it would count tokens twice that an earlier line
//! stated, or record calls without their session. A state that cannot be read is therefore a refusal, never a new state. The
//! engine then reads the log again from its beginning and reports why.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::import::engine::query::Refusal;
use crate::model::invariant::bug;

/// Returns the state that an earlier parser stored, or `None` if none is stored.
pub(in crate::import) fn read<S: DeserializeOwned>(stored: Option<&Value>) -> Result<Option<S>, Refusal> {
    stored.map(|stored| S::deserialize(stored).map_err(|error| unreadable(&error))).transpose()
}

/// Returns a member of a stored state, or `None` if no state or no such member is stored.
pub(in crate::import) fn member<S: DeserializeOwned>(stored: Option<&Value>, name: &str) -> Result<Option<S>, Refusal> {
    let Some(stored) = stored else { return Ok(None) };
    let state = stored.as_object().ok_or_else(|| unreadable(&"it is not an object"))?;
    state.get(name).map(|member| S::deserialize(member).map_err(|error| unreadable(&error))).transpose()
}

/// Returns a state in the form in which it is stored.
///
/// A state that cannot be stored leaves a text in its place. [`read`] refuses that text, so the next import reads the log
/// again from its beginning instead of continuing without the state.
pub(in crate::import) fn store<S: Serialize>(state: &S) -> Value {
    serde_json::to_value(state).unwrap_or_else(|error| Value::String(bug!("the state of a log: {error}").to_string()))
}

fn unreadable(why: &dyn std::fmt::Display) -> Refusal {
    let bug = bug!("{why}");
    Refusal::State(format!(
        "the state that an earlier import stored cannot be read, so the file was read again from its beginning ({bug})"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::import::agents::ALL;
    use crate::import::engine::log_file::LogFile;
    use crate::import::engine::reader;
    use crate::import::engine::source::LogFormat;
    use crate::model::time::Zone;

    /// A path of a line log of each agent whose parser continues from a stored state.
    const LINE_LOGS: &[(&str, &str)] = &[
        ("claude-code", "projects/-work/session.jsonl"),
        ("codex", "sessions/2026/06/01/rollout-2026-06-01T12-00-00-0199a213-81c0-7800-8aa1-bbab2a035a53.jsonl"),
        ("copilot-cli", "otel/copilot-otel-1.jsonl"),
        ("aider", "analytics.jsonl"),
        ("gemini-cli", "tmp/0123/chats/session-2026-06-01T12-00-0199a213.jsonl"),
        ("grok-cli", "sessions/-work/0199a213/updates.jsonl"),
        ("kimi-code", "sessions/0123/session/agents/main/wire.jsonl"),
        ("mistral-vibe", "session/journal/0001.jsonl"),
        ("openclaw", "agents/main/sessions/0199a213.jsonl"),
        ("pi", "sessions/-work/2026-06-01T12-00-00_0199a213.jsonl"),
        ("qwen-code", "projects/-work/chats/0199a213.jsonl"),
    ];

    #[test]
    fn no_parser_continues_with_a_fresh_state_where_the_stored_one_cannot_be_read() {
        let mut tried = Vec::new();
        for agent in ALL {
            for (_, path) in LINE_LOGS.iter().filter(|(name, _)| *name == agent.name) {
                let LogFormat::Lines(log) = agent.source.format(Path::new(path)) else {
                    panic!("{path} of {} is no log of lines", agent.name)
                };
                for stored in [json!("no state"), json!(7), json!([[1]])] {
                    let refused = log.parser(Path::new(path), Some(&stored), Zone::UTC).err();
                    let is_state = matches!(refused, Some(Refusal::State(_)));
                    assert!(is_state, "{} goes on from {stored}: {refused:?}", agent.name);
                }
                tried.push(agent.name);
            }
        }
        assert_eq!(tried.len(), LINE_LOGS.len(), "{tried:?}");
    }

    #[test]
    fn a_log_whose_stored_state_cannot_be_read_is_read_again_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.jsonl");
        let line = |n: u32| {
            format!(
                r#"{{"type":"assistant","timestamp":"2026-06-01T12:0{n}:00Z","sessionId":"s","requestId":"r{n}","message":{{"id":"m{n}","type":"message","role":"assistant","model":"claude-opus-4-5","usage":{{"input_tokens":{n},"output_tokens":7}}}}}}{}"#,
                "\n"
            )
        };
        let agent = ALL.iter().find(|agent| agent.name == "claude-code").unwrap();
        let calls = |known| {
            let meta = std::fs::metadata(&path).unwrap();
            let file = LogFile { path: path.clone(), size: meta.len(), modified: 1, identity: None };
            let (mut found, mut skipped, mut state) = (0, Vec::new(), None);
            reader::read(agent.source, Zone::UTC, &file, known, &mut |chunk| {
                found += chunk.calls.len();
                skipped.extend(chunk.skipped);
                state = chunk.state.or(state.take());
                true
            });
            (found, skipped, state.unwrap())
        };
        std::fs::write(&path, line(1) + &line(2)).unwrap();
        let (found, skipped, first) = calls(None);
        assert_eq!((found, skipped.len(), first.skipped), (2, 0, 0));

        std::fs::write(&path, line(1) + &line(2) + &line(3)).unwrap();
        let (found, skipped, _) = calls(Some(&first));
        assert_eq!((found, skipped.len()), (1, 0), "only the new line");

        let mut broken = first.clone();
        broken.resume = Some(store(&HashMap::from([(vec![1], "a map whose keys are no texts")])));
        let (found, skipped, last) = calls(Some(&broken));
        assert_eq!((found, skipped.len(), last.lines, last.skipped), (3, 1, 3, 0));
        assert!(skipped[0].why.contains("read again from its beginning"), "{}", skipped[0].why);
        assert!(skipped[0].why.contains("resume.rs"), "it names the place: {}", skipped[0].why);
    }
}
