//! What importers have read, as their `imported` events tell it.

use std::collections::HashMap;

use super::key::{after_prefix, push_text, push_time, take_time};
use crate::error::Result;
use crate::event::{Event, Imported, ImportedFile, Payload, Position};
use crate::view::{GO_ON, Order, Sink, Space, View, clear};

/// Files how far a run read each file, and when conversations begin.
pub(super) fn file(sink: &mut dyn Sink, run: &Imported) -> Result<()> {
    for file in &run.files {
        let value = serde_json::to_vec(file).unwrap_or_default();
        sink.put(Space::Files, &file_key(&run.source, &file.path), Some(&value))?;
        if let (Some(conversation), Some(began)) = (&file.conversation, file.began) {
            let key = file_key(&run.source, conversation);
            let known = sink.get(Space::Conversations, &key)?;
            let earlier = known.as_deref().and_then(take_time).is_none_or(|(known, _)| began < known);
            if earlier {
                let mut value = Vec::new();
                push_time(&mut value, began);
                sink.put(Space::Conversations, &key, Some(&value))?;
            }
        }
    }
    Ok(())
}

/// Files all of it anew, from every `imported` event of the log.
pub(crate) fn refile(sink: &mut dyn Sink) -> Result<()> {
    clear(sink, Space::Files)?;
    clear(sink, Space::Conversations)?;
    let mut runs = Vec::new();
    sink.rows(Position::START.next(), &mut |position, row| {
        if row.is_kind("imported") {
            runs.push(position);
        }
        GO_ON
    })?;
    for position in runs {
        let view: &dyn View = &*sink;
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

/// The rows of a state that a run has a part in: of when a conversation began only what it said holds.
pub(crate) fn file_rows(view: &dyn View, run: &Imported) -> Result<Vec<(Space, Vec<u8>)>> {
    let mut rows = Vec::new();
    for file in &run.files {
        rows.push((Space::Files, file_key(&run.source, &file.path)));
        if let (Some(conversation), Some(began)) = (&file.conversation, file.began) {
            let key = file_key(&run.source, conversation);
            let known = view.get(Space::Conversations, &key)?;
            if known.as_deref().and_then(take_time).is_some_and(|(known, _)| known == began) {
                rows.push((Space::Conversations, key));
            }
        }
    }
    Ok(rows)
}

/// How far every file of a source was imported, by path.
pub(crate) fn file_states(view: &dyn View, source: &str) -> Result<HashMap<String, ImportedFile>> {
    let prefix = file_key(source, "");
    let mut states = HashMap::new();
    view.scan(Space::Files, &prefix, &after_prefix(&prefix), Order::Ascending, &mut |_, value| {
        if let Ok(file) = serde_json::from_slice::<ImportedFile>(value) {
            states.insert(file.path.clone(), file);
        }
        GO_ON
    })?;
    Ok(states)
}

#[cfg(feature = "import")]
pub(crate) use reading::{began, file_outlines, file_state};

#[cfg(feature = "import")]
mod reading {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::super::key::{after_prefix, take_time};
    use super::file_key;
    use crate::error::Result;
    use crate::event::ImportedFile;
    use crate::time::Timestamp;
    use crate::view::{GO_ON, Order, Space, View};

    /// What tells whether a file is as it was: of thousands of files nearly all are.
    #[derive(Deserialize)]
    struct Outline {
        path: String,
        identity: Option<String>,
        size: u64,
        modified: i64,
        offset: u64,
        hash: String,
    }

    /// How far every file of a source was imported, by path, and no more of it than tells whether it has changed.
    pub(crate) fn file_outlines(view: &dyn View, source: &str) -> Result<HashMap<String, ImportedFile>> {
        let prefix = file_key(source, "");
        let mut outlines = HashMap::new();
        view.scan(Space::Files, &prefix, &after_prefix(&prefix), Order::Ascending, &mut |_, value| {
            if let Ok(Outline { path, identity, size, modified, offset, hash }) = serde_json::from_slice(value) {
                let file = ImportedFile { identity, size, modified, offset, hash, ..ImportedFile::default() };
                outlines.insert(path, file);
            }
            GO_ON
        })?;
        Ok(outlines)
    }

    /// How far a file was imported.
    pub(crate) fn file_state(view: &dyn View, source: &str, path: &str) -> Result<Option<ImportedFile>> {
        let value = view.get(Space::Files, &file_key(source, path))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// When a conversation's log begins.
    pub(crate) fn began(view: &dyn View, source: &str, conversation: &str) -> Result<Option<Timestamp>> {
        let value = view.get(Space::Conversations, &file_key(source, conversation))?;
        Ok(value.as_deref().and_then(take_time).map(|(at, _)| at))
    }
}
