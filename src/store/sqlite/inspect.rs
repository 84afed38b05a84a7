//! Checks a file before a ledger is opened in it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::file::{
    SQLITE_SIDES, behind_links, beside, has_hot_journal, newer, refuse_irregular_sides, refuse_stale_log, uri,
};
use super::{APPLICATION_ID, leftover};
use crate::model::error::{Error, Result};

/// The smallest page size of SQLite, in bytes.
const PAGE_LEAST: u64 = 512;

/// Refuses a file that is not a ledger of this build, without changing it.
///
/// SQLite reads the header from the file alone and without locks. The file is never opened otherwise: this process may
/// have it open already, and closing a second descriptor would drop the locks of the first.
pub(super) fn refuse_foreign(path: &Path) -> Result<()> {
    refuse_irregular_sides(path)?;
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
    refuse_hard_links(path, &meta)?;
    refuse_mounted_file(path)?;
    match meta.len() {
        // SQLite would delete a log beside it.
        0 => return refuse_stale_log(path),
        // SQLite treats a file shorter than its smallest page as empty.
        1..PAGE_LEAST => return foreign("it is not an SQLite database"),
        _ => {}
    }
    match header(path) {
        Ok(Header { application: APPLICATION_ID, version, .. }) => newer(path, version),
        // It may be a new file whose first page is still in the write-ahead log.
        Ok(Header { application: 0, version: 0, tables: 0 }) => Ok(()),
        // The first page may be a torn one. SQLite repairs it when the file is opened, and the header is checked again then.
        _ if has_hot_journal(path) => Ok(()),
        Ok(_) => foreign("it is the database of another program"),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign("it is not an SQLite database"),
            Some(rusqlite::ErrorCode::CannotOpen) => readable(path),
            // Opening it as a ledger reports the error.
            _ => Ok(()),
        },
    }
}

/// The header of the file itself, without its write-ahead log.
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

/// The error for a file that SQLite uses beside a database and that this user may not read. SQLite itself names no file.
pub(super) fn unreadable_side(path: &Path) -> Option<Error> {
    let database = behind_links(path);
    SQLITE_SIDES
        .iter()
        .map(|end| beside(&database, end))
        .filter(|side| side.exists())
        .find_map(|side| readable(&side).err())
}

/// The reason that the operating system denies this user to read a file.
fn readable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    nix::unistd::access(path, nix::unistd::AccessFlags::R_OK)
        .map_err(|errno| Error::Io { path: path.to_owned(), source: errno.into() })?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Refuses a file with several hard links. Each name has a separate write-ahead log, so a program that opens another
/// name would not see these writes.
fn refuse_hard_links(path: &Path, meta: &fs::Metadata) -> Result<()> {
    #[cfg(not(unix))]
    let _ = (path, meta);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let links = || match fs::metadata(path) {
            Ok(meta) => Ok(meta.nlink()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(source) => Err(Error::Io { path: path.to_owned(), source }),
        };
        if meta.nlink() > 1 {
            // A first import links its draft to the ledger's name, and then removes the draft's name.
            leftover::unlink_names_of(&behind_links(path));
            let links = links()?;
            if links.saturating_sub(leftover::replaced_names_of(&behind_links(path))) > 1 {
                return Err(Error::HardLinked { path: path.to_owned(), links });
            }
        }
    }
    Ok(())
}

/// Refuses a file that is a mount of its own, such as a single file of a container's host. Its write-ahead log is a file of
/// the directory, so the two sides would have different logs.
fn refuse_mounted_file(path: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        // Kernels before 5.8 do not tell.
        let mounted = statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
            .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
        if mounted {
            return Err(Error::MountedFile { path: path.to_owned() });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file::{JOURNAL_MAGIC, journal_of};
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_beside_a_ledger_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, path) = (dir.path().join("missing.db"), dir.path().join("usage.db"));
        drop(crate::store::SqliteStore::open(&path).unwrap());
        for path in [missing, path] {
            for end in SQLITE_SIDES {
                let pipe = beside(&path, end);
                assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
                let error = crate::store::Options::new().open(&path).unwrap_err();
                assert!(matches!(&error, Error::Io { path, .. } if *path == pipe), "{error}");
                assert!(!has_hot_journal(&path));
                fs::remove_file(&pipe).unwrap();
            }
        }
    }

    #[test]
    fn a_torn_first_page_with_a_journal_is_left_to_sqlite() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usage.db");
        fs::write(&path, [0; 8_192]).unwrap();
        assert!(matches!(refuse_foreign(&path), Err(Error::NotALedger { .. })), "a file of zeros is no ledger");
        fs::write(journal_of(&path), "no journal of SQLite").unwrap();
        assert!(matches!(refuse_foreign(&path), Err(Error::NotALedger { .. })));
        // A journal of no pages, for a file that was empty: it restores the empty file.
        let mut journal = vec![0_u8; 512];
        journal[..8].copy_from_slice(&JOURNAL_MAGIC);
        journal[20..24].copy_from_slice(&512_u32.to_be_bytes());
        journal[24..28].copy_from_slice(&8_192_u32.to_be_bytes());
        fs::write(journal_of(&path), journal).unwrap();
        refuse_foreign(&path).unwrap();
        assert!(
            crate::store::Options::new().open(&path).is_ok(),
            "SQLite restores the empty file, and the ledger is made"
        );
    }
}
