//! `OpenClaw`: `~/.openclaw/agents/<agent>/agent/openclaw-agent.sqlite`, and the `agents/<agent>/sessions/*.jsonl` of older
//! versions.
//!
//! Supported: the database of 2026.9.6 (checked against a real one and the responses of its server), and lines with the
//! same entries. `OpenClaw` is derived from pi and uses its entries: see [`pi::message`]. The table `transcript_events`
//! has the entries of a session, as text or compressed with zstd; `trajectory_runtime_events` repeats their usage and
//! is not read. A line log may be renamed when its session is deleted or reset (`*.jsonl.deleted.<time>`,
//! `*.jsonl.reset.<time>`); it still counts.

mod descriptor;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::import::agents::pi::message::{self, MessageDialect};
use crate::import::agents::pi::session::{EntrySession, SessionDialect};
use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::file_calls::FileCalls;
use crate::import::engine::json_lines::{JsonLineState, JsonLines};
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::query::{self, Refusal, RowAction};
use crate::import::engine::resume;
use crate::import::engine::source::{DatabaseLog, LineLog, LineParser, LogFormat, Source};
use crate::model::time::Zone;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of `OpenClaw`'s sessions.
pub(crate) struct Openclaw;

impl SessionDialect for Openclaw {
    const DIALECT: MessageDialect =
        MessageDialect { agent: "openclaw", normaliser: "openclaw/1", reasoning: &["reasoningTokens", "reasoning"] };
}

const DATABASE: &str = "openclaw-agent.sqlite";

impl Source for Openclaw {
    fn logged(&self, raw: &Value) -> Option<Result<Logged, String>> {
        Some(message::counts(&<Openclaw as SessionDialect>::DIALECT, raw))
    }

    fn wants(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name == DATABASE || (is_of_sessions(path) && is_lines(name))
    }

    fn enters(&self, directory: &Path) -> bool {
        // `agents/<agent>/agent` and `agents/<agent>/sessions`; next to them are workspaces.
        let name = |levels: usize| directory.ancestors().nth(levels).and_then(Path::file_name);
        name(1).is_some_and(|name| name == "agents")
            || (name(2).is_some_and(|name| name == "agents")
                && name(0).is_some_and(|name| name == "agent" || name == "sessions"))
    }

    fn format(&self, path: &Path) -> LogFormat<'_> {
        if path.file_name().is_some_and(|name| name == DATABASE) {
            LogFormat::Database(self)
        } else {
            LogFormat::Lines(self)
        }
    }
}

fn is_of_sessions(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|name| name == "sessions")
}

/// `s.jsonl`, `s.jsonl.deleted.<time>`, `s.jsonl.reset.<time>`.
fn is_lines(name: &str) -> bool {
    let Some((_, end)) = name.rsplit_once(".jsonl") else { return false };
    end.is_empty() || end.starts_with(".deleted.") || end.starts_with(".reset.")
}

impl LineLog for Openclaw {
    fn parser(&self, path: &Path, resume: Option<&Value>, _zone: Zone) -> Result<Box<dyn LineParser>, Refusal> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.split_once(".jsonl").map_or("", |(id, _)| id);
        Ok(Box::new(JsonLines::new(resume, EntrySession::<Self>::named(id))?))
    }
}

impl DatabaseLog for Openclaw {
    fn database(&self, _path: &Path, database: &Connection, resume: Option<&Value>) -> Result<Document, Refusal> {
        let have = fields::columns(database, "transcript_events")?;
        let columns =
            fields::choose(&have, "transcript_events", &["session_id", "seq", "event_json"], &["event_zstd"])?;
        let (newest, last) =
            query::new_rows(database, "transcript_events", resume::member(resume, "last")?.unwrap_or(0))?;
        let mut sessions: HashMap<String, EntrySession<Openclaw>> = HashMap::new();
        heads(database, &columns, &mut sessions)?;
        let (mut calls, mut document) = (FileCalls::default(), Document::default());
        let sql = format!("SELECT rowid AS row, {columns} FROM transcript_events WHERE rowid > ?1 ORDER BY rowid");
        let mut reached = last;
        let read = query::rows(database, &sql, [last], &mut |row| {
            let number: i64 = row.get("row")?;
            let read = session_of(row).ok_or_else(|| "unknown shape: an event whose session is no text".to_owned());
            let read = read.and_then(|id| {
                let session = sessions.entry(id.clone()).or_insert_with(|| EntrySession::named(&id));
                entry_of(row).and_then(|entry| session.read(&entry, &mut calls))
            });
            if let Err(why) = read {
                document.skipped.push((u64::try_from(number).unwrap_or(0), why));
            }
            reached = number;
            Ok(RowAction::Row)
        });
        document.cut = read.err();
        document.calls = calls.take();
        document.conversations = sessions.into_values().filter_map(EntrySession::start).collect();
        document.resume = Some(json!({ "last": if document.cut.is_none() { newest } else { reached } }));
        Ok(document)
    }
}

/// Reads the first entry of each session, which names its directory.
fn heads(
    database: &Connection,
    columns: &str,
    sessions: &mut HashMap<String, EntrySession<Openclaw>>,
) -> Result<(), Refusal> {
    let sql = format!("SELECT {columns} FROM transcript_events WHERE typeof(seq) = 'integer' AND seq = 0");
    query::rows(database, &sql, [], &mut |row| {
        // A malformed entry is reported when it is read as an entry.
        let Some(id) = session_of(row) else { return Ok(RowAction::Row) };
        let mut session = EntrySession::named(&id);
        if let Ok(entry) = entry_of(row) {
            session.read_head(&entry);
        }
        sessions.insert(id, session);
        Ok(RowAction::Row)
    })
}

/// Returns the session of a row, if it is a text.
fn session_of(row: &rusqlite::Row<'_>) -> Option<String> {
    row.get::<_, String>("session_id").ok().filter(|id| !id.is_empty())
}

/// Returns the entry of a row, decompressed if needed.
fn entry_of(row: &rusqlite::Row<'_>) -> Result<Value, String> {
    let text: Option<String> = row.get("event_json").map_err(|error| format!("unknown shape: {error}"))?;
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        return fields::parse(text.as_bytes());
    }
    let packed: Option<Vec<u8>> = row.get("event_zstd").map_err(|error| format!("unknown shape: {error}"))?;
    let packed = packed.ok_or("unknown shape: an event without text")?;
    let unreadable = |error: std::io::Error| format!("an event that cannot be unpacked: {error}");
    let mut text = Vec::new();
    let unpacked = zstd::stream::read::Decoder::new(&*packed).map_err(unreadable)?;
    unpacked.take(LONGEST_LINE as u64).read_to_end(&mut text).map_err(unreadable)?;
    fields::parse(&text)
}
