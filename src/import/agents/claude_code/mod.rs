//! Claude Code: `~/.claude/projects/<project>/<session>.jsonl` and `<session>/subagents/agent-*.jsonl`, the same below
//! `~/.config/claude` (`XDG_CONFIG_HOME`), and in the directories that `CLAUDE_CONFIG_DIR` lists. Cowork, in Claude
//! Desktop, writes the same logs below the configuration of that program (`cowork`).
//!
//! Supported: logs of clients 1.0 to 2.1 (checked against a real 2.1.197 and the responses of its server), and the
//! `costUSD` of clients before 1.0.9. A call is a line with the top-level `"type":"assistant"` (or, in older exports,
//! without a type) and a `message` with `id` and `usage`. The client writes one line per content block, all with the
//! same `message.id`; later lines have a larger output. So the line with the largest counts of a message wins as a
//! whole, and takes the input from an earlier line if it states none. Relays may send no request id and one message id
//! for all answers: see `identity`. An answer whose counts are all 0 used an unknown number of tokens, so it is
//! reported as skipped. Iterations of other models in a `usage` are separate calls. Other occurrences of `usage` are
//! copies: `toolUseResult` repeats a subagent's own log, `progress` lines repeat the record that they wrap. Lines of
//! the model `<synthetic>` are error messages of the client and have no cost.
//!
//! The log does not name the provider. It is Anthropic, unless the id or the model of the call indicates another one:
//! see `engine/attribution`.
//!
//! A line of type `assistant` without a message, id or usage has an unknown form. So has usage in a line of an unknown
//! type, except a user's. Such a line is skipped with a reason and never counted as 0.

mod counted_reply;
mod cowork;
mod descriptor;
mod identity;
mod line;
mod origin;
mod transcript;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::import::engine::jsonl;
use crate::import::engine::query::Refusal;
use crate::import::engine::regular;
use crate::import::engine::resume;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use crate::readers::normalise::UsageFormat;
use origin::CallOrigin;
use transcript::TranscriptParser;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Claude Code's logs.
pub(crate) struct ClaudeCode;

const AGENT: &str = "claude-code";

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 3;

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
        let origin = match resume::read(resume)? {
            Some(origin) => origin,
            None => CallOrigin::below(main_log(path).and_then(|log| first_time(&log))),
        };
        Ok(Box::new(TranscriptParser::new(origin)))
    }
}

/// Returns the main log of the session whose subagent wrote `path`.
fn main_log(path: &Path) -> Option<PathBuf> {
    let session = path.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "subagents"))?.parent()?;
    let mut log = session.file_name()?.to_owned();
    log.push(".jsonl");
    Some(session.with_file_name(log))
}

/// Returns the first time in a log. Only the start of the file is read.
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
