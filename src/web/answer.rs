//! Writes answers in the encoding of the request.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde_json::{Value, json};

use crate::api::fault::{Fault, FaultKind};
use crate::api::problem::Problem;
use crate::model::error::Error;

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    Protobuf,
    Json,
    /// RFC 9457, for every route outside OTLP.
    Problem,
}

impl BodyForm {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
            Self::Problem => "application/problem+json",
        }
    }

    /// Returns the encoding of a refusal that precedes the route.
    pub fn of(parts: &Parts) -> Self {
        if parts.uri.path().starts_with("/v1/") {
            Self::sent(&parts.headers).unwrap_or(Self::Json)
        } else {
            Self::Problem
        }
    }

    /// Returns the encoding of an OTLP message; `None` for other content types.
    pub fn sent(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }
}

const ENDING: &str = "the server is ending: send again when it is back";
/// Maximum number of reasons in one answer.
const REASONS: usize = 20;

/// Returns the body for a request that a guard refuses.
pub(super) fn of_refusal(status: StatusCode, why: &str) -> Problem {
    let kind = FaultKind::of_status(status.as_u16());
    Problem { status: status.as_u16(), ..Fault::of_message(kind, why).into() }
}

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct RequestRefusal {
    pub form: BodyForm,
    pub status: StatusCode,
    pub why: String,
}

/// `google.rpc.Status`, the failure message of OTLP.
#[derive(Clone, PartialEq, Message)]
struct StatusBody {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl RequestRefusal {
    pub fn new(form: BodyForm, status: StatusCode, why: impl Into<String>) -> Self {
        Self { form, status, why: why.into() }
    }

    /// Creates the refusal for a store error. A busy store asks the client to retry.
    pub fn of_store(form: BodyForm, error: &Error) -> Self {
        let status = if error.is_store() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
        Self::new(form, status, error.to_string())
    }

    /// Asks the client to retry later.
    pub fn later(form: BodyForm, why: &str) -> Self {
        Self::new(form, StatusCode::SERVICE_UNAVAILABLE, why)
    }

    /// The server is ending.
    pub fn ending(form: BodyForm) -> Self {
        Self::later(form, ENDING)
    }

    pub fn is_ending(&self) -> bool {
        self.why == ENDING
    }

    /// A job of this server panicked. Nothing of the request is recorded.
    pub fn failed(form: BodyForm) -> Self {
        let why = "this is a fault of the server, and nothing was recorded: report it, and leave this message out";
        Self::new(form, StatusCode::INTERNAL_SERVER_ERROR, why)
    }

    /// Returns the corresponding gRPC code.
    fn code(&self) -> i32 {
        match self.status {
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => 12,
            StatusCode::REQUEST_TIMEOUT => 4,
            StatusCode::TOO_MANY_REQUESTS => 8,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::INTERNAL_SERVER_ERROR => 13,
            _ => 3,
        }
    }
}

impl IntoResponse for RequestRefusal {
    fn into_response(self) -> Response {
        let (code, status) = (self.code(), self.status);
        let body = match self.form {
            BodyForm::Protobuf => StatusBody { code, message: self.why }.encode_to_vec(),
            BodyForm::Json => json!({"code": code, "message": self.why}).to_string().into_bytes(),
            BodyForm::Problem => of_refusal(status, &self.why).to_json().into_bytes(),
        };
        let mut response = (status, [(header::CONTENT_TYPE, self.form.name())], body).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// Answers that a message was accepted, and which parts were not.
///
/// `field` is the protocol's name for the number of rejected items.
pub(super) fn accepted(form: BodyForm, field: &str, unread: &[String]) -> Response {
    let kind = [(header::CONTENT_TYPE, form.name())];
    if unread.is_empty() {
        let body = if form == BodyForm::Protobuf { "" } else { "{}" };
        return (StatusCode::OK, kind, body).into_response();
    }
    let mut why: Vec<&str> = unread.iter().map(String::as_str).collect();
    why.sort_unstable();
    why.dedup();
    why.truncate(REASONS);
    let why = why.join("; ");
    let body = match form {
        BodyForm::Json | BodyForm::Problem => {
            let mut partial = json!({"errorMessage": why});
            if let Value::Object(partial) = &mut partial {
                partial.insert(field.to_owned(), Value::from(unread.len().to_string()));
            }
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        BodyForm::Protobuf => {
            let partial = Partial { rejected: i64::try_from(unread.len()).unwrap_or(i64::MAX), message: why };
            BatchAnswer { partial: Some(partial) }.encode_to_vec()
        }
    };
    (StatusCode::OK, kind, body).into_response()
}

/// The answers of all three signals have the same encoding.
#[derive(Clone, PartialEq, Message)]
struct BatchAnswer {
    #[prost(message, optional, tag = "1")]
    partial: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;

    use super::*;

    #[test]
    fn one_message_form_answers_all_three_kinds_of_telemetry() {
        let partial = Partial { rejected: 3, message: "why".to_owned() };
        let bytes = BatchAnswer { partial: Some(partial) }.encode_to_vec();
        let logs = ExportLogsServiceResponse::decode(&*bytes).unwrap().partial_success.unwrap();
        assert_eq!((logs.rejected_log_records, &*logs.error_message), (3, "why"));
        let spans = ExportTraceServiceResponse::decode(&*bytes).unwrap().partial_success.unwrap();
        assert_eq!((spans.rejected_spans, &*spans.error_message), (3, "why"));
        let metrics = ExportMetricsServiceResponse::decode(&*bytes).unwrap().partial_success.unwrap();
        assert_eq!((metrics.rejected_data_points, &*metrics.error_message), (3, "why"));
    }
}
