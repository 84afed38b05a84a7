//! Codex: `~/.codex/sessions/**/rollout-*.jsonl`, `~/.codex/archived_sessions/**`, and either compressed, which
//! clients since 0.137 do to cold ones (`*.jsonl.zst`). `CODEX_HOME` moves the home.
//!
//! Known: the rollouts of clients 0.3x to 0.169 (checked against a real 0.169.0 and what its server answered). A
//! `token_count` event shows the thread's counter: the total so far and what the last call used. It is shown again
//! whenever the rate limits change, so a call is behind it only when the total moved. Since about 0.151 a
//! `token_usage_record` also records each call, under the id of its response; it says what calls the counter leaves
//! out. A forked or spawned thread may repeat its parent's history, with new times or the old ones: its calls carry
//! the parent's name for them besides, and so they are the parent's own calls again. What it repeats ends with the first
//! total that its parents did not show, or, when their rollouts are gone, some seconds after it began.
//!
//! `thread_settings_applied` names the service tier that later calls ask for. The client may ask for none all the same, so a
//! tier that only this setting names is marked by the label `service_tier_from`; a response or telemetry decides.
//!
//! The same lines tell what is used of the account's quota windows. That is kept where it changes, as observations.
//!
//! Counts beside `info` instead of in it, an `info` without a total, a record without usage, usage under other names and
//! lines of another type that tell of tokens are shapes this build does not know: such a line is refused by name, never
//! counted as nothing. An `info` of `null` holds only rate limits. The first clients' sessions (`rollout-*.json`) tell no
//! counts, and are told of. So is a rollout with answers and without any count, as clients wrote before there were counters:
//! once the turn is done or the next one begins, for the counts stand before that, or when nobody has written to it for an hour.
//! So are three turns and more without a count behind the last one, as a client writes that goes on with an older one's thread.

mod calls;
mod descriptor;
mod error_text;
mod limits;
mod line;
mod parents;
mod thread;
mod vector;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::import::engine::document::Document;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::import::health::missing_usage::Ending;
use crate::model::event::{EventId, NewEvent};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;
use line::{LineKind, Meta, Record, RolloutLine, SettingsApplied, TokenCount, TurnContext, read, refuse_tokens};
use parents::Parents;
use thread::Thread;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Codex' rollouts.
pub(crate) struct Codex;

const AGENT: &str = "codex";

/// Begins the types of the lines that count. Inside of a text a backslash stands before its quote.
static COUNTING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"token_"));
/// Stands in every usage object.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"input_tokens\""));

/// The directories of a Codex home that hold rollouts. Archiving moves a rollout from one to the other.
fn rollouts(home: &Path) -> Vec<PathBuf> {
    vec![home.join("sessions"), home.join("archived_sessions")]
}

/// The version of this importer. Raise it when the same logs give other records, so that older ledgers follow.
const VERSION: u32 = 2;

impl Source for Codex {
    fn version(&self) -> u32 {
        VERSION
    }

    fn usage_format(&self) -> Option<UsageFormat> {
        Some(UsageFormat::Codex)
    }

    fn wants(&self, path: &Path) -> bool {
        log_name(path).is_some() || is_first(path)
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if is_first(path) { LogFormat::Document(self) } else { LogFormat::Lines(self) }
    }
}

impl LineLog for Codex {
    fn parser(
        &self,
        path: &Path,
        resume: Option<&serde_json::Value>,
        _zone: Zone,
    ) -> Result<Box<dyn LineParser>, Refusal> {
        let known = resume.and_then(|resume| Thread::deserialize(resume).ok());
        let thread = known.unwrap_or_else(|| Thread::new(name_of(path)));
        Ok(Box::new(RolloutParser { thread, parents: Parents::new(path.to_owned()) }))
    }
}

impl DocumentLog for Codex {
    fn document(
        &self,
        _path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        read::<IgnoredAny>(text)?;
        let why = "a session of the first clients, whose file tells no token counts".to_owned();
        Ok(Document { skipped: vec![(0, why)], ..Document::default() })
    }
}

/// Whether a file is a session of the first clients, before they wrote lines.
fn is_first(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("rollout-") && name.ends_with(".json")
}

/// A log's name without its extensions. The client compresses what nobody wrote to for a week.
fn log_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    name.strip_suffix(".zst").unwrap_or(&name).strip_suffix(".jsonl").map(str::to_owned)
}

/// The thread's id as the file name has it, `rollout-<time>-<id>.jsonl`; of a file named otherwise, its name.
fn name_of(path: &Path) -> String {
    let name = log_name(path).unwrap_or_default();
    let id = name.len().checked_sub(36).and_then(|at| name.get(at..)).filter(|id| uuid::Uuid::parse_str(id).is_ok());
    id.unwrap_or(&name).to_owned()
}

struct RolloutParser {
    thread: Thread,
    parents: Parents,
}

impl LineParser for RolloutParser {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(line) = jsonl::whole(line)? else { return Ok(()) };
        if self.thread.began.is_none() {
            self.thread.began = first_time(line);
        }
        let kind = match LineKind::of(line) {
            LineKind::Unclear => LineKind::by_the_book(line)?,
            kind => kind,
        };
        let read = self.read(kind, line);
        match kind {
            LineKind::Count | LineKind::Record | LineKind::Other if read.is_err() => self.thread.silence.count(),
            LineKind::Item | LineKind::Other => self.thread.said(line),
            _ => {}
        }
        read
    }

    fn take(&mut self) -> Vec<ParsedCall> {
        self.thread.calls.take()
    }

    fn take_observed(&mut self) -> Vec<(EventId, NewEvent)> {
        self.thread.limits.take()
    }

    fn pending(&self) -> usize {
        self.thread.calls.len() + self.thread.limits.len()
    }

    fn conversation(&self) -> Option<&str> {
        Some(self.thread.id()).filter(|id| !id.is_empty())
    }

    fn began(&self) -> Option<Timestamp> {
        self.thread.began
    }

    fn resume(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.thread).ok()
    }

    fn is_silent(&self) -> bool {
        self.thread.silence.is_told()
    }

    fn end(&mut self, settled: bool) -> Ending {
        self.thread.silence.end(settled)
    }
}

impl RolloutParser {
    fn read(&mut self, kind: LineKind, line: &[u8]) -> Result<(), String> {
        if !matches!(kind, LineKind::Item | LineKind::Other) {
            jsonl::utf8(line)?;
        }
        match kind {
            LineKind::Meta => match read::<RolloutLine<'_, Meta<'_>>>(line)?.payload {
                Some(meta) => self.thread.meta(&meta),
                None => self.thread.meta(&read(line)?),
            },
            LineKind::Context => {
                self.thread.context(&read::<RolloutLine<'_, TurnContext<'_>>>(line)?.payload.unwrap_or_default());
            }
            LineKind::Settings => {
                let settings = read::<RolloutLine<'_, SettingsApplied<'_>>>(line)?.payload.unwrap_or_default();
                self.thread.settings(&settings.thread_settings.unwrap_or_default());
            }
            LineKind::Count => {
                let line: RolloutLine<'_, TokenCount<'_>> = read(line)?;
                let beside = |count: &TokenCount<'_>| {
                    [count.input_tokens, count.total_token_usage, count.last_token_usage].iter().any(Option::is_some)
                };
                match line.payload.as_ref().map(|count| (&count.info, beside(count))) {
                    Some((Some(info), _)) => self.thread.count(time(&line)?, info, &mut self.parents)?,
                    Some((None, true)) => {
                        return Err("unknown shape: a token_count with its counts beside `info`".to_owned());
                    }
                    _ => {}
                }
                // A line without a time may hold nothing but limits: it is no reason to refuse it.
                if let Some(limits) = line.payload.as_ref().and_then(|count| count.rate_limits)
                    && let Ok(at) = time(&line)
                {
                    self.thread.limits(at, limits);
                }
            }
            LineKind::Record => {
                let line: RolloutLine<'_, Record<'_>> = read(line)?;
                let record = line.payload.as_ref().ok_or("unknown shape: a token_usage_record without a payload")?;
                self.thread.record(time(&line)?, record)?;
            }
            // A line that was cut may have swallowed the one behind it.
            LineKind::Item if counts(line) => {
                read::<IgnoredAny>(line)?;
            }
            LineKind::Other | LineKind::Unclear if counts(line) || USAGE.find(line).is_some() => refuse_tokens(line)?,
            LineKind::Item | LineKind::Other | LineKind::Unclear => {}
        }
        Ok(())
    }
}

/// The time a line of any kind says it was written at.
fn first_time(line: &[u8]) -> Option<Timestamp> {
    let mut cursor = jsonl::JsonCursor::new(line).ok()?;
    while let Some(key) = cursor.key().ok()? {
        if key == b"timestamp" {
            return cursor.string().ok()??.parse().ok();
        }
        cursor.skip().ok()?;
    }
    None
}

/// Whether a type that counts stands in the line, rather than in a text that quotes one.
fn counts(line: &[u8]) -> bool {
    COUNTING.find_iter(line).any(|at| at.checked_sub(1).and_then(|before| line.get(before)) != Some(&b'\\'))
}

fn time<P>(line: &RolloutLine<'_, P>) -> Result<Timestamp, String> {
    jsonl::time(line.timestamp.as_deref())
}

#[cfg(test)]
mod tests;
