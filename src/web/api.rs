//! The HTTP API under `/api/v1`: each route parses its input, calls one operation, and answers in the shapes of `--json`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::answer::{BodyForm, RequestRefusal};
use super::cached;
use super::problem::Denial;
use super::responses::{KnownTag, Problems};
use super::stream::{self, StreamContent, Streams};
use super::work::WorkPool;
use crate::api::events::EventSelection;
use crate::api::fault::Fault;
use crate::api::input::{
    CheckpointInput, ConsistencyInput, EventsInput, GateInput, InclusionInput, ReleaseInput, ReportInput, ReserveInput,
    ScanInput, StatusInput, StreamInput, SwitchInput,
};
use crate::api::schema::{
    CheckpointAnswer, ConsistencyAnswer, EventsAnswer, GateAnswer, InclusionAnswer, ReceiptAnswer, RecordInput,
    RecordsInput, ReportAnswer, ReservationAnswer, ScanOutputAnswer, SettleInput, StatusAnswer, TallyAnswer,
};
use crate::api::service::{LedgerOperations, OperationReply, parse};
use crate::model::event::Position;

/// The size of a body in bytes up to which a record waits with others.
const SMALL: usize = 1 << 16;

/// State that the routes share.
#[derive(Clone)]
pub(super) struct ApiState {
    service: Arc<LedgerOperations>,
    work: WorkPool,
    streams: Streams,
    /// Whether only this machine can connect. Other machines see no paths of files.
    is_local: bool,
}

pub(super) type ApiResult = Result<Response, Denial>;

/// Returns the routes of the API, with `further` ones that share its state. The server applies its guards to them.
pub(super) fn routes(
    service: Arc<LedgerOperations>,
    work: WorkPool,
    ending: watch::Receiver<bool>,
    further: Router<ApiState>,
    is_local: bool,
) -> Router {
    Router::new()
        .route("/api/v1/record", post(record))
        .route("/api/v1/records", post(records))
        .route("/api/v1/switch", post(switch))
        .route("/api/v1/reserve", post(reserve))
        .route("/api/v1/settle", post(settle))
        .route("/api/v1/release", post(release))
        .route("/api/v1/scan", post(scan))
        .route("/api/v1/gate", get(gate))
        .route("/api/v1/status", get(status))
        .route("/api/v1/report", get(report))
        .route("/api/v1/events", get(events))
        .route("/api/v1/events/stream", get(follow))
        .route("/api/v1/proofs/inclusion", get(inclusion))
        .route("/api/v1/proofs/consistency", get(consistency))
        .route("/api/v1/checkpoint", get(checkpoint))
        .merge(further)
        .with_state(ApiState { service, work, streams: Streams::new(ending), is_local })
}

/// Parses an input from a query string. Error messages name the parameter.
pub(super) fn query<I: DeserializeOwned>(query: Option<&str>) -> Result<I, Fault> {
    let reader = serde_html_form::Deserializer::from_bytes(query.unwrap_or_default().as_bytes());
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        Fault::field(&path, &why)
    })
}

impl ApiState {
    /// Runs an operation on another thread than the one that serves connections.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&LedgerOperations) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Denial> {
        let service = Arc::clone(&self.service);
        let done = self.work.run(BodyForm::Problem, move || Ok(job(&service))).await?;
        self.answer(done)
    }

    /// The result of an operation, as far as its sender may see it.
    fn answer<T>(&self, done: Result<T, Fault>) -> Result<T, Denial> {
        done.map_err(|fault| {
            let fault = if self.is_local { fault } else { fault.without_paths() };
            Denial::Fault(Box::new(fault), self.service.now())
        })
    }

    /// Answers a query. `is_timeless` returns whether the answer for an input depends on events alone.
    pub(super) async fn ask<I: DeserializeOwned + Send + 'static>(
        &self,
        headers: HeaderMap,
        input: Option<String>,
        is_timeless: fn(&I) -> bool,
        ask: fn(&LedgerOperations, &I) -> Result<OperationReply, Fault>,
    ) -> ApiResult {
        self.run(move |service| {
            let input = query(input.as_deref())?;
            // Read the state first. The answer may then be newer than its tag, which only costs one more request.
            let state = service.state()?;
            if is_timeless(&input) && cached::is_known(&headers, &state.tag(None)) {
                return Ok(cached::respond(&headers, &state.tag(None), None));
            }
            let reply = ask(service, &input)?;
            Ok(cached::respond(&headers, &state.tag(reply.varying), Some(reply.body)))
        })
        .await
    }

    /// Runs a change. The answer is sent when the change is durable.
    async fn change(
        &self,
        headers: &HeaderMap,
        change: impl FnOnce(&LedgerOperations) -> Result<OperationReply, Fault> + Send + 'static,
    ) -> ApiResult {
        expect_json(headers)?;
        Ok(changed(self.run(change).await?))
    }

    /// Records a call. Small ones wait together, because appends that wait share a commit.
    async fn record(&self, headers: &HeaderMap, body: Bytes) -> ApiResult {
        if body.len() > SMALL {
            return self.change(headers, move |service| service.record(&body)).await;
        }
        expect_json(headers)?;
        let service = Arc::clone(&self.service);
        let done = self.work.wait(BodyForm::Problem, move || Ok(service.record(&body))).await?;
        self.answer(done).map(changed)
    }
}

fn changed(reply: OperationReply) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], reply.body).into_response()
}

/// Returns the content type of a body, without parameters.
fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_lines(headers: &HeaderMap) -> bool {
    ["application/x-ndjson", "application/jsonl"].contains(&&*content_type(headers))
}

/// The content type must be JSON, because a page of another origin cannot send that without a preflight request.
fn expect_json(headers: &HeaderMap) -> Result<(), RequestRefusal> {
    let refuse = |why| Err(RequestRefusal::new(BodyForm::Problem, StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return refuse("an encoded body is not read here: send it without Content-Encoding");
    }
    if content_type(headers) == "application/json" || is_lines(headers) {
        return Ok(());
    }
    refuse("a body of this type is not read here: send Content-Type: application/json")
}

/// Record one call
///
/// The same call with the same key or id is recorded once; with different counts it is refused with 409.
#[utoipa::path(post, path = "/api/v1/record", tag = "write", request_body = RecordInput,
    responses((status = 200, description = "The call is in the ledger", body = ReceiptAnswer), Problems))]
pub(super) async fn record(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    api.record(&headers, body).await
}

/// Record many calls, all or none
///
/// The body is an object with a list, or JSON lines as `application/x-ndjson`.
#[utoipa::path(post, path = "/api/v1/records", tag = "write", request_body = RecordsInput,
    responses((status = 200, description = "All calls are in the ledger", body = TallyAnswer), Problems))]
pub(super) async fn records(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    let is_lines = is_lines(&headers);
    api.change(&headers, move |service| service.batch(&body, is_lines)).await
}

/// Record a switch to another provider; no counter changes
///
/// A switch to the active provider appends nothing.
#[utoipa::path(post, path = "/api/v1/switch", tag = "write", request_body = SwitchInput,
    responses((status = 200, description = "The switch is in the ledger", body = ReceiptAnswer), Problems))]
pub(super) async fn switch(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    api.change(&headers, move |service| service.switch(&parse(&body)?)).await
}

/// Reserve tokens for a call, if the provider's windows have room
///
/// Status 429 means that they have no room, with `Retry-After` if the time is known. Concurrent callers never exceed a
/// limit together.
#[utoipa::path(post, path = "/api/v1/reserve", tag = "write", request_body = ReserveInput,
    responses((status = 200, description = "The tokens are set aside", body = ReservationAnswer), Problems))]
pub(super) async fn reserve(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    api.change(&headers, move |service| service.reserve(&parse(&body)?)).await
}

/// Settle a reservation with the tokens of its call
///
/// The body is that of `record`. Settling again with the same record changes nothing.
#[utoipa::path(post, path = "/api/v1/settle", tag = "write", request_body = SettleInput,
    responses((status = 200, description = "The call is in the ledger", body = ReceiptAnswer), Problems))]
pub(super) async fn settle(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    api.change(&headers, move |service| service.settle(&body)).await
}

/// Release a reservation whose call did not happen
#[utoipa::path(post, path = "/api/v1/release", tag = "write", request_body = ReleaseInput,
    responses((status = 200, description = "The release is in the ledger", body = ReceiptAnswer), Problems))]
pub(super) async fn release(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    api.change(&headers, move |service| service.release(&parse(&body)?)).await
}

/// Detect an exhausted quota in the output of a run or in a provider's error, and record it
///
/// A recorded refusal closes the gate until the quota resets. Without a sign of an exhausted quota nothing is recorded.
#[utoipa::path(post, path = "/api/v1/scan", tag = "write", request_body = ScanInput,
    responses((status = 200, description = "Whether the quota is exhausted", body = ScanOutputAnswer), Problems))]
pub(super) async fn scan(State(api): State<ApiState>, headers: HeaderMap, body: Bytes) -> ApiResult {
    api.change(&headers, move |service| service.scan(&parse(&body)?)).await
}

/// Decide whether a run may start, and what it may do
///
/// A closed gate is an answer with `"gated": true`. A provider that is in no catalogue, event or declaration is refused
/// with 422.
#[utoipa::path(get, path = "/api/v1/gate", tag = "read", params(GateInput, KnownTag),
    responses((status = 200, description = "The decision", body = GateAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn gate(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &GateInput| false, LedgerOperations::gate).await
}

/// Show the active provider and the windows of each provider
///
/// A switch to another provider changes no counter.
#[utoipa::path(get, path = "/api/v1/status", tag = "read", params(StatusInput, KnownTag),
    responses((status = 200, description = "The status", body = StatusAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn status(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &StatusInput| false, LedgerOperations::status).await
}

/// Sum requests, tokens and cost by any keys
///
/// Filters apply to rows and total. Several values of one filter are alternatives.
#[utoipa::path(get, path = "/api/v1/report", tag = "read", params(ReportInput, KnownTag),
    responses((status = 200, description = "The sums", body = ReportAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn report(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, ReportInput::is_timeless, LedgerOperations::report).await
}

/// List events in the order of the log
///
/// Repeat with `next` until it is null. One request examines at most 100,000 events, so its answer may be empty and
/// still have a `next`.
#[utoipa::path(get, path = "/api/v1/events", tag = "read", params(EventsInput, KnownTag),
    responses((status = 200, description = "The events", body = EventsAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn events(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, EventsInput::is_timeless, LedgerOperations::events).await
}

/// Prove that an event is in the ledger
///
/// The line of the event, the signed proof and the verifier key are sufficient to check it.
#[utoipa::path(get, path = "/api/v1/proofs/inclusion", tag = "read", params(InclusionInput, KnownTag),
    responses((status = 200, description = "The proof", body = InclusionAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn inclusion(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    api.ask(headers, input, |_: &InclusionInput| true, LedgerOperations::inclusion).await
}

/// Prove that a later state extends an earlier one
///
/// Nothing of the earlier state was changed, moved or removed.
#[utoipa::path(get, path = "/api/v1/proofs/consistency", tag = "read", params(ConsistencyInput, KnownTag),
    responses((status = 200, description = "The proof", body = ConsistencyAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn consistency(
    State(api): State<ApiState>,
    headers: HeaderMap,
    RawQuery(input): RawQuery,
) -> ApiResult {
    api.ask(headers, input, |_: &ConsistencyInput| true, LedgerOperations::consistency).await
}

/// Sign the size and root of the ledger
///
/// The server needs a key: start it with `--key FILE`.
#[utoipa::path(get, path = "/api/v1/checkpoint", tag = "read", params(CheckpointInput, KnownTag),
    responses((status = 200, description = "The checkpoint", body = CheckpointAnswer, headers(("etag" = String, description = "The state of the answer"))),
        (status = 304, description = "The client has the answer: nothing changed"), Problems))]
pub(super) async fn checkpoint(
    State(api): State<ApiState>,
    headers: HeaderMap,
    RawQuery(input): RawQuery,
) -> ApiResult {
    api.ask(headers, input, |_: &CheckpointInput| true, LedgerOperations::checkpoint).await
}

/// Follow new events as server-sent events
///
/// The `id` of each event is its position. A client that reconnects sends it as `Last-Event-ID` and misses nothing.
/// Without it, and without `after`, the stream starts at the end of the log.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "read",
    params(StreamInput, ("Last-Event-ID" = Option<String>, Header, description = "The position of the last event that the client has")),
    responses((status = 200, description = "Events, for as long as the client listens", body = String, content_type = "text/event-stream"), Problems))]
pub(super) async fn follow(State(api): State<ApiState>, headers: HeaderMap, RawQuery(input): RawQuery) -> ApiResult {
    let start = move |service: &LedgerOperations| {
        let input: StreamInput = query(input.as_deref())?;
        if input.heads && !(input.kind.is_empty() && input.provider.is_empty()) {
            return Err(Fault::input("`heads` sends no events: leave out `kind` and `provider`, or leave out `heads`"));
        }
        let content = if input.heads {
            StreamContent::Heads
        } else {
            StreamContent::Events(EventSelection::new(&input.kind, &input.provider)?)
        };
        let seen = stream::last_seen(&headers)?.or(input.after.map(Position::new));
        let after = match seen {
            // A position beyond the end belongs to another ledger. Refuse it before the stream starts.
            Some(after) => service.expect_position(after)?,
            None => service.head()?,
        };
        Ok((after, content))
    };
    let (after, content) = api.run(start).await?;
    Ok(api.streams.start(Arc::clone(&api.service), after, content)?)
}
