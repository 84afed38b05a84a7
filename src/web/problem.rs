//! Failures of the API as `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::{BodyForm, RequestRefusal};
use crate::api::fault::Fault;
use crate::api::problem::Problem;
use crate::model::time::{SECOND, Timestamp};

/// A failure to be sent to a client.
#[derive(Debug)]
pub(super) enum Denial {
    /// An operation failed.
    Fault(Box<Fault>, Timestamp),
    /// A guard refused the request.
    RequestRefusal(RequestRefusal),
}

impl From<RequestRefusal> for Denial {
    fn from(refusal: RequestRefusal) -> Self {
        Self::RequestRefusal(refusal)
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let (fault, now) = match self {
            Self::RequestRefusal(refusal) => return refusal.into_response(),
            Self::Fault(fault, now) => (*fault, now),
        };
        let wait = fault.resumes_at.map(|at| (at.millis().saturating_sub(now.millis()) / SECOND).max(0) + 1);
        let problem = Problem::from(fault);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, BodyForm::Problem.name())];
        let mut response = (status, kind, problem.to_json()).into_response();
        if let Some(seconds) = wait.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
