//! GitHub Copilot CLI: `~/.copilot` (`COPILOT_HOME`). Up to three files contain the same call. Each call counts once,
//! from the first of them:
//!
//! 1. `session-store.db`, since mid 2026: one row of `assistant_usage_events` per call, written when it is made.
//! 2. `otel/**/*.jsonl`, if the user enabled telemetry: spans and logs of each call with its `gen_ai.response.id`. They
//!    are ignored if the store has rows of the session by then. Files in other places can be linked here.
//! 3. `session-state/<id>/events.jsonl`: sums by model at the end of each run (`session.shutdown`), for the calls since
//!    the run began or the context was compacted. They are records at that time with the quality `derived`, and are
//!    ignored if one of the other files has the run. Clients that restore a session continue its sums, others restart.
//!    Sums that increased count as continued unless the answers show otherwise.
//!
//! The input always includes the cache, and the output the reasoning. Premium requests, multipliers and AI units are no
//! US dollars, so they are no cost. The provider is `github-copilot`, whoever made the model, except for calls with the
//! user's own key, which that key's provider served. The session's log marks each such call (`isByok`, `providerType`),
//! and telemetry names its provider (`github` otherwise).
//!
//! Skipped with a reason: tables with other columns, token telemetry in an unknown form, a summary without sums.
//! Reported: runs without a summary, telemetry of answers without counts, and older sessions (`history-session-state`),
//! whose files have no counts.

mod call_provider;
mod descriptor;
mod events;
mod metrics;
mod otel;
mod store;

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::import::engine::document::Document;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DatabaseLog, DocumentLog, LineLog, LineParser, LogFormat, Source};
use crate::model::time::Zone;
use crate::readers::normalise::logged::{Field, Logged};
use call_provider::SessionLogs;
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

/// Returns whether a path is below the telemetry directory.
fn is_telemetry(path: &Path) -> bool {
    path.ancestors().skip(1).any(|directory| is_named(Some(directory), &[TELEMETRY]))
}

/// Returns whether a file belongs to a session. A file that is neither that nor the store is telemetry in a location of
/// the user's choice.
fn is_session(path: &Path) -> bool {
    is_named(Some(path), &["events.jsonl"]) || is_named(path.parent(), &SESSIONS)
}

/// Returns the Copilot CLI directory that contains a file.
fn home_of(path: &Path) -> Option<&Path> {
    let inner = path
        .ancestors()
        .find(|directory| is_named(Some(directory), &SESSIONS) || is_named(Some(directory), &[TELEMETRY]));
    inner?.parent()
}

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
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
        Ok(Box::new(otel::OtelParser::new(Store::beside(path)?, SessionLogs::new(home_of(path)), resume)?))
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

/// Builds the counts that all these files state: input, output, cache reads, cache writes, reasoning.
fn logged(fields: [Field; 5]) -> Logged {
    let [input, output, read, written, reasoning] = fields;
    let mut logged = Logged::new(AGENT, NORMALISER, input, output);
    (logged.cache_read, logged.cache_write, logged.reasoning) = (read, written, reasoning);
    logged
}

#[cfg(test)]
mod tests;
