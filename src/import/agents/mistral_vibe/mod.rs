//! Mistral Vibe: `~/.vibe/logs/session/unified/<session>/`, with a checkpoint of the session in each
//! `generations/<number>` and, after the last one, `journal/<number>.jsonl`.
//!
//! Supported: files of 3.0.3 (checked against a real one and the responses of its server). A checkpoint deletes the
//! journal before it, so most single calls are lost. The sums of the session remain: `tokenUsage` in
//! `projection-state.json` and in the states that the journal sets. They are one record per session, which grows, with
//! the quality `derived`. `inputTokens` includes the cache. Reasoning is part of the output and not stated separately.
//! `meta.json` next to them names the model and the directory. No file names the provider: it is Mistral unless the
//! model is another maker's.

mod descriptor;

use std::path::{Path, PathBuf};

use memchr::memmem::find;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::provider_names::UNKNOWN;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::import::engine::source::{DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::model::event::Quality;
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Mistral Vibe's sessions.
pub(crate) struct MistralVibe;

const AGENT: &str = "mistral-vibe";
const PROVIDER: &str = "mistral";
const STATE: &str = "projection-state.json";
const COUNTS: [&str; 3] = ["inputTokens", "cachedInputTokens", "outputTokens"];
/// Prefixes of Mistral's models.
const MODELS: [&str; 7] = ["codestral", "devstral", "magistral", "ministral", "mistral", "open-mistral", "pixtral"];
/// Maximum size of a description in bytes.
const LONGEST: u64 = 1 << 20;
/// Maximum depth of the session state in a line.
const DEEPEST: usize = 8;

impl Source for MistralVibe {
    fn wants(&self, path: &Path) -> bool {
        let is_journal = path.extension().is_some_and(|extension| extension == "jsonl");
        match above(path, 1) {
            Some("journal") => is_journal,
            _ => above(path, 0) == Some(STATE) && above(path, 2) == Some("generations"),
        }
    }

    fn enters(&self, directory: &Path) -> bool {
        above(directory, 0) != Some("chunks")
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if above(path, 0) == Some(STATE) { LogFormat::Document(self) } else { LogFormat::Lines(self) }
    }
}

impl DocumentLog for MistralVibe {
    fn document(&self, path: &Path, text: &[u8], _zone: Zone, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let state = fields::parse(text)?;
        let session = state_of(&state, DEEPEST).ok_or("unknown shape: a checkpoint without `tokenUsage`")?;
        let about = path.ancestors().nth(3).map(SessionAbout::read).unwrap_or_default();
        let call = about.sums(session)?;
        Ok(Document {
            conversation: fields::text(session, "id").map(str::to_owned),
            began: fields::time(session.get("createdAt")),
            calls: call.into_iter().collect(),
            ..Document::default()
        })
    }
}

impl LineLog for MistralVibe {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        let about = path.ancestors().nth(2).map(SessionAbout::read).unwrap_or_default();
        Ok(Box::new(JsonLines::new(resume, Journal { about, ..Journal::default() })?))
    }
}

/// State of a journal so far.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Journal {
    about: SessionAbout,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
}

impl JsonLineState for Journal {
    fn matters(&self, line: &[u8]) -> bool {
        find(line, b"\"tokenUsage\"").is_some()
    }

    fn read(&mut self, line: &Value, calls: &mut FileCalls) -> Result<(), String> {
        let session = state_of(line, DEEPEST).ok_or("unknown shape: `tokenUsage` that is of no session")?;
        self.session = fields::text(session, "id").map(str::to_owned).or(self.session.take());
        self.began = self.began.or_else(|| fields::time(session.get("createdAt")));
        if let Some(call) = self.about.sums(session)? {
            calls.add(call);
        }
        Ok(())
    }

    fn conversation(&self) -> Option<&str> {
        self.session.as_deref()
    }

    fn began(&self) -> Option<Timestamp> {
        self.began
    }
}

/// Finds the object with the sums of a session.
fn state_of(value: &Value, depth: usize) -> Option<&Value> {
    if value.get("tokenUsage").is_some_and(Value::is_object) {
        return Some(value);
    }
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(object) => object.values().find_map(|value| state_of(value, depth)),
        Value::Array(list) => list.iter().find_map(|value| state_of(value, depth)),
        _ => None,
    }
}

/// The content of `meta.json`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SessionAbout {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<PathBuf>,
}

impl SessionAbout {
    fn read(session: &Path) -> Self {
        let text = regular::read(&session.join("meta.json"), LONGEST).unwrap_or_default();
        let about = fields::parse(&text).unwrap_or_default();
        let model = about.get("config").and_then(|config| fields::text(config, "model_name"));
        let directory = about.get("environment").and_then(|place| fields::text(place, "working_directory"));
        Self { model: model.map(str::to_owned), directory: directory.map(PathBuf::from) }
    }

    fn sums(&self, session: &Value) -> Result<Option<ParsedCall>, String> {
        let usage = session.get("tokenUsage").unwrap_or(&Value::Null);
        let field = |name| fields::field(usage, name);
        let [input, cached, output] = COUNTS;
        let mut logged = Logged::new(AGENT, "mistral-vibe/1", field(input)?, field(output)?);
        logged.cache_read = field(cached)?;
        if logged.input.1.is_none() && logged.output.1.is_none() {
            return Err("unknown shape: `tokenUsage` without `inputTokens` and `outputTokens`".to_owned());
        }
        if logged.is_nothing() {
            return Ok(None);
        }
        let id = fields::text(session, "id").ok_or("unknown shape: a session without an id")?;
        let at = fields::time(session.get("createdAt")).ok_or("unknown shape: a session without a time")?;
        let is_own = |model: &String| MODELS.iter().any(|begins| model.starts_with(begins));
        let provider = if self.model.as_ref().is_none_or(is_own) { PROVIDER } else { UNKNOWN };
        let mut record = fields::record(provider, AGENT, logged)?;
        record = record.key(format!("mistral-vibe/{id}")).conversation(id);
        record.quality = Quality::Derived;
        record.model.clone_from(&self.model);
        record.project = self.directory.as_ref().map(|directory| directory.to_string_lossy().into_owned());
        record.raw = fields::raw_of(usage, &COUNTS);
        let call = fields::checked(at, record)?;
        let updated = fields::time(session.get("updatedAt")).unwrap_or(at);
        Ok(Some(call.counted(updated)))
    }
}
