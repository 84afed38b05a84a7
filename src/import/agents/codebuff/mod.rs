//! Codebuff, formerly Manicode: `~/.config/manicode/projects/<project>/chats/<chat>/chat-messages.json`.
//!
//! From documentation: see the descriptor. An answer (`variant` `ai` or `agent`) may have its counts in `metadata.usage` or
//! in `metadata.codebuff.usage`, otherwise in the last answer in the history of its run. Most answers state only credits,
//! which cannot be converted to tokens or US dollars. They are reported as skipped. `promptTokens` and `prompt_tokens`
//! include the cache; `inputTokens` and `input_tokens` exclude it. Codebuff serves all models.

mod descriptor;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields::{self, SkipTally};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DocumentLog, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Codebuff's chats.
pub(crate) struct Codebuff;

const AGENT: &str = "codebuff";
/// Names of the input and output counts, and whether the input includes the cache.
const PAIRS: [(&str, &str, bool); 4] = [
    ("inputTokens", "outputTokens", false),
    ("input_tokens", "output_tokens", false),
    ("promptTokens", "completionTokens", true),
    ("prompt_tokens", "completion_tokens", true),
];
const READ: [&str; 2] = ["cacheReadInputTokens", "cache_read_input_tokens"];
const WRITTEN: [&str; 2] = ["cacheCreationInputTokens", "cache_creation_input_tokens"];

impl Source for Codebuff {
    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "chat-messages.json")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Document(self)
    }
}

impl DocumentLog for Codebuff {
    fn document(&self, path: &Path, text: &[u8], _zone: Zone, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let messages = fields::parse(text)?;
        let messages = messages.as_array().ok_or("unknown shape: a chat that is no list of messages")?;
        let (Some(chat), Some(project)) = (above(path, 1), above(path, 3)) else {
            return Err("unknown shape: a chat that is not below the directory of a project".into());
        };
        let began = chat_time(chat);
        let mut document = Document { conversation: Some(chat.to_owned()), began, ..Document::default() };
        let mut tally = SkipTally::default();
        for (place, message) in (1_u64..).zip(messages) {
            let role = fields::text(message, "variant").or_else(|| fields::text(message, "role"));
            if !matches!(role, Some("ai" | "agent" | "assistant")) {
                continue;
            }
            let chat = ChatFile { id: chat, project, began };
            match chat.call(message, place, &mut tally) {
                Ok(found) => document.calls.extend(found),
                Err(why) => document.skipped.push((place, why)),
            }
        }
        document.skipped.extend(tally.skipped());
        Ok(document)
    }
}

/// Parses the start time of a chat, which is the name of its directory: `2026-11-28T10-35-12.345Z`.
fn chat_time(chat: &str) -> Option<Timestamp> {
    let (day, time) = chat.split_once('T')?;
    fields::time_text(&format!("{day}T{}", time.replacen('-', ":", 2)))
}

struct ChatFile<'c> {
    id: &'c str,
    project: &'c str,
    began: Option<Timestamp>,
}

impl ChatFile<'_> {
    fn call(&self, message: &Value, place: u64, tally: &mut SkipTally) -> Result<Option<ParsedCall>, String> {
        let metadata = message.get("metadata").unwrap_or(&Value::Null);
        let own = metadata.get("codebuff").unwrap_or(&Value::Null);
        let last = last_answer(metadata);
        let stated = [metadata.get("usage"), own.get("usage"), last.and_then(|(usage, _)| usage)];
        let Some(usage) = stated.into_iter().flatten().find(|usage| usage.is_object()) else {
            if message.get("credits").and_then(Value::as_f64).is_some_and(|credits| credits > 0.0) {
                tally.add("answers that state credits and no token counts");
            }
            return Ok(None);
        };
        let logged = counts(usage)?;
        if logged.is_nothing() {
            return Err("unknown usage: all counts of an answer are 0".to_owned());
        }
        let at = fields::time(message.get("timestamp")).or_else(|| fields::time(metadata.get("timestamp")));
        let at = at.or(self.began).ok_or("unknown shape: an answer without a time")?;
        let number = place.to_string();
        let id = fields::text(message, "id").unwrap_or(&number);
        let model = ["model", "modelId"].iter().find_map(|name| fields::text(metadata, name));
        let model = model.or_else(|| fields::text(own, "model")).or_else(|| last.and_then(|(_, model)| model));
        let mut record = fields::record(AGENT, AGENT, logged)?;
        record = record.key(format!("codebuff/{}/{}/{id}", self.project, self.id)).conversation(self.id);
        record.model = model.map(str::to_owned);
        record.project = Some(directory(metadata).unwrap_or(self.project).to_owned());
        let numbers = usage.as_object().into_iter().flatten().filter(|(_, value)| value.is_number());
        record.raw =
            fields::raw(&numbers.map(|(name, value)| (name.as_str(), value.clone())).collect::<BTreeMap<_, _>>());
        fields::checked(at, record).map(Some)
    }
}

/// Returns the counts and the model of the last answer in the history of a run.
fn last_answer(metadata: &Value) -> Option<(Option<&Value>, Option<&str>)> {
    let history = metadata.pointer("/runState/sessionState/mainAgentState/messageHistory")?.as_array()?;
    let answer = history.iter().rev().find(|entry| fields::text(entry, "role") == Some("assistant"))?;
    let options = answer.get("providerOptions")?;
    let own = options.get("codebuff").unwrap_or(&Value::Null);
    Some((options.get("usage").or_else(|| own.get("usage")), fields::text(own, "model")))
}

fn directory(metadata: &Value) -> Option<&str> {
    let state = metadata.get("runState")?;
    let places = ["/sessionState/projectContext/cwd", "/sessionState/fileContext/cwd", "/sessionState/cwd", "/cwd"];
    places.iter().find_map(|place| state.pointer(place)?.as_str())
}

fn counts(usage: &Value) -> Result<Logged, String> {
    let field = |name| fields::field(usage, name);
    let stated = PAIRS.iter().find(|(input, output, _)| usage.get(input).is_some() || usage.get(output).is_some());
    let (input, output, inside) = *stated.ok_or("unknown shape: usage without input and output")?;
    let mut logged = Logged::new(AGENT, "codebuff/1", field(input)?, field(output)?);
    let one_of = |names: [&'static str; 2]| names.into_iter().find(|name| usage.get(name).is_some());
    if let Some(name) = one_of(READ) {
        logged.cache_read = field(name)?;
    } else {
        for (details, name) in [("promptTokensDetails", "cachedTokens"), ("prompt_tokens_details", "cached_tokens")] {
            if let Some(details) = usage.get(details) {
                logged.cache_read = (name, fields::count(details, name)?);
            }
        }
    }
    if let Some(name) = one_of(WRITTEN) {
        logged.cache_write = field(name)?;
    }
    logged.cache_inside = inside;
    Ok(logged)
}
