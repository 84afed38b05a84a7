//! Qwen Code: `~/.qwen/projects/<project>/chats/<session>.jsonl` and `…/subagents/<session>/agent-*.jsonl`, and the
//! chats of older clients in `~/.qwen/tmp/<project>/chats`. `QWEN_HOME` and `QWEN_RUNTIME_DIR` set the directories.
//!
//! Supported: records of clients 0.4 to 0.25, one per line, whose answers have the type `assistant` and
//! `usageMetadata`; and documents of earlier clients, which have Gemini CLI's format with another name for answers. A
//! branched session copies its parent's records with their `uuid`, so they are the parent's calls. Records of type
//! `system` repeat the counts for the client's statistics and are ignored. Calls outside the conversation (titles,
//! summaries) are only there, so they are not counted.
//!
//! `promptTokenCount` includes cached tokens. `candidatesTokenCount` includes thoughts if the API is `OpenAI`'s kind,
//! which the total shows. No record names the provider, so all calls are attributed to Alibaba.
//!
//! Usage in a record of another type, under other names, without a `uuid` or a time has an unknown form: it is skipped
//! with a reason and never counted as 0. A chat in which all answers lack usage is reported, and so are three or more
//! answers without usage after the last one with usage.

mod descriptor;
mod line;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::import::agents::gemini_cli::message::{Dialect, key};
use crate::import::agents::gemini_cli::{self, is_chat};
use crate::import::engine::document::Document;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::query::Refusal;
use crate::import::engine::resume;
use crate::import::engine::source::{DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::import::health::missing_usage::{LogEnd, MissingUsage};
use crate::model::event::{Raw, ServerKey, TokenRecord};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::{self, UsageFormat};
use line::ChatLine;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Qwen Code's chats.
pub(crate) struct QwenCode;

const AGENT: &str = "qwen-code";
const PROVIDER: &str = "alibaba";

/// Chats of clients that still used Gemini CLI's format.
const OLDER: Dialect =
    Dialect { agent: AGENT, provider: PROVIDER, format: UsageFormat::QwenCode, answers: &["qwen", "gemini"] };

/// Occurs in every line with counts. Within a string the last quote would be escaped.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usageMetadata\""));
/// The name in other formats.
static RENAMED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for QwenCode {
    fn version(&self) -> u32 {
        VERSION
    }

    fn wants(&self, path: &Path) -> bool {
        let is_line = path.extension().is_some_and(|extension| extension == "jsonl");
        is_older(path) && is_chat(path) || is_line && (is_chat(path) || is_subagent(path))
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if gemini_cli::is_document(path) { LogFormat::Document(self) } else { LogFormat::Lines(self) }
    }
}

impl LineLog for QwenCode {
    fn parser(
        &self,
        path: &Path,
        resume: Option<&serde_json::Value>,
        _zone: Zone,
    ) -> Result<Box<dyn LineParser>, Refusal> {
        if is_older(path) {
            return Ok(Box::new(gemini_cli::ChatParser::new(OLDER, path, project(path), resume)?));
        }
        let origin = resume::read(resume)?.unwrap_or_default();
        Ok(Box::new(QwenChatParser { origin, calls: FileCalls::default() }))
    }
}

impl DocumentLog for QwenCode {
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        Ok(gemini_cli::document(OLDER, path, project(path), text)?)
    }
}

fn is_subagent(path: &Path) -> bool {
    above(path, 2) == Some("subagents")
}

/// Returns whether a file is in the directory of older clients, `tmp/<project>/chats`.
fn is_older(path: &Path) -> bool {
    above(path, 1) == Some("chats") && above(path, 3) == Some("tmp")
}

/// An older chat has only a hash of its directory.
fn project(path: &Path) -> Option<String> {
    above(path, 2).and_then(jsonl::name).map(str::to_owned)
}

/// The session of a log and when it began.
#[derive(Default, Serialize, Deserialize)]
struct QwenChatOrigin {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The first time that is not of a copied line: a branch begins after the copied part.
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    /// Answers since the last count.
    #[serde(default = "MissingUsage::counted", rename = "silence")]
    missing_usage: MissingUsage,
}

impl QwenChatOrigin {
    fn learn(&mut self, line: &ChatLine<'_>) {
        if self.session.is_none() {
            self.session = line.session.as_deref().and_then(jsonl::name).map(str::to_owned);
        }
        if self.began.is_none() && line.forked.is_none() {
            self.began = line.timestamp.as_deref().and_then(|time| time.parse().ok());
        }
    }
}

struct QwenChatParser {
    origin: QwenChatOrigin,
    calls: FileCalls,
}

impl LineParser for QwenChatParser {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        // A record is written together with its counts.
        if is_answer(line) {
            self.origin.missing_usage.answer();
            self.origin.missing_usage.go_on();
        }
        let read = self.read(line);
        if read.is_err() {
            self.origin.missing_usage.count();
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
        self.origin.session.as_deref()
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

/// Returns whether a record is an answer. A malformed one is not, and has no counts.
fn is_answer(line: &[u8]) -> bool {
    match jsonl::kind(line) {
        Ok(kind) => kind == Some(b"\"assistant\""),
        Err(_) => ChatLine::parse(line).is_ok_and(|line| line.kind.as_deref() == Some("assistant")),
    }
}

impl QwenChatParser {
    fn read(&mut self, line: &[u8]) -> Result<(), String> {
        let counts = USAGE.find(line).is_some() || RENAMED.find(line).is_some();
        let is_known = self.origin.session.is_some() && self.origin.began.is_some();
        if !counts && is_known {
            return Ok(());
        }
        let read = match ChatLine::parse(line) {
            Err(why) if counts => return Err(why),
            // A malformed line without counts is no loss.
            Err(_) => return Ok(()),
            Ok(read) => read,
        };
        self.origin.learn(&read);
        let Some(usage) = read.usage else {
            let renamed = read.kind.as_deref() == Some("assistant") && read.renamed.is_some();
            return if renamed {
                Err("unknown shape: an answer whose counts are in `usage`".to_owned())
            } else {
                Ok(())
            };
        };
        jsonl::utf8(line)?;
        self.call(&read, usage)
    }

    fn call(&mut self, line: &ChatLine<'_>, usage: &RawValue) -> Result<(), String> {
        if line.kind.as_deref() != Some("assistant") {
            return Err("unknown shape: usage in a record that is no answer".to_owned());
        }
        let id = line.uuid.as_deref().and_then(jsonl::name).ok_or("unknown shape: an answer without a uuid")?;
        let at = jsonl::time(line.timestamp.as_deref())?;
        let unknown = |error: crate::Error| format!("unknown shape: {error}");
        let counts = normalise::usage(UsageFormat::QwenCode, usage.get()).map_err(unknown)?;
        counts.tokens.validate().map_err(unknown)?;
        if counts.tokens.total().map_err(unknown)? == 0 {
            return Err("unknown usage: all counts of an answer are 0".to_owned());
        }
        let text = |text: Option<&str>| text.and_then(jsonl::name).map(str::to_owned);
        let session = line.forked.as_ref().map_or(&line.session, |forked| &forked.session);
        let session = text(session.as_deref()).or_else(|| self.origin.session.clone());
        let mut record = TokenRecord {
            provider: PROVIDER.into(),
            account: None,
            model: text(line.model.as_deref()),
            agent: Some(AGENT.to_owned()),
            keys: vec![key(session.as_deref(), id)],
            key_ids: Vec::new(),
            server_key: ServerKey::default(),
            conversation: session,
            project: text(line.cwd.as_deref()),
            labels: BTreeMap::new(),
            tokens: counts.tokens,
            modalities: counts.modalities,
            server_tools: counts.server_tools,
            cost: counts.cost,
            duration_ms: None,
            counted_at: None,
            normaliser: Some(counts.normaliser.into()),
            quality: counts.quality,
            residual: counts.residual,
            raw: Some(Raw::from(usage)),
        };
        if line.sidechain == Some(true) {
            record.labels.insert("sidechain".to_owned(), "true".to_owned());
        }
        self.calls.add(ParsedCall { at, record });
        self.origin.missing_usage.count();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
