//! Codex: `~/.codex/sessions/**/rollout-*.jsonl`, `~/.codex/archived_sessions/**`, and both compressed (`*.jsonl.zst`),
//! as clients since 0.137 do with old ones. `CODEX_HOME` sets the home.
//!
//! Supported: rollouts of clients 0.3x to 0.169 (checked against a real 0.169.0 and the responses of its server). A
//! `token_count` event has the thread's counter: the total so far and the counts of the last call. It is repeated
//! whenever the rate limits change, so it is a new call only if the total increased. Since about 0.151 a
//! `token_usage_record` also states each call with the id of its response, including calls that the counter omits. A
//! forked or spawned thread may repeat its parent's history, with new times or the old ones. Its calls also have the
//! parent's keys, so they are the parent's calls. The repetition ends at the first total that no parent has or, if the
//! parents' rollouts are deleted, some seconds after the fork began.
//!
//! `thread_settings_applied` names the service tier that later calls request. The client may still omit it, so a tier
//! from this setting alone has the label `service_tier_from`. A response or telemetry decides.
//!
//! A `web_search_call` is a search that the provider made. Searches belong to the next call, which is written after them.
//!
//! The same lines state how much of the account's quota windows is used. Changes become observations.
//!
//! Counts next to `info` instead of in it, an `info` without a total, a record without usage, usage under other names,
//! and other lines with token counts have unknown forms. Such a line is skipped with a reason and never counted as 0.
//! An `info` of `null` has only rate limits. Sessions of the first clients (`rollout-*.json`) have no counts and are
//! reported. A rollout with answers and without any count, as of early clients, is reported too: once the turn is done
//! or the next one begins, because counts precede that, or when the file has not changed for an hour. So are three or
//! more turns without counts after the last count, which an old client writes that continues a newer client's thread.

mod calls;
mod descriptor;
mod limits;
mod line;
mod parents;
mod thread;
mod turn_line;
mod vector;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::IgnoredAny;

use crate::import::engine::document::Document;
use crate::import::engine::jsonl;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::Refusal;
use crate::import::engine::resume;
use crate::import::engine::source::{DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::import::health::missing_usage::LogEnd;
use crate::model::event::{EventId, NewEvent};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;
use line::{
    LineKind, ResponseRecord, RolloutLine, SessionMeta, SettingsApplied, TokenCount, TurnContext, read, refuse_tokens,
};
use parents::Parents;
use thread::RolloutState;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Codex rollouts.
pub(crate) struct Codex;

const AGENT: &str = "codex";

/// Prefix of the types of lines with counts. Within a string its quote would be escaped.
static COUNTING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"token_"));
/// Occurs in every usage object.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"input_tokens\""));

/// Returns the directories of a Codex home that contain rollouts. Archiving moves a rollout from one to the other.
fn rollouts(home: &Path) -> Vec<PathBuf> {
    vec![home.join("sessions"), home.join("archived_sessions")]
}

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 3;

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
        let thread = resume::read(resume)?.unwrap_or_else(|| RolloutState::new(name_of(path)));
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

/// Returns whether a file is a session of the first clients, which did not write lines.
fn is_first(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("rollout-") && name.ends_with(".json")
}

/// Returns a log's name without extensions. The client compresses files that have not changed for a week.
fn log_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    name.strip_suffix(".zst").unwrap_or(&name).strip_suffix(".jsonl").map(str::to_owned)
}

/// Returns the thread id from the file name `rollout-<time>-<id>.jsonl`, otherwise the whole name.
fn name_of(path: &Path) -> String {
    let name = log_name(path).unwrap_or_default();
    let id = name.len().checked_sub(36).and_then(|at| name.get(at..)).filter(|id| uuid::Uuid::parse_str(id).is_ok());
    id.unwrap_or(&name).to_owned()
}

struct RolloutParser {
    thread: RolloutState,
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
            LineKind::Count | LineKind::Record | LineKind::Other if read.is_err() => self.thread.missing_usage.count(),
            LineKind::Item | LineKind::Other => self.thread.without_counts(line),
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
        Some(resume::store(&self.thread))
    }

    fn is_missing_usage(&self) -> bool {
        self.thread.missing_usage.has_reported()
    }

    fn end(&mut self, settled: bool) -> LogEnd {
        self.thread.missing_usage.end(settled)
    }
}

impl RolloutParser {
    fn read(&mut self, kind: LineKind, line: &[u8]) -> Result<(), String> {
        if !matches!(kind, LineKind::Item | LineKind::Other) {
            jsonl::utf8(line)?;
        }
        match kind {
            LineKind::Meta => match read::<RolloutLine<'_, SessionMeta<'_>>>(line)?.payload {
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
                let has_counts_beside = |count: &TokenCount<'_>| {
                    [count.input_tokens, count.total_token_usage, count.last_token_usage].iter().any(Option::is_some)
                };
                match line.payload.as_ref().map(|count| (&count.info, has_counts_beside(count))) {
                    Some((Some(info), _)) => self.thread.count(time(&line)?, info, &mut self.parents)?,
                    Some((None, true)) => {
                        return Err("unknown shape: a token_count with its counts beside `info`".to_owned());
                    }
                    _ => {}
                }
                // A line without a time may contain only limits, so it is no error.
                if let Some(limits) = line.payload.as_ref().and_then(|count| count.rate_limits)
                    && let Ok(at) = time(&line)
                {
                    self.thread.limits(at, limits);
                }
            }
            LineKind::Record => {
                let line: RolloutLine<'_, ResponseRecord<'_>> = read(line)?;
                let record = line.payload.as_ref().ok_or("unknown shape: a token_usage_record without a payload")?;
                self.thread.record(time(&line)?, record)?;
            }
            // A line that was cut may contain the line after it.
            LineKind::Item if counts(line) => {
                read::<IgnoredAny>(line)?;
            }
            LineKind::Other | LineKind::Unclear if counts(line) || USAGE.find(line).is_some() => refuse_tokens(line)?,
            LineKind::Item | LineKind::Other | LineKind::Unclear => {}
        }
        Ok(())
    }
}

/// Returns the time of a line of any kind.
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

/// Returns whether a type with counts occurs as a field of the line and not within a text.
fn counts(line: &[u8]) -> bool {
    COUNTING.find_iter(line).any(|at| at.checked_sub(1).and_then(|before| line.get(before)) != Some(&b'\\'))
}

fn time<P>(line: &RolloutLine<'_, P>) -> Result<Timestamp, String> {
    jsonl::time(line.timestamp.as_deref())
}

#[cfg(test)]
mod tests;
