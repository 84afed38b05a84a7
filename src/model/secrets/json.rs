//! Removes credentials from JSON, which keeps its order and all other bytes.

use std::borrow::Cow;

use super::words::is_credential_name;
use super::{REDACTED, is_ordinary, name, short};

/// JSON whose strings and field names are scrubbed as free text. A field whose name is that of a credential loses its value.
/// Numbers of other fields, order and all other strings stay verbatim.
pub(crate) fn json(json: &str) -> Cow<'_, str> {
    scrubbed_json(json, false)
}

/// The same. `is_within` a credential no text stays, except the names of fields.
fn scrubbed_json(json: &str, is_within: bool) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut rest = 0;
    while let Some(start) = json.get(rest..).and_then(|tail| tail.find('"')).map(|at| rest + at) {
        let Some(end) = end_of_string(json, start) else { break };
        let inner = json.get(start + 1..end).unwrap_or_default();
        let is_name = json.get(end + 1..).is_some_and(|behind| behind.trim_ascii_start().starts_with(':'));
        let scrubbed = if is_within && !is_name { removed(inner) } else { json_string(inner) };
        let field = if is_name { credential_field(json, inner, end + 1, is_within) } else { None };
        let strings = [scrubbed.map(|string| (start, end + 1, string)), field];
        rest = end + 1;
        for (from, to, replaced) in strings.into_iter().flatten() {
            let out = out.get_or_insert_default();
            out.push_str(json.get(copied..from).unwrap_or_default());
            out.push_str(&replaced);
            (copied, rest) = (to, to);
        }
    }
    match out {
        Some(mut out) => {
            out.push_str(json.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
        None => Cow::Borrowed(json),
    }
}

/// The start of the value of the field whose name ends before `at`.
fn value_start(json: &str, at: usize) -> Option<usize> {
    let behind = json.get(at..)?.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
    Some(json.len() - behind.len())
}

/// The end of an object or a list; that of the text if it has none.
fn end_of_container(json: &str, start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_u32);
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => match end_of_string(json, at) {
                Some(end) => at = end,
                None => return json.len(),
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    json.len()
}

/// What the names of fields with credentials contain. It decides on ordinary fields without an expression.
const FIELD_HINTS: [&str; 11] =
    ["secret", "token", "pass", "pwd", "cred", "sig", "auth", "jwt", "key", "cookie", "sess"];

/// The place and the replacement of the value of a field whose name ends before `at`; `None` if it is no credential.
fn credential_field(json: &str, field: &str, at: usize, is_within: bool) -> Option<(usize, usize, String)> {
    let decoded: String;
    let field = if field.contains('\\') {
        decoded = serde_json::from_str(&format!("\"{field}\"")).ok()?;
        &decoded
    } else {
        field
    };
    let lower = field.to_ascii_lowercase();
    if !FIELD_HINTS.iter().any(|hint| lower.contains(hint)) {
        return None;
    }
    let start = value_start(json, at)?;
    let (end, replaced) = match json.as_bytes().get(start)? {
        b'"' => {
            let end = end_of_string(json, start)?;
            let text = json.get(start + 1..end)?;
            let pair = format!("{field}={text}");
            let is_credential = is_credential_name(field) || !name(&pair).starts_with(&format!("{field}="));
            (end + 1, if is_credential && !is_ordinary(field, text) { removed(text) } else { None })
        }
        b'{' | b'[' => {
            // Within a credential every text is removed anyway.
            if is_within || !is_credential_name(field) || is_ordinary(field, "{") {
                return None;
            }
            let end = end_of_container(json, start);
            // Also an object without texts is replaced, by itself: it is searched once, however deep others are in it.
            (end, Some(scrubbed_json(json.get(start..end)?, true).into_owned()))
        }
        _ => {
            let tail = json.get(start..)?;
            let value = tail.split([',', '}', ']', ' ', '\t', '\n', '\r']).next().unwrap_or_default();
            let is_kept = !is_credential_name(field) || is_ordinary(field, value);
            (start + value.len(), if is_kept { None } else { Some(quote(REDACTED)) })
        }
    };
    replaced.map(|replaced| (start, end, replaced))
}

/// The replacement of a text that is a credential; `None` if it is one already, or empty.
fn removed(text: &str) -> Option<String> {
    (!text.is_empty() && !text.starts_with(REDACTED)).then(|| quote(REDACTED))
}

/// The end of the string that begins at a quote.
fn end_of_string(json: &str, start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match json.as_bytes().get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The replacement of a JSON string, with its quotes; `None` if it does not change.
fn json_string(inner: &str) -> Option<String> {
    if !inner.contains('\\') {
        return match short(inner) {
            Cow::Owned(scrubbed) if scrubbed != inner => Some(quote(&scrubbed)),
            _ => None,
        };
    }
    // Half of a surrogate pair is valid JSON but not text. A string that cannot be checked is removed.
    let Ok(plain) = serde_json::from_str::<String>(&format!("\"{inner}\"")) else { return Some(quote(REDACTED)) };
    let scrubbed = short(&plain);
    if scrubbed == plain { None } else { Some(quote(&scrubbed)) }
}

/// A text as JSON.
fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| format!("\"{REDACTED}\""))
}
