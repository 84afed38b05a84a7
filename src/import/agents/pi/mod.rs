//! pi, the coding agent by Mario Zechner: `~/.pi/agent/sessions/<directory>/<time>_<session>.jsonl`.
//!
//! Known: sessions of version 3 (checked against a real 1.6.0 and what its server answered). A line is an entry of a tree. An
//! answer is an entry `message` of the role `assistant` with `usage`. The entry `session` names the session and its
//! directory. A forked session copies entries with their times: an answer's own time and its response id identify it.
//!
//! `input` is without the cache, `output` includes `reasoning`. A cost that pi worked out itself is no cost that anybody
//! reported. Failed and aborted answers without counts used nothing.

mod descriptor;
pub(in crate::import) mod message;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use message::{MessageDialect, MessagePlace};

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of pi's sessions.
pub(crate) struct Pi;

const DIALECT: MessageDialect =
    MessageDialect { agent: "pi", normaliser: "pi/1", reasoning: &["reasoning", "reasoningTokens"] };

impl Source for Pi {
    fn wants(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "jsonl")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for Pi {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        // The name ends with the id of the session, which the first line repeats.
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let id = stem.rsplit_once('_').map_or(stem, |(_, id)| id);
        let new = PiSession { id: Some(id.to_owned()).filter(|id| !id.is_empty()), ..PiSession::default() };
        Ok(Box::new(JsonLines::new(resume, new)))
    }
}

/// Whose log a file is.
#[derive(Default, Serialize, Deserialize)]
struct PiSession {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
}

impl JsonLineState for PiSession {
    fn matters(&self, line: &[u8]) -> bool {
        self.began.is_none() || memchr::memmem::find(line, b"\"usage\"").is_some()
    }

    fn read(&mut self, line: &Value, calls: &mut FileCalls) -> Result<(), String> {
        if line.get("type").and_then(Value::as_str) == Some("session") {
            self.id = fields::text(line, "id").map(str::to_owned).or(self.id.take());
            self.directory = fields::text(line, "cwd").map(str::to_owned);
        }
        self.began = self.began.or_else(|| fields::time(line.get("timestamp")));
        let place = MessagePlace { session: self.id.as_deref(), directory: self.directory.as_deref() };
        if let Some(call) = message::call(&DIALECT, line, place)? {
            calls.add(call);
        }
        Ok(())
    }

    fn conversation(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn began(&self) -> Option<Timestamp> {
        self.began
    }
}
