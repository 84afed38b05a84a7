//! GitHub Copilot CLI: `~/.copilot` (`COPILOT_HOME`), where up to three files tell of one call. Each call counts once, by
//! the best of them:
//!
//! 1. `session-store.db`, since the middle of 2026: a row of `assistant_usage_events` for each call, written as it is made.
//! 2. `otel/**/*.jsonl`, where a person had telemetry written: spans and logs of each call, known by `gen_ai.response.id`. They
//!    give way to a store that had rows of their session by then. Files that were written elsewhere can be linked there.
//! 3. `session-state/<id>/events.jsonl`: sums by model at the end of each run (`session.shutdown`), for the calls since the run
//!    began or since the context was last compacted. They are records at that end, of the quality `derived`, and give way to
//!    the other two where those tell of the run. Clients that restore a session go on from its sums, others begin anew: what
//!    went up on the whole, as far as its answers do not say otherwise, goes on.
//!
//! Everywhere the input includes the cache and the output the reasoning. Premium requests, multipliers and AI units are no US
//! dollars: they are in no cost. The provider is `github-copilot`, whoever made the model, but for calls with a person's own
//! key: those the provider of the key served. The session's log says it of each call (`isByok`, `providerType`), telemetry by
//! the provider that it names (`github` otherwise).
//!
//! What is not known is refused by name: tables with other columns, telemetry of tokens in another shape, a summary without
//! its sums. Runs without a summary, telemetry of answers without any count, and older sessions (`history-session-state`),
//! whose files tell no counts, are told of.

mod descriptor;
mod events;
mod metrics;
mod otel;
mod served;
mod store;

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DatabaseLog, DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::model::time::Zone;
use crate::readers::normalise::logged::{Field, Logged};
use served::SessionLogs;
use store::Store;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Copilot CLI's sessions.
pub(crate) struct CopilotCli;

const AGENT: &str = "copilot-cli";
const PROVIDER: &str = "github-copilot";
const NORMALISER: &str = "copilot-cli/1";

const STORE: &str = "session-store.db";
const TELEMETRY: &str = "otel";
const SESSIONS: [&str; 2] = ["session-state", "history-session-state"];

fn is_named(path: Option<&Path>, names: &[&str]) -> bool {
    let name = path.and_then(Path::file_name).and_then(|name| name.to_str());
    name.is_some_and(|name| names.contains(&name))
}

fn is_store(path: &Path) -> bool {
    is_named(Some(path), &[STORE])
}

/// Whether a path is in the directory of telemetry, however far down.
fn is_telemetry(path: &Path) -> bool {
    path.ancestors().skip(1).any(|directory| is_named(Some(directory), &[TELEMETRY]))
}

/// Whether a file is about a session; what is neither that nor the store is telemetry in a place of the user's choice.
fn is_session(path: &Path) -> bool {
    is_named(Some(path), &["events.jsonl"]) || is_named(path.parent(), &SESSIONS)
}

/// The directory of Copilot CLI that a file is in.
fn home_of(path: &Path) -> Option<&Path> {
    let inner = path
        .ancestors()
        .find(|directory| is_named(Some(directory), &SESSIONS) || is_named(Some(directory), &[TELEMETRY]));
    inner?.parent()
}

/// The version of this importer. Raise it when the same logs give other records, so that older ledgers follow.
const VERSION: u32 = 2;

impl Source for CopilotCli {
    fn version(&self) -> u32 {
        VERSION
    }

    fn enters(&self, directory: &Path) -> bool {
        is_named(Some(directory), &SESSIONS)
            || is_named(Some(directory), &[TELEMETRY])
            || is_telemetry(directory)
            || is_named(directory.parent(), &SESSIONS)
    }

    fn wants(&self, path: &Path) -> bool {
        let lines = path.extension().is_some_and(|extension| extension == "jsonl");
        let document = lines || path.extension().is_some_and(|extension| extension == "json");
        is_store(path)
            || (lines && is_telemetry(path))
            || is_named(Some(path), &["events.jsonl"])
            || (document && is_named(path.parent(), &SESSIONS))
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if is_store(path) {
            LogFormat::Database(self)
        } else if is_telemetry(path) || !is_session(path) {
            LogFormat::Lines(self)
        } else {
            LogFormat::Document(self)
        }
    }
}

impl LineLog for CopilotCli {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        Ok(Box::new(otel::OtelParser::new(Store::beside(path)?, SessionLogs::new(home_of(path)), resume)))
    }
}

impl DocumentLog for CopilotCli {
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        events::read(path, text)
    }
}

impl DatabaseLog for CopilotCli {
    fn database(&self, path: &Path, database: &Connection, resume: Option<&Value>) -> Result<Document, Refusal> {
        store::read(database, &SessionLogs::new(path.parent()), resume)
    }
}

/// Counts as all of these files tell them: input, output, read from and written to a cache, reasoning.
fn logged(fields: [Field; 5]) -> Logged {
    let [input, output, read, written, reasoning] = fields;
    let mut logged = Logged::new(AGENT, NORMALISER, input, output);
    (logged.cache_read, logged.cache_write, logged.reasoning) = (read, written, reasoning);
    logged
}

#[cfg(test)]
mod tests;
