//! Antigravity: `~/.gemini/antigravity*/conversations/<id>.db`, a database for each conversation.
//!
//! From documentation: see the descriptor. Rows of `gen_metadata` and `steps` contain messages of protocol buffers, whose field
//! numbers are those that the readers named there found. Both tables may state one call, under the same ids of its response
//! and message. Input is without the cache; the whole output includes reasoning. A call that was tried again has the counts of each
//! try. Google serves and meters all models. A model that is named by a number only has no name here.

mod descriptor;
mod proto;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use self::proto::Message;
use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::path_names::above;
use crate::import::engine::query::{self, Next, Refusal};
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

/// A table with messages, and where in them is what.
struct Table {
    name: &'static str,
    column: &'static str,
    /// The message with the usage, if it is not the whole.
    within: Option<u32>,
    usage: u32,
    retries: u32,
    /// Where the times are, from the outside in; the first that is there counts.
    times: &'static [&'static [u32]],
    /// Where the names of the model are.
    models: &'static [&'static [u32]],
}

const TABLES: [Table; 2] = [
    Table {
        name: "steps",
        column: "metadata",
        within: None,
        usage: 9,
        retries: 28,
        times: &[&[8], &[1]],
        models: &[&[24, 12], &[24, 8]],
    },
    Table {
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
        let name = above(path, 0).unwrap_or_default();
        let conversation = name.strip_suffix(".db").unwrap_or(name);
        let began = trajectory_time(database)?;
        let mut document = Document { conversation: Some(conversation.to_owned()), began, ..Document::default() };
        let mut is_known = false;
        for table in &TABLES {
            let have = fields::columns(database, table.name)?;
            if have.is_empty() {
                continue;
            }
            is_known = true;
            fields::choose(&have, table.name, &["idx", table.column], &[])?;
            let sql = format!("SELECT idx, {0} FROM {1} WHERE {0} IS NOT NULL ORDER BY idx", table.column, table.name);
            query::rows(database, &sql, [], &mut |row| {
                let place =
                    row.get_ref(0)?.as_i64().ok().and_then(|place| u64::try_from(place).ok()).unwrap_or_default();
                let read = match row.get_ref(1)?.as_bytes() {
                    Ok(bytes) => table.read(bytes, (conversation, place), began),
                    Err(_) => Err("unknown shape: a row that is no message".to_owned()),
                };
                match read {
                    Ok(found) => document.calls.extend(found),
                    Err(why) => document.skipped.push((place, why)),
                }
                Ok(Next::Row)
            })?;
        }
        if !is_known {
            return Err("unknown shape: a database without a table of steps or generations".into());
        }
        Ok(document)
    }
}

/// When a conversation began.
fn trajectory_time(database: &Connection) -> Result<Option<Timestamp>, Refusal> {
    const TABLE: &str = "trajectory_metadata_blob";
    let mut began = None;
    if !fields::columns(database, TABLE)?.iter().any(|column| column == "data") {
        return Ok(began);
    }
    query::rows(database, &format!("SELECT data FROM {TABLE} ORDER BY rowid"), [], &mut |row| {
        let time = row.get_ref(0)?.as_bytes().ok().and_then(|bytes| time(&Message::read(bytes).ok()?.message(2)?));
        began = began.or(time);
        Ok(Next::Row)
    })?;
    Ok(began)
}

/// A time in seconds and nanoseconds.
fn time(message: &Message<'_>) -> Option<Timestamp> {
    let seconds = i64::try_from(message.number(1)?).ok().filter(|seconds| *seconds > 0)?;
    let millis = i64::try_from(message.number(2).unwrap_or(0) / 1_000_000).ok()?;
    Some(Timestamp::from_millis(seconds.checked_mul(1_000)?.checked_add(millis)?))
}

impl Table {
    fn read(
        &self,
        bytes: &[u8],
        (conversation, place): (&str, u64),
        began: Option<Timestamp>,
    ) -> Result<Vec<ParsedCall>, String> {
        let whole = Message::read(bytes)?;
        let message = match self.within {
            None => whole,
            Some(field) => whole.message(field).ok_or("unknown shape: a generation without a model")?,
        };
        let at = self.times.iter().find_map(|path| time(&message.at(path)?)).or(began);
        let model = self.models.iter().find_map(|path| {
            let (last, outer) = path.split_last()?;
            message.at(outer)?.text(*last)
        });
        let tries = message.messages(self.retries).filter_map(|retry| retry.message(2));
        let mut found = Vec::new();
        for (number, usage) in message.message(self.usage).into_iter().chain(tries).enumerate() {
            found.extend(call(&usage, model.as_deref(), at, (conversation, self.name, place, number))?);
        }
        Ok(found)
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
        // Without an id the same call in the other table could not be told from another one.
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
