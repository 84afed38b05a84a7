//! OTLP/HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`. `GET /` answers a browser with the page and other
//! programs with a summary.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{BodyForm, RequestRefusal, accepted};
use super::body::{form, read};
use super::work::WorkPool;
use super::{Received, Receiver, page};
use crate::import::telemetry::Telemetry;

/// State that the routes share.
#[derive(Clone)]
struct SharedReceiver {
    receiver: Arc<Receiver>,
    work: WorkPool,
}

/// Returns the routes of telemetry. The server applies its guards to them.
pub(super) fn routes(receiver: Arc<Receiver>, work: WorkPool) -> Router {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/", get(received))
        .with_state(SharedReceiver { receiver, work })
}

async fn logs(
    State(shared): State<SharedReceiver>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestRefusal> {
    shared
        .take(headers, body, "rejectedLogRecords", |receiver, form, request: &ExportLogsServiceRequest| {
            record(receiver, form, Telemetry::of_logs(request))
        })
        .await
}

async fn traces(
    State(shared): State<SharedReceiver>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestRefusal> {
    shared
        .take(headers, body, "rejectedSpans", |receiver, form, request: &ExportTraceServiceRequest| {
            record(receiver, form, Telemetry::of_spans(request))
        })
        .await
}

async fn metrics(
    State(shared): State<SharedReceiver>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestRefusal> {
    shared
        .take(headers, body, "rejectedDataPoints", |receiver, _, request: &ExportMetricsServiceRequest| {
            Ok(receiver.compare(request))
        })
        .await
}

impl SharedReceiver {
    /// Decodes a message and processes it. `rejected` is the protocol's name for the number of rejected items.
    async fn take<M: Message + Default + DeserializeOwned + 'static>(
        self,
        headers: HeaderMap,
        body: Bytes,
        rejected: &str,
        handle: impl FnOnce(&Receiver, BodyForm, &M) -> Result<Vec<String>, RequestRefusal> + Send + 'static,
    ) -> Result<Response, RequestRefusal> {
        let form = form(&headers)?;
        let Self { receiver, work } = self;
        let unread = work.run(form, move || handle(&receiver, form, &read(form, &headers, &body)?)).await?;
        Ok(accepted(form, rejected, &unread))
    }
}

fn record(receiver: &Receiver, form: BodyForm, telemetry: Telemetry) -> Result<Vec<String>, RequestRefusal> {
    receiver.take(telemetry).map_err(|error| RequestRefusal::of_store(form, &error))
}

/// What the receiver has processed, as JSON.
#[derive(Serialize)]
struct ReceivedAnswer {
    schema: u8,
    #[serde(flatten)]
    received: Received,
}

async fn received(State(shared): State<SharedReceiver>, headers: HeaderMap) -> Response {
    if page::wants_page(&headers) {
        return page::document(&headers);
    }
    let answer = ReceivedAnswer { schema: 1, received: shared.receiver.received() };
    match serde_json::to_string(&answer) {
        Ok(body) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => RequestRefusal::failed(BodyForm::Problem).into_response(),
    }
}
