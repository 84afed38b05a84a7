//! Claude Code: `~/.claude/projects/<project>/<session>.jsonl` and `<session>/subagents/agent-*.jsonl`, the same below
//! `~/.config/claude` (`XDG_CONFIG_HOME`), and in the directories that `CLAUDE_CONFIG_DIR` lists. Cowork, in Claude
//! Desktop, keeps the same logs below the settings of that program (`cowork`).
//!
//! Known: the logs of clients 1.0 to 2.1 (checked against a real 2.1.197 and what its server answered), and the
//! `costUSD` of those before 1.0.9. A call is a line whose top level says `"type":"assistant"` (or, in older exports,
//! says no type at all) and whose `message` has an `id` and a `usage`. The client writes one line per content block,
//! all with the same `message.id` and the later ones with the larger output, so of the lines of one message the
//! largest counts, whole. `usage` elsewhere is a copy: in `toolUseResult` it repeats a subagent's own log, in
//! `progress` lines it repeats the record it wraps. Lines of the model `<synthetic>` are the client's own error
//! messages and cost nothing.
//!
//! Who served a call the log does not say: Anthropic, unless the call's id or model says otherwise (`served`).
//!
//! A line of type `assistant` that lacks the message, its id or its usage, and usage of whoever but the user in a line of
//! an unknown type, are of a shape this build does not know: it is refused by name, never counted as nothing.

mod cowork;
mod descriptor;
mod line;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::import::engine::attribution::{self, ANTHROPIC};
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::event::SERVICE_TIER;
use crate::model::event::{Raw, TokenRecord};
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::Usd;
use crate::readers::normalise::{self, Normalised, UsageFormat};
use line::{TranscriptLine, TranscriptMessage};

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Claude Code's logs.
pub(crate) struct ClaudeCode;

const AGENT: &str = "claude-code";

/// Stands near the front of every answer, and nowhere in other lines but for copies of answers. Inside of a text its
/// quotes would be escaped.
static ANSWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"assistant\""));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

/// The version of this importer. Raise it when the same logs give other records, so that older ledgers follow.
const VERSION: u32 = 1;

impl Source for ClaudeCode {
    fn version(&self) -> u32 {
        VERSION
    }

    fn usage_format(&self) -> Option<UsageFormat> {
        Some(UsageFormat::ClaudeCode)
    }

    fn wants(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "jsonl") && cowork::may_be_a_log(path)
    }

    fn enters(&self, directory: &Path) -> bool {
        cowork::may_hold_logs(directory)
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for ClaudeCode {
    fn parser(
        &self,
        path: &Path,
        resume: Option<&serde_json::Value>,
        _zone: Zone,
    ) -> Result<Box<dyn LineParser>, Refusal> {
        let origin = match resume {
            Some(resume) => CallOrigin::deserialize(resume).unwrap_or_default(),
            None => CallOrigin { parent: main_log(path).and_then(|log| first_time(&log)), ..CallOrigin::default() },
        };
        Ok(Box::new(TranscriptParser { origin, ..TranscriptParser::default() }))
    }
}

/// The main log of the session whose subagent wrote `path`.
fn main_log(path: &Path) -> Option<PathBuf> {
    let session = path.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "subagents"))?.parent()?;
    let mut log = session.file_name()?.to_owned();
    log.push(".jsonl");
    Some(session.with_file_name(log))
}

/// The first time that stands in a log; only its beginning is read.
fn first_time(log: &Path) -> Option<Timestamp> {
    const BEGINNING: u64 = 4 << 20;
    let mut reader = BufReader::new(regular::open(log).ok()?.take(BEGINNING));
    let (mut origin, mut line) = (CallOrigin::default(), Vec::new());
    while origin.began.is_none() {
        line.clear();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            break;
        }
        if let Ok(Some(line)) = jsonl::whole(&line) {
            origin.learn(line);
        }
    }
    origin.began
}

/// Where a log begins and whose it is.
#[derive(Default, Serialize, Deserialize)]
struct CallOrigin {
    /// The first time in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Timestamp>,
    /// The first session named in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    /// When the session began whose subagent wrote the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Timestamp>,
}

impl CallOrigin {
    fn is_known(&self) -> bool {
        self.began.is_some() && self.conversation.is_some()
    }

    /// Takes from any line what is not known yet.
    fn learn(&mut self, line: &[u8]) {
        if let Ok(line) = TranscriptLine::parse(line) {
            self.learn_from(&line);
        }
    }

    fn learn_from(&mut self, line: &TranscriptLine<'_>) {
        if self.began.is_none() {
            self.began = line.timestamp.as_deref().and_then(|time| time.parse().ok());
        }
        if self.conversation.is_none() {
            self.conversation = line.session.as_deref().and_then(jsonl::name).map(str::to_owned);
        }
    }
}

/// A call found, with what is needed to weigh a further line of it against this one.
struct LoggedCall {
    found: ParsedCall,
    /// When the first line with this total was written.
    counted: Timestamp,
    total: u64,
    usage: String,
}

#[derive(Default)]
struct TranscriptParser {
    origin: CallOrigin,
    /// In the order in which they were first seen.
    calls: Vec<LoggedCall>,
    /// Where in `calls` a message is, by the hash of its id. Should two ever share one, the second is handed over in
    /// pieces, which is not wrong either.
    places: HashMap<u64, usize>,
}

impl LineParser for TranscriptParser {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        if !may_matter(line) {
            if !self.origin.is_known() {
                self.origin.learn(line);
            }
            return Ok(());
        }
        let read = TranscriptLine::parse(line)?;
        if !self.origin.is_known() {
            self.origin.learn_from(&read);
        }
        match answer(&read)? {
            Some(message) => {
                jsonl::utf8(line)?;
                self.call(&read, message)
            }
            None => Ok(()),
        }
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        self.places.clear();
        let calls = std::mem::take(&mut self.calls);
        calls
            .into_iter()
            .map(|LoggedCall { mut found, counted, usage, .. }| {
                found.count_at(counted);
                found.record.raw = Some(Raw::read(usage));
                found
            })
            .collect()
    }

    fn pending(&self) -> usize {
        self.calls.len()
    }

    fn conversation(&self) -> Option<&str> {
        self.origin.conversation.as_deref()
    }

    fn began(&self) -> Option<Timestamp> {
        self.origin.began.into_iter().chain(self.origin.parent).min()
    }

    fn resume(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.origin).ok()
    }
}

/// Whether a line may be an answer. Lines that say early what else they are need no second look.
fn may_matter(line: &[u8]) -> bool {
    ANSWER.find(line).is_some() || (!is_other(line) && USAGE.find(line).is_some())
}

/// Whether a line says early that it is of a type that counts nothing. Most bytes of a log are in such.
fn is_other(line: &[u8]) -> bool {
    const OTHERS: [&[u8]; 7] = [
        b"\"user\"",
        b"\"progress\"",
        b"\"system\"",
        b"\"summary\"",
        b"\"attachment\"",
        b"\"file-history-snapshot\"",
        b"\"queue-operation\"",
    ];
    matches!(jsonl::kind(line), Ok(Some(kind)) if OTHERS.contains(&kind))
}

/// The message of a line that is an answer of the API.
fn answer<'l, 'a>(line: &'l TranscriptLine<'a>) -> Result<Option<&'l TranscriptMessage<'a>>, String> {
    let unknown = |what: &str| Err(format!("unknown shape: {what}"));
    let Some(message) = &line.message else {
        return if line.kind.as_deref() == Some("assistant") {
            unknown("an assistant line without a message")
        } else {
            Ok(None)
        };
    };
    match line.kind.as_deref() {
        Some("assistant") => {}
        None if message.usage.is_some() && message.role.as_deref().is_none_or(|role| role == "assistant") => {}
        // Copies and prompts are of these types.
        None | Some("user" | "progress" | "system") => return Ok(None),
        Some(_) if message.usage.is_some() && message.role.as_deref() != Some("user") => {
            return unknown("an answer with usage in a line of another type than `assistant`");
        }
        Some(_) => return Ok(None),
    }
    if message.model.as_deref() == Some("<synthetic>") {
        return Ok(None);
    }
    if message.usage.is_none() {
        return unknown("an assistant message without usage");
    }
    Ok(Some(message))
}

impl TranscriptParser {
    fn call(&mut self, line: &TranscriptLine<'_>, message: &TranscriptMessage<'_>) -> Result<(), String> {
        let ids = [&message.id, &line.request].map(|id| id.as_deref().and_then(jsonl::name));
        let Some(id) = ids.into_iter().flatten().next() else {
            return Err("unknown shape: an assistant message without an id".to_owned());
        };
        let usage = message.usage.unwrap_or_default();
        let at = jsonl::time(line.timestamp.as_deref())?;
        let hash = xxh3_64(id.as_bytes());
        let place = self.places.get(&hash).copied().filter(|place| {
            self.calls.get(*place).and_then(|call| call.found.record.keys.first()).is_some_and(|key| key == id)
        });
        let Some(place) = place else {
            let counted = CountedReply::new(usage)?;
            let keys = ids.into_iter().flatten().map(str::to_owned).collect();
            self.places.insert(hash, self.calls.len());
            let call = self.made(at, keys, line, message, counted);
            self.calls.push(call);
            return Ok(());
        };
        let Some(call) = self.calls.get_mut(place) else { return Ok(()) };
        call.found.at = call.found.at.min(at);
        for id in ids.into_iter().flatten() {
            if !call.found.record.keys.iter().any(|key| key == id) {
                call.found.record.keys.push(id.to_owned());
            }
        }
        if call.usage == usage {
            call.counted = call.counted.min(at);
            return Ok(());
        }
        let counted = CountedReply::new(usage)?;
        match counted.total.cmp(&call.total) {
            Ordering::Less => {}
            Ordering::Equal => call.counted = call.counted.min(at),
            Ordering::Greater => {
                let (first, keys) = (call.found.at, std::mem::take(&mut call.found.record.keys));
                let made = LoggedCall { counted: at, ..self.made(first, keys, line, message, counted) };
                if let Some(call) = self.calls.get_mut(place) {
                    *call = made;
                }
            }
        }
        Ok(())
    }

    fn made(
        &self,
        at: Timestamp,
        keys: Vec<String>,
        line: &TranscriptLine<'_>,
        message: &TranscriptMessage<'_>,
        counted: CountedReply,
    ) -> LoggedCall {
        let CountedReply { counts, total } = counted;
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().and_then(jsonl::name).map(str::to_owned);
        let mut record = TokenRecord {
            provider: ANTHROPIC.into(),
            account: None,
            model: text(&message.model),
            agent: Some(AGENT.to_owned()),
            conversation: text(&line.session).or_else(|| self.origin.conversation.clone()),
            project: text(&line.cwd),
            labels: BTreeMap::new(),
            tokens: counts.tokens,
            cost: line.cost.and_then(|cost| cost.parse::<Usd>().ok()).or(counts.cost),
            duration_ms: None,
            counted_at: None,
            keys,
            key_ids: Vec::new(),
            normaliser: Some(counts.normaliser.into()),
            quality: counts.quality,
            residual: counts.residual,
            raw: None,
        };
        if let Some(tier) = counts.service_tier {
            record.labels.insert(SERVICE_TIER.to_owned(), tier);
        }
        if line.sidechain == Some(true) {
            record.labels.insert("sidechain".to_owned(), "true".to_owned());
        }
        attribution::settle(&mut record);
        LoggedCall {
            found: ParsedCall { at, record },
            counted: at,
            total,
            usage: message.usage.unwrap_or_default().to_owned(),
        }
    }
}

/// What a usage object says.
struct CountedReply {
    counts: Normalised,
    total: u64,
}

impl CountedReply {
    fn new(usage: &str) -> Result<Self, String> {
        let unknown = |error: crate::Error| format!("unknown shape: {error}");
        let counts = normalise::usage(UsageFormat::ClaudeCode, usage).map_err(unknown)?;
        counts.tokens.validate().map_err(unknown)?;
        let total = counts.tokens.total().map_err(unknown)?;
        Ok(Self { counts, total })
    }
}

#[cfg(test)]
mod tests;
