//! Reads files that are not line logs: documents that an agent rewrites, and databases.

use std::collections::BTreeMap;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::import::engine::chunk::{Chunk, admitted, unquoted};
use crate::import::engine::document::Document;
use crate::import::engine::limits::LONGEST_LINE;
use crate::import::engine::log_file::LogFile;
use crate::import::engine::query::{self, Refusal};
use crate::import::engine::regular;
use crate::import::engine::source::{DatabaseLog, DocumentLog};
use crate::model::event::{ImportedFile, SkippedLine};
use crate::model::time::Zone;

/// Reads a document unless it is unchanged, and emits its calls as one chunk.
pub(in crate::import) fn read_document(
    log: &dyn DocumentLog,
    zone: Zone,
    file: &LogFile,
    stored: Option<&ImportedFile>,
    emit: &mut dyn FnMut(Chunk) -> bool,
) {
    emit_read(text(log, zone, file, stored), file, emit);
}

/// Reads the new rows of a database, and emits their calls as one chunk.
pub(in crate::import) fn read_database(
    log: &dyn DatabaseLog,
    file: &LogFile,
    stored: Option<&ImportedFile>,
    emit: &mut dyn FnMut(Chunk) -> bool,
) {
    emit_read(database(log, file, stored), file, emit);
}

fn emit_read(read: DocumentResult, file: &LogFile, emit: &mut dyn FnMut(Chunk) -> bool) {
    let name = file.path.to_string_lossy().into_owned();
    let chunk = match read {
        Ok(None) => Chunk { progress: file.size, ..Chunk::default() },
        Ok(Some((document, hash, again))) => {
            let again = again.map(|why| SkippedLine { file: name.clone(), line: 0, why });
            let mut chunk = chunk(file, name, document, hash);
            chunk.skipped.extend(again);
            chunk
        }
        Err(refusal) => {
            let skipped = SkippedLine { file: name, line: 0, why: unquoted(&refusal.to_string()) };
            let unreadable = u64::from(refusal.is_unreadable());
            Chunk { skipped: vec![skipped], unreadable, progress: file.size, ..Chunk::default() }
        }
    };
    emit(chunk);
}

/// The parsed document, the hash of its content, and why its stored state cannot be read, if so; `None` if it is unchanged.
type DocumentResult = Result<Option<(Document, u64, Option<String>)>, Refusal>;

/// Reads with the stored state, and without it if it cannot be read.
fn with_state(
    stored: Option<&Value>,
    read: &dyn Fn(Option<&Value>) -> Result<Document, Refusal>,
) -> Result<(Document, Option<String>), Refusal> {
    match read(stored) {
        Err(Refusal::State(why)) => Ok((read(None)?, Some(why))),
        read => Ok((read?, None)),
    }
}

fn text(log: &dyn DocumentLog, zone: Zone, file: &LogFile, stored: Option<&ImportedFile>) -> DocumentResult {
    let bytes = regular::read(&file.path, LONGEST_LINE as u64)
        .map_err(|error| Refusal::Unreadable(format!("the file cannot be read: {error}")))?;
    let hash = xxh3_64(&bytes);
    if stored.is_some_and(|stored| stored.hash == hex(hash)) {
        return Ok(None);
    }
    let stored = stored.and_then(|stored| stored.resume.as_ref());
    let (document, again) = with_state(stored, &|stored| log.document(&file.path, &bytes, zone, stored))?;
    Ok(Some((document, hash, again)))
}

fn database(log: &dyn DatabaseLog, file: &LogFile, stored: Option<&ImportedFile>) -> DocumentResult {
    let connection = query::open(&file.path)?;
    let stored = stored.and_then(|stored| stored.resume.as_ref());
    let (document, again) = with_state(stored, &|stored| log.database(&file.path, &connection, stored))?;
    let resume = document.resume.as_ref().map(ToString::to_string).unwrap_or_default();
    let hash = xxh3_64(format!("{}:{}:{resume}", file.size, file.modified).as_bytes());
    Ok(Some((document, hash, again)))
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn chunk(file: &LogFile, name: String, document: Document, hash: u64) -> Chunk {
    let cut = document.cut.map(|why| (0, why.to_string()));
    let unreadable = u64::from(cut.is_some());
    let parts = document.skipped.len() as u64 + unreadable;
    let skipped = |(line, why): (u64, String)| SkippedLine { file: name.clone(), line, why: unquoted(&why) };
    let (calls, refused) = admitted(&name, document.calls);
    let parts = parts + refused.len() as u64;
    Chunk {
        skipped: document.skipped.into_iter().chain(cut).map(skipped).chain(refused).collect(),
        unreadable,
        calls,
        observed: Vec::new(),
        began: document.conversations,
        bytes: file.size,
        progress: file.size,
        state: Some(ImportedFile {
            // Set by `Chunk::label`.
            labels: BTreeMap::new(),
            path: name,
            identity: file.identity.clone(),
            size: file.size,
            // A document that was cut off is read again even if the file does not change.
            modified: if unreadable == 0 { file.modified } else { 0 },
            offset: file.size,
            hash: hex(hash),
            lines: 0,
            skipped: parts,
            conversation: document.conversation,
            began: document.began,
            resume: document.resume,
            version: 0,
        }),
        again: false,
    }
}
