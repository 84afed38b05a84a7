//! `/api/v1`: the operations behind the web page. Each is bounded in size.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;

use super::api::{ApiResult, ApiState};
use super::responses::{KnownTag, Problems};
use crate::api::schema::{
    AboutAnswer, BillAnswer, EventSummariesAnswer, FigureAnswer, ImportsAnswer, LineAnswer, OverviewAnswer, ShowAnswer,
    WarningsAnswer,
};
use crate::api::service::LedgerOperations;
use crate::api::view_inputs::{
    BillInput, FigureInput, ImportsInput, LineInput, LogInput, NoInput, OverviewInput, ShowInput, SummariesInput,
};

/// Returns the routes.
pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/log", get(log))
        .route("/api/v1/summaries", get(summaries))
        .route("/api/v1/show", get(show))
        .route("/api/v1/line", get(line))
        .route("/api/v1/figure", get(figure))
        .route("/api/v1/bill", get(bill))
        .route("/api/v1/imports", get(imports))
        .route("/api/v1/warnings", get(warnings))
        .route("/api/v1/about", get(about))
}

/// Show today, this week and this month, and the windows of each account
///
/// The status with the last 20 switches, and the usage of the calendar periods.
#[utoipa::path(get, path = "/api/v1/overview", tag = "view", params(OverviewInput, KnownTag),
    responses((status = 200, description = "The overview", body = OverviewAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn overview(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &OverviewInput| false, LedgerOperations::overview).await
}

/// List summaries of events, the latest first
///
/// Repeat with `before` set to `next` until it is null.
#[utoipa::path(get, path = "/api/v1/log", tag = "view", params(LogInput, KnownTag),
    responses((status = 200, description = "The summaries", body = EventSummariesAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn log(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, LogInput::is_timeless, LedgerOperations::log).await
}

/// Summarise given events, such as the evidence of a decision
#[utoipa::path(get, path = "/api/v1/summaries", tag = "view", params(SummariesInput, KnownTag),
    responses((status = 200, description = "The summaries, in the order of the positions", body = EventSummariesAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn summaries(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &SummariesInput| true, LedgerOperations::summaries).await
}

/// Show one event: its current values and its proof
#[utoipa::path(get, path = "/api/v1/show", tag = "view", params(ShowInput, KnownTag),
    responses((status = 200, description = "The event", body = ShowAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn show(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &ShowInput| true, LedgerOperations::show).await
}

/// Return the line of an event as it is hashed, in parts
#[utoipa::path(get, path = "/api/v1/line", tag = "view", params(LineInput, KnownTag),
    responses((status = 200, description = "The part", body = LineAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn line(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &LineInput| true, LedgerOperations::line).await
}

/// Return the numbers of a chart
///
/// The smallest series and rows are combined into `others`, so the size of the answer does not grow with the ledger.
#[utoipa::path(get, path = "/api/v1/figure", tag = "view", params(FigureInput, KnownTag),
    responses((status = 200, description = "The figure", body = FigureAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn figure(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &FigureInput| false, LedgerOperations::figure).await
}

/// Return what recorded statements confirm, by day
#[utoipa::path(get, path = "/api/v1/bill", tag = "view", params(BillInput, KnownTag),
    responses((status = 200, description = "The days, and the statements", body = BillAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn bill(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &BillInput| false, LedgerOperations::bill).await
}

/// List runs of importers, the latest first
#[utoipa::path(get, path = "/api/v1/imports", tag = "view", params(ImportsInput, KnownTag),
    responses((status = 200, description = "The runs", body = ImportsAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn imports(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &ImportsInput| true, LedgerOperations::imports).await
}

/// List problems, each with a remedy
///
/// Contradicted limits, implausible records, times of a clock that was ahead, and logs that are not imported yet.
#[utoipa::path(get, path = "/api/v1/warnings", tag = "view", params(KnownTag),
    responses((status = 200, description = "The problems", body = WarningsAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn warnings(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &NoInput| false, LedgerOperations::warnings).await
}

/// Describe the program that answers
#[utoipa::path(get, path = "/api/v1/about", tag = "view", params(KnownTag),
    responses((status = 200, description = "The program", body = AboutAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn about(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &NoInput| true, LedgerOperations::about).await
}
