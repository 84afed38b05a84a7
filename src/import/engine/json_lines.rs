//! A parser for logs in which each line is a JSON object with a whole call. An agent implements only the parsing of one
//! line.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::resume;
use crate::import::engine::source::LineParser;
use crate::model::time::Timestamp;

/// State of the parser, stored between imports, and the parsing of one line.
pub(in crate::import) trait JsonLineState: Default + Serialize + DeserializeOwned + Send {
    /// Returns whether a line may be relevant. Other lines are not parsed.
    fn matters(&self, line: &[u8]) -> bool;

    /// Parses a line. An error states why the line is skipped.
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
    /// Restores the state of an earlier parser, or starts with `new`.
    pub fn new(resume: Option<&Value>, new: S) -> Result<Self, Refusal> {
        Ok(Self { state: resume::read(resume)?.unwrap_or(new), calls: FileCalls::default() })
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
        Some(resume::store(&self.state))
    }
}
