//! Files that are no logs of lines: documents that an agent rewrites, and databases that it goes on writing to.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use xxhash_rust::xxh3::xxh3_64;

use crate::import::engine::discover::LogFile;
use crate::import::engine::merge::KeyedCall;
use crate::import::engine::reader::{Chunk, LONGEST_LINE, unquoted};
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
        Err(why) => {
            let skipped = SkippedLine { file: name, line: 0, why: unquoted(&why) };
            Chunk { skipped: vec![skipped], progress: file.size, ..Chunk::default() }
        }
    };
    emit(chunk);
}

/// What was read, and a hash of all that was.
type DocumentResult = Result<Option<(Document, u64)>, String>;

fn text(source: &dyn Source, zone: Zone, file: &LogFile, known: Option<&ImportedFile>) -> DocumentResult {
    if file.size > LONGEST_LINE as u64 {
        return Err(format!("document of {} MiB: over the {} MiB that are read", file.size >> 20, LONGEST_LINE >> 20));
    }
    let mut bytes = Vec::new();
    let opened = File::open(&file.path).and_then(|mut file| file.read_to_end(&mut bytes));
    opened.map_err(|error| format!("the file cannot be read: {error}"))?;
    let hash = xxh3_64(&bytes);
    if known.is_some_and(|known| known.hash == hex(hash)) {
        return Ok(None);
    }
    let resume = known.and_then(|known| known.resume.as_ref());
    Ok(Some((source.document_again(&file.path, &bytes, zone, resume)?, hash)))
}

fn database(source: &dyn Source, file: &LogFile, known: Option<&ImportedFile>) -> DocumentResult {
    let connection = open(&file.path).map_err(|error| format!("the database cannot be opened: {error}"))?;
    let document = source.database(&file.path, &connection, known.and_then(|known| known.resume.as_ref()))?;
    let resume = document.resume.as_ref().map(ToString::to_string).unwrap_or_default();
    let hash = xxh3_64(format!("{}:{}:{resume}", file.size, file.modified).as_bytes());
    Ok(Some((document, hash)))
}

/// Opens an agent's database to read it, and leaves no trace beside it.
pub(in crate::import) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Nobody writes to a database without a log beside it; SQLite would make a write-ahead log to read it. With a journal
    // there the file has pages in it that are not committed, and may have to be taken back.
    let is_empty = |log: PathBuf| std::fs::metadata(log).map_or(true, |meta| meta.len() == 0);
    let immutable = ["-wal", "-journal"].iter().all(|end| is_empty(beside(path, end)));
    let escaped: String = path
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '?' => "%3f".to_owned(),
            '#' => "%23".to_owned(),
            '%' => "%25".to_owned(),
            other => other.to_string(),
        })
        .collect();
    let uri = format!("file:{escaped}{}", if immutable { "?immutable=1" } else { "" });
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// The write-ahead log beside a database, where what is newest stands.
pub(in crate::import) fn wal(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

fn chunk(file: &LogFile, name: String, document: Document, hash: u64) -> Chunk {
    let skipped = |(line, why): (u64, String)| SkippedLine { file: name.clone(), line, why: unquoted(&why) };
    let unread = document.skipped.len() as u64;
    Chunk {
        skipped: document.skipped.into_iter().map(skipped).collect(),
        found: document.found.into_iter().map(KeyedCall::from).collect(),
        observed: Vec::new(),
        began: document.conversations,
        bytes: file.size,
        progress: file.size,
        state: Some(ImportedFile {
            path: name,
            identity: file.identity.clone(),
            size: file.size,
            modified: file.modified,
            offset: file.size,
            hash: hex(hash),
            lines: 0,
            skipped: unread,
            conversation: document.conversation,
            began: document.began,
            resume: document.resume,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that was killed after it had written pages which it never committed.
    #[test]
    fn what_was_not_committed_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        let rows = "PRAGMA cache_size = 2; CREATE TABLE t (v, x);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
            INSERT INTO t SELECT 0, zeroblob(3000) FROM n";
        writer.execute_batch(rows).unwrap();
        let changed =
            |path: &Path| open(path).unwrap().query_row("SELECT sum(v) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(changed(&path), Ok(0));
        writer.execute_batch("BEGIN; UPDATE t SET v = 1").unwrap();
        let killed = home.path().join("killed.db");
        for end in ["", "-journal"] {
            std::fs::copy(beside(&path, end), beside(&killed, end)).unwrap();
        }
        // Somebody who may write has to take it back first.
        assert!(changed(&killed).unwrap_err().to_string().contains("readonly"));
    }
}
