//! Builds the OpenAPI document from the routes and the types of their inputs and answers.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};

use super::api;
use crate::api::input::{NeedName, TierName};
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

/// A server that other machines can reach requires a token.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let scheme = scheme.description(Some("Needed where the server was started with a token"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "usage-ledger",
        description = "An event-sourced, tamper-evident ledger of LLM token usage. The answers have the shapes of the \
                       command's --json.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        api::record, api::records, api::switch, api::reserve, api::settle, api::release, api::gate, api::status,
        api::report, api::events, api::follow, api::inclusion, api::consistency, api::checkpoint
    ),
    components(schemas(ProblemAnswer, TierName, NeedName)),
    tags(
        (name = "write", description = "Append events. The answer is sent when they are durable."),
        (name = "read", description = "Queries. No GET changes the ledger.")
    ),
    security((), ("token" = [])),
    modifiers(&Bearer)
)]
struct OpenApiDocument;

/// Returns the document as JSON.
pub(super) fn json() -> serde_json::Result<String> {
    OpenApiDocument::openapi().to_json()
}
