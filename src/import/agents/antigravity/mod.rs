//! Antigravity: `~/.gemini/antigravity*/conversations/<id>.db`, a database for each conversation.
//!
//! From documentation: see the descriptor. Rows of `gen_metadata` and `steps` contain messages of protocol buffers. The
//! field numbers are those of the readers that the descriptor names. Both tables may contain one call, with the same ids of
//! its response and message. Input excludes the cache, and output includes reasoning. A repeated call has the counts of
//! each attempt. Google serves and meters all models. If a model has only a number, its record has no model name.

mod descriptor;
mod proto;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use self::proto::Message;
use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::query::{self, Refusal, RowAction};
use crate::import::engine::source::{DatabaseLog, LogFormat, Source};
use crate::model::time::Timestamp;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Antigravity's conversations.
pub(crate) struct Antigravity;

const AGENT: &str = "antigravity";
const PROVIDER: &str = "google";
/// Numbers of the fields of a usage: input, all output, written to and read from the cache, reasoning.
const COUNTS: [(&str, u32); 5] =
    [("input", 2), ("output", 3), ("cache_creation", 4), ("cache_read", 5), ("reasoning", 9)];
/// Numbers of the fields of a usage that identify a call: its response, and its message by two names.
const IDS: [u32; 3] = [11, 12, 7];

/// A table with messages, and the numbers of the fields that are read.
struct MessageColumns {
    name: &'static str,
    column: &'static str,
    /// The field of the inner message that contains the usage; `None` for the whole message.
    within: Option<u32>,
    usage: u32,
    retries: u32,
    /// Paths of the times, from the outer message to the inner one. The first path that exists counts.
    times: &'static [&'static [u32]],
    /// Paths of the names of the model, in the same form.
    models: &'static [&'static [u32]],
}

const TABLES: [MessageColumns; 2] = [
    MessageColumns {
        name: "steps",
        column: "metadata",
        within: None,
        usage: 9,
        retries: 28,
        times: &[&[8], &[1]],
        models: &[&[24, 12], &[24, 8]],
    },
    MessageColumns {
        name: "gen_metadata",
        column: "data",
        within: Some(1),
        usage: 4,
        retries: 17,
        times: &[&[9, 4]],
        models: &[&[19], &[21]],
    },
];

impl Source for Antigravity {
    fn wants(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "db")
            && path
                .ancestors()
                .skip(1)
                .filter_map(Path::file_name)
                .any(|name| name == "conversations" || name == "brain")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Database(self)
    }
}

impl DatabaseLog for Antigravity {
    fn database(&self, path: &Path, database: &Connection, _resume: Option<&Value>) -> Result<Document, Refusal> {
        let name = above(path, 0).ok_or("unknown shape: a database whose name is no text")?;
        let conversation = name.strip_suffix(".db").unwrap_or(name);
        let mut document = Document { conversation: Some(conversation.to_owned()), ..Document::default() };
        document.cut = read_beginning(database, &mut document).err();
        let began = document.began;
        let mut has_table = false;
        for table in &TABLES {
            let have = fields::columns(database, table.name)?;
            if have.is_empty() {
                continue;
            }
            has_table = true;
            let columns = fields::choose(&have, table.name, &["idx", table.column], &[])?;
            let sql = format!("SELECT {columns}, octet_length({}) FROM {}", table.column, table.name);
            let read = query::rows(database, &sql, [], &mut |row| {
                let place = row.get_ref(0)?.as_i64().ok().and_then(|place| u64::try_from(place).ok());
                let read = match (place, row.get_ref(1)?, query::too_long("a row", row.get(2)?)) {
                    (_, ValueRef::Null, _) => return Ok(RowAction::Row),
                    (_, _, Some(why)) => Err(why),
                    (Some(place), ValueRef::Blob(bytes) | ValueRef::Text(bytes), None) => {
                        table.read(bytes, (conversation, place), began)
                    }
                    (None, ..) => Err("unknown shape: a row whose `idx` is no whole number from 0".to_owned()),
                    (_, ValueRef::Integer(_) | ValueRef::Real(_), _) => {
                        Err("unknown shape: a row that is no message".to_owned())
                    }
                };
                for call in read.unwrap_or_else(|why| vec![Err(why)]) {
                    match call {
                        Ok(call) => document.calls.push(call),
                        // A skip without a place has line 0.
                        Err(why) => document.skipped.push((place.unwrap_or(0), why)),
                    }
                }
                Ok(RowAction::Row)
            });
            document.cut = document.cut.or(read.err());
        }
        if !has_table {
            return Err("unknown shape: a database without a table of steps or generations".into());
        }
        Ok(document)
    }
}

/// Reads the start time of a conversation.
fn read_beginning(database: &Connection, document: &mut Document) -> Result<(), Refusal> {
    const TABLE: &str = "trajectory_metadata_blob";
    if !fields::columns(database, TABLE)?.iter().any(|column| column == "data") {
        return Ok(());
    }
    let sql = format!("SELECT {} FROM {TABLE}", query::bounded("data"));
    query::rows(database, &sql, [], &mut |row| {
        let bytes = row.get_ref(0)?.as_bytes_or_null();
        let Some(bytes) = bytes.map_err(|_| "unknown shape: metadata that are no message".to_owned()).transpose()
        else {
            return Ok(RowAction::Row);
        };
        match bytes.and_then(|bytes| Message::read(bytes)?.message(2)) {
            Ok(message) => document.began = document.began.or(message.as_ref().and_then(time)),
            Err(why) => document.skipped.push((0, why)),
        }
        Ok(RowAction::Row)
    })
}

/// A time in seconds and nanoseconds.
fn time(message: &Message<'_>) -> Option<Timestamp> {
    let seconds = i64::try_from(message.number(1)?).ok().filter(|seconds| *seconds > 0)?;
    let millis = i64::try_from(message.number(2).unwrap_or(0) / 1_000_000).ok()?;
    Some(Timestamp::from_millis(seconds.checked_mul(1_000)?.checked_add(millis)?))
}

impl MessageColumns {
    /// Reads the calls of a row. A call that cannot be read hides no other.
    fn read(
        &self,
        bytes: &[u8],
        (conversation, place): (&str, u64),
        began: Option<Timestamp>,
    ) -> Result<Vec<Result<ParsedCall, String>>, String> {
        let whole = Message::read(bytes)?;
        let message = match self.within {
            None => whole,
            Some(field) => whole.message(field)?.ok_or("unknown shape: a generation without a model")?,
        };
        let mut at = None;
        for path in self.times {
            if at.is_none() {
                at = message.at(path)?.as_ref().and_then(time);
            }
        }
        let at = at.or(began);
        let mut model = None;
        for path in self.models {
            if model.is_none()
                && let Some((last, outer)) = path.split_last()
            {
                model = message.at(outer)?.and_then(|outer| outer.text(*last));
            }
        }
        let mut usages: Vec<_> = message.message(self.usage).transpose().into_iter().collect();
        for retry in message.messages(self.retries) {
            usages.extend(retry.and_then(|retry| retry.message(2)).transpose());
        }
        let calls = usages.into_iter().enumerate().filter_map(|(number, usage)| {
            let named = (conversation, self.name, place, number);
            usage.and_then(|usage| call(&usage, model.as_deref(), at, named)).transpose()
        });
        Ok(calls.collect())
    }
}

fn call(
    usage: &Message<'_>,
    model: Option<&str>,
    at: Option<Timestamp>,
    (conversation, table, place, number): (&str, &str, u64, usize),
) -> Result<Option<ParsedCall>, String> {
    let count = |field: u32| match usage.number(field).map(i64::try_from) {
        None => Ok(None),
        Some(Ok(count)) => Ok(Some(count)),
        Some(Err(_)) => Err("unknown shape: a count that is too large".to_owned()),
    };
    let field = |(name, number): (&'static str, u32)| Ok::<_, String>((name, count(number)?));
    let [input, output, written, read, reasoning] = COUNTS;
    let mut logged = Logged::new(AGENT, "antigravity/1", field(input)?, field(output)?);
    (logged.cache_write, logged.cache_read, logged.reasoning) = (field(written)?, field(read)?, field(reasoning)?);
    logged.cache_inside = false;
    if logged.is_nothing() {
        return Ok(None);
    }
    let at = at.ok_or("unknown shape: a call without a time")?;
    let mut record = fields::record(PROVIDER, AGENT, logged)?;
    record.keys = IDS.iter().filter_map(|id| Some(format!("antigravity/{}", usage.text(*id)?))).collect();
    record.keys.dedup();
    if record.keys.is_empty() {
        // Without an id, the same call in the other table cannot be distinguished from another call.
        if table == "steps" {
            return Err("unknown shape: a call of a step without an id".to_owned());
        }
        record.keys.push(format!("antigravity/{conversation}/{place}/{number}"));
    }
    record.model = model.map(str::to_owned);
    record = record.conversation(conversation);
    let stated = COUNTS.iter().filter_map(|(name, number)| Some((*name, json!(usage.number(*number)?))));
    record.raw = fields::raw(&stated.collect::<BTreeMap<_, _>>());
    fields::checked(at, record).map(Some)
}
