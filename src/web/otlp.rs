//! OTLP/HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`; `GET /` lists what came in.

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

use super::answer::{Form, Refusal, taken};
use super::body::{form, read};
use super::work::Work;
use super::{Received, Receiver};
use crate::import::otlp::Telemetry;

/// What the routes share.
#[derive(Clone)]
struct Shared {
    receiver: Arc<Receiver>,
    work: Work,
}

/// The routes of telemetry. The server puts its guards around them.
pub(super) fn routes(receiver: Arc<Receiver>, work: Work) -> Router {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/", get(received))
        .with_state(Shared { receiver, work })
}

async fn logs(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    shared
        .take(headers, body, "rejectedLogRecords", |receiver, form, request: &ExportLogsServiceRequest| {
            record(receiver, form, Telemetry::of_logs(request))
        })
        .await
}

async fn traces(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    shared
        .take(headers, body, "rejectedSpans", |receiver, form, request: &ExportTraceServiceRequest| {
            record(receiver, form, Telemetry::of_spans(request))
        })
        .await
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    shared
        .take(headers, body, "rejectedDataPoints", |receiver, _, request: &ExportMetricsServiceRequest| {
            Ok(receiver.compare(request))
        })
        .await
}

impl Shared {
    /// Decodes a message and hands it on. `rejected` is the protocol's name of what could not be read.
    async fn take<M: Message + Default + DeserializeOwned + 'static>(
        self,
        headers: HeaderMap,
        body: Bytes,
        rejected: &str,
        told: impl FnOnce(&Receiver, Form, &M) -> Result<Vec<String>, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let form = form(&headers)?;
        let Self { receiver, work } = self;
        let unread = work.run(form, move || told(&receiver, form, &read(form, &headers, &body)?)).await?;
        Ok(taken(form, rejected, &unread))
    }
}

fn record(receiver: &Receiver, form: Form, told: Telemetry) -> Result<Vec<String>, Refusal> {
    receiver.take(told).map_err(|error| Refusal::of_store(form, &error))
}

async fn received(State(shared): State<Shared>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        schema: u8,
        #[serde(flatten)]
        received: Received,
    }
    let answer = Answer { schema: 1, received: shared.receiver.received() };
    match serde_json::to_string(&answer) {
        Ok(body) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => Refusal::failed(Form::Problem).into_response(),
    }
}
