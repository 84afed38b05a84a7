//! pi, the coding agent by Mario Zechner: `~/.pi/agent/sessions/<directory>/<time>_<session>.jsonl`.
//!
//! Supported: sessions of version 3 (checked against a real 1.6.0 and the responses of its server). A line is an entry
//! of a tree. An answer is an entry `message` of the role `assistant` with `usage`. The entry `session` names the
//! session and its directory. A forked session copies entries with their times: the time of an answer and its response
//! id identify it.
//!
//! `input` excludes the cache, `output` includes `reasoning`. A cost that pi computed is not a reported cost. Failed
//! and aborted answers without counts used nothing.

mod descriptor;
pub(in crate::import) mod message;
pub(in crate::import) mod session;

use std::path::Path;

use serde_json::Value;

use crate::import::engine::json_lines::JsonLines;
use crate::import::engine::query::Refusal;
use crate::import::engine::source::{LineLog, LineParser, LogFormat, Source};
use crate::model::time::Zone;
use crate::readers::normalise::logged::Logged;
use message::MessageDialect;
use session::{EntrySession, SessionDialect};

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of pi's sessions.
pub(crate) struct Pi;

impl SessionDialect for Pi {
    const DIALECT: MessageDialect =
        MessageDialect { agent: "pi", normaliser: "pi/1", reasoning: &["reasoning", "reasoningTokens"] };
}

impl Source for Pi {
    fn logged(&self, raw: &Value) -> Option<Result<Logged, String>> {
        Some(message::counts(&<Pi as SessionDialect>::DIALECT, raw))
    }

    fn wants(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "jsonl")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Lines(self)
    }
}

impl LineLog for Pi {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        // The name ends with the session id, which the first line repeats.
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let id = stem.rsplit_once('_').map_or(stem, |(_, id)| id);
        Ok(Box::new(JsonLines::new(resume, EntrySession::<Self>::named(id))?))
    }
}
