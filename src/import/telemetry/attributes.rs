//! Attributes as one object of plain values.

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value};

use crate::model::time::Timestamp;

/// Attributes by name. Of a name that stands twice the last counts.
pub(super) fn flat(attributes: &[KeyValue]) -> Value {
    let named = attributes.iter().filter_map(|one| Some((one.key.clone(), plain(one.value.as_ref()?)?)));
    Value::Object(named.collect::<Map<_, _>>())
}

/// A text, number or truth; lists and bytes hold nothing that is asked for.
fn plain(value: &AnyValue) -> Option<Value> {
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(Value::from(text.as_str())),
        any_value::Value::BoolValue(truth) => Some(Value::from(*truth)),
        any_value::Value::IntValue(number) => Some(Value::from(*number)),
        // The shortest text that reads as this number, so that 0.1 stays 0.1.
        any_value::Value::DoubleValue(number) => Some(Value::from(*number)),
        _ => None,
    }
}

/// The text of a value that is one.
pub(super) fn text(value: Option<&AnyValue>) -> Option<&str> {
    match value?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// An instant in nanoseconds since 1970, where 0 is none.
pub(super) fn instant(nanos: u64) -> Option<Timestamp> {
    let millis = i64::try_from(nanos / 1_000_000).ok()?;
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

/// A span as it is written elsewhere: `trace/span`.
pub(super) fn span_id(trace: &[u8], span: &[u8]) -> Option<String> {
    id(trace).zip(id(span)).map(|(trace, span)| format!("{trace}/{span}"))
}

/// An id as it is written elsewhere; none when there is none, or it is all zeros.
fn id(bytes: &[u8]) -> Option<String> {
    use std::fmt::Write;
    bytes.iter().any(|byte| *byte != 0).then(|| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}
