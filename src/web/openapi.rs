//! Builds the OpenAPI document from the routes and the types of their inputs and answers.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::answer::{BodyForm, RequestRefusal};
use super::api::ApiResult;
use super::{api, cached, fleet, views};
use crate::api::input::{NeedName, StreamName, TierName};
use crate::api::report_rows::RowOrder;
use crate::api::schema::ProblemAnswer;
use crate::api::view_inputs::UnitName;

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

/// A position belongs to one ledger, so queries over all machines have no `as_of`.
struct WithoutPast;

impl Modify for WithoutPast {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let paths = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/v1/fleet/"));
        for operation in paths.filter_map(|(_, item)| item.get.as_mut()) {
            if let Some(parameters) = operation.parameters.as_mut() {
                parameters.retain(|parameter| !matches!(parameter, RefOr::T(parameter) if parameter.name == "as_of"));
            }
        }
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
        api::record, api::records, api::switch, api::reserve, api::settle, api::release, api::scan, api::gate, api::status,
        api::report, api::events, api::follow, api::inclusion, api::consistency, api::checkpoint, views::overview,
        views::log, views::summaries, views::show, views::line, views::figure, views::bill, views::imports, views::warnings, views::about,
        fleet::report, fleet::status, fleet::gate, fleet::machines
    ),
    components(schemas(ProblemAnswer, TierName, NeedName, StreamName, UnitName, RowOrder)),
    tags(
        (name = "write", description = "Append events. The answer is sent when they are durable."),
        (name = "read", description = "Queries. No GET changes the ledger."),
        (name = "view", description = "Queries with small answers, for pages and dashboards."),
        (name = "fleet", description = "Queries over the ledgers of all machines that push to this server.")
    ),
    security((), ("token" = [])),
    modifiers(&Bearer, &WithoutPast)
)]
struct OpenApiDocument;

/// Returns the document as JSON.
pub(super) fn json() -> serde_json::Result<String> {
    OpenApiDocument::openapi().to_json()
}

/// Returns the route of the document.
pub(super) fn routes() -> Router {
    Router::new().route("/api/v1/openapi.json", get(document))
}

/// Returns the OpenAPI document of this API.
async fn document(headers: HeaderMap) -> ApiResult {
    let json = json().map_err(|_| RequestRefusal::failed(BodyForm::Problem))?;
    Ok(cached::respond(&headers, &cached::tag_of(&json), Some(json)))
}
