//! Determines the author of an event in an agent's JSON output: its model, or the client and the server.

use serde_json::{Map, Value};

/// The author of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// The model, its tools or its user. Also a client's reports about its setup and its retries.
    Model,
    /// The client or the server, about a failure.
    Client,
    /// The client, reporting a quota window: `rate_limit_event`.
    Window,
    /// The client: the run ended without a refusal.
    Ended,
    /// The kind of the event is unknown.
    Unknown,
}

/// Names under which events wrap other events.
const WRAPPERS: [&str; 6] = ["event", "payload", "msg", "data", "item", "message"];
/// Prefixes of kinds and roles that belong to the conversation.
const CONVERSATION: [&str; 37] = [
    "assistant",
    "user",
    "model",
    "agent",
    "tool",
    "gemini",
    "human",
    "text",
    "content",
    "message",
    "reasoning",
    "thinking",
    "thought",
    "command",
    "file",
    "mcp",
    "function",
    "custom",
    "web",
    "todo",
    "plan",
    "response",
    "summary",
    "system",
    "init",
    "step",
    "part",
    "hook",
    "queue",
    "attachment",
    "progress",
    "last",
    "ai",
    "bash",
    "item",
    "thread",
    "collab",
];

/// The author of an event.
pub(super) fn author(value: &Value) -> Author {
    let Some(event) = value.as_object() else { return Author::Unknown };
    if is_window(event, 2) {
        return Author::Window;
    }
    let kind = text(event, "type").unwrap_or_default();
    if kind == "result" || kind == "run_result" {
        return result(event);
    }
    if is_synthetic(event) || event.get("message").and_then(Value::as_object).is_some_and(is_synthetic) {
        return Author::Client;
    }
    if ends_well(event, kind) {
        return Author::Ended;
    }
    if is_failure(kind) {
        return Author::Client;
    }
    for wrapper in WRAPPERS {
        let Some(inner @ Value::Object(fields)) = event.get(wrapper) else { continue };
        if text(fields, "type").is_none() && text(fields, "role").is_none() && !is_synthetic(fields) {
            continue;
        }
        match author(inner) {
            Author::Unknown => {}
            known => return known,
        }
    }
    if is_conversation(kind) || text(event, "role").is_some_and(is_conversation) || cline(event) == Some(Author::Model)
    {
        return Author::Model;
    }
    if cline(event) == Some(Author::Client) || event.get("error").is_some_and(is_error_body) {
        return Author::Client;
    }
    Author::Unknown
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    fields.get(name)?.as_str()
}

fn flag(fields: &Map<String, Value>, name: &str) -> Option<bool> {
    fields.get(name)?.as_bool()
}

/// Whether this object, or one that it wraps, is a `rate_limit_event`. Texts within it do not count.
fn is_window(event: &Map<String, Value>, depth: u8) -> bool {
    let wrapped = || ["event", "payload", "msg", "data"].iter().filter_map(|key| event.get(*key)?.as_object());
    text(event, "type") == Some("rate_limit_event") || depth > 0 && wrapped().any(|inner| is_window(inner, depth - 1))
}

/// The last event of a run. Claude Code states the result in `is_error`, Gemini in `status`, Copilot in `exitCode`,
/// Cline in `finishReason`.
fn result(event: &Map<String, Value>) -> Author {
    let subtype = text(event, "subtype").unwrap_or_default();
    // The run exhausted its own limit of turns or budget; the provider did not refuse.
    if subtype.starts_with("error_max") {
        return Author::Ended;
    }
    if let Some(failed) = flag(event, "is_error").or_else(|| flag(event, "isError")) {
        return if failed { Author::Client } else { Author::Ended };
    }
    match text(event, "status").or_else(|| text(event, "finishReason")) {
        Some("success" | "completed" | "stop") => Author::Ended,
        Some("error" | "aborted") => Author::Client,
        Some(_) => Author::Unknown,
        None => match event.get("exitCode").and_then(Value::as_i64) {
            Some(0) => Author::Ended,
            None if subtype == "success" || event.get("result").is_some() => Author::Model,
            Some(_) | None => Author::Unknown,
        },
    }
}

/// Whether a client wrote the text in place of the model.
fn is_synthetic(event: &Map<String, Value>) -> bool {
    text(event, "model") == Some("<synthetic>")
        || flag(event, "isApiErrorMessage") == Some(true)
        || flag(event, "is_api_error_message") == Some(true)
        || text(event, "type") == Some("assistant") && text(event, "error").is_some()
        || text(event, "stopReason") == Some("error") && text(event, "errorMessage").is_some()
}

/// Whether a turn ended with an answer.
fn ends_well(event: &Map<String, Value>, kind: &str) -> bool {
    match kind {
        "turn.completed" => true,
        "step_finish" | "step-finish" => {
            let part = event.get("part").and_then(Value::as_object);
            part.and_then(|part| text(part, "reason")).or_else(|| text(event, "reason")) == Some("stop")
        }
        "task_complete" | "turn_complete" => text(event, "last_agent_message").is_some(),
        "say" => text(event, "say") == Some("completion_result"),
        // A whole reply of Gemini CLI as one document.
        "" => {
            event.get("response").is_some_and(Value::is_string)
                && event.contains_key("stats")
                && event.get("error").is_none_or(Value::is_null)
        }
        _ => false,
    }
}

fn is_failure(kind: &str) -> bool {
    matches!(kind, "error" | "turn.failed" | "session.error" | "api_error" | "model.call_failure" | "run_failed")
        || kind.ends_with("_error") && !kind.starts_with("tool")
}

fn is_conversation(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let first = kind.split(['.', '_', '-', '/']).next().unwrap_or_default();
    CONVERSATION.contains(&first)
}

/// Cline's messages: `say` and `ask`.
fn cline(event: &Map<String, Value>) -> Option<Author> {
    let topic = match text(event, "type")? {
        "say" => text(event, "say")?,
        "ask" => text(event, "ask")?,
        _ => return None,
    };
    Some(if matches!(topic, "error" | "api_req_failed" | "error_retry") { Author::Client } else { Author::Model })
}

/// The `error` of an API response, with a message.
fn is_error_body(error: &Value) -> bool {
    error.as_object().is_some_and(|error| error.contains_key("message") || error.contains_key("code"))
}

/// The time of an event, if it states one.
pub(super) fn timestamp(value: &Value) -> Option<&str> {
    value.get("timestamp").and_then(Value::as_str)
}

/// Parses an event from a line that may be truncated, by closing its open values.
pub(super) fn parse(line: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(line) {
        return Some(value);
    }
    if let Some(Ok(value)) = serde_json::Deserializer::from_str(line).into_iter::<Value>().next() {
        return Some(value);
    }
    closed(line).and_then(|line| serde_json::from_str(&line).ok())
}

/// Closes the values that are open at the end of a truncated text.
fn closed(line: &str) -> Option<String> {
    let (mut open, mut within, mut escaped) = (Vec::new(), false, false);
    // The end of the last complete member, and the brackets open there.
    let mut whole: Option<(usize, Vec<char>)> = None;
    for (at, letter) in line.char_indices() {
        if within {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => within = false,
                _ => {}
            }
            continue;
        }
        match letter {
            '"' => within = true,
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                let closed = open.pop();
                if closed != Some(letter) {
                    return None;
                }
            }
            ',' => whole = Some((at, open.clone())),
            _ => {}
        }
    }
    if open.is_empty() {
        return None;
    }
    let close = |text: &str, open: &[char]| text.chars().chain(open.iter().rev().copied()).collect::<String>();
    let mut text = line.trim_end_matches('\\').to_owned();
    if within {
        text.push('"');
    }
    let ended = close(&text, &open);
    if serde_json::from_str::<serde::de::IgnoredAny>(&ended).is_ok() {
        return Some(ended);
    }
    let (end, open) = whole?;
    Some(close(line.get(..end)?, &open))
}

#[cfg(test)]
mod tests {
    use super::{Author, author, parse};

    #[test]
    fn messages_of_the_client_are_separated_from_model_text_for_every_agent() {
        for (line, wanted) in [
            // Claude Code.
            (r#"{"type":"system","subtype":"init","session_id":"s"}"#, Author::Model),
            (r#"{"type":"system","subtype":"api_retry","error_status":429,"error":"rate_limit"}"#, Author::Model),
            (
                r#"{"type":"assistant","message":{"role":"assistant","model":"claude-opus-4-8","content":[]}}"#,
                Author::Model,
            ),
            (r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result"}]}}"#, Author::Model),
            (r#"{"type":"assistant","message":{"model":"<synthetic>","content":[]}}"#, Author::Client),
            (r#"{"type":"assistant","message":{"content":[]},"isApiErrorMessage":true}"#, Author::Client),
            (r#"{"type":"assistant","message":{"content":[]},"error":"rate_limit"}"#, Author::Client),
            (r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{}}}"#, Author::Model),
            (r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected"}}"#, Author::Window),
            (r#"{"type":"result","subtype":"success","is_error":false,"result":"x"}"#, Author::Ended),
            (r#"{"type":"result","subtype":"success","is_error":true,"result":"x"}"#, Author::Client),
            (r#"{"type":"result","subtype":"error_max_turns","is_error":true}"#, Author::Ended),
            (r#"{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["x"]}"#, Author::Client),
            // Codex.
            (r#"{"type":"item.completed","item":{"type":"agent_message","text":"x"}}"#, Author::Model),
            (r#"{"type":"item.completed","item":{"type":"command_execution"}}"#, Author::Model),
            (r#"{"type":"item.completed","item":{"type":"collab_tool_call","prompt":"x"}}"#, Author::Model),
            (r#"{"type":"item.completed","item":{"type":"an_unknown_kind","text":"x"}}"#, Author::Model),
            (r#"{"type":"item.completed","item":{"type":"error","message":"x"}}"#, Author::Client),
            (r#"{"type":"error","message":"x"}"#, Author::Client),
            (r#"{"type":"turn.failed","error":{"message":"x"}}"#, Author::Client),
            (r#"{"type":"turn.completed","usage":{}}"#, Author::Ended),
            (r#"{"id":"1","msg":{"type":"stream_error","message":"x"}}"#, Author::Client),
            (r#"{"type":"event_msg","payload":{"type":"agent_message","message":"x"}}"#, Author::Model),
            (r#"{"type":"event_msg","payload":{"type":"error","message":"x"}}"#, Author::Client),
            (r#"{"type":"response_item","payload":{"type":"message","role":"assistant"}}"#, Author::Model),
            // Gemini CLI.
            (r#"{"type":"message","role":"assistant","content":"x","delta":true}"#, Author::Model),
            (r#"{"type":"error","severity":"error","message":"x"}"#, Author::Client),
            (r#"{"type":"result","status":"error","error":{"type":"x","message":"x"}}"#, Author::Client),
            (r#"{"type":"result","status":"success","stats":{}}"#, Author::Ended),
            (r#"{"session_id":"s","response":"x","stats":{}}"#, Author::Ended),
            (r#"{"session_id":"s","error":{"type":"Error","message":"x","code":1}}"#, Author::Client),
            // Cline.
            (r#"{"type":"say","say":"text","text":"x"}"#, Author::Model),
            (r#"{"type":"say","say":"completion_result","text":"x"}"#, Author::Ended),
            (r#"{"type":"ask","ask":"api_req_failed","text":"x"}"#, Author::Client),
            // Copilot.
            (r#"{"type":"assistant.message","data":{"content":"x"}}"#, Author::Model),
            (r#"{"type":"session.error","data":{"errorType":"quota","message":"x"}}"#, Author::Client),
            (r#"{"type":"result","exitCode":0}"#, Author::Ended),
            // OpenCode.
            (r#"{"type":"text","part":{"type":"text","text":"x"}}"#, Author::Model),
            (r#"{"type":"step_finish","part":{"type":"step-finish","reason":"stop"}}"#, Author::Ended),
            (r#"{"type":"step_finish","part":{"type":"step-finish","reason":"tool-calls"}}"#, Author::Model),
            (r#"{"type":"error","error":{"name":"APIError","data":{"message":"x"}}}"#, Author::Client),
            // pi, and the agents that are made from it.
            (
                r#"{"type":"message","message":{"role":"assistant","stopReason":"error","errorMessage":"x","content":[]}}"#,
                Author::Client,
            ),
            (r#"{"type":"message","message":{"role":"assistant","stopReason":"stop","content":[]}}"#, Author::Model),
            // What a person or a tool wrote, kept in a transcript.
            (r#"{"type":"queue-operation","operation":"enqueue","content":"x"}"#, Author::Model),
            (r#"{"type":"attachment","attachment":{"type":"queued_command","prompt":"x"}}"#, Author::Model),
            (r#"{"type":"ai-title","aiTitle":"x"}"#, Author::Model),
            (r#"{"type":"last-prompt","lastPrompt":"x"}"#, Author::Model),
            // Others.
            (r#"{"error":{"code":"1308","message":"x"}}"#, Author::Client),
            (r#"{"quota_exhausted":true}"#, Author::Unknown),
            (r#"{"type":"result","status":"failed","result":"x"}"#, Author::Unknown),
            ("[]", Author::Unknown),
        ] {
            assert_eq!(author(&parse(line).unwrap()), wanted, "{line}");
        }
    }

    #[test]
    fn a_truncated_event_is_read_up_to_the_cut() {
        for (line, wanted) in [
            (r#"{"type":"error","message":"You've hit your usage limit. Try ag"#, Author::Client),
            (r#"{"type":"turn.failed","error":{"message":"x","#, Author::Client),
            (r#"{"type":"turn.failed","error":{"mess"#, Author::Client),
            (r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit \"#, Author::Client),
            (
                r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"You"#,
                Author::Model,
            ),
            (r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":17799"#, Author::Window),
        ] {
            assert_eq!(parse(line).map(|value| author(&value)), Some(wanted), "{line}");
        }
        for line in ["{", "{]", "no", ""] {
            assert!(parse(line).is_none_or(|value| author(&value) == Author::Unknown), "{line}");
        }
    }
}
