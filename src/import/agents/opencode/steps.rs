//! Reads the steps of an answer. A message states the tokens of its last step and the cost of all; most have only one.

use std::borrow::Cow;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use memchr::memmem;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::engine::jsonl;
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::query::{self, LONGEST_VALUE, Refusal, RowAction, bounded};
use crate::import::engine::regular;

/// Occurs in every part that ends a step.
const END: &[u8] = b"step-finish";

#[derive(Default, Deserialize)]
#[serde(default)]
struct StepPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tokens: Option<&'a RawValue>,
}

/// Returns the token counts of a step, if this part ends one.
fn ended(part: &[u8]) -> Result<Option<String>, String> {
    if memmem::find(part, END).is_none() {
        return Ok(None);
    }
    let part: StepPart<'_> = serde_json::from_slice(part).map_err(|error| jsonl::refusal(&error))?;
    let is_end = part.kind.as_deref().is_some_and(|kind| kind.as_bytes() == END);
    Ok(part.tokens.filter(|_| is_end).map(|tokens| tokens.get().to_owned()))
}

/// Reads the steps of a message in a database. A part above the limit is the content of a file or the output of a tool: it
/// ends no step.
pub(super) fn in_database(database: &Connection, message: &str) -> Result<Vec<String>, Refusal> {
    let mut steps = Vec::new();
    let mut wrong = None;
    let sql = format!(
        "SELECT {} FROM part WHERE octet_length(message_id) <= {LONGEST_VALUE} AND message_id = ?1 ORDER BY {}",
        bounded("data"),
        bounded("id")
    );
    query::rows(database, &sql, [message], &mut |row| {
        match row.get_ref(0)?.as_bytes_or_null() {
            // A part without data ends no step.
            Ok(None) => {}
            Ok(Some(part)) => match ended(part) {
                Ok(step) => steps.extend(step),
                Err(why) => wrong = Some(why),
            },
            Err(_) => wrong = Some("a part of the message is a number, not JSON".into()),
        }
        Ok(RowAction::Row)
    })
    .map_err(|refusal| match refusal {
        Refusal::Unreadable(why) => Refusal::Unreadable(format!("the parts of the message: {why}")),
        other @ (Refusal::Unknown(_) | Refusal::State(_)) => other,
    })?;
    wrong.map_or(Ok(steps), |why| Err(why.into()))
}

/// Reads the steps of a message in a file. Its parts are in a directory with its name, in older layouts below that of
/// its session.
pub(super) fn in_files(message: &Path) -> Result<Vec<String>, Refusal> {
    let inside = || Some((message.file_stem()?, message.parent()?, message.ancestors().nth(3)?));
    let Some((id, session, storage)) = inside() else { return Ok(Vec::new()) };
    let below = session.file_name().map(|session| storage.join("part").join(session).join(id));
    let places = [Some(storage.join("part").join(id)), below];
    let refused = |error: io::Error| Refusal::Unreadable(format!("a part of the message cannot be read: {error}"));
    let (mut steps, mut left) = (Vec::new(), LONGEST_LINE as u64);
    for place in places.into_iter().flatten() {
        let entries = match fs::read_dir(place) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            entries => entries.map_err(refused)?,
        };
        let files: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut files = files.map_err(refused)?;
        files.sort();
        for file in files {
            let part = regular::read(&file, left).map_err(refused)?;
            left -= part.len() as u64;
            steps.extend(ended(&part)?);
        }
    }
    Ok(steps)
}
