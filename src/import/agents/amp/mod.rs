//! Amp: `~/.local/share/amp/threads/T-<id>.json`, a document for each thread.
//!
//! Supported: threads with a `usageLedger`, whose `events` are the calls (cache reads and writes are in the `usage` of
//! the message that `toMessageId` names), and older threads, in which each answer has its own `usage`. The input
//! excludes the cache unless the message states it as `totalInputTokens`. Credits are Amp's own currency, so they are
//! no cost. The provider is mostly not named; then it is `amp`.
//!
//! Skipped with a reason: a thread without an id, messages or a ledger that are no list, an event or answer without a
//! time or without counts. Calls that state only a total are counted as skipped, because their classes are unknown.

mod descriptor;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::provider_names;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DocumentLog, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Amp's threads.
pub(crate) struct Amp;

const AGENT: &str = "amp";

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for Amp {
    fn version(&self) -> u32 {
        VERSION
    }

    fn wants(&self, path: &Path) -> bool {
        let thread = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("T-"));
        thread && path.extension().is_some_and(|extension| extension == "json")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Document(self)
    }
}

impl DocumentLog for Amp {
    fn document(
        &self,
        _path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        let thread = fields::parse(text)?;
        let id = fields::text(&thread, "id").ok_or("unknown shape: a thread without an id")?;
        if thread.get("messages").is_some_and(|messages| !messages.is_array() && !messages.is_null()) {
            return Err("unknown shape: a thread whose messages are no list".into());
        }
        let mut reading = AmpReading::new(id, &thread);
        match thread.get("usageLedger").and_then(|ledger| ledger.get("events")) {
            Some(Value::Array(events)) => reading.ledger(events),
            Some(_) => return Err("unknown shape: a usage ledger that is no list of events".into()),
            None if thread.get("usageLedger").is_some_and(|ledger| !ledger.is_null()) => {
                return Err("unknown shape: a usage ledger without events".into());
            }
            None => reading.messages(&BTreeSet::new(), None),
        }
        Ok(reading.done(fields::time(thread.get("created"))))
    }
}

/// The calls found in a thread.
struct AmpReading<'t> {
    thread: &'t str,
    project: Option<String>,
    answers: Vec<&'t Value>,
    calls: Vec<ParsedCall>,
    skipped: Vec<(u64, String)>,
    tally: SkipTally,
}

impl<'t> AmpReading<'t> {
    fn new(id: &'t str, thread: &'t Value) -> Self {
        let answer = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("assistant");
        let messages = thread.get("messages").and_then(Value::as_array);
        let tree = thread.pointer("/env/initial/trees/0").and_then(|tree| fields::text(tree, "uri"));
        Self {
            thread: id,
            project: tree.map(|uri| uri.strip_prefix("file://").unwrap_or(uri).to_owned()),
            answers: messages.into_iter().flatten().filter(answer).collect(),
            calls: Vec::new(),
            skipped: Vec::new(),
            tally: SkipTally::default(),
        }
    }

    /// Adds the calls in the usage ledger, and the answers that precede it.
    fn ledger(&mut self, events: &[Value]) {
        let mut named = BTreeSet::new();
        for (at, event) in events.iter().enumerate() {
            let result = self.event(event, &mut named);
            self.add_result(at as u64 + 1, result);
        }
        let begun = events.iter().filter_map(|event| fields::time(event.get("timestamp"))).min();
        self.messages(&named, begun);
    }

    fn event(&mut self, event: &Value, named: &mut BTreeSet<i64>) -> Result<Option<ParsedCall>, String> {
        let number = |name: &str| event.get(name).and_then(Value::as_i64);
        let last = number("toMessageId");
        if let Some(last) = last {
            // The messages between the two belong to this call.
            named.extend(number("fromMessageId").filter(|first| last - first < 10_000).unwrap_or(last)..=last);
        }
        let at = fields::time(event.get("timestamp")).ok_or("unknown shape: an event of usage without a timestamp")?;
        let tokens = event.get("tokens").ok_or("unknown shape: an event of usage without tokens")?;
        let usage = last.and_then(|last| self.answers.iter().find(|answer| message_id(answer) == Some(last)));
        let usage = usage.and_then(|answer| answer.get("usage")).filter(|usage| usage.is_object());

        let input = fields::count(tokens, "input")?;
        let mut logged =
            Logged::new(AGENT, "amp/1", ("tokens.input", input), ("tokens.output", fields::count(tokens, "output")?));
        logged.cache_inside = false;
        if let Some(usage) = usage {
            logged.cache_read = ("cacheReadInputTokens", fields::count(usage, "cacheReadInputTokens")?);
            logged.cache_write = ("cacheCreationInputTokens", fields::count(usage, "cacheCreationInputTokens")?);
            let total = fields::count(usage, "totalInputTokens")?;
            logged.cache_inside = logged.cached() > 0 && input.is_some() && input == total;
        }
        let id = event
            .get("id")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .or_else(|| last.map(|last| format!("message/{last}")));
        let key = id.unwrap_or_else(|| format!("at/{}", at.millis()));
        let whose = fields::text(event, "provider").or_else(|| usage.and_then(|usage| fields::text(usage, "provider")));
        let model = fields::text(event, "model").or_else(|| usage.and_then(|usage| fields::text(usage, "model")));
        self.call(at, logged, whose, model, &key, tokens)
    }

    /// Adds the usage of answers that no event names. After the start of the usage ledger such an answer may also be
    /// part of an event, so it is skipped.
    fn messages(&mut self, named: &BTreeSet<i64>, begun: Option<Timestamp>) {
        let answers = self.answers.clone();
        for (at, answer) in answers.into_iter().enumerate() {
            let Some(usage) = answer.get("usage").filter(|usage| usage.is_object()) else {
                // With a usage ledger, only its events count.
                if begun.is_none() {
                    self.tally.add("answers without a usage, whose token counts are not known");
                }
                continue;
            };
            let id = message_id(answer);
            if id.is_some_and(|id| named.contains(&id)) {
                continue;
            }
            let when = fields::time(usage.get("timestamp")).or_else(|| fields::time(answer.get("timestamp")));
            if begun.is_some_and(|begun| when.is_none_or(|when| when >= begun)) {
                self.tally.add("answers with a usage that no event of the ledger names");
                continue;
            }
            let key = id.map_or_else(|| format!("answer/{at}"), |id| format!("message/{id}"));
            let result = self.answer(usage, answer, when, &key);
            self.add_result(at as u64 + 1, result);
        }
    }

    fn answer(
        &mut self,
        usage: &Value,
        answer: &Value,
        at: Option<Timestamp>,
        key: &str,
    ) -> Result<Option<ParsedCall>, String> {
        let at = at.ok_or("unknown shape: a usage without a timestamp")?;
        let input = ("inputTokens", fields::count(usage, "inputTokens")?);
        let mut logged = Logged::new(AGENT, "amp/1", input, ("outputTokens", fields::count(usage, "outputTokens")?));
        logged.cache_read = ("cacheReadInputTokens", fields::count(usage, "cacheReadInputTokens")?);
        logged.cache_write = ("cacheCreationInputTokens", fields::count(usage, "cacheCreationInputTokens")?);
        let total = fields::count(usage, "totalInputTokens")?;
        logged.cache_inside = logged.cached() > 0 && total.is_some() && input.1 == total;
        let model = fields::text(usage, "model").or_else(|| fields::text(answer, "model"));
        self.call(at, logged, fields::text(usage, "provider"), model, key, usage)
    }

    fn call(
        &mut self,
        at: Timestamp,
        logged: Logged,
        provider: Option<&str>,
        model: Option<&str>,
        key: &str,
        counts: &Value,
    ) -> Result<Option<ParsedCall>, String> {
        if logged.is_nothing() {
            let has_reported =
                |name| fields::count(counts, name).is_ok_and(|total| total.is_some_and(|total| total > 0));
            // A total alone cannot be split into input and output, which have different prices.
            self.tally.add(if ["total", "totalTokens"].into_iter().any(has_reported) {
                "calls that tell a total, and not how much of it is input or output"
            } else {
                "calls without token counts"
            });
            return Ok(None);
        }
        let mut record = fields::record(&provider_names::provider(provider, model, AGENT), AGENT, logged)?;
        record = record.conversation(self.thread).key(format!("amp/{}/{key}", self.thread));
        record.model = model.map(str::to_owned);
        record.project.clone_from(&self.project);
        // Keep numbers only, no text of the thread.
        let numbers = counts.as_object().into_iter().flatten().filter(|(_, value)| value.is_number());
        record.raw =
            fields::raw(&numbers.map(|(name, value)| (name.as_str(), value.clone())).collect::<BTreeMap<_, _>>());
        fields::checked(at, record).map(Some)
    }

    fn add_result(&mut self, at: u64, result: Result<Option<ParsedCall>, String>) {
        match result {
            Ok(call) => self.calls.extend(call),
            Err(why) => self.skipped.push((at, why)),
        }
    }

    fn done(mut self, created: Option<Timestamp>) -> Document {
        self.skipped.extend(self.tally.skipped());
        let first = self.calls.iter().map(|call| call.at).min();
        Document {
            calls: self.calls,
            skipped: self.skipped,
            conversation: Some(self.thread.to_owned()),
            began: created.into_iter().chain(first).min(),
            ..Document::default()
        }
    }
}

fn message_id(message: &Value) -> Option<i64> {
    message.get("messageId").and_then(Value::as_i64)
}

#[cfg(test)]
mod tests;
