//! Cline, Roo Code and Kilo Code: extensions of Visual Studio Code and its derivatives, with one directory per task,
//! `<global storage>/<extension>/tasks/<id>`. Cline's command uses the same layout in `~/.cline/data/tasks`.
//!
//! Supported: `ui_messages.json` of all three. A request is a message of the kind `api_req_started` whose text is JSON
//! with `tokensIn`, `tokensOut`, `cacheWrites`, `cacheReads`, `cost` and, for Roo Code and Kilo Code, `apiProtocol`. In
//! the oldest logs the counts are in the `api_req_finished` that follows. A request in progress has no counts and is no
//! record. Also supported: `data/sessions/<id>/<id>.messages.json` of Cline's command since version 3, whose answers
//! have `metrics`.
//!
//! Model and provider are in the message (`modelInfo`), or in `task_metadata.json` by time (Cline), or the model alone
//! is in the environment details of the prompt (Roo Code, Kilo Code). Otherwise the model is absent and the provider is
//! the agent. Whether `tokensIn` includes the cache: see [`tasks`].
//!
//! Requests made through Claude Code are in its own logs. Newer versions of Kilo Code, derived from `OpenCode`, use
//! `kilo.db` with its schema instead: see [`opencode`].
//!
//! Skipped with a reason: a document that is no list of messages, a request without a time or whose text is no JSON.
//! Requests without counts are counted.

pub(in crate::import) mod descriptor;
mod models;
mod sessions;
mod tasks;

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::import::agents::opencode;
use crate::import::engine::document::Document;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{DatabaseLog, DocumentLog, LogFormat, Source};
use crate::model::time::Zone;
use crate::readers::normalise::logged::Logged;

/// The importer of one of the three agents.
pub(crate) struct Family {
    name: &'static str,
    normaliser: &'static str,
}

/// Cline.
pub(crate) const CLINE: Family = Family { name: "cline", normaliser: "cline/1" };
/// Roo Code.
pub(crate) const ROO_CODE: Family = Family { name: "roo-code", normaliser: "roo-code/1" };
/// Kilo Code.
pub(crate) const KILO_CODE: Family = Family { name: "kilo-code", normaliser: "kilo-code/1" };

const MESSAGES: &str = "ui_messages.json";
const KILO_DATABASE: &str = "kilo.db";

impl Family {
    fn is_cline(&self) -> bool {
        self.name == CLINE.name
    }
}

/// The version of these importers. Raise it when the same logs give other records, so that older ledgers follow.
const VERSION: u32 = 3;

impl Source for Family {
    fn version(&self) -> u32 {
        VERSION
    }

    /// Enters the directory of a task but no directory in it: checkpoints are whole repositories.
    fn enters(&self, directory: &Path) -> bool {
        let parent = directory.parent().and_then(Path::file_name);
        parent.is_some_and(|name| name == "tasks" || (self.is_cline() && name == "sessions"))
    }

    fn wants(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        name == MESSAGES
            || (self.is_cline() && name.ends_with(sessions::SUFFIX))
            || (self.name == KILO_CODE.name && name == KILO_DATABASE)
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if path.file_name().is_some_and(|name| name == KILO_DATABASE) {
            LogFormat::Database(self)
        } else {
            LogFormat::Document(self)
        }
    }
}

impl DocumentLog for Family {
    fn document(&self, path: &Path, text: &[u8], _zone: Zone, resume: Option<&Value>) -> Result<Document, Refusal> {
        if path.file_name().is_some_and(|name| name == MESSAGES) {
            tasks::read(self, path, text, resume)
        } else {
            sessions::read(self, path, text)
        }
    }
}

impl DatabaseLog for Family {
    fn database(&self, path: &Path, database: &Connection, resume: Option<&Value>) -> Result<Document, Refusal> {
        let mut document = opencode::Opencode.database(path, database, resume)?;
        for call in &mut document.calls {
            call.record.agent = Some(self.name.to_owned());
        }
        Ok(document)
    }
}

/// Decides whether the input includes the cache if nothing states it. A cache that is larger than the input shows that
/// the input excludes it, in all requests of the task. Otherwise the input is assumed to include it.
fn is_inside<'l>(requests: impl IntoIterator<Item = &'l Logged>) -> bool {
    requests
        .into_iter()
        .all(|logged| i64::try_from(logged.cached()).is_ok_and(|cached| cached <= logged.input.1.unwrap_or(0)))
}

#[cfg(test)]
mod tests;
