//! One connection: HTTP/1.1 with deadlines, closed early when the server ends.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::ServiceExt;

use super::access::Local;
use super::answer::{BodyForm, of_refusal};
use super::intake::{Deadline, WITHIN};
use super::work::wait_for_end;

/// How long a client may leave an answer unread.
const UNREAD: Duration = Duration::from_secs(10);
/// Time limit for requests in progress when the server ends.
const GRACE: Duration = Duration::from_secs(4);
/// Maximum size of a request's head in bytes.
const HEAD: usize = 64 << 10;
/// State shared by a stream and its service.
#[derive(Debug, Default)]
struct ConnectionProgress {
    /// When the first byte of the current request was read.
    began: Mutex<Option<Instant>>,
    /// Number of requests whose head is read and that are not answered yet.
    under_way: AtomicUsize,
}

impl ConnectionProgress {
    fn began(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // A panic cannot leave a partial instant.
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a connection until it closes or the server ends.
pub(super) async fn serve(stream: TcpStream, routes: Router, mut ending: watch::Receiver<bool>) {
    let progress = Arc::new(ConnectionProgress::default());
    let local = stream.local_addr().ok().map(|address| Local(address.ip()));
    let shared = Arc::clone(&progress);
    let service = service_fn(move |mut request: Request<Incoming>| {
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        let began = shared.began().take().unwrap_or_else(Instant::now);
        request.extensions_mut().insert(Deadline(began + WITHIN));
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        let (routes, shared) = (routes.clone(), Arc::clone(&shared));
        async move {
            let answer = routes.oneshot(request.map(Body::new)).await;
            shared.under_way.fetch_sub(1, Ordering::Relaxed);
            answer
        }
    });
    let io = TokioIo::new(TimedStream { stream, progress: Arc::clone(&progress), unread: None });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(WITHIN).max_buf_size(HEAD);
    let mut connection = http.serve_connection(io, service);
    tokio::select! {
        ended = &mut connection => {
            if ended.is_err_and(|error| error.is_timeout()) && progress.began().is_some() {
                let stream = connection.into_parts().io.into_inner().stream;
                let why = format!("the head of the request took over {} s to come in: send it faster", WITHIN.as_secs());
                refuse(stream, StatusCode::REQUEST_TIMEOUT, &why).await;
            }
        }
        () = wait_for_end(&mut ending) => {
            if progress.under_way.load(Ordering::Relaxed) > 0 {
                Pin::new(&mut connection).graceful_shutdown();
                // A client without an answer by now has to retry.
                let _ = timeout(GRACE, connection).await;
            }
        }
    }
}

/// Sends an error on a connection without a valid request, and closes it.
pub(super) async fn refuse(mut stream: TcpStream, status: StatusCode, why: &str) {
    let body = of_refusal(status, why).to_json();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {}\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        BodyForm::Problem.name(),
        body.len(),
    );
    // The client may be gone, so failures are ignored.
    let _ = timeout(Duration::from_secs(1), async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

/// A stream that records when a request begins, and fails if an answer stays unread too long.
#[derive(Debug)]
struct TimedStream {
    stream: TcpStream,
    progress: Arc<ConnectionProgress>,
    unread: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    /// Fails a write that has been pending too long.
    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        ready!(self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD))).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.progress.under_way.load(Ordering::Relaxed) == 0 {
            self.progress.began().get_or_insert_with(Instant::now);
        }
        read
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
