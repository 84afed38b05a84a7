//! `GET /api/v1/events/stream`: new events as server-sent events.
//!
//! Each event has its position as `id`, so a client that reconnects sends it as `Last-Event-ID` and misses nothing.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::spawn_blocking;

use super::answer::{BodyForm, RequestRefusal};
use super::work::wait_for_end;
use crate::api::events::EventSelection;
use crate::api::fault::Fault;
use crate::api::service::LedgerOperations;
use crate::model::event::Position;

/// Maximum number of open streams. Each occupies a connection for as long as its client likes.
const STREAMS: usize = 32;
/// Interval of checks for new events. Other programs also write to the ledger, so polling is necessary.
const LOOK: Duration = Duration::from_millis(250);
/// Maximum silence of a stream. A comment then shows the client and proxies that the connection is alive.
const SILENCE: Duration = Duration::from_secs(15);
/// Maximum bytes of events that are read ahead of a client.
const AHEAD: usize = 256 << 10;

/// What a stream sends.
#[derive(Debug)]
pub(super) enum StreamContent {
    /// The selected events.
    Events(EventSelection),
    /// The last position, after new events. A client that reads only some of them is not slowed by the others.
    Heads,
}

/// The streams of a server.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    open: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Streams {
    pub fn new(ending: watch::Receiver<bool>) -> Self {
        Self { open: Arc::new(Semaphore::new(STREAMS)), ending }
    }

    /// Starts a stream after a position.
    pub fn start(
        &self,
        service: Arc<LedgerOperations>,
        after: Position,
        content: StreamContent,
    ) -> Result<Response, RequestRefusal> {
        let place = Arc::clone(&self.open).try_acquire_owned().map_err(|_| {
            RequestRefusal::later(
                BodyForm::Problem,
                &format!("{STREAMS} streams are open: close some, or connect again later"),
            )
        })?;
        // The channel holds one chunk, so a slow client slows only its own stream.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(follow(service, after, content, sender, self.ending.clone(), place));
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        Ok((StatusCode::OK, headers, Body::new(Chunks(receiver))).into_response())
    }
}

/// Returns where a stream starts: after the last event that the client received.
pub(super) fn last_seen(headers: &HeaderMap) -> Result<Option<Position>, Fault> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let wrong = || Fault::input("the header Last-Event-ID is no position: send the id of the last event, or none");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Position::new(text.parse().map_err(|_| wrong())?)))
}

/// Sends new events until the client or the server ends.
async fn follow(
    service: Arc<LedgerOperations>,
    mut after: Position,
    content: StreamContent,
    sender: mpsc::Sender<Bytes>,
    mut ending: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    let content = Arc::new(content);
    let mut silent = tokio::time::Instant::now();
    if sender.send(Bytes::from_static(b": events follow\n\n")).await.is_err() {
        return;
    }
    loop {
        let (service_handle, content_handle) = (Arc::clone(&service), Arc::clone(&content));
        let read = spawn_blocking(move || chunk(&service_handle, after, &content_handle)).await;
        // If the ledger cannot be read, end the stream. The client reconnects and receives the error.
        let Ok(Ok((last, text))) = read else { break };
        let caught_up = last == after || matches!(*content, StreamContent::Heads);
        after = last;
        if !text.is_empty() {
            silent = tokio::time::Instant::now();
            if sender.send(text.into()).await.is_err() {
                break;
            }
        } else if silent.elapsed() >= SILENCE {
            silent = tokio::time::Instant::now();
            if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                break;
            }
        }
        if caught_up {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = sender.closed() => break,
                () = wait_for_end(&mut ending) => break,
            }
        }
    }
    drop(place);
}

/// Returns the next events as text, and the last position that was examined.
fn chunk(service: &LedgerOperations, after: Position, content: &StreamContent) -> Result<(Position, String), Fault> {
    let mut text = String::new();
    let filter = match content {
        StreamContent::Events(filter) => filter,
        StreamContent::Heads => {
            let head = service.head()?;
            if head != after {
                // Writing to a string cannot fail.
                let _ = write!(text, "id: {head}\nevent: head\ndata: {{\"position\":{head}}}\n\n");
            }
            return Ok((head, text));
        }
    };
    let last = service.next_events(after, filter, &mut |position, kind, line| {
        // Writing to a string cannot fail.
        let _ = write!(text, "id: {position}\nevent: {kind}\ndata: {line}\n\n");
        text.len() < AHEAD
    })?;
    Ok((last, text))
}

/// A body that consists of the chunks of a channel.
struct Chunks(mpsc::Receiver<Bytes>);

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}
