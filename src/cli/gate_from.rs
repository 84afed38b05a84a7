//! `gate --from`: asks the server about the usage of all machines.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::context::Context;
use super::push::of_failure;
use super::server_request::{LedgerServer, address};
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer, wrapped};
use crate::sync::protocol::PushObstacle;
use crate::sync::push::{SyncFailure, SyncRequest, ask};

/// How long the server may take, in seconds. A run waits for the decision.
const PATIENCE: u32 = 3;

/// Asks a server. The error is the reason if it does not answer, and the decision then rests on the local ledger.
pub(super) fn ask_server(
    url: &str,
    token_file: Option<&Path>,
    fields: &[(&str, Option<&str>)],
    context: &Context,
) -> Result<Result<Value, String>, Failure> {
    let server = LedgerServer::new(address(url, false)?, token_file, PATIENCE, context)?;
    let given = fields.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    let query: Vec<String> = given.collect();
    let request = SyncRequest { path: format!("/push/v1/gate?{}", query.join("&")), body: None };
    match ask::<Value>(&|request| server.send(request), &request) {
        Ok(answer) => Ok(Ok(answer)),
        Err(SyncFailure::Unreachable(why)) => Ok(Err(why)),
        Err(SyncFailure::Refused(refused)) if refused.title == PushObstacle::Unavailable => Ok(Err(refused.detail)),
        Err(other) => Err(of_failure(other)),
    }
}

/// Prints the decision of the server.
pub(super) fn print(mut answer: Value, is_line: bool, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let text = |answer: &Value, name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let basis = format!("{} (server)", text(&answer, "basis"));
    let (Some(is_gated), Some(fields)) = (answer.get("gated").and_then(Value::as_bool), answer.as_object_mut()) else {
        return Err(of_failure(SyncFailure::Untrusted("its answer is no decision".to_owned())));
    };
    fields.insert("basis".to_owned(), basis.clone().into());
    for warning in fields.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        print_message(&format!("warning: {warning}"));
    }
    if context.json {
        fields.remove("schema");
        JsonAnswer::new(&answer).write(out)?;
    } else if is_line {
        let left =
            answer.get("available_percent").and_then(Value::as_u64).map_or("?".to_owned(), |left| left.to_string());
        let (mode, reason) = (text(&answer, "mode"), text(&answer, "reason"));
        writeln!(out, "{}:{left}:{}", EscapedText(&mode), EscapedText(&reason))?;
    } else {
        let provider = text(&answer, "provider");
        writeln!(out, "{}: {}", EscapedText(&provider), EscapedText(&text(&answer, "mode")))?;
        for line in wrapped(&EscapedText(&text(&answer, "reason")).to_string(), 77) {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "  basis: {}", EscapedText(&basis))?;
    }
    if is_gated { Err(Failure::Wait) } else { Ok(()) }
}

/// A text in a query.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
