//! OTLP/HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`; `GET /` says what came of it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::Serialize;

use super::answer::{Form, Refusal, taken};
use super::body::{MOST, form, read};
use super::{Received, Receiver};
use crate::import::otlp::Telemetry;

type Shared = State<Arc<Receiver>>;
type Body = Result<Bytes, BytesRejection>;

pub(super) fn routes(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/", get(received))
        .layer(DefaultBodyLimit::max(MOST))
        .with_state(receiver)
}

async fn logs(State(receiver): Shared, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let form = form(&headers)?;
    let request: ExportLogsServiceRequest = read(form, &headers, &whole(form, body)?)?;
    record(&receiver, form, "rejectedLogRecords", Telemetry::of_logs(&request))
}

async fn traces(State(receiver): Shared, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let form = form(&headers)?;
    let request: ExportTraceServiceRequest = read(form, &headers, &whole(form, body)?)?;
    record(&receiver, form, "rejectedSpans", Telemetry::of_spans(&request))
}

async fn metrics(State(receiver): Shared, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let form = form(&headers)?;
    let request: ExportMetricsServiceRequest = read(form, &headers, &whole(form, body)?)?;
    Ok(taken(form, "rejectedDataPoints", &receiver.compare(&request)))
}

/// A body that came whole, or why it did not, in the sender's own encoding.
fn whole(form: Form, body: Body) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| {
        let status = rejection.status();
        let why = if status == StatusCode::PAYLOAD_TOO_LARGE {
            format!("the body is over {} MiB: send less at a time", MOST >> 20)
        } else {
            format!("the body did not come whole ({})", rejection.body_text())
        };
        Refusal { form, status, why }
    })
}

fn record(receiver: &Receiver, form: Form, rejected: &str, told: Telemetry) -> Result<Response, Refusal> {
    let unread = receiver.take(told).map_err(|error| Refusal::of_store(form, &error))?;
    Ok(taken(form, rejected, &unread))
}

async fn received(State(receiver): Shared) -> Response {
    #[derive(Serialize)]
    struct Answer {
        schema: u8,
        #[serde(flatten)]
        received: Received,
    }
    let answer = Answer { schema: 1, received: receiver.received() };
    let body = serde_json::to_string(&answer).unwrap_or_default();
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
