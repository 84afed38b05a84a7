//! The client's database, asked for what is new since the last time.

use std::collections::HashMap;

use memchr::memmem;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::message::{KnownSession, MessageRow};
use super::steps;
use crate::import::engine::document::Document;
use crate::model::time::Timestamp;

/// Rows may become visible later than the time they bear, when another process commits late.
const LATE: i64 = 60_000;
/// Rows kept in mind to tell those that are read again from those that changed.
const MOST: usize = 256;

/// How far the tables are read.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Marks {
    message: RowMark,
    session_message: RowMark,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct RowMark {
    /// The last row.
    row: i64,
    /// The last time a row was changed at.
    updated: i64,
    /// Hashes of the rows changed shortly before that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent: Vec<String>,
    /// Answers under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open: Vec<String>,
}

/// A table of messages.
struct MessageTable {
    name: &'static str,
    /// Of the second generation, which has a message's type beside its data.
    second: bool,
}

const TABLES: [MessageTable; 2] =
    [MessageTable { name: "message", second: false }, MessageTable { name: "session_message", second: true }];

/// What a session's row tells.
struct SessionInfo {
    directory: Option<String>,
}

pub(super) fn read(database: &Connection, resume: Option<&serde_json::Value>) -> Result<Document, String> {
    let mut marks: Marks = resume.and_then(|resume| Marks::deserialize(resume).ok()).unwrap_or_default();
    let mut document = Document::default();
    let sessions = sessions(database, &mut document)?;
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
            return Err(format!("unknown shape: the table `{}` has no column {}", table.name, missing.join(", ")));
        }
        let mark = if table.second { &mut marks.session_message } else { &mut marks.message };
        rows(database, table, &sessions, mark, &mut document).map_err(|error| refusal(&error))?;
    }
    if !any {
        return Err("unknown shape: a database without a table `message`".to_owned());
    }
    // A session may have no message yet, but no parts of any either.
    let elsewhere = || Ok::<_, String>(columns(database, "message")?.is_empty() || is_filled(database, "part")?);
    if !filled && is_filled(database, "session")? && elsewhere()? {
        return Err("unknown shape: a database with sessions, whose messages are in no table that is known".to_owned());
    }
    document.resume = serde_json::to_value(&marks).ok();
    Ok(document)
}

fn refusal(error: &rusqlite::Error) -> String {
    format!("the database cannot be read: {error}")
}

fn columns(database: &Connection, table: &str) -> Result<Vec<String>, String> {
    let read = || {
        let mut statement = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    };
    read().map_err(|error| refusal(&error))
}

/// Whether there is such a table, and a row in it.
fn is_filled(database: &Connection, table: &str) -> Result<bool, String> {
    if columns(database, table)?.is_empty() {
        return Ok(false);
    }
    let query = format!("SELECT EXISTS (SELECT 1 FROM {table})");
    database.query_row(&query, [], |row| row.get(0)).map_err(|error| refusal(&error))
}

/// The sessions, and when each began: a fork's calls are those of the session that was there first.
fn sessions(database: &Connection, document: &mut Document) -> Result<HashMap<String, SessionInfo>, String> {
    let columns = columns(database, "session")?;
    if !["id", "directory", "time_created"].iter().all(|name| columns.iter().any(|column| column == name)) {
        return Ok(HashMap::new());
    }
    let mut sessions = HashMap::new();
    let mut read = || {
        let mut statement = database.prepare("SELECT id, directory, time_created FROM session")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            if let Some(created) = whole(row, 2)? {
                document.conversations.push((id.clone(), Timestamp::from_millis(created)));
            }
            sessions.insert(id, SessionInfo { directory: row.get(1)? });
        }
        Ok(())
    };
    read().map_err(|error: rusqlite::Error| refusal(&error))?;
    Ok(sessions)
}

/// Reads the rows of a table that are new, were changed, or are under way.
fn rows(
    database: &Connection,
    table: &MessageTable,
    sessions: &HashMap<String, SessionInfo>,
    mark: &mut RowMark,
    document: &mut Document,
) -> rusqlite::Result<()> {
    let last: i64 =
        database.query_row(&format!("SELECT ifnull(max(rowid), 0) FROM {}", table.name), [], |row| row.get(0))?;
    if last < mark.row {
        // Rows were deleted, and numbers may have been given anew.
        *mark = RowMark::default();
    }
    let kind = if table.second { "type" } else { "NULL" };
    let open = vec!["?"; mark.open.len()].join(", ");
    let query = format!(
        "SELECT rowid, id, session_id, time_created, time_updated, data, {kind} FROM {} \
         WHERE rowid > ? OR time_updated >= ? OR id IN ({open}) ORDER BY rowid",
        table.name
    );
    let from = if mark.row == 0 { i64::MIN } else { mark.updated.saturating_sub(LATE) };
    let values = [Value::Integer(mark.row), Value::Integer(from)];
    let values = values.into_iter().chain(mark.open.drain(..).map(Value::Text)).collect::<Vec<_>>();
    let seen = std::mem::take(&mut mark.recent);
    let mut recent = Vec::new();
    let has_parts = !table.second && columns(database, "part").is_ok_and(|columns| !columns.is_empty());
    let mut statement = database.prepare(&query)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let id: String = row.get(1)?;
        let session: String = row.get(2)?;
        let updated = whole(row, 4)?.unwrap_or_default();
        mark.row = mark.row.max(number);
        mark.updated = mark.updated.max(updated);
        let data = row.get_ref(5)?.as_bytes_or_null()?.unwrap_or_default();
        let kind: Option<String> = row.get(6)?;
        let hash = format!("{:016x}", xxh3_64(data) ^ xxh3_64(id.as_bytes()));
        recent.push((updated, hash.clone()));
        let has = |word: &str| memmem::find(data, word.as_bytes()).is_some();
        let may_matter = kind.as_deref().map_or_else(|| has("\"assistant\"") || has("\"tokens\""), is_answer);
        if seen.contains(&hash) || !may_matter {
            continue;
        }
        let steps = if has_parts { steps::in_database(database, &id) } else { Ok(Vec::new()) };
        let known = KnownSession {
            id: &id,
            session: Some(&session),
            directory: sessions.get(&session).and_then(|session| session.directory.as_deref()),
            created: whole(row, 3)?,
            second: table.second,
            steps: steps.as_deref().unwrap_or_default(),
        };
        let told = MessageRow::parse(data).and_then(|message| answer(&message, known));
        match steps.as_ref().map_err(Clone::clone).and(told) {
            Ok(Some(RowContent::Call(found))) => document.found.push(*found),
            Ok(Some(RowContent::UnderWay)) => mark.open.push(id),
            Ok(None) => {}
            Err(why) => document.skipped.push((u64::try_from(number).unwrap_or_default(), why)),
        }
    }
    let since = mark.updated.saturating_sub(LATE);
    recent.retain(|(updated, _)| *updated >= since);
    recent.sort_unstable();
    mark.recent = recent.into_iter().rev().take(MOST).map(|(_, hash)| hash).collect();
    mark.open.truncate(MOST);
    Ok(())
}

fn is_answer(kind: &str) -> bool {
    kind == "assistant"
}

/// What an answer tells.
enum RowContent {
    Call(Box<crate::import::engine::source::ParsedCall>),
    /// Nothing yet.
    UnderWay,
}

fn answer(message: &MessageRow<'_>, known: KnownSession<'_>) -> Result<Option<RowContent>, String> {
    if !known.second && !message.is_answer()? {
        return Ok(None);
    }
    Ok(match message.call(known)? {
        Some(found) => Some(RowContent::Call(Box::new(found))),
        None if message.is_under_way() => Some(RowContent::UnderWay),
        None => None,
    })
}

/// A number of a column that may hold something else in a database that others have written to.
fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(row.get_ref(column)?.as_i64_or_null().unwrap_or_default())
}
