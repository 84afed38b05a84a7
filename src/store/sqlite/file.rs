//! The file of a ledger: what it must be, who may read it, and what its errors mean.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::{APPLICATION_ID, SCHEMA};
use crate::model::error::{Error, Result};

/// Bytes of an SQLite header.
const HEADER: usize = 100;

/// Reads the header before SQLite does, so that a foreign or newer file is not touched at all.
pub(super) fn refuse_foreign(path: &Path) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    let meta = file.metadata().map_err(io)?;
    let foreign = |why: &str| Error::NotALedger { path: path.to_owned(), why: why.to_owned() };
    if meta.is_dir() {
        return Err(foreign("it is a directory"));
    }
    if meta.len() == 0 {
        return Ok(());
    }
    let mut header = [0_u8; HEADER];
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(foreign("it is not an SQLite database"));
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or([0; 4]);
        i32::from_be_bytes(bytes)
    };
    let (version, application) = (i64::from(number(60)), number(68));
    if application == APPLICATION_ID {
        newer(path, version)
    } else if application == 0 {
        Ok(()) // perhaps a new file whose first page is still in the write-ahead log
    } else {
        Err(foreign("it is the database of another program"))
    }
}

pub(super) fn newer(path: &Path, found: i64) -> Result<()> {
    if found > SCHEMA {
        return Err(Error::NewerSchema { path: path.to_owned(), found, known: SCHEMA });
    }
    Ok(())
}

/// Makes durable what stands in the write-ahead log.
pub(super) fn sync_log(path: &Path) -> Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let synced = fs::OpenOptions::new().write(true).open(&log).and_then(|file| file.sync_all());
    match synced {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Io { path: log.into(), source }),
        _ => Ok(()),
    }
}

/// Makes an empty file that only its owner can read; SQLite gives its side files the same mode.
pub(super) fn create_private(path: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// The path that links lead to, whether anything is there or not.
pub(super) fn behind_links(path: &Path) -> PathBuf {
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// A path that SQLite takes for nothing but a path: a name such as `:memory:` says something else to it.
pub(super) fn plain(path: &Path) -> PathBuf {
    if path.is_relative() { Path::new(".").join(path) } else { path.to_owned() }
}

/// What error messages need to know of a store.
#[derive(Debug)]
pub(super) struct FileContext {
    pub path: PathBuf,
    pub busy_seconds: u64,
}

impl FileContext {
    pub fn error(&self, error: rusqlite::Error, doing: &str) -> Error {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                Error::NotALedger { path: self.path.clone(), why: "it is not an SQLite database".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => Error::damaged(None, format!("SQLite says: {error}")),
            Some(ErrorCode::DiskFull) => Error::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { seconds: self.busy_seconds },
            _ => Error::Store { what: format!("{doing} in {}", self.path.display()), source: Box::new(error) },
        }
    }
}
