//! How far importers read each file, from their `imported` events.

use std::collections::HashMap;

use super::key::{push_text, push_time, take_time};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, Imported, ImportedFile, Payload, Position};
use crate::model::invariant::bug;
use crate::store::{GO_ON, KeyRange, ReadView, Table, WriteView, clear};

/// Stores how far a run read each file, and when conversations begin.
pub(super) fn file(sink: &mut dyn WriteView, run: &Imported) -> Result<()> {
    for file in &run.files {
        let value =
            serde_json::to_vec(file).map_err(|e| bug!("how far a file is read cannot be written as JSON: {e}"))?;
        sink.put(Table::Files, &file_key(&run.source, &file.path), Some(&value))?;
        if let (Some(conversation), Some(began)) = (&file.conversation, file.began) {
            let key = file_key(&run.source, conversation);
            let known = sink.get(Table::Conversations, &key)?;
            let earlier = known.as_deref().and_then(take_time).is_none_or(|(known, _)| began < known);
            if earlier {
                let mut value = Vec::new();
                push_time(&mut value, began);
                sink.put(Table::Conversations, &key, Some(&value))?;
            }
        }
    }
    Ok(())
}

/// Rebuilds these tables from every `imported` event of the log.
pub(crate) fn refile(sink: &mut dyn WriteView) -> Result<()> {
    clear(sink, Table::Files)?;
    clear(sink, Table::Conversations)?;
    let mut runs = Vec::new();
    sink.rows(Position::START.next(), &mut |position, row| {
        if row.is_kind(EventKind::Imported) {
            runs.push(position);
        }
        GO_ON
    })?;
    for position in runs {
        let view: &dyn ReadView = &*sink;
        let event = Event::from_line(position, &view.expect_line(position)?)?;
        if let Payload::Imported(run) = &event.payload {
            file(sink, run)?;
        }
    }
    Ok(())
}

fn file_key(source: &str, path: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(source.len() + path.len() + 1);
    push_text(&mut key, Some(source));
    key.extend_from_slice(path.as_bytes());
    key
}

/// The rows that a run contributes to. The first run that states the beginning of a conversation determines it.
pub(crate) fn file_rows(view: &dyn ReadView, run: &Imported) -> Result<Vec<(Table, Vec<u8>)>> {
    let mut rows = Vec::new();
    for file in &run.files {
        rows.push((Table::Files, file_key(&run.source, &file.path)));
        if let (Some(conversation), Some(began)) = (&file.conversation, file.began) {
            let key = file_key(&run.source, conversation);
            let known = view.get(Table::Conversations, &key)?;
            if known.as_deref().and_then(take_time).is_some_and(|(known, _)| known == began) {
                rows.push((Table::Conversations, key));
            }
        }
    }
    Ok(rows)
}

/// A row about a file must be readable. Otherwise the file would silently be imported again.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::damaged(None, format!("a row of `imported_files` is unreadable ({error}): run `usage-ledger verify`"))
}

/// How far every file of a source was imported, by path.
pub(crate) fn file_states(view: &dyn ReadView, source: &str) -> Result<HashMap<String, ImportedFile>> {
    view.collect(&KeyRange::prefix(Table::Files, &file_key(source, "")), |_, value| {
        let file: ImportedFile = serde_json::from_slice(value).map_err(|error| unreadable(&error))?;
        Ok(Some((file.path.clone(), file)))
    })
}

#[cfg(feature = "import")]
pub(crate) use reading::{began, file_outlines, file_state};

#[cfg(feature = "import")]
mod reading {
    use std::collections::{BTreeMap, HashMap};

    use serde::Deserialize;

    use super::super::key::take_time;
    use super::{file_key, unreadable};
    use crate::model::error::{Error, Result};
    use crate::model::event::ImportedFile;
    use crate::model::time::Timestamp;
    use crate::store::{KeyRange, ReadView, Table};

    /// The fields that show whether a file has changed. Almost all of thousands of files are unchanged.
    #[derive(Deserialize)]
    struct FileOutline {
        path: String,
        identity: Option<String>,
        size: u64,
        modified: i64,
        offset: u64,
        hash: String,
        #[serde(default)]
        version: u32,
        #[serde(default)]
        labels: BTreeMap<String, String>,
    }

    /// How far every file of a source was imported, by path, limited to the fields that show a change.
    pub(crate) fn file_outlines(view: &dyn ReadView, source: &str) -> Result<HashMap<String, ImportedFile>> {
        view.collect(&KeyRange::prefix(Table::Files, &file_key(source, "")), |_, value| {
            let outline: FileOutline = serde_json::from_slice(value).map_err(|error| unreadable(&error))?;
            let FileOutline { path, identity, size, modified, offset, hash, version, labels } = outline;
            let read = ImportedFile { identity, size, modified, offset, hash, version, ..ImportedFile::default() };
            let file = ImportedFile { labels, ..read };
            Ok(Some((path, file)))
        })
    }

    /// How far a file was imported.
    pub(crate) fn file_state(view: &dyn ReadView, source: &str, path: &str) -> Result<Option<ImportedFile>> {
        let value = view.get(Table::Files, &file_key(source, path))?;
        value.map(|value| serde_json::from_slice(&value).map_err(|error| unreadable(&error))).transpose()
    }

    /// When a conversation's log begins.
    pub(crate) fn began(view: &dyn ReadView, source: &str, conversation: &str) -> Result<Option<Timestamp>> {
        let value = view.get(Table::Conversations, &file_key(source, conversation))?;
        let read = |value: &[u8]| take_time(value).map(|(at, _)| at);
        let unreadable = || Error::damaged(None, "a row of `conversations` is unreadable: run `usage-ledger verify`");
        value.as_deref().map(|value| read(value).ok_or_else(unreadable)).transpose()
    }
}
