//! Types that describe in the OpenAPI document what all routes share.

use utoipa::{IntoParams, IntoResponses};

use crate::api::schema::ProblemAnswer;

/// The tag of the answer that the client has.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // the OpenAPI derive reads these types, and nothing constructs them
pub(super) struct KnownTag {
    /// The `ETag` of an earlier answer: 304 means that it is still current
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// The form of every refusal.
#[derive(IntoResponses)]
#[allow(dead_code)] // the OpenAPI derive reads these types, and nothing constructs them
pub(super) enum Problems {
    /// The input is invalid
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(ProblemAnswer),
    /// The token is missing or wrong
    #[response(status = 401, content_type = "application/problem+json")]
    Token(ProblemAnswer),
    /// The request names another server, or comes from a page of another origin
    #[response(status = 403, content_type = "application/problem+json")]
    Foreign(ProblemAnswer),
    /// The event does not exist
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemAnswer),
    /// The request was not received in time
    #[response(status = 408, content_type = "application/problem+json")]
    Slow(ProblemAnswer),
    /// The id or key exists with different content, or the server has no signing key
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemAnswer),
    /// The body is too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemAnswer),
    /// The content type is not JSON
    #[response(status = 415, content_type = "application/problem+json")]
    ContentType(ProblemAnswer),
    /// The provider is in no catalogue, event or declaration
    #[response(status = 422, content_type = "application/problem+json")]
    UnknownProvider(ProblemAnswer),
    /// The gate is closed, the reservation does not fit, or too many bodies are being received
    #[response(status = 429, content_type = "application/problem+json")]
    Wait(ProblemAnswer),
    /// The ledger is damaged, or this program has a bug
    #[response(status = 500, content_type = "application/problem+json")]
    Damaged(ProblemAnswer),
    /// The ledger is busy, its file was replaced, or the server is ending
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemAnswer),
}
