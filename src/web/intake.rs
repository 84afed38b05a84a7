//! Reads the body of a request within limits of size, time and memory, before the route runs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::MOST;
use super::answer::{BodyForm, RequestRefusal};
use super::work::wait_for_end;

/// Time limit for receiving a request, head and body together.
pub(super) const WITHIN: Duration = Duration::from_secs(10);
/// How much of a refused body is read and discarded, in bytes. Many clients read no answer before they have sent
/// everything.
const DROPPED: usize = 4 * MOST;
const DROPPING: Duration = Duration::from_secs(2);
/// Maximum bytes of bodies in memory, over all connections.
const IN_FLIGHT: usize = 64 << 20;

/// Time by which a request must be received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub Instant);

/// The memory that bodies share, and whether the server is ending.
#[derive(Debug)]
pub(super) struct Intake {
    room: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

/// Memory reserved for a body. It is released when the request is answered.
#[derive(Default)]
struct ReservedMemory(Option<OwnedSemaphorePermit>);

impl Intake {
    pub fn new(ending: watch::Receiver<bool>) -> Self {
        Self { room: Arc::new(Semaphore::new(IN_FLIGHT)), ending }
    }

    /// Reads the whole body, and reserves its memory.
    async fn read(&self, parts: &Parts, body: &mut Body) -> Result<(Bytes, ReservedMemory), RequestRefusal> {
        let form = BodyForm::of(parts);
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if declared.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > MOST as u64) {
            return Err(too_large(form));
        }
        let deadline = parts.extensions.get().map_or_else(|| Instant::now() + WITHIN, |deadline: &Deadline| deadline.0);
        let mut ending = self.ending.clone();
        tokio::select! {
            biased;
            read = timeout_at(deadline, self.collect(form, body)) => read.unwrap_or_else(|_| Err(RequestRefusal::new(
                form,
                StatusCode::REQUEST_TIMEOUT,
                format!("the request took over {} s to come in: send it faster, or less at a time", WITHIN.as_secs()),
            ))),
            () = wait_for_end(&mut ending) => Err(RequestRefusal::ending(form)),
        }
    }

    async fn collect(&self, form: BodyForm, body: &mut Body) -> Result<(Bytes, ReservedMemory), RequestRefusal> {
        let (mut memory, mut whole) = (ReservedMemory::default(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let why = format!("the body did not come whole ({error}): send it again");
                RequestRefusal::new(form, StatusCode::BAD_REQUEST, why)
            })?;
            let Ok(data) = frame.into_data() else { continue }; // trailers
            if whole.len() + data.len() > MOST {
                return Err(too_large(form));
            }
            memory.add(&self.room, data.len()).ok_or_else(|| {
                let why = format!("bodies of over {} MiB are coming in at once: send again later", IN_FLIGHT >> 20);
                RequestRefusal::new(form, StatusCode::TOO_MANY_REQUESTS, why)
            })?;
            whole.extend_from_slice(&data);
        }
        Ok((whole.into(), memory))
    }
}

impl ReservedMemory {
    /// Reserves more memory; `None` if there is none left.
    fn add(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Option<()> {
        let more = Arc::clone(room).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Some(())
    }
}

fn too_large(form: BodyForm) -> RequestRefusal {
    let why = format!("the body is over {} MiB: send less at a time", MOST >> 20);
    RequestRefusal::new(form, StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// Discards the rest of a refused request, within limits, and answers. Then the connection is closed.
pub(super) async fn refuse(refusal: RequestRefusal, parts: &Parts, mut body: Body) -> Response {
    // A client that expects `100 Continue` has not sent a body yet. A body must not delay the end of the server or
    // exceed its own time limit.
    let is_over = refusal.is_ending() || refusal.status == StatusCode::REQUEST_TIMEOUT;
    if !is_over && !parts.headers.contains_key(header::EXPECT) {
        let dropping = async {
            let mut dropped = 0;
            while dropped < DROPPED
                && let Some(Ok(frame)) = body.frame().await
            {
                dropped += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        let _ = tokio::time::timeout(DROPPING, dropping).await;
    }
    let mut response = refusal.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Passes the whole body to the route, or refuses the request.
pub(super) async fn take_in(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    let (parts, mut body) = request.into_parts();
    match intake.read(&parts, &mut body).await {
        Ok((whole, memory)) => {
            let response = next.run(Request::from_parts(parts, Body::from(whole))).await;
            drop(memory);
            response
        }
        Err(refusal) => refuse(refusal, &parts, body).await,
    }
}
