//! `OpenCode`: the database `~/.local/share/opencode/opencode.db` (`opencode-<channel>.db` for other channels) and the
//! files `storage/message/<session>/<message>.json` of older clients. `XDG_DATA_HOME` sets the directory, `OPENCODE_DB`
//! the database, `OPENCODE_DATA_DIR` further directories.
//!
//! Supported: files of the clients of 2025 except the first (`project/<project>/storage/session/message/…` before 0.6),
//! the table `message` of clients since 1.2 (checked against a real 1.18.33 and the responses of its server), and the
//! table `session_message` of the second generation. An answer is a message of role `assistant`, or a summary of the
//! conversation (type `compaction`), whose model is that of the answer before it. A newer client copies the files to
//! its database with the same ids, so both are one call. A forked session copies messages under new ids, with their
//! times and counts, which identify them. The second generation stores sessions in `session_v2`, which names the origin
//! of a fork: copied messages belong to that session, even if it is deleted. Calls for titles are not stored.
//!
//! A message states the tokens of its last step. For several steps, the sum of its parts counts. `input` excludes
//! cached tokens. `output` excludes `reasoning` if a `total` is stated. Before that it included it, except for Google's
//! models, and such a record is marked as derived. A cost of 0 stands for a model without a known price, or a
//! subscription, so it is absent. An answer without counts is in progress, failed or aborted; one that ended
//! successfully without counts is reported as skipped.
//!
//! A database without these tables or their columns, one with sessions whose messages are elsewhere, a message without
//! a role, counts in a message of another role, and a malformed row or file have unknown forms. Each is skipped with a
//! reason and never counted as 0.

mod columns;
mod database;
mod descriptor;
mod message;
mod sessions;
mod steps;

use std::path::Path;

use crate::import::engine::document::Document;
use crate::import::engine::path_names::above;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DatabaseLog, DocumentLog, LogFormat, Source};
use crate::model::time::{Timestamp, Zone};
use message::{MessageFacts, MessageRow, made_at};

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of `OpenCode`'s database and files.
pub(crate) struct Opencode;

const AGENT: &str = "opencode";

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for Opencode {
    fn version(&self) -> u32 {
        VERSION
    }

    /// The directories next to the messages contain as many parts, and whole checkouts.
    fn enters(&self, directory: &Path) -> bool {
        let is = |levels, names: &[&str]| above(directory, levels).is_some_and(|name| names.contains(&name));
        is(0, &["storage", "project", "session", "message"]) || is(1, &["project", "message"])
    }

    fn wants(&self, path: &Path) -> bool {
        is_file_of_message(path) || above(path, 0).is_some_and(is_database)
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if is_file_of_message(path) { LogFormat::Document(self) } else { LogFormat::Database(self) }
    }
}

impl DocumentLog for Opencode {
    fn document(
        &self,
        path: &Path,
        text: &[u8],
        _zone: Zone,
        _resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        let message = MessageRow::parse(text)?;
        let mut document = Document::default();
        if !message.is_answer()? {
            return Ok(document);
        }
        if message.is_of_the_first_clients() {
            return Err("unknown shape: a message of the first clients".into());
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let id = message.id.as_deref().unwrap_or(stem);
        let session = message.session.as_deref().or_else(|| above(path, 1));
        let steps = steps::in_files(path)?;
        let facts = MessageFacts { id, session, steps: &steps, ..MessageFacts::default() };
        document.calls.extend(message.call(facts)?);
        document.conversation = session.map(str::to_owned);
        // The time of a copy is that of its original, so it does not date the session.
        document.began = message
            .created()
            .map(|created| made_at(id, created).map_or(created, |made| made.max(created)))
            .map(Timestamp::from_millis);
        Ok(document)
    }
}

impl DatabaseLog for Opencode {
    fn database(
        &self,
        _path: &Path,
        database: &rusqlite::Connection,
        resume: Option<&serde_json::Value>,
    ) -> Result<Document, Refusal> {
        database::read(database, resume)
    }
}

/// Older clients have message directories per project, below that of its sessions.
fn is_file_of_message(path: &Path) -> bool {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    is_json && above(path, 2) == Some("message") && matches!(above(path, 3), Some("storage" | "session"))
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("opencode")
        .and_then(|rest| rest.strip_suffix(".db"))
        .is_some_and(|channel| channel.is_empty() || channel.starts_with('-'))
}

#[cfg(test)]
mod tests;
