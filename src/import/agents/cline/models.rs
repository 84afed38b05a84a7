//! Finds model and provider of a request in the files next to a task's messages.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use super::{CLINE, Family};
use crate::import::engine::fields;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;

/// A larger history file is not searched for names.
const LARGEST: u64 = 64 << 20;

/// Model and provider of a request, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NamedModel {
    pub model: Option<String>,
    pub provider: Option<String>,
    pub project: Option<String>,
}

/// Models named in a task's directory.
#[derive(Debug, Default)]
pub(super) struct ModelHistory {
    /// Models with the time of their first use.
    used: Vec<(i64, NamedModel)>,
    /// Model names from the prompts, by time.
    in_prompts: Vec<(Option<i64>, String)>,
    project: Option<String>,
    /// Times of the requests.
    requests: Vec<i64>,
}

impl ModelHistory {
    pub fn beside(family: &Family, messages_path: &Path, messages: &[Value]) -> Result<Self, Refusal> {
        let started = |message: &&Value| message.get("say").and_then(Value::as_str) == Some("api_req_started");
        let mut models = Self {
            requests: messages.iter().filter(started).filter_map(|message| message.get("ts")?.as_i64()).collect(),
            ..Self::default()
        };
        if family.name == CLINE.name {
            models.metadata(&beside(&messages_path.with_file_name("task_metadata.json"))?);
        } else {
            let item = beside(&messages_path.with_file_name("history_item.json")).unwrap_or_default();
            models.project = fields::text(&item, "workspace").map(str::to_owned);
        }
        models.history(&beside(&messages_path.with_file_name("api_conversation_history.json")).unwrap_or_default());
        Ok(models)
    }

    fn metadata(&mut self, metadata: &Value) {
        for used in metadata.get("model_usage").and_then(Value::as_array).into_iter().flatten() {
            let Some(ts) = used.get("ts").and_then(Value::as_i64) else { continue };
            let named = |name| fields::text(used, name).map(str::to_owned);
            let named = NamedModel { model: named("model_id"), provider: named("model_provider_id"), project: None };
            self.used.push((ts, named));
        }
        self.used.sort_by_key(|(ts, _)| *ts);
    }

    /// Searches the prompts for environment details. Only names are taken.
    fn history(&mut self, history: &Value) {
        for message in history.as_array().into_iter().flatten() {
            if message.get("role").and_then(Value::as_str) != Some("user") {
                continue;
            }
            let ts = message.get("ts").and_then(Value::as_i64);
            for block in message.get("content").and_then(Value::as_array).into_iter().flatten() {
                let text = block.get("text").and_then(Value::as_str).unwrap_or_default();
                let Some((_, surroundings)) = text.rsplit_once("<environment_details>") else { continue };
                if let Some(model) = between(surroundings, "<model>", "</model>") {
                    self.in_prompts.push((ts, model));
                }
                if self.project.is_none() {
                    self.project = between(surroundings, "Current Workspace Directory (", ") Files")
                        .or_else(|| between(surroundings, "Current Working Directory (", ") Files"));
                }
            }
        }
    }

    /// Returns model and provider of a request: from its message, else those in use at that time.
    pub fn of(&self, ts: i64, message: &Value) -> NamedModel {
        let mut named = NamedModel { project: self.project.clone(), ..NamedModel::default() };
        if let Some(info) = message.get("modelInfo") {
            named.model = fields::text(info, "modelId").map(str::to_owned);
            named.provider = fields::text(info, "providerId").map(str::to_owned);
        } else if let Some((_, used)) = self.used.iter().rev().find(|(since, _)| *since <= ts) {
            named.model.clone_from(&used.model);
            named.provider.clone_from(&used.provider);
        }
        if named.model.is_none() {
            named.model = self.model_in_prompt(ts);
        }
        named
    }

    /// Returns the model name in the prompt of a request. The prompt precedes the next request.
    fn model_in_prompt(&self, ts: i64) -> Option<String> {
        let (_, first) = self.in_prompts.first()?;
        if self.in_prompts.iter().all(|(_, model)| model == first) {
            return Some(first.clone());
        }
        let next = self.requests.iter().copied().filter(|other| *other > ts).min().unwrap_or(i64::MAX);
        let in_prompts = self.in_prompts.iter().rev().find(|(at, _)| at.is_some_and(|at| at >= ts && at < next));
        in_prompts.map(|(_, model)| model.clone())
    }
}

/// Returns the text between two marks, if it is a valid name.
fn between(text: &str, open: &str, close: &str) -> Option<String> {
    let (_, rest) = text.split_once(open)?;
    let (name, _) = rest.split_once(close)?;
    let name = name.trim();
    (!name.is_empty() && name.len() <= 512 && !name.contains(['\n', '\0'])).then(|| name.to_owned())
}

/// Reads a document next to the messages. Returns null if it is absent or too large. A malformed one may be incomplete,
/// and a request's identity depends on its provider, so that is an error instead of a guess.
pub(super) fn beside(path: &Path) -> Result<Value, Refusal> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = match regular::read(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::FileTooLarge) => return Ok(Value::Null),
        Err(error) => return Err(Refusal::Unreadable(format!("`{name}` beside it cannot be read: {error}"))),
    };
    fields::parse(&bytes).map_err(|why| format!("`{name}` beside it cannot be read: {why}").into())
}
