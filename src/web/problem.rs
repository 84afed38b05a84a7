//! Failures of the API as `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::{BodyForm, Refusal};
use crate::api::fault::{Fault, FaultKind, remedy_of};
use crate::model::time::{SECOND, Timestamp};

/// The body of a refused request.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    remedy: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumes_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
}

impl Problem {
    /// A request that a guard refuses before an operation sees it.
    pub fn of_refusal(status: StatusCode, why: &str) -> Self {
        let name = status.canonical_reason().unwrap_or("Refused");
        Self {
            r#type: urn(&name.to_ascii_lowercase().replace(' ', "-")),
            title: name,
            status: status.as_u16(),
            detail: why.to_owned(),
            remedy: remedy_of(why).unwrap_or("send the request again later").to_owned(),
            candidates: Vec::new(),
            position: None,
            resumes_at: None,
            record: None,
        }
    }

    /// The body as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| format!("{{\"status\":{}}}", self.status))
    }
}

fn urn(name: &str) -> String {
    format!("urn:usage-ledger:problem:{name}")
}

/// The status that says what kind of failure it is.
const fn status(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::InvalidInput => StatusCode::BAD_REQUEST,
        FaultKind::UnknownProvider => StatusCode::UNPROCESSABLE_ENTITY,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Conflict | FaultKind::NoKey => StatusCode::CONFLICT,
        FaultKind::Wait => StatusCode::TOO_MANY_REQUESTS,
        FaultKind::Busy | FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FaultKind::Damaged | FaultKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A failure on its way to a client.
#[derive(Debug)]
pub(super) enum Denial {
    /// An operation failed.
    Fault(Box<Fault>, Timestamp),
    /// The server did not take the request.
    Refusal(Refusal),
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let (fault, now) = match self {
            Self::Refusal(refusal) => return refusal.into_response(),
            Self::Fault(fault, now) => (*fault, now),
        };
        let status = status(fault.kind);
        let wait = fault.resumes_at.map(|at| (at.millis().saturating_sub(now.millis()) / SECOND).max(0) + 1);
        let problem = Problem {
            r#type: urn(fault.kind.name()),
            title: fault.kind.title(),
            status: status.as_u16(),
            detail: fault.detail.into(),
            remedy: fault.remedy.into(),
            candidates: fault.candidates,
            position: fault.position,
            resumes_at: fault.resumes_at,
            record: fault.record,
        };
        let kind = [(header::CONTENT_TYPE, BodyForm::Problem.name())];
        let mut response = (status, kind, problem.to_json()).into_response();
        if let Some(seconds) = wait.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
