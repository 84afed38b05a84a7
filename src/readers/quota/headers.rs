//! Response headers, as received or as a program prints them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::ObservationDraft;
use crate::model::error::Result;
use crate::model::secrets;

/// Headers by their names in lower case, without credentials; of several with one name the last counts.
pub(super) type Headers = BTreeMap<String, String>;

/// Parses a JSON object of headers, or lines of `name: value`, with or without a status line and a body.
pub(super) fn read(text: &str, draft: &ObservationDraft) -> Result<Headers> {
    let headers = if text.starts_with('{') { object(text, draft)? } else { lines(text) };
    if headers.is_empty() {
        return Err(draft.refuse(if text.is_empty() { "is empty" } else { "has no header" }));
    }
    Ok(headers)
}

fn object(text: &str, draft: &ObservationDraft) -> Result<Headers> {
    let fields = draft.object(text)?;
    let fields = match fields.get("headers") {
        Some(Value::Object(inner)) => inner,
        _ => &fields,
    };
    let header = |(name, value): (&String, &Value)| {
        // Some programs store a list of values for each name.
        let value = value.as_array().and_then(|values| values.last()).unwrap_or(value);
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(bool) => bool.to_string(),
            _ => return None,
        };
        Some((name_of(name), text))
    };
    Ok(fields.iter().filter_map(header).collect())
}

fn lines(text: &str) -> Headers {
    let mut headers = Headers::new();
    let mut body = false;
    for line in text.lines().map(|line| line.trim_start_matches("< ").trim()) {
        if line.starts_with("HTTP/") {
            // The headers of the response that follows a redirection or a proxy's response.
            body = false;
            headers.clear();
        } else if line.is_empty() || line == "<" {
            body |= !headers.is_empty();
        } else if !body
            && let Some((name, value)) = line.trim_start_matches(':').split_once(':')
            && is_name(name.trim_end())
        {
            headers.insert(name_of(name), value.trim().to_owned());
        }
    }
    headers
}

/// A name in lower case. A credential in it could no longer be recognised then, so it is removed before.
fn name_of(text: &str) -> String {
    secrets::text(text.trim()).to_ascii_lowercase()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
