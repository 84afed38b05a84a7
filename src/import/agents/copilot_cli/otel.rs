//! `otel/*.jsonl`: telemetry that Copilot writes to a file.
//!
//! A call is a span `chat …`, and a log record too where logs are enabled. Both have the `gen_ai.response.id`, so they
//! are one record. The log record of a turn (`copilot_chat.agent.turn`) and the span `invoke_agent` are sums of calls
//! and are ignored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::{Value, json};

use super::call_provider::{self, SessionLogs};
use super::store::Store;
use super::{AGENT, PROVIDER, logged};
use crate::import::engine::fields;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::resume;
use crate::import::engine::source::LineParser;
use crate::import::health::missing_usage::{LogEnd, MissingUsage};
use crate::model::event::TokenRecord;
use crate::model::time::Timestamp;
use crate::readers::normalise::logged::Field;

/// Occurs in every line with token counts.
pub(super) static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"gen_ai.usage."));
/// Occurs in every line of an answer, with counts or without.
static ANSWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"gen_ai.response.id\""));
/// Maximum number of traces to remember, for a sum that may follow their calls.
const TRACES: usize = 64;

/// Names of each count. Older telemetry uses the later ones.
const NAMES: [&[&str]; 5] = [
    &["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
    &["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
    &["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"],
    &["gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"],
    &["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"],
];

pub(super) struct OtelParser {
    store: Option<Store>,
    logs: SessionLogs,
    traces: VecDeque<String>,
    /// Answers since the last count.
    missing_usage: MissingUsage,
    calls: Vec<ParsedCall>,
}

/// The kind of a line.
enum LogLevel {
    Call,
    Sum,
    Other,
}

impl OtelParser {
    pub fn new(store: Option<Store>, logs: SessionLogs, resume: Option<&Value>) -> Result<Self, Refusal> {
        let traces: Option<VecDeque<String>> = resume::member(resume, "traces")?;
        // Earlier importers stored no silence; they had read counts.
        let missing_usage = resume::member(resume, "silence")?;
        let missing_usage =
            missing_usage.unwrap_or_else(|| resume.map_or_else(MissingUsage::default, |_| MissingUsage::counted()));
        Ok(Self { store, logs, traces: traces.unwrap_or_default(), missing_usage, calls: Vec::new() })
    }

    fn call(&mut self, line: &Value, attributes: &Value) -> Result<(), String> {
        let trace = id(line, "traceId");
        if let Some(trace) = trace.filter(|trace| !self.traces.iter().any(|ids| ids == trace)) {
            self.traces.push_back(trace.to_owned());
            while self.traces.len() > TRACES {
                self.traces.pop_front();
            }
        }
        let at = time(line).ok_or("unknown shape: a call without a time")?;
        let conversation =
            ["gen_ai.conversation.id", "copilot_chat.session_id", "copilot_chat.chat_session_id", "session.id"]
                .iter()
                .find_map(|name| fields::text(attributes, name));
        if let (Some(store), Some(session)) = (&self.store, conversation)
            && store.knew(session, at)
        {
            return Ok(());
        }
        let mut fields: [Field; 5] = [("", None); 5];
        let mut raw = BTreeMap::new();
        for (field, names) in fields.iter_mut().zip(NAMES) {
            for name in names {
                if let Some(count) = fields::worded_count(attributes, name)? {
                    *field = (name, field.1.or(Some(count)));
                    raw.insert(*name, Value::from(count));
                }
            }
        }
        let logged = logged(fields);
        if logged.is_nothing() {
            return Err("a call without token counts".to_owned());
        }
        let mut record = fields::record(PROVIDER, AGENT, logged)?;
        let span = id(line, "spanId").zip(trace).map(|(span, trace)| format!("{trace}/{span}"));
        record.keys =
            fields::text(attributes, "gen_ai.response.id").map(str::to_owned).into_iter().chain(span).collect();
        if record.keys.is_empty() {
            return Err("unknown shape: a call without an id".to_owned());
        }
        record.conversation = conversation.map(str::to_owned);
        let model = fields::text(attributes, "gen_ai.response.model")
            .or_else(|| fields::text(attributes, "gen_ai.request.model"));
        record.model = model.map(str::to_owned);
        record.raw = fields::raw(&raw);
        self.serve(&mut record, line, attributes).map_err(|refusal| refusal.to_string())?;
        self.calls.push(fields::checked(at, record)?);
        Ok(())
    }
}

impl OtelParser {
    /// Sets the provider of a call: from the session's log, otherwise from the telemetry.
    fn serve(&self, record: &mut TokenRecord, line: &Value, attributes: &Value) -> Result<(), Refusal> {
        let response = fields::text(attributes, "gen_ai.response.id");
        let log = record.conversation.as_deref().map(|session| self.logs.of(session)).transpose()?;
        let logged = response.zip(log.as_ref()).and_then(|(response, log)| log.response(response));
        let ids = record.ids().collect();
        match logged {
            Some(logged) => {
                record.keys.extend(logged.ids.iter().filter(|id| Some(id.as_str()) != response).cloned());
                call_provider::serve(record, logged.provider.as_deref(), ids);
            }
            None if is_client(line) => {
                call_provider::serve(record, call_provider::of_telemetry(attributes).as_deref(), ids);
            }
            None => {}
        }
        Ok(())
    }
}

/// Returns whether the client itself wrote a line. Editors name the maker of a model, whoever served it.
fn is_client(line: &Value) -> bool {
    let scope = line.get("instrumentationScope").and_then(|scope| fields::text(scope, "name"));
    scope == Some("github.copilot")
}

impl LineParser for OtelParser {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        if USAGE.find(line).is_none() {
            if ANSWER.find(line).is_some() {
                self.missing_usage.answer();
            }
            return Ok(());
        }
        self.missing_usage.count();
        let line = fields::parse(line)?;
        let attributes = line.get("attributes").filter(|attributes| attributes.is_object());
        let Some(attributes) = attributes else {
            return Err("unknown shape: telemetry of tokens without attributes".to_owned());
        };
        match level(&line, attributes) {
            LogLevel::Call => self.call(&line, attributes),
            LogLevel::Sum => {
                let ids = id(&line, "traceId").is_some_and(|trace| self.traces.iter().any(|ids| ids == trace));
                if ids { Ok(()) } else { Err("a sum of calls that the file does not tell of".to_owned()) }
            }
            LogLevel::Other => Err("unknown shape: telemetry of tokens that is of no known kind".to_owned()),
        }
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        std::mem::take(&mut self.calls)
    }

    fn pending(&self) -> usize {
        self.calls.len()
    }

    fn conversation(&self) -> Option<&str> {
        None
    }

    fn began(&self) -> Option<Timestamp> {
        None
    }

    fn resume(&self) -> Option<Value> {
        Some(json!({ "traces": self.traces, "silence": self.missing_usage }))
    }

    fn end(&mut self, settled: bool) -> LogEnd {
        self.missing_usage.end(settled)
    }

    fn is_missing_usage(&self) -> bool {
        self.missing_usage.has_reported()
    }
}

fn level(line: &Value, attributes: &Value) -> LogLevel {
    let name = fields::text(line, "name").unwrap_or_default();
    let operation = fields::text(attributes, "gen_ai.operation.name").unwrap_or_default();
    let event = fields::text(attributes, "event.name").unwrap_or_default();
    let body = fields::text(line, "body").or_else(|| fields::text(line, "_body")).unwrap_or_default();
    let is = |sort: &str| name == sort || name.split(' ').next() == Some(sort);
    let turn = event == "copilot_chat.agent.turn" || body.starts_with("copilot_chat.agent.turn");
    if turn || operation == "invoke_agent" || is("invoke_agent") {
        LogLevel::Sum
    } else if event == "gen_ai.client.inference.operation.details"
        || body.starts_with("GenAI inference")
        || operation == "chat"
        || is("chat")
    {
        LogLevel::Call
    } else {
        LogLevel::Other
    }
}

/// Returns the id of the span that a line is or belongs to.
fn id<'l>(line: &'l Value, name: &str) -> Option<&'l str> {
    fields::text(line, name).or_else(|| fields::text(line.get("spanContext")?, name))
}

/// Returns the time of the response.
pub(super) fn time(line: &Value) -> Option<Timestamp> {
    ["endTime", "startTime", "hrTime", "_hrTime", "time", "timestamp", "observedTimestamp", "timeUnixNano"]
        .iter()
        .find_map(|name| instant(line.get(*name)?))
}

/// Parses an instant: seconds and nanoseconds, nanoseconds, or any form that other documents use.
fn instant(value: &Value) -> Option<Timestamp> {
    if let Some(parts) = value.as_array() {
        let part = |at: usize| parts.get(at).and_then(Value::as_i64);
        return fields::epoch(part(0)?).map(|at| at.plus(part(1).unwrap_or(0) / 1_000_000));
    }
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    match number {
        Some(nanos @ 1_000_000_000_000_000_000..) => fields::epoch(nanos / 1_000_000),
        Some(micros @ 1_000_000_000_000_000..) => fields::epoch(micros / 1_000),
        Some(number) => fields::epoch(number),
        None => fields::time(Some(value)),
    }
}
