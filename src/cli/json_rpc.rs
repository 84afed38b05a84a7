//! JSON-RPC 2.0: parses messages and writes answers.

use std::io::{self, Write};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::fault::{Fault, FaultKind};
use crate::api::operations::{OPERATIONS, operation};
use crate::api::problem::Problem;
use crate::api::service::LedgerOperations;
use crate::model::invariant::bug;

/// A request, with members that are not parsed yet. `None` is an absent member; null is a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RpcRequest<'a> {
    #[serde(borrow, default, deserialize_with = "value")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "value")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "value")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "value")]
    params: Option<&'a RawValue>,
}

/// The id in a message that is not a valid request.
#[derive(Default, Deserialize)]
struct RequestId<'a> {
    #[serde(borrow, default, deserialize_with = "value")]
    id: Option<&'a RawValue>,
}

fn value<'de: 'a, 'a, D: Deserializer<'de>>(reader: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(reader).map(Some)
}

/// Answers a message: one request or a list of requests. A request without an id gets no answer.
pub(super) fn answer(service: &LedgerOperations, message: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let message: &RawValue = match serde_json::from_slice(message) {
        Ok(message) => message,
        Err(error) => {
            return writeln!(
                out,
                "{}",
                failed("null", Fault::of_message(FaultKind::NoJson, &format!("{error}: send one line of JSON")))
            );
        }
    };
    if !message.get().starts_with('[') {
        return match one(service, message.get()) {
            Some(answer) => writeln!(out, "{answer}"),
            None => Ok(()),
        };
    }
    match serde_json::from_str::<Vec<&RawValue>>(message.get()) {
        Ok(requests) if requests.is_empty() => {
            writeln!(
                out,
                "{}",
                failed("null", Fault::of_message(FaultKind::NoRequest, "the list is empty: put requests into it"))
            )
        }
        Ok(requests) => many(service, &requests, out),
        Err(error) => writeln!(out, "{}", failed("null", Fault::of_message(FaultKind::NoRequest, &error.to_string()))),
    }
}

/// Answers a list of requests. Answers are written one by one, so only one is in memory.
fn many(service: &LedgerOperations, requests: &[&RawValue], out: &mut dyn Write) -> io::Result<()> {
    let mut between = "[";
    for answer in requests.iter().filter_map(|request| one(service, request.get())) {
        write!(out, "{between}{answer}")?;
        between = ",";
    }
    // Without any answer, no list is written.
    if between == "," { writeln!(out, "]") } else { Ok(()) }
}

/// Answers a message above the length limit.
pub(super) fn too_long(most: usize, out: &mut dyn Write) -> io::Result<()> {
    let why = format!("the line is longer than {} MiB: send less at a time", most >> 20);
    writeln!(out, "{}", failed("null", Fault::of_message(FaultKind::PayloadTooLarge, &why)))
}

fn one(service: &LedgerOperations, text: &str) -> Option<String> {
    let request: RpcRequest<'_> = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(error) => {
            let sender: RequestId<'_> = serde_json::from_str(text).unwrap_or_default();
            let id = sender.id.filter(|id| is_id(id)).map_or("null", RawValue::get);
            let why = format!("{error}: a request has `jsonrpc`, `id`, `method` and `params`");
            return Some(failed(id, Fault::of_message(FaultKind::NoRequest, &why)));
        }
    };
    let id = match request.id {
        Some(id) if !is_id(id) => {
            return Some(failed(
                "null",
                Fault::of_message(FaultKind::NoRequest, "`id` must be a text, a number or null"),
            ));
        }
        id => id.map(RawValue::get),
    };
    match (run(service, &request), id) {
        (Ok(body), Some(id)) => Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{body}}}")),
        (Err(refused), Some(id)) => Some(failed(id, refused)),
        // An invalid request is answered even without an id, because its sender does not know the protocol.
        (Err(refused), None) if refused.kind == FaultKind::NoRequest => Some(failed("null", refused)),
        (_, None) => None,
    }
}

fn is_id(value: &RawValue) -> bool {
    value.get() == "null"
        || value.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

fn run(service: &LedgerOperations, request: &RpcRequest<'_>) -> Result<String, Fault> {
    let text = |member: Option<&RawValue>| member.and_then(|text| serde_json::from_str::<String>(text.get()).ok());
    if text(request.jsonrpc).as_deref() != Some("2.0") {
        return Err(Fault::of_message(
            FaultKind::NoRequest,
            "this is no request of JSON-RPC 2.0: send \"jsonrpc\": \"2.0\"",
        ));
    }
    let method = text(request.method)
        .ok_or_else(|| Fault::of_message(FaultKind::NoRequest, "`method` is missing or no text: name an operation"))?;
    let operation = operation(&method).ok_or_else(|| {
        let known = OPERATIONS.map(|operation| operation.name).join(", ");
        Fault::of_message(FaultKind::NoMethod, &format!("`{method}` is no method: use one of {known}"))
    })?;
    let params = request.params.map_or("{}", RawValue::get);
    if !params.starts_with('{') {
        return Err(Fault::of_message(FaultKind::InvalidInput, "`params` is no object: send parameters by name"));
    }
    Ok((operation.run)(service, params.as_bytes())?.body)
}

fn failed(id: &str, fault: Fault) -> String {
    let entry = fault.kind.entry();
    let Some(code) = entry.rpc else {
        return failed(id, bug!("JSON-RPC has no code for the error `{}`", entry.name).into());
    };
    let message = serde_json::Value::from(&*fault.detail);
    let problem = Problem::from(fault).to_json();
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":{message},\"data\":{problem}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_only_http_has_is_a_bug_with_a_place() {
        let answer = failed("1", Fault::of_message(FaultKind::Unauthorized, "no token"));
        assert!(answer.contains("\"code\":-32603") && answer.contains("json_rpc.rs"), "{answer}");
    }
}
