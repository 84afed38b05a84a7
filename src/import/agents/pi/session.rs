//! The state of one log of entries, for pi and the agents derived from it.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{self, MessageDialect, MessagePlace};
use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::JsonLineState;
use crate::model::time::Timestamp;

/// An agent that writes such entries.
pub(in crate::import) trait SessionDialect: Send {
    const DIALECT: MessageDialect;
}

/// The session of a log, as far as its entries state it.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(in crate::import) struct EntrySession<D> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    #[serde(skip)]
    dialect: PhantomData<fn() -> D>,
}

impl<D> EntrySession<D> {
    /// Creates the state from a session id in the file name, if there is one.
    pub fn named(id: &str) -> Self {
        Self { id: Some(id.to_owned()).filter(|id| !id.is_empty()), ..Self::default() }
    }

    /// Takes the directory and the start time from the first entry of a session.
    pub fn read_head(&mut self, entry: &Value) {
        self.directory = fields::text(entry, "cwd").map(str::to_owned);
        self.began = fields::time(entry.get("timestamp"));
    }

    /// Returns the session id and its first time.
    pub fn start(self) -> Option<(String, Timestamp)> {
        Some((self.id?, self.began?))
    }
}

impl<D> Default for EntrySession<D> {
    fn default() -> Self {
        Self { id: None, directory: None, began: None, dialect: PhantomData }
    }
}

impl<D: SessionDialect> JsonLineState for EntrySession<D> {
    fn matters(&self, line: &[u8]) -> bool {
        self.began.is_none() || memchr::memmem::find(line, b"\"usage\"").is_some()
    }

    fn read(&mut self, entry: &Value, calls: &mut FileCalls) -> Result<(), String> {
        if entry.get("type").and_then(Value::as_str) == Some("session") {
            self.id = fields::text(entry, "id").map(str::to_owned).or(self.id.take());
            self.directory = fields::text(entry, "cwd").map(str::to_owned);
        }
        self.began = self.began.or_else(|| fields::time(entry.get("timestamp")));
        let place = MessagePlace { session: self.id.as_deref(), directory: self.directory.as_deref() };
        if let Some(call) = message::call(&D::DIALECT, entry, place)? {
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
