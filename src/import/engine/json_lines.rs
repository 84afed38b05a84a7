//! A parser for logs whose lines are JSON objects that each state a whole call: an agent states only how a line reads.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::source::LineParser;
use crate::model::time::Timestamp;

/// What a log has stated so far, and how its next line reads. It is stored between imports.
pub(in crate::import) trait JsonLineState: Default + Serialize + DeserializeOwned + Send {
    /// Whether a line may matter: all others are not parsed.
    fn matters(&self, line: &[u8]) -> bool;

    /// Reads a line. An error says why the line is skipped.
    fn read(&mut self, line: &Value, calls: &mut FileCalls) -> Result<(), String>;

    /// The conversation of the log.
    fn conversation(&self) -> Option<&str>;

    /// The first time in the log.
    fn began(&self) -> Option<Timestamp>;
}

/// The parser of such a log.
pub(in crate::import) struct JsonLines<S> {
    state: S,
    calls: FileCalls,
}

impl<S: JsonLineState> JsonLines<S> {
    /// From the state that an earlier parser left, or from `new`.
    pub fn new(resume: Option<&Value>, new: S) -> Self {
        let known = resume.and_then(|resume| S::deserialize(resume).ok());
        Self { state: known.unwrap_or(new), calls: FileCalls::default() }
    }
}

impl<S: JsonLineState> LineParser for JsonLines<S> {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        if !self.state.matters(line) {
            return Ok(());
        }
        self.state.read(&fields::parse(line)?, &mut self.calls)
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        self.calls.take()
    }

    fn pending(&self) -> usize {
        self.calls.len()
    }

    fn conversation(&self) -> Option<&str> {
        self.state.conversation()
    }

    fn began(&self) -> Option<Timestamp> {
        self.state.began()
    }

    fn resume(&self) -> Option<Value> {
        serde_json::to_value(&self.state).ok()
    }
}
