//! Answers in the sender's own encoding.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde_json::{Value, json};

use crate::error::Error;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Why a request was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    pub form: Form,
    pub status: StatusCode,
    pub why: String,
}

/// `google.rpc.Status`, which OTLP answers failures with.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Refusal {
    /// The store's refusal: a busy one is asked again later.
    pub fn of_store(form: Form, error: &Error) -> Self {
        let status = if error.is_store() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
        Self { form, status, why: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Of gRPC's codes: unavailable, else an invalid argument.
        let again = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let code = if again { 14 } else { 3 };
        let body = match self.form {
            Form::Protobuf => Status { code, message: self.why }.encode_to_vec(),
            Form::Json => json!({"code": code, "message": self.why}).to_string().into_bytes(),
        };
        let mut response = (self.status, [(header::CONTENT_TYPE, self.form.name())], body).into_response();
        if again {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// Says that a message was taken, and of how much that is not so.
///
/// `field` is what the protocol calls the number of rejected items of this kind.
pub(super) fn taken(form: Form, field: &str, unread: &[String]) -> Response {
    let kind = [(header::CONTENT_TYPE, form.name())];
    if unread.is_empty() {
        let body = if form == Form::Json { "{}" } else { "" };
        return (StatusCode::OK, kind, body).into_response();
    }
    let mut why: Vec<&str> = unread.iter().map(String::as_str).collect();
    why.sort_unstable();
    why.dedup();
    let why = why.join("; ");
    let body = match form {
        Form::Json => {
            let mut partial = json!({"errorMessage": why});
            if let Value::Object(partial) = &mut partial {
                partial.insert(field.to_owned(), Value::from(unread.len().to_string()));
            }
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        Form::Protobuf => {
            let partial = Partial { rejected: i64::try_from(unread.len()).unwrap_or(i64::MAX), message: why };
            Taken { partial: Some(partial) }.encode_to_vec()
        }
    };
    (StatusCode::OK, kind, body).into_response()
}

/// The answers of all three kinds are alike on the wire.
#[derive(Clone, PartialEq, Message)]
struct Taken {
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
    fn one_message_stands_for_the_answers_of_all_three_kinds() {
        let partial = Partial { rejected: 3, message: "why".to_owned() };
        let bytes = Taken { partial: Some(partial) }.encode_to_vec();
        let logs = ExportLogsServiceResponse::decode(&*bytes).unwrap().partial_success.unwrap();
        assert_eq!((logs.rejected_log_records, &*logs.error_message), (3, "why"));
        let spans = ExportTraceServiceResponse::decode(&*bytes).unwrap().partial_success.unwrap();
        assert_eq!((spans.rejected_spans, &*spans.error_message), (3, "why"));
        let metrics = ExportMetricsServiceResponse::decode(&*bytes).unwrap().partial_success.unwrap();
        assert_eq!((metrics.rejected_data_points, &*metrics.error_message), (3, "why"));
    }
}
