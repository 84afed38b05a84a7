//! OTLP/HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`. `GET /` answers a browser with the page and other
//! programs with a summary.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{BodyForm, RequestRefusal, accepted};
use super::body::{form, read};
use super::work::WorkPool;
use super::{Received, Receiver, TelemetryAnswer, page};
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
    shared.take(headers, body, "rejectedLogRecords", Telemetry::of_logs, Receiver::take).await
}

async fn traces(
    State(shared): State<SharedReceiver>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestRefusal> {
    shared.take(headers, body, "rejectedSpans", Telemetry::of_spans, Receiver::take).await
}

async fn metrics(
    State(shared): State<SharedReceiver>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RequestRefusal> {
    let whole = ExportMetricsServiceRequest::clone;
    shared.take(headers, body, "rejectedDataPoints", whole, |receiver, metrics| Ok(receiver.compare(&metrics))).await
}

impl SharedReceiver {
    /// Decodes a message with `read`, and processes its content with `handle`. `rejected` is the protocol's name for the
    /// number of rejected items.
    async fn take<M: Message + Default + DeserializeOwned + 'static, C: Send + 'static>(
        self,
        headers: HeaderMap,
        body: Bytes,
        rejected: &str,
        content: impl FnOnce(&M) -> C + Send + 'static,
        handle: impl FnOnce(&Receiver, C) -> TelemetryAnswer + Send + 'static,
    ) -> Result<Response, RequestRefusal> {
        let form = form(&headers)?;
        let Self { receiver, work } = self;
        // A decoded message needs many times the memory of its content, so it is gone before the content waits.
        let content = work.run(form, move || Ok(content(&read(form, &headers, &body)?))).await?;
        let record = move || handle(&receiver, content).map_err(|error| RequestRefusal::of_store(form, &error));
        let unread = work.wait(form, record).await?;
        Ok(accepted(form, rejected, &unread))
    }
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
