//! Gemini CLI: `~/.gemini/tmp/<project>/chats/session-*.jsonl`, the `session-*.json` of older clients, and
//! `chats/<session>/<subagent>.jsonl`. `GEMINI_CLI_HOME` sets the home.
//!
//! Supported: documents of clients 0.2 to 0.38 (`{sessionId, messages:[…]}`, rewritten with every message) and lines of
//! clients since 0.39 (checked against a real client and the responses of its server). An answer is a message of type
//! `gemini` with `tokens`. A line is the head of a session, a message, a `$set` that replaces fields, or a `$rewindTo`.
//! Messages are written again after tools ran, with `$set`, and when a client continues an older document as lines;
//! their ids identify them. Rewound messages were still answered, so they count. A message without `tokens` is the
//! client's own, or the API stated none; a chat in which all answers lack them is reported. Prompts (`logs.json`) and
//! checkpoints are outside `chats`.
//!
//! `input` includes `cached` but not `tool`, and `output` excludes `thoughts`.
//!
//! Tokens in a message of another type, under other names, without an id or a time, and a document without messages
//! have unknown forms. Each is skipped with a reason and never counted as 0.

mod descriptor;
pub(in crate::import) mod message;
mod project;
mod retention;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::import::engine::document::Document;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::query::Refusal;
use crate::import::engine::resume;
use crate::import::engine::source::{DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::import::health::missing_usage::{LogEnd, MissingUsage};
use crate::model::invariant::bug;
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;
use message::{ChatEntry, ChatPlace, ChatRole, Dialect, call};

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Gemini CLI's chats.
pub(crate) struct GeminiCli;

const DIALECT: Dialect =
    Dialect { agent: "gemini-cli", provider: "google", format: UsageFormat::GeminiCli, answers: &["gemini"] };

/// Occurs in every relevant line. Within a string the last quote would be escaped.
static TOKENS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"tokens\""));
static SESSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"sessionId\""));
/// The API's name for them.
static RENAMED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usageMetadata\""));

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for GeminiCli {
    fn version(&self) -> u32 {
        VERSION
    }

    fn deleted_at_next_start(&self, logs: &[&Path]) -> Vec<PathBuf> {
        retention::deleted_at_next_start(logs)
    }

    fn wants(&self, path: &Path) -> bool {
        is_chat(path)
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if is_document(path) { LogFormat::Document(self) } else { LogFormat::Lines(self) }
    }
}

impl LineLog for GeminiCli {
    fn parser(
        &self,
        path: &Path,
        resume: Option<&serde_json::Value>,
        _zone: Zone,
    ) -> Result<Box<dyn LineParser>, Refusal> {
        Ok(Box::new(ChatParser::new(DIALECT, path, project::of(path), resume)?))
    }
}

impl DocumentLog for GeminiCli {
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        Ok(document(DIALECT, path, project::of(path), text)?)
    }
}

/// Returns whether a file is a chat or, one level below, a subagent's chat.
pub(in crate::import) fn is_chat(path: &Path) -> bool {
    let is_json = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json");
    is_json && (1..=2).any(|levels| above(path, levels) == Some("chats"))
}

/// Returns whether a chat is a document.
pub(in crate::import) fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Returns the session whose subagent wrote `path`.
fn parent(path: &Path) -> Option<String> {
    (above(path, 2) == Some("chats")).then(|| above(path, 1).map(str::to_owned)).flatten()
}

/// Parses a whole chat.
pub(in crate::import) fn document(
    dialect: Dialect,
    path: &Path,
    project: Option<String>,
    text: &[u8],
) -> Result<Document, String> {
    let mut parser = ChatParser::new(dialect, path, project, None).map_err(|refusal| refusal.to_string())?;
    let entry = ChatEntry::parse(text)?;
    if entry.messages.is_none() {
        return Err("unknown shape: a chat without messages".to_owned());
    }
    parser.origin.learn(&entry);
    let mut document = Document::default();
    for (number, message) in (1..).zip(entry.messages.unwrap_or_default()) {
        parser.has_count = false;
        match parser.message(message.get()) {
            Ok(()) if parser.has_count => {}
            Ok(()) => parser.without_counts(message.get().as_bytes()),
            Err(why) => document.skipped.push((number, why)),
        }
    }
    // The document is read again whenever it changes.
    if document.skipped.is_empty()
        && let LogEnd::Silent(why) = parser.end(true)
    {
        document.skipped.push((0, why));
    }
    document.calls = parser.take();
    document.conversation = parser.conversation().map(str::to_owned);
    document.began = parser.began();
    Ok(document)
}

/// The owner of a log.
#[derive(Default, Serialize, Deserialize)]
struct ChatOrigin {
    /// The first session id in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    /// The last session id so far, to which messages belong: a client may continue a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    /// Whether a subagent wrote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    aside: bool,
    /// Answers since the last count.
    #[serde(default = "MissingUsage::counted", rename = "silence")]
    missing_usage: MissingUsage,
}

impl ChatOrigin {
    fn learn(&mut self, entry: &ChatEntry<'_>) {
        self.aside |= entry.kind.as_deref() == Some("subagent");
        let started = entry.started.as_deref().and_then(|time| time.parse().ok());
        self.began = self.began.or(started);
        let session = entry.session.as_ref().or_else(|| entry.set.as_ref()?.session.as_ref());
        if let Some(session) = session.map(|session| &**session).and_then(jsonl::name) {
            self.first.get_or_insert_with(|| session.to_owned());
            self.session = Some(session.to_owned());
        }
    }
}

/// Parses the lines of one chat.
pub(in crate::import) struct ChatParser {
    dialect: Dialect,
    origin: ChatOrigin,
    place: ChatPlace,
    calls: FileCalls,
    /// Whether the last line, or message of a document, has a count.
    has_count: bool,
}

impl ChatParser {
    pub(in crate::import) fn new(
        dialect: Dialect,
        path: &Path,
        project: Option<String>,
        resume: Option<&serde_json::Value>,
    ) -> Result<Self, Refusal> {
        let origin: ChatOrigin = resume::read(resume)?.unwrap_or_default();
        let place = ChatPlace { parent: parent(path), project, ..ChatPlace::default() };
        Ok(Self { dialect, origin, place, calls: FileCalls::default(), has_count: false })
    }

    fn message(&mut self, json: &str) -> Result<(), String> {
        self.place.session.clone_from(&self.origin.session);
        self.place.aside = self.origin.aside || self.place.parent.is_some();
        if let Some(parsed) = call(self.dialect, &self.place, json)? {
            self.calls.add(parsed);
            self.origin.missing_usage.count();
            self.has_count = true;
        }
        Ok(())
    }

    /// Handles a message without counts.
    fn without_counts(&mut self, message: &[u8]) {
        let role = ChatRole::of(self.dialect, message);
        if role != ChatRole::Nothing {
            self.origin.missing_usage.answer();
        }
        if role == ChatRole::Answer {
            self.origin.missing_usage.go_on();
        }
    }

    /// Parses a line that may have counts or names a session.
    fn read(&mut self, line: &[u8], counts: bool) -> Result<(), String> {
        jsonl::utf8(line)?;
        let text = std::str::from_utf8(line).map_err(|error| bug!("a line that was checked: {error}").to_string())?;
        let entry = ChatEntry::parse(line)?;
        self.origin.learn(&entry);
        if !counts {
            return Ok(());
        }
        let own = match entry.tokens.or(entry.renamed) {
            Some(_) => self.message(text),
            None => Ok(()),
        };
        let replaced = self.messages(entry.set.and_then(|set| set.messages));
        own.and(replaced).and(self.messages(entry.messages))
    }

    fn messages(&mut self, messages: Option<Vec<&RawValue>>) -> Result<(), String> {
        let mut first = Ok(());
        for message in messages.unwrap_or_default() {
            let read = self.message(message.get());
            first = first.and(read);
        }
        first
    }
}

impl LineParser for ChatParser {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        let counts = TOKENS.find(line).is_some() || RENAMED.find(line).is_some();
        self.has_count = false;
        let read = if counts || SESSION.find(line).is_some() { self.read(line, counts) } else { Ok(()) };
        match read {
            Ok(()) if self.has_count => {}
            Ok(()) => self.without_counts(line),
            Err(_) => self.origin.missing_usage.count(),
        }
        read
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        self.calls.take()
    }

    fn pending(&self) -> usize {
        self.calls.len()
    }

    fn conversation(&self) -> Option<&str> {
        self.place.parent.as_deref().or(self.origin.first.as_deref())
    }

    fn began(&self) -> Option<Timestamp> {
        self.origin.began
    }

    fn resume(&self) -> Option<serde_json::Value> {
        Some(resume::store(&self.origin))
    }

    fn end(&mut self, settled: bool) -> LogEnd {
        self.origin.missing_usage.end(settled)
    }

    fn is_missing_usage(&self) -> bool {
        self.origin.missing_usage.has_reported()
    }
}

#[cfg(test)]
mod tests;
