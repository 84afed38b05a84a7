//! Reads a ledger without writing to the file or next to it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::file::{behind_links, beside, uri};
use super::identity::Identity;
use crate::store::directory;

/// The virtual file system of SQLite that takes no locks.
const WITHOUT_LOCKS: &str = if cfg!(windows) { "win32-none" } else { "unix-none" };

/// The observable state of a ledger's files. A reader without locks reopens them when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilesState([Option<(Identity, u64, Option<SystemTime>)>; 3]);

impl FilesState {
    /// The state of the files of the ledger at a path.
    pub fn at(path: &Path) -> Self {
        let path = behind_links(path);
        Self(["", "-wal", "-shm"].map(|end| {
            let meta = fs::metadata(beside(&path, end)).ok()?;
            // Readers with locks change the index, so its content does not count.
            let content = (end != "-shm").then(|| (meta.len(), meta.modified().ok()));
            let (length, modified) = content.unwrap_or_default();
            Some((Identity::of(&meta), length, modified))
        }))
    }

    /// Whether the write-ahead log contains anything.
    fn has_log(&self) -> bool {
        matches!(self.0, [_, Some((_, length, _)), _] if length > 0)
    }

    /// Whether this process already has the ledger open.
    fn is_open_here(&self) -> bool {
        matches!(self.0, [Some((identity, ..)), ..] if identity.is_open_here())
    }

    /// Whether the index of the write-ahead log exists, which coordinates readers and writers.
    const fn has_index(&self) -> bool {
        matches!(self.0, [_, _, Some(_)])
    }
}

/// Opens a ledger read-only. In descending order of safety against a concurrent writer:
///
/// 1. with locks, if the index of the write-ahead log exists: another program may be writing;
/// 2. without locks and with an index in this process's memory, if the log has commits that are not in the file. The
///    file alone would give outdated answers;
/// 3. without locks, from the file alone.
pub(super) fn connect(path: &Path, look: &FilesState) -> rusqlite::Result<Connection> {
    if look.has_index() {
        let opened = open(path, "mode=ro", false);
        // Closing a connection without locks would drop the locks of this process's other connections.
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
    // The last connection to close a ledger checkpoints and deletes the log. One without locks cannot know whether it
    // is the last.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if alone {
        connection.query_row("PRAGMA locking_mode=EXCLUSIVE", [], |_| Ok(()))?;
    }
    // SQLite opens the files at the first read.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// The reason that this user cannot write to the ledger at a path; `None` if there is none. A missing ledger depends on
/// its directory alone.
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

/// The reason that the operating system denies this user to write.
fn denied(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use nix::errno::Errno;
        use nix::unistd::{AccessFlags, access};
        match access(path, AccessFlags::W_OK) {
            Err(Errno::EROFS) => Some("the medium is mounted read-only".to_owned()),
            Err(Errno::EACCES | Errno::EPERM) => Some("this user has no permission".to_owned()),
            // Other errors appear when it is opened.
            _ => None,
        }
    }
    #[cfg(not(unix))]
    {
        let read_only = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().readonly());
        read_only.then(|| "it is marked as read-only".to_owned())
    }
}
