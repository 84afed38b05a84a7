//! The files of a ledger: creation, permissions, syncs, and the meaning of their errors.

use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_READONLY_DBMOVED};

use super::SCHEMA;
use crate::model::error::{Error, Result};
use crate::store::directory;

pub(super) fn newer(path: &Path, schema: i64) -> Result<()> {
    if schema > SCHEMA {
        return Err(Error::NewerSchema { path: path.to_owned(), schema, supported: SCHEMA });
    }
    Ok(())
}

/// The suffixes of the files that SQLite makes beside a database.
pub(super) const SQLITE_SIDES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The path of a file beside another.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The write-ahead log of a database. No lock is ever taken on it, so it may be opened outside SQLite.
fn log_of(database: &Path) -> PathBuf {
    beside(&behind_links(database), "-wal")
}

/// The rollback journal of a database.
pub(super) fn journal_of(database: &Path) -> PathBuf {
    beside(&behind_links(database), "-journal")
}

/// The first bytes of a rollback journal, see section 3 of <https://www.sqlite.org/fileformat2.html>.
pub(super) const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Whether a database has a rollback journal: a power cut or a kill interrupted a change of its journal mode. No lock is
/// ever taken on a journal, so it may be opened outside SQLite.
pub(super) fn has_hot_journal(database: &Path) -> bool {
    let mut start = [0; JOURNAL_MAGIC.len()];
    let opened = open_at_once(fs::OpenOptions::new().read(true), &journal_of(database));
    let read = opened.and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == JOURNAL_MAGIC
}

/// Opens a regular file. Fails at once for anything else: opening a named pipe would wait for another program.
pub(super) fn open_at_once(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use nix::fcntl::OFlag;
        options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(irregular()) }
}

fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// Fails if a file that SQLite uses beside a database is no regular file. SQLite would wait for ever for the other end of a
/// named pipe.
pub(super) fn refuse_irregular_sides(database: &Path) -> Result<()> {
    let database = behind_links(database);
    for end in SQLITE_SIDES {
        let path = beside(&database, end);
        match fs::metadata(&path) {
            Ok(meta) if !meta.is_file() => return Err(Error::Io { source: irregular(), path }),
            // SQLite reports a file that cannot be examined.
            _ => {}
        }
    }
    Ok(())
}

/// Fails if a log is at a path without its ledger, or beside an empty file. SQLite would apply it to a file that is
/// placed there, and delete it beside an empty one. It may contain acknowledged events of a ledger that was moved.
pub(crate) fn refuse_stale_log(path: &Path) -> Result<()> {
    match log_beside(path) {
        // The log is examined first: another process may create a ledger and write to its log in between.
        Some(log) if !is_taken(path)? && !is_journal_of_new_file(&log) => Err(Error::StaleLog { path: log }),
        _ => Ok(()),
    }
}

/// As [`refuse_stale_log`], for a program that puts a complete ledger at a path and holds the lock of that name. It
/// removes the journal of a creation that was killed, which would empty the ledger.
pub(super) fn expect_no_log(path: &Path) -> Result<()> {
    refuse_stale_log(path)?;
    let journal = journal_of(path);
    if !is_taken(path)? && is_journal_of_new_file(&journal) {
        fs::remove_file(&journal).map_err(|source| Error::Io { path: journal, source })?;
        // After a power cut it must not be beside the ledger.
        sync_entry_of(path)?;
    }
    Ok(())
}

/// Whether a file is the rollback journal of the first transaction in an empty file. It restores nothing but the empty
/// file; a program that was killed when it created a ledger leaves it.
fn is_journal_of_new_file(path: &Path) -> bool {
    // The magic, the number of records, a random number, and the former number of pages.
    let mut start = [0; 20];
    let opened = open_at_once(fs::OpenOptions::new().read(true), path);
    let read = opened.and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start.starts_with(&JOURNAL_MAGIC) && start.ends_with(&[0; 4])
}

/// The write-ahead log or the rollback journal at a path, if it contains anything.
pub(crate) fn log_beside(path: &Path) -> Option<PathBuf> {
    let has_bytes = |log: &Path| fs::metadata(log).is_ok_and(|meta| meta.len() > 0);
    let (log, journal) = (log_of(path), journal_of(path));
    if has_bytes(&log) {
        return Some(log);
    }
    (has_bytes(&journal) && has_hot_journal(path)).then_some(journal)
}

/// Whether anything but an empty file is at a path. A path that cannot be examined is an error, not a free one.
pub(crate) fn is_taken(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(meta) => Ok(!meta.is_file() || meta.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// Whether opening a path makes a ledger there: nothing is there, or an empty file, or SQLite may restore an empty file
/// from a journal.
pub(super) fn is_unmade(path: &Path) -> Result<bool> {
    // The journal of a creation is removed after its page is written, so it is examined last.
    Ok(!is_taken(path)? || has_hot_journal(path))
}

/// The size of the write-ahead log of a database in bytes, if it exists.
pub(super) fn log_bytes(database: &Path) -> Option<u64> {
    fs::metadata(log_of(database)).ok().map(|meta| meta.len())
}

/// Syncs the write-ahead log of a database.
pub(super) fn sync_log(database: &Path) -> Result<()> {
    let log = log_of(database);
    let synced = fs::OpenOptions::new().write(true).open(&log).and_then(|file| file.sync_all());
    match synced {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Io { path: log, source }),
        _ => Ok(()),
    }
}

/// Syncs the directory of a database and its write-ahead log.
pub(super) fn sync_entry_of(database: &Path) -> Result<()> {
    let path = behind_links(database);
    let directory = directory::parent(&path);
    directory::sync(directory).map_err(|source| Error::Io { path: directory.to_owned(), source })
}

/// Removes the frames of a failed commit from the write-ahead log. They stay readable although the failed sync may have lost them
/// on the disk. The next program that opens the ledger would read them as a commit and write behind them.
pub(super) fn forget_failed_commit(connection: &rusqlite::Connection) {
    // The checkpoint moves earlier commits into the file and empties the log. If it fails too, the caller still reports the error
    // of the commit.
    let _ = connection.execute_batch("ROLLBACK");
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// Changes the journal mode of a database and returns the mode that then holds: SQLite answers with the former one where it
/// cannot change it.
pub(super) fn change_journal_mode(connection: &rusqlite::Connection, mode: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(&format!("PRAGMA journal_mode={mode}"))?;
    let mut rows = statement.query([])?;
    let answer = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?.get(0)?;
    // SQLite commits the change after it has answered. Only a further step reports that this commit failed.
    while rows.next()?.is_some() {}
    Ok(answer)
}

/// Makes the name of a rollback journal durable before SQLite uses it. The bundled SQLite does not sync the directory, so a power
/// cut could leave a torn page without the journal that repairs it. SQLite ignores an empty journal.
pub(super) fn prepare_journal(database: &Path) -> Result<()> {
    let journal = journal_of(database);
    match private_file(&journal) {
        Ok(_) => sync_entry_of(database),
        // A killed program left it, and may not have made its name durable.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_entry_of(database),
        Err(source) => Err(Error::Io { path: journal, source }),
    }
}

/// Removes the journal that [`prepare_journal`] made, if SQLite did not use it.
pub(super) fn remove_empty_journal(database: &Path) {
    let journal = journal_of(database);
    if fs::metadata(&journal).is_ok_and(|meta| meta.len() == 0) {
        // An empty journal that stays has no effect.
        let _ = fs::remove_file(journal);
    }
}

/// Creates an empty private file. SQLite gives its other files the same mode.
pub(super) fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Creates the file of a new ledger, unless it exists.
pub(super) fn create_private(path: &Path) -> Result<()> {
    let made = match private_file(path) {
        Ok(_) => directory::sync(directory::parent(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// The target of a path's links, whether it exists or not.
pub(super) fn behind_links(path: &Path) -> PathBuf {
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// A path that SQLite cannot interpret otherwise: a name such as `:memory:` has a special meaning.
pub(super) fn plain(path: &Path) -> PathBuf {
    if path.is_relative() { Path::new(".").join(path) } else { path.to_owned() }
}

/// A path with SQLite parameters, as a URI. Names that are not UTF-8 keep their bytes.
pub(super) fn uri(path: &Path, parameters: &str) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut uri = "file:".to_owned();
    // A drive letter needs a leading slash. A path stays relative if the working directory was deleted.
    if path.is_absolute() && bytes.first() != Some(&b'/') {
        uri.push('/');
    }
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => uri.push(char::from(byte)),
            b':' if cfg!(windows) => uri.push(':'),
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => {
                // Writing to a `String` cannot fail.
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

/// The properties of a store that error messages need.
#[derive(Clone, Debug)]
pub(super) struct FileContext {
    pub path: PathBuf,
    pub busy_seconds: u64,
}

impl FileContext {
    pub fn replaced(&self, what: &str) -> Error {
        Error::Replaced { path: self.path.clone(), what: what.to_owned() }
    }

    pub fn error(&self, error: rusqlite::Error, doing: &str) -> Error {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                Error::NotALedger { path: self.path.clone(), why: "it is not an SQLite database".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => Error::damaged(None, format!("SQLite says: {error}")),
            Some(ErrorCode::DiskFull) => Error::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { seconds: self.busy_seconds },
            // The index of the write-ahead log cannot grow.
            _ if error.sqlite_extended_error_code() == Some(SQLITE_IOERR_SHMSIZE) => Error::DiskFull,
            _ if error.sqlite_extended_error_code() == Some(SQLITE_READONLY_DBMOVED) => {
                self.replaced("another file has taken its place")
            }
            _ => Error::Store { what: format!("{doing} in {}", self.path.display()), source: Box::new(error) },
        }
    }
}
