//! What a file must be before a ledger is opened in it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::file::{behind_links, newer, uri};
use super::{APPLICATION_ID, leftover};
use crate::model::error::{Error, Result};

/// Bytes of the shortest page that SQLite knows.
const PAGE_LEAST: u64 = 512;

/// Refuses what is no ledger of this build, without changing any of it.
///
/// SQLite reads the header, from the file alone and without locks. The file is never opened in another way: this
/// process may have it open already, and closing a second descriptor would drop the locks of the first.
pub(super) fn refuse_foreign(path: &Path) -> Result<()> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
    };
    let foreign = |why: &str| Err(Error::NotALedger { path: path.to_owned(), why: why.to_owned() });
    if meta.is_dir() {
        return foreign("it is a directory");
    }
    if !meta.is_file() {
        return foreign("it is not a regular file");
    }
    refuse_hard_links(path)?;
    match meta.len() {
        0 => return Ok(()),
        // SQLite takes a file that is shorter than its shortest page for an empty one.
        1..PAGE_LEAST => return foreign("it is not an SQLite database"),
        _ => {}
    }
    match header(path) {
        Ok(Header { application: APPLICATION_ID, version, .. }) => newer(path, version),
        // Perhaps a new file whose first page is still in the write-ahead log.
        Ok(Header { application: 0, version: 0, tables: 0 }) => Ok(()),
        Ok(_) => foreign("it is the database of another program"),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign("it is not an SQLite database"),
            Some(rusqlite::ErrorCode::CannotOpen) => readable(path),
            // Opening it as a ledger will say what is wrong.
            _ => Ok(()),
        },
    }
}

/// What stands in the file itself, whatever stands in its write-ahead log.
struct Header {
    application: i32,
    version: i64,
    tables: i64,
}

fn header(path: &Path) -> rusqlite::Result<Header> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, "immutable=1"), flags)?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables = match application {
        0 => connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        _ => 0,
    };
    Ok(Header { application, version, tables })
}

/// Why the operating system does not let this user read a file.
fn readable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    nix::unistd::access(path, nix::unistd::AccessFlags::R_OK)
        .map_err(|errno| Error::Io { path: path.to_owned(), source: errno.into() })?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Refuses a file that has a second name: the write-ahead log lies beside each name, so whoever opens the other one
/// would not see what was written through this one.
fn refuse_hard_links(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let links = || match fs::metadata(path) {
            Ok(meta) => Ok(meta.nlink()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(source) => Err(Error::Io { path: path.to_owned(), source }),
        };
        if links()? > 1 {
            // A first import gives its draft the ledger's name, and then takes away the draft's.
            leftover::unlink_names_of(&behind_links(path));
            let links = links()?;
            if links.saturating_sub(leftover::replaced_names_of(&behind_links(path))) > 1 {
                return Err(Error::HardLinked { path: path.to_owned(), links });
            }
        }
    }
    Ok(())
}
