//! Decodes the body of a request, within a size limit.

use std::borrow::Cow;

use axum::http::{HeaderMap, StatusCode, header};
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{BodyForm, RequestRefusal};
use super::gzip::{self, DecompressionLimit};

/// Returns the encoding of the message.
pub(super) fn form(headers: &HeaderMap) -> Result<BodyForm, RequestRefusal> {
    BodyForm::sent(headers).ok_or_else(|| {
        let why = "this content type is not read here: send application/x-protobuf or application/json";
        RequestRefusal::new(BodyForm::Json, StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
    })
}

/// Parses a message.
pub(super) fn read<M: Message + Default + DeserializeOwned>(
    form: BodyForm,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<M, RequestRefusal> {
    let encoding = headers.get(header::CONTENT_ENCODING).map_or("identity", |value| value.to_str().unwrap_or("?"));
    let bytes = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Cow::Borrowed(body),
        "gzip" => Cow::Owned(gzip::unpack(body).map_err(|bound| {
            let broken = matches!(bound, DecompressionLimit::Broken(_));
            let status = if broken { StatusCode::BAD_REQUEST } else { StatusCode::PAYLOAD_TOO_LARGE };
            RequestRefusal::new(form, status, bound.why())
        })?),
        _ => {
            let why = "this content encoding is not unpacked here: send gzip or none";
            return Err(RequestRefusal::new(form, StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
    };
    let read = match form {
        BodyForm::Protobuf => M::decode(&*bytes).map_err(|error| error.to_string()),
        BodyForm::Json | BodyForm::Problem => {
            serde_json::from_slice(&bytes).or_else(|_| as_proto3(&bytes)).map_err(|error| place(&error))
        }
    };
    read.map_err(|why| RequestRefusal::new(form, StatusCode::BAD_REQUEST, format!("the body cannot be read: {why}")))
}

/// Describes where JSON is invalid. The parser's own message may quote the body, which may contain a prompt.
fn place(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "a value is of the wrong type" } else { "it is no JSON" };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

/// Accepts what protobuf's JSON mapping allows and serde does not: `null` for an absent field, and numbers written as
/// strings, such as `"NaN"`, which becomes absent.
fn as_proto3<M: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<M> {
    let mut value: Value = serde_json::from_slice(bytes)?;
    tidy(&mut value);
    serde_json::from_value(value)
}

/// Floating-point fields.
const FLOATS: [&str; 9] =
    ["doubleValue", "asDouble", "sum", "min", "max", "quantile", "value", "zeroThreshold", "explicitBounds"];

fn tidy(value: &mut Value) {
    match value {
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

/// Converts a number written as a string. `NaN` and the infinities become absent.
fn number(value: &mut Value) {
    if let Value::Array(all) = value {
        all.iter_mut().for_each(number);
    } else if let Some(text) = value.as_str() {
        let read: Option<f64> = text.parse().ok();
        *value = match read {
            Some(number) => serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number),
            None => return,
        };
    }
}
