//! The body of a request: its encoding undone, its size bounded.

use std::io::Read;

use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
        Form::Json => serde_json::from_slice(bytes).or_else(|_| as_proto3(bytes)).map_err(|error| bad(&error)),
    }
}

/// Reads what protobuf's JSON allows and serde does not: `null` for what is not there, and numbers that are written as
/// texts, such as `"NaN"`, which here is no number.
fn as_proto3<M: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<M> {
    let mut told: Value = serde_json::from_slice(bytes)?;
    tidy(&mut told);
    serde_json::from_value(told)
}

/// Fields of floating point.
const FLOATS: [&str; 9] =
    ["doubleValue", "asDouble", "sum", "min", "max", "quantile", "value", "zeroThreshold", "explicitBounds"];

fn tidy(told: &mut Value) {
    match told {
        Value::Array(all) => {
            all.retain(|one| !one.is_null());
            all.iter_mut().for_each(tidy);
        }
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if FLOATS.contains(&name.as_str()) {
                    number(field);
                }
                tidy(field);
            }
            fields.retain(|_, field| !field.is_null());
        }
        _ => {}
    }
}

/// A number that is written as a text; `NaN` and the infinities count nothing.
fn number(told: &mut Value) {
    if let Value::Array(all) = told {
        all.iter_mut().for_each(number);
    } else if let Some(text) = told.as_str() {
        let read: Option<f64> = text.parse().ok();
        *told = match read {
            Some(number) => serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number),
            None => return,
        };
    }
}
