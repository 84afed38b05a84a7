//! Converts OTLP attributes to a JSON object.

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value};

use crate::model::time::Timestamp;

/// Returns the attributes by name. The last of several equal names wins.
pub(super) fn flat(attributes: &[KeyValue]) -> Value {
    let named = attributes.iter().filter_map(|one| Some((one.key.clone(), plain(one.value.as_ref()?)?)));
    Value::Object(named.collect::<Map<_, _>>())
}

/// Converts a text, number or boolean. A list, an object or bytes become an empty list: they are not used, and a count of
/// this kind must not look absent.
fn plain(value: &AnyValue) -> Option<Value> {
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(Value::from(text.as_str())),
        any_value::Value::BoolValue(truth) => Some(Value::from(*truth)),
        any_value::Value::IntValue(number) => Some(Value::from(*number)),
        // The shortest text that parses to this number, so that 0.1 remains 0.1.
        any_value::Value::DoubleValue(number) => Some(Value::from(*number)),
        _ => Some(Value::Array(Vec::new())),
    }
}

/// Returns the text of a value, if it is one.
pub(super) fn text(value: Option<&AnyValue>) -> Option<&str> {
    match value?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Converts nanoseconds since 1970; 0 means absent.
pub(super) fn instant(nanos: u64) -> Option<Timestamp> {
    let millis = i64::try_from(nanos / 1_000_000).ok()?;
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

/// Formats a span as `trace/span`.
pub(super) fn span_id(trace: &[u8], span: &[u8]) -> Option<String> {
    id(trace).zip(id(span)).map(|(trace, span)| format!("{trace}/{span}"))
}

/// Formats an id in hexadecimal. `None` if it is empty or all zeros.
fn id(bytes: &[u8]) -> Option<String> {
    use std::fmt::Write;
    bytes.iter().any(|byte| *byte != 0).then(|| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}
