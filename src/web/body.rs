//! The body of a request: its encoding undone, its size bounded.

use std::io::Read;

use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use prost::Message;
use serde::de::DeserializeOwned;

use super::answer::{Form, Refusal};

/// The most a body may be, also when it is unpacked, in bytes.
pub(super) const MOST: usize = 16 << 20;

/// What the sender says it speaks.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Ok(Form::Protobuf),
        "application/json" => Ok(Form::Json),
        other => Err(Refusal {
            form: Form::Json,
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            why: format!("`{other}` is not read here: send application/x-protobuf or application/json"),
        }),
    }
}

/// Reads a message.
pub(super) fn read<M: Message + Default + DeserializeOwned>(
    form: Form,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<M, Refusal> {
    let refuse = |status, why| Refusal { form, status, why };
    let encoding = headers.get(header::CONTENT_ENCODING).map_or("identity", |value| value.to_str().unwrap_or("?"));
    let unpacked;
    let bytes = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => body,
        "gzip" => {
            let mut out = Vec::new();
            let read = MultiGzDecoder::new(body).take(MOST as u64 + 1).read_to_end(&mut out);
            read.map_err(|error| refuse(StatusCode::BAD_REQUEST, format!("the body is no gzip ({error})")))?;
            if out.len() > MOST {
                let why = format!("the body is over {} MiB when unpacked: send less at a time", MOST >> 20);
                return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, why));
            }
            unpacked = out;
            &unpacked
        }
        other => {
            let why = format!("`{other}` is not unpacked here: send gzip or nothing");
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
    };
    let bad =
        |error: &dyn std::fmt::Display| refuse(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"));
    match form {
        Form::Protobuf => M::decode(bytes).map_err(|error| bad(&error)),
        Form::Json => serde_json::from_slice(bytes).map_err(|error| bad(&error)),
    }
}
