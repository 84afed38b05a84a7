//! The steps of an answer. A message states the tokens of its last step and the cost of all; most have only one.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use memchr::memmem;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::engine::jsonl;

/// Stands in every part that ends a step.
const END: &[u8] = b"step-finish";

#[derive(Default, Deserialize)]
#[serde(default)]
struct StepPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tokens: Option<&'a RawValue>,
}

/// The token counts of a step, if this part ends one.
fn ended(part: &[u8]) -> Result<Option<String>, String> {
    if memmem::find(part, END).is_none() {
        return Ok(None);
    }
    let part: StepPart<'_> = serde_json::from_slice(part).map_err(|error| jsonl::refusal(&error))?;
    let is_end = part.kind.as_deref().is_some_and(|kind| kind.as_bytes() == END);
    Ok(part.tokens.filter(|_| is_end).map(|tokens| tokens.get().to_owned()))
}

/// The steps of a message of a database.
pub(super) fn in_database(database: &Connection, message: &str) -> Result<Vec<String>, String> {
    let read = || {
        let mut statement = database.prepare_cached("SELECT data FROM part WHERE message_id = ?1 ORDER BY id")?;
        statement.query_map([message], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    };
    let parts = read().map_err(|error| format!("the parts of the message cannot be read: {error}"))?;
    parts.iter().filter_map(|part| ended(part.as_bytes()).transpose()).collect()
}

/// The steps of a message that is a file: its parts lie in a directory of its name, in older layouts below that of
/// its session.
pub(super) fn in_files(message: &Path) -> Result<Vec<String>, String> {
    let inside = || Some((message.file_stem()?, message.parent()?, message.ancestors().nth(3)?));
    let Some((id, session, storage)) = inside() else { return Ok(Vec::new()) };
    let below = session.file_name().map(|session| storage.join("part").join(session).join(id));
    let places = [Some(storage.join("part").join(id)), below];
    let mut steps = Vec::new();
    for place in places.into_iter().flatten() {
        let Ok(entries) = fs::read_dir(place) else { continue };
        let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.sort();
        for file in files {
            let part = fs::read(&file).map_err(|error| format!("a part of the message cannot be read: {error}"))?;
            steps.extend(ended(&part)?);
        }
    }
    Ok(steps)
}
