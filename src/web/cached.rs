//! Conditional GET requests: an entity tag, and 304 if the client's copy is current.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

/// Returns whether the client has the answer with this tag. The comparison is weak (RFC 9110 §13.1.2).
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let own = opaque(tag);
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|sent| sent.trim() == "*" || opaque(sent) == own)
}

/// Returns the tag of a content that does not depend on the ledger.
pub(super) fn tag_of(content: &str) -> String {
    format!("\"{:016x}\"", xxh3_64(content.as_bytes()))
}

/// Returns the answer, or 304 if the client has it.
pub(super) fn respond(headers: &HeaderMap, tag: &str, body: Option<String>) -> Response {
    let mut response = match body {
        Some(body) if !is_known(headers, tag) => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        _ => StatusCode::NOT_MODIFIED.into_response(),
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    // A cache may store the answer but must revalidate it.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let with = |sent: &'static str| HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(sent))]);
        for sent in ["\"1-a\"", "W/\"1-a\"", "\"0-b\", \"1-a\"", "*"] {
            assert!(is_known(&with(sent), "\"1-a\""), "{sent}");
            assert!(is_known(&with(sent), "W/\"1-a\""), "{sent}");
        }
        for sent in ["\"1-b\"", "1-a", ""] {
            assert!(!is_known(&with(sent), "\"1-a\""), "{sent}");
        }
        assert!(!is_known(&HeaderMap::new(), "\"1-a\""));
    }
}
