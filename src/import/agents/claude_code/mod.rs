//! Claude Code: `~/.claude/projects/<project>/<session>.jsonl` and `<session>/subagents/agent-*.jsonl`, the same below
//! `~/.config/claude` (`XDG_CONFIG_HOME`), and in the directories that `CLAUDE_CONFIG_DIR` lists. Cowork, in Claude
//! Desktop, keeps the same logs below the settings of that program (`cowork`).
//!
//! Known: the logs of clients 1.0 to 2.1 (checked against a real 2.1.197 and what its server answered), and the
//! `costUSD` of those before 1.0.9. A call is a line whose top level says `"type":"assistant"` (or, in older exports,
//! says no type at all) and whose `message` has an `id` and a `usage`. The client writes one line per content block,
//! all with the same `message.id` and the later ones with the larger output, so of the lines of one message the
//! largest counts, whole; a last line that states no input takes it from an earlier one. Relays may send no request id and one
//! message id for all answers: `identity` tells them apart. An answer whose counts are all 0 is no call of no tokens, but
//! one of an unknown number, and is told as skipped. Iterations of other models in a `usage` are calls of their own.
//! `usage` elsewhere is a copy: in `toolUseResult` it repeats a subagent's own log, in
//! `progress` lines it repeats the record it wraps. Lines of the model `<synthetic>` are the client's own error
//! messages and cost nothing.
//!
//! Who served a call the log does not say: Anthropic, unless the call's id or model says otherwise (`served`).
//!
//! A line of type `assistant` that lacks the message, its id or its usage, and usage of whoever but the user in a line of
//! an unknown type, are of a shape this build does not know: it is refused by name, never counted as nothing.

mod cowork;
mod descriptor;
mod identity;
mod line;
mod transcript;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::import::engine::jsonl;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;
use transcript::{CallOrigin, TranscriptParser};

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Claude Code's logs.
pub(crate) struct ClaudeCode;

const AGENT: &str = "claude-code";

/// The version of this importer. Raise it when the same logs give other records, so that older ledgers follow.
const VERSION: u32 = 2;

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
            None => CallOrigin::below(main_log(path).and_then(|log| first_time(&log))),
        };
        Ok(Box::new(TranscriptParser::new(origin)))
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

#[cfg(test)]
mod tests;
