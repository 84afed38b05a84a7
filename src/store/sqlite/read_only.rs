//! Reads a ledger without writing anything, to the file or beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::file::{behind_links, uri};
use super::identity::Identity;
use crate::store::directory;

/// The virtual file system of SQLite that takes no locks.
const WITHOUT_LOCKS: &str = if cfg!(windows) { "win32-none" } else { "unix-none" };

/// How the files of a ledger look. Whoever reads them without locks opens them again when they look different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look([Option<(Identity, u64, Option<SystemTime>)>; 3]);

impl Look {
    /// At the files of the ledger at a path.
    pub fn at(path: &Path) -> Self {
        let path = behind_links(path);
        Self(["", "-wal", "-shm"].map(|end| {
            let meta = fs::metadata(beside(&path, end)).ok()?;
            // Whoever reads with locks changes the index.
            let content = (end != "-shm").then(|| (meta.len(), meta.modified().ok()));
            let (length, modified) = content.unwrap_or_default();
            Some((Identity::of(&meta), length, modified))
        }))
    }

    /// Whether something stands in the write-ahead log.
    fn has_log(&self) -> bool {
        matches!(self.0, [_, Some((_, length, _)), _] if length > 0)
    }

    /// Whether this process has the ledger open already.
    fn is_open_here(&self) -> bool {
        matches!(self.0, [Some((identity, ..)), ..] if identity.is_open_here())
    }

    /// Whether there is an index of the write-ahead log, through which programs agree on who reads and writes.
    const fn has_index(&self) -> bool {
        matches!(self.0, [_, _, Some(_)])
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Opens a ledger to be read alone. In order of what is safest against a program that writes meanwhile:
///
/// 1. with locks, where the index of the write-ahead log is there: another program may be writing;
/// 2. without locks and with an index in this process's memory, where the log holds commits that are not in the file yet.
///    The file alone would give old answers;
/// 3. without locks from the file alone.
pub(super) fn connect(path: &Path, look: &Look) -> rusqlite::Result<Connection> {
    if look.has_index() {
        let opened = open(path, "mode=ro", false);
        // A connection without locks that is closed would drop the locks of others of this process.
        if opened.is_ok() || look.is_open_here() {
            return opened;
        }
    }
    if look.has_log() {
        open(path, &format!("mode=ro&vfs={WITHOUT_LOCKS}"), true)
    } else {
        open(path, "mode=ro&immutable=1", false)
    }
}

fn open(path: &Path, parameters: &str, alone: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(&behind_links(path), parameters), flags)?;
    // The last one to close a ledger moves the log into the file and deletes it. One without locks cannot know that it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if alone {
        connection.query_row("PRAGMA locking_mode=EXCLUSIVE", [], |_| Ok(()))?;
    }
    // SQLite opens the files at the first read.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Why this user cannot write to the ledger at a path; `None` when nothing speaks against it. What is not there yet is
/// judged by the directory alone.
pub(super) fn obstacle(path: &Path) -> Option<String> {
    let path = behind_links(path);
    let directory = directory::parent(&path);
    if path.exists()
        && let Some(why) = denied(&path)
    {
        return Some(format!("the file cannot be written to: {why}"));
    }
    let why = denied(directory)?;
    Some(format!(
        "the directory {} cannot be written to, and the write-ahead log has to be in it: {why}",
        directory.display()
    ))
}

/// Why the operating system denies this user to write.
fn denied(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use nix::errno::Errno;
        use nix::unistd::{AccessFlags, access};
        match access(path, AccessFlags::W_OK) {
            Err(Errno::EROFS) => Some("the medium is mounted read-only".to_owned()),
            Err(Errno::EACCES | Errno::EPERM) => Some("this user has no permission".to_owned()),
            // What else is wrong shows when it is opened.
            _ => None,
        }
    }
    #[cfg(not(unix))]
    {
        let read_only = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().readonly());
        read_only.then(|| "it is marked as read-only".to_owned())
    }
}
