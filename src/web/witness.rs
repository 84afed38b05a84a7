//! The HTTP interface of a witness: `c2sp.org/tlog-witness`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::intake::Deadline;
use super::server::listen;
use crate::model::time::Timestamp;
use crate::sync::witness::WitnessLog;

/// The largest request in bytes: 63 hashes, and a checkpoint with a hundred signatures.
const LARGEST: usize = 64 << 10;

/// What the handlers share.
#[derive(Clone)]
struct WitnessShared {
    log: Arc<WitnessLog>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Serves a witness until `ended` completes. Everyone may ask: the signature of the log is the authentication.
///
/// # Errors
/// Those of the operating system, such as an address that is in use.
pub fn serve_witness(
    log: Arc<WitnessLog>,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
    address: SocketAddr,
    listening: impl FnOnce(SocketAddr),
    ended: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let shared = WitnessShared { log, now: Arc::new(now) };
    let routes = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{hash}/checkpoint", get(checkpoint))
        .with_state(shared);
    listen(|_| routes, address, listening, ended)
}

async fn add_checkpoint(State(shared): State<WitnessShared>, deadline: Extension<Deadline>, body: Body) -> Response {
    let Ok(read) = timeout_at(deadline.0.0, to_bytes(body, LARGEST)).await else {
        return plain(StatusCode::REQUEST_TIMEOUT, "the request took too long\n");
    };
    let Ok(bytes) = read else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 64 KiB\n");
    };
    let Ok(request) = String::from_utf8(bytes.into()) else {
        return plain(StatusCode::BAD_REQUEST, "a request is UTF-8\n");
    };
    // The state is written to disk before the answer.
    let answered = spawn_blocking(move || shared.log.add_checkpoint(&request, (shared.now)())).await;
    match answered {
        Ok(Ok(answer)) => match StatusCode::from_u16(answer.status()) {
            Ok(status) => (status, [(header::CONTENT_TYPE, answer.media_type())], answer.body()).into_response(),
            Err(error) => failed(&format!("{error}: {}", answer.status())),
        },
        Ok(Err(error)) => failed(&error.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

async fn checkpoint(State(shared): State<WitnessShared>, Path(hash): Path<String>) -> Response {
    match spawn_blocking(move || shared.log.latest(&hash)).await {
        Ok(Ok(Some(note))) => plain(StatusCode::OK, &note),
        Ok(Ok(None)) => plain(StatusCode::NOT_FOUND, "this witness has cosigned no checkpoint of such a log\n"),
        Ok(Err(error)) => failed(&error.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

/// An answer about a fault of the witness itself. The log keeps the reason, the client does not see paths.
fn failed(why: &str) -> Response {
    tracing::error!("the witness cannot answer: {why}");
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot read or write its state\n")
}

fn plain(status: StatusCode, body: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.to_owned()).into_response()
}
