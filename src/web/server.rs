//! The listener: accepts a limited number of connections, applies the guards to every route, and ends in time.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::access::{Access, guard};
use super::answer::{BodyForm, RequestRefusal};
use super::connection;
use super::intake::{Intake, take_in};
use super::services::Services;

/// Maximum number of open connections.
const CONNECTIONS: usize = 256;
/// How long the server waits for its connections when it ends, so that SIGTERM ends the process within five seconds.
const ENDING: Duration = Duration::from_millis(4_500);
/// Pause after a failure to accept a connection, for example without free file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Headers of every answer. The page loads only its own files, runs no inline code and styles, turns no text into
/// markup, sends no form, and cannot be framed or opened by another page.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Serves until `ended` completes. Requests in progress are then answered; others are asked to retry. `listening`
/// receives the address.
///
/// # Errors
/// Those of the operating system, such as an address that is in use. [`io::ErrorKind::PermissionDenied`] for an address
/// that other machines can reach, unless access requires a token.
pub fn serve(
    services: Services,
    address: SocketAddr,
    access: Access,
    listening: impl FnOnce(SocketAddr),
    ended: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let is_local = address.ip().to_canonical().is_loopback();
    if !is_local && !access.has_token() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "an address beyond this machine needs a token"));
    }
    listen(|ending| guarded(services.routes(ending, is_local), access, ending), address, listening, ended)
}

/// Listens until `ended` completes, and serves routes with the limits of connections, heads and unread answers.
pub(super) fn listen(
    routes: impl FnOnce(&watch::Receiver<bool>) -> Router,
    address: SocketAddr,
    listening: impl FnOnce(SocketAddr),
    ended: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let (end, ending) = watch::channel(false);
        let routes = routes(&ending);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        listening(listener.local_addr()?);
        let mut connections = JoinSet::new();
        tokio::select! {
            () = accept(&listener, &routes, &ending, &mut connections) => {}
            () = ended => {}
        }
        drop(listener);
        end.send_replace(true);
        // Dropping the set closes the remaining connections.
        let _ = timeout(ENDING, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    });
    // A transaction that still waits for the write lock ends with the process, completely or not at all.
    runtime.shutdown_background();
    done
}

/// Applies the guards to all routes.
fn guarded(routes: Router, access: Access, ending: &watch::Receiver<bool>) -> Router {
    let intake = Arc::new(Intake::new(ending.clone()));
    routes
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(intake, take_in))
        .layer(from_fn_with_state(Arc::new(access), guard))
        .layer(from_fn(with_headers))
}

async fn unknown(uri: Uri) -> RequestRefusal {
    let form = if uri.path().starts_with("/v1/") { BodyForm::Json } else { BodyForm::Problem };
    RequestRefusal::new(
        form,
        StatusCode::NOT_FOUND,
        "there is nothing at this path: the API is described at /api/v1/openapi.json, and with --otlp telemetry goes to \
         /v1/logs, /v1/traces and /v1/metrics",
    )
}

async fn not_allowed(method: Method, uri: Uri) -> RequestRefusal {
    let form = if uri.path().starts_with("/v1/") { BodyForm::Json } else { BodyForm::Problem };
    let wanted = match method {
        Method::POST => "GET",
        Method::GET | Method::HEAD => "POST",
        _ => "one that the header Allow names",
    };
    RequestRefusal::new(form, StatusCode::METHOD_NOT_ALLOWED, format!("this path takes another method: send {wanted}"))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Accepts connections for ever.
async fn accept(
    listener: &tokio::net::TcpListener,
    routes: &Router,
    ending: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let open = Arc::new(Semaphore::new(CONNECTIONS));
    let mut is_failing = false;
    loop {
        // Remove finished connections from the set.
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // A client may leave before it is accepted.
                if error.kind() == std::io::ErrorKind::ConnectionAborted {
                    continue;
                }
                if !is_failing {
                    tracing::error!("new connections cannot be accepted ({error}): trying again until it works");
                }
                is_failing = true;
                sleep(PAUSE).await;
                continue;
            }
        };
        is_failing = false;
        // An answer is often two small writes, which Nagle's algorithm would delay.
        let _ = stream.set_nodelay(true);
        let (routes, ending) = (routes.clone(), ending.clone());
        let place = Arc::clone(&open).try_acquire_owned();
        connections.spawn(async move {
            let Ok(place) = place else {
                let why = format!("{CONNECTIONS} connections are open: close some, or connect again later");
                return connection::refuse(stream, StatusCode::SERVICE_UNAVAILABLE, &why).await;
            };
            connection::serve(stream, routes, ending).await;
            drop(place);
        });
    }
}
