//! Reads new rows from the client's database.

use memchr::memmem;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{name, whole};
use super::message::{MessageFacts, MessageRow};
use super::sessions::{self, Sessions};
use super::steps;
use crate::import::engine::document::Document;
use crate::import::engine::fields::{choose, columns};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::{self, LONGEST_VALUE, Refusal, RowAction, bounded};
use crate::import::engine::resume;
use crate::model::time::Timestamp;

/// Rows of a transaction that commits late become visible after their own time, by at most this many milliseconds.
const LATE: i64 = 60_000;
/// Maximum number of rows to remember, to distinguish unchanged rows from changed ones.
const MOST: usize = 256;

/// How far the tables are read.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct ReadMarks {
    message: RowMark,
    session_message: RowMark,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct RowMark {
    /// Last row number.
    row: i64,
    /// Time of the last change of a row.
    updated: i64,
    /// Hashes of the rows that changed shortly before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent: Vec<String>,
    /// Answers in progress.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open: Vec<String>,
}

/// A table of messages.
struct MessageTable {
    name: &'static str,
    /// Whether it is a table of the second generation, which stores a message's type in a column.
    second: bool,
}

const TABLES: [MessageTable; 2] =
    [MessageTable { name: "message", second: false }, MessageTable { name: "session_message", second: true }];

pub(super) fn read(database: &Connection, resume: Option<&serde_json::Value>) -> Result<Document, Refusal> {
    let mut marks: ReadMarks = resume::read(resume)?.unwrap_or_default();
    let mut document = Document::default();
    let (sessions, unknown) = Sessions::read(database, &mut document);
    let (mut any, mut filled) = (false, false);
    for table in &TABLES {
        let columns = columns(database, table.name)?;
        if columns.is_empty() {
            continue;
        }
        any = true;
        filled |= is_filled(database, table.name)?;
        let mut needed = vec!["id", "session_id", "time_created", "time_updated", "data"];
        needed.extend(table.second.then_some("type"));
        let missing: Vec<_> = needed.into_iter().filter(|name| !columns.iter().any(|column| column == name)).collect();
        if !missing.is_empty() {
            return Err(
                format!("unknown shape: the table `{}` has no column {}", table.name, missing.join(", ")).into()
            );
        }
        let mark = if table.second { &mut marks.session_message } else { &mut marks.message };
        let reading = TableReading { database, table, sessions: &sessions };
        document.cut = reading.rows(mark, &mut document)?.or(document.cut.take());
    }
    if !any {
        return Err("unknown shape: a database without a table `message`".into());
    }
    // A session may have no messages yet, but then it has no parts of messages either.
    let elsewhere = || Ok::<_, Refusal>(columns(database, "message")?.is_empty() || is_filled(database, "part")?);
    // Query this only if no message was found, because the sessions may be an endless view.
    let has_sessions = || {
        let filled = sessions::TABLES.into_iter().map(|table| is_filled(database, table));
        filled.collect::<Result<Vec<_>, _>>().map(|filled| filled.contains(&true))
    };
    if !filled && has_sessions()? && elsewhere()? {
        return Err("unknown shape: a database with sessions, whose messages are in no table that is known".into());
    }
    document.resume = Some(resume::store(&marks));
    // Without sessions the messages still count; only their projects are unknown.
    document.cut = document.cut.or(unknown);
    Ok(document)
}

/// Returns whether the table exists and has a row.
fn is_filled(database: &Connection, table: &str) -> Result<bool, Refusal> {
    if columns(database, table)?.is_empty() {
        return Ok(false);
    }
    Ok(database.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0))?)
}

/// A reading of one table of messages.
struct TableReading<'d> {
    database: &'d Connection,
    table: &'d MessageTable,
    sessions: &'d Sessions,
}

/// State of a reading.
struct ReadingState<'d> {
    document: &'d mut Document,
    mark: &'d mut RowMark,
    /// The time of this reading.
    now: i64,
    /// Hashes of rows that the last reading saw.
    seen: Vec<String>,
    recent: Vec<(i64, String)>,
    /// Answers that were in progress at the last reading and were not read yet.
    awaited: Vec<String>,
    has_parts: bool,
}

impl TableReading<'_> {
    /// Reads rows that are new, changed or in progress. Returns why it ended early, if it did.
    fn rows(&self, mark: &mut RowMark, document: &mut Document) -> Result<Option<Refusal>, Refusal> {
        let name = self.table.name;
        if query::new_rows(self.database, name, mark.row)?.1 != mark.row {
            // Rows were deleted, and their numbers may be reused.
            *mark = RowMark::default();
        }
        let now = Timestamp::now().millis();
        if mark.updated > now.saturating_add(LATE) {
            // An earlier build took over a time in the future, so it missed later changes of all rows.
            mark.updated = 0;
        }
        let kind = if self.table.second { bounded("type") } else { "NULL".to_owned() };
        let open = vec!["?"; mark.open.len()].join(", ");
        let values = ["id", "session_id", "time_created", "time_updated"].map(bounded).join(", ");
        let query = format!(
            "SELECT rowid, {values}, \
             CASE WHEN octet_length(data) <= {LONGEST_VALUE} THEN data END, {kind}, octet_length(data) FROM {name} \
             WHERE rowid > ? OR (octet_length(time_updated) <= {LONGEST_VALUE} AND time_updated >= ?) \
             OR (octet_length(id) <= {LONGEST_VALUE} AND id IN ({open})) ORDER BY rowid",
        );
        let from = if mark.row == 0 { i64::MIN } else { mark.updated.saturating_sub(LATE) };
        let awaited = std::mem::take(&mut mark.open);
        let values = [Value::Integer(mark.row), Value::Integer(from)];
        let values = values.into_iter().chain(awaited.iter().cloned().map(Value::Text)).collect::<Vec<_>>();
        let seen = std::mem::take(&mut mark.recent);
        let parts = if self.table.second { Vec::new() } else { columns(self.database, "part")? };
        let has_parts = !parts.is_empty();
        if has_parts {
            choose(&parts, "part", &["id", "message_id", "data"], &[])?;
        }
        let mut passing = ReadingState { document, mark, now, seen, recent: Vec::new(), awaited, has_parts };
        let cut = query::rows(self.database, &query, params_from_iter(values), &mut |row| self.row(row, &mut passing));
        passing.done(cut.is_err());
        Ok(cut.err())
    }

    /// Reads a row. A damaged one is skipped.
    fn row(&self, row: &Row<'_>, passing: &mut ReadingState<'_>) -> rusqlite::Result<RowAction> {
        let number: i64 = row.get(0)?;
        let content = match name(row, 1)? {
            Some(id) => self.message(row, &id, passing),
            None => Err("unknown shape: a message whose id is no text".into()),
        };
        match content {
            Err(refusal) if refusal.is_unreadable() => return Ok(RowAction::End(refusal)),
            Err(refusal) => {
                passing.document.skipped.push((u64::try_from(number).unwrap_or_default(), refusal.to_string()));
            }
            Ok(()) => {}
        }
        passing.mark.row = passing.mark.row.max(number);
        // A mark in the future would hide every change until then.
        let updated = whole(row, 4)?.unwrap_or_default().min(passing.now);
        passing.mark.updated = passing.mark.updated.max(updated);
        Ok(RowAction::Row)
    }

    /// Returns the answer before a row of a session: a summary names no model.
    fn answer_before(&self, session: &str, row: i64) -> Result<Option<String>, Refusal> {
        let query = format!(
            "SELECT data FROM {} WHERE octet_length(session_id) <= {LONGEST_VALUE} AND session_id = ?1 AND rowid < ?2 \
             AND octet_length(type) <= {LONGEST_VALUE} AND type = '{ANSWER}' AND octet_length(data) <= {LONGEST_VALUE} \
             ORDER BY rowid DESC LIMIT 1",
            self.table.name
        );
        let mut answer = None;
        query::rows(self.database, &query, rusqlite::params![session, row], &mut |row| {
            answer = name(row, 0)?;
            Ok(RowAction::Row)
        })?;
        Ok(answer)
    }

    fn message(&self, row: &Row<'_>, id: &str, passing: &mut ReadingState<'_>) -> Result<(), Refusal> {
        let number: i64 = row.get(0)?;
        passing.awaited.retain(|awaited| awaited != id);
        let data = row.get_ref(5)?.as_bytes_or_null().map_err(|_| "unknown shape: a message that is no text")?;
        let data = match (data, whole(row, 7)?) {
            (None, Some(length)) => return Err(format!("a message of {} MiB", length >> 20).into()),
            (data, _) => data.unwrap_or_default(),
        };
        let hash = format!("{:016x}", xxh3_64(data) ^ xxh3_64(id.as_bytes()));
        passing.recent.push((whole(row, 4)?.unwrap_or_default(), hash.clone()));
        let kind = name(row, 6)?;
        let has = |word: &str| memmem::find(data, word.as_bytes()).is_some();
        let is_summary = kind.as_deref() == Some(COMPACTION);
        let may_matter = match kind.as_deref() {
            None => has("\"assistant\"") || has("\"tokens\""),
            // Before summaries had counts, they stated nothing about usage.
            Some(kind) => kind == ANSWER || (is_summary && has("\"tokens\"")),
        };
        if passing.seen.contains(&hash) || !may_matter {
            return Ok(());
        }
        let session = name(row, 2)?.ok_or("unknown shape: a message whose session is no text")?;
        let steps = if passing.has_parts { steps::in_database(self.database, id) } else { Ok(Vec::new()) };
        if let Err(unreadable) = &steps
            && unreadable.is_unreadable()
        {
            return Err(unreadable.clone());
        }
        let message = MessageRow::parse(data)?;
        let created = whole(row, 3)?;
        let home = self.sessions.home(&session, message.created().or(created));
        let before = if is_summary { self.answer_before(&session, number)? } else { None };
        let facts = MessageFacts {
            id,
            session: Some(home),
            directory: self.sessions.directory(home).or_else(|| self.sessions.directory(&session)),
            created,
            second: self.table.second,
            steps: steps.as_deref().unwrap_or_default(),
            summary: is_summary,
            before: before.as_deref(),
        };
        let content = answer(&message, facts)?;
        steps.as_ref().map_err(Clone::clone)?;
        match content {
            Some(RowContent::Call(call)) => passing.document.calls.push(*call),
            Some(RowContent::UnderWay) => passing.mark.open.push(id.to_owned()),
            None => {}
        }
        Ok(())
    }
}

impl ReadingState<'_> {
    /// Stores the state for a later reading. After an early end, everything that is still awaited is kept.
    fn done(self, is_cut: bool) {
        let Self { mark, mut recent, awaited, .. } = self;
        if is_cut {
            mark.open.extend(awaited);
        }
        let since = mark.updated.saturating_sub(LATE);
        recent.retain(|(updated, _)| *updated >= since);
        recent.sort_unstable();
        mark.recent = recent.into_iter().rev().take(MOST).map(|(_, hash)| hash).collect();
        mark.open.truncate(MOST);
    }
}

/// Message types of the second generation with counts: an answer, and a summary of the conversation.
const ANSWER: &str = "assistant";
const COMPACTION: &str = "compaction";

/// The state of an answer.
enum RowContent {
    Call(Box<ParsedCall>),
    /// In progress.
    UnderWay,
}

fn answer(message: &MessageRow<'_>, facts: MessageFacts<'_>) -> Result<Option<RowContent>, String> {
    if !facts.second && !message.is_answer()? {
        return Ok(None);
    }
    Ok(match message.call(facts)? {
        Some(call) => Some(RowContent::Call(Box::new(call))),
        None if message.is_under_way() => Some(RowContent::UnderWay),
        None => None,
    })
}
