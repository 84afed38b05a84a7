//! Files that are no logs of lines: documents that an agent rewrites, and databases that it goes on writing to.

use xxhash_rust::xxh3::xxh3_64;

use crate::import::engine::discover::LogFile;
use crate::import::engine::query::{self, Refusal};
use crate::import::engine::reader::{Chunk, LONGEST_LINE, admitted, unquoted};
use crate::import::engine::regular;
use crate::import::engine::source::{LogForm, ParsedCall, Source};
use crate::model::event::{ImportedFile, SkippedLine};
use crate::model::time::{Timestamp, Zone};

/// What a document or a database tells.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub found: Vec<ParsedCall>,
    /// Parts that cannot be taken in: which one, counted from 1 (0 for the whole), and why.
    pub skipped: Vec<(u64, String)>,
    /// The conversation the document is the log of, if it is of one.
    pub conversation: Option<String>,
    /// The first time that stands in it.
    pub began: Option<Timestamp>,
    /// When conversations began, of a database that holds many; told anew with every reading.
    pub conversations: Vec<(String, Timestamp)>,
    /// What a later reading needs to tell what is new.
    pub resume: Option<serde_json::Value>,
    /// Why the reading ended before all was read. A later import goes on from `resume`.
    pub cut: Option<Refusal>,
}

/// Reads a document or a database and hands on what it tells as one chunk.
pub(in crate::import) fn read(
    source: &dyn Source,
    zone: Zone,
    file: &LogFile,
    known: Option<&ImportedFile>,
    emit: &mut dyn FnMut(Chunk) -> bool,
) {
    let name = file.path.to_string_lossy().into_owned();
    let read = match source.form(&file.path) {
        LogForm::Database => database(source, file, known),
        _ => text(source, zone, file, known),
    };
    let chunk = match read {
        Ok(None) => Chunk { progress: file.size, ..Chunk::default() },
        Ok(Some((document, hash))) => chunk(file, name, document, hash),
        Err(refusal) => {
            let skipped = SkippedLine { file: name, line: 0, why: unquoted(&refusal.to_string()) };
            let unreadable = u64::from(refusal.is_unreadable());
            Chunk { skipped: vec![skipped], unreadable, progress: file.size, ..Chunk::default() }
        }
    };
    emit(chunk);
}

/// What was read, and a hash of all that was.
type DocumentResult = Result<Option<(Document, u64)>, Refusal>;

fn text(source: &dyn Source, zone: Zone, file: &LogFile, known: Option<&ImportedFile>) -> DocumentResult {
    let bytes = regular::read(&file.path, LONGEST_LINE as u64)
        .map_err(|error| Refusal::Unreadable(format!("the file cannot be read: {error}")))?;
    let hash = xxh3_64(&bytes);
    if known.is_some_and(|known| known.hash == hex(hash)) {
        return Ok(None);
    }
    let resume = known.and_then(|known| known.resume.as_ref());
    Ok(Some((source.document_again(&file.path, &bytes, zone, resume)?, hash)))
}

fn database(source: &dyn Source, file: &LogFile, known: Option<&ImportedFile>) -> DocumentResult {
    let connection = query::open(&file.path)?;
    let document = source.database(&file.path, &connection, known.and_then(|known| known.resume.as_ref()))?;
    let resume = document.resume.as_ref().map(ToString::to_string).unwrap_or_default();
    let hash = xxh3_64(format!("{}:{}:{resume}", file.size, file.modified).as_bytes());
    Ok(Some((document, hash)))
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn chunk(file: &LogFile, name: String, document: Document, hash: u64) -> Chunk {
    let cut = document.cut.map(|why| (0, why.to_string()));
    let unreadable = u64::from(cut.is_some());
    let parts = document.skipped.len() as u64 + unreadable;
    let skipped = |(line, why): (u64, String)| SkippedLine { file: name.clone(), line, why: unquoted(&why) };
    let (found, refused) = admitted(&name, document.found);
    let parts = parts + refused.len() as u64;
    Chunk {
        skipped: document.skipped.into_iter().chain(cut).map(skipped).chain(refused).collect(),
        unreadable,
        found,
        observed: Vec::new(),
        began: document.conversations,
        bytes: file.size,
        progress: file.size,
        state: Some(ImportedFile {
            path: name,
            identity: file.identity.clone(),
            size: file.size,
            // What was cut off is tried again, whether the file changes or not.
            modified: if unreadable == 0 { file.modified } else { 0 },
            offset: file.size,
            hash: hex(hash),
            lines: 0,
            skipped: parts,
            conversation: document.conversation,
            began: document.began,
            resume: document.resume,
        }),
    }
}
