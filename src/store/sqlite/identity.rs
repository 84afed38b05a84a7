//! Tracks which files a connection has open, and whether they are still at their paths.
//!
//! SQLite continues to write to a file that was deleted, moved or replaced. Such writes are lost.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::file::{FileContext, behind_links};
use crate::model::error::{Error, Result};

/// What happened to a file that is no longer at its path.
pub(super) const GONE: &str = "it was deleted or moved away";

/// Device and inode of a file. On systems without such numbers an open file cannot be moved or deleted, and all
/// identities are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub fn of(meta: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self(meta.dev(), meta.ino())
        }
        #[cfg(not(unix))]
        {
            let _ = meta;
            Self(0, 0)
        }
    }

    /// Whether a connection of this process has the file open.
    pub fn is_open_here(self) -> bool {
        with_open(|open| open.contains_key(&self))
    }

    /// The number of handles of this process to the file.
    #[cfg(test)]
    pub fn handles(self) -> usize {
        with_open(|open| open.get(&self).map_or(0, |shared| shared.connections))
    }

    /// The identity of the file at a path, after following links; `None` if there is none.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(Self::of(&meta))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A file of an open connection.
#[derive(Clone, Debug)]
struct OpenFile {
    path: PathBuf,
    identity: Identity,
}

impl OpenFile {
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(Identity::at(&self.path)? == Some(self.identity))
    }
}

/// The databases that this process has open. SQLite shares the index of the write-ahead log among all connections of a
/// process to one database, so the files beside it are those of the first connection.
static OPEN: Mutex<BTreeMap<Identity, OpenDatabase>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
struct OpenDatabase {
    connections: usize,
    beside: Vec<OpenFile>,
}

/// Whether a file is a database that this process has open, or its write-ahead log or index.
pub(super) fn is_file_of_open_database(file: Identity) -> bool {
    // On systems without identities, closing a descriptor does not drop locks.
    cfg!(unix)
        && with_open(|open| {
            open.iter().any(|(database, shared)| {
                *database == file || shared.beside.iter().any(|beside| beside.identity == file)
            })
        })
}

fn with_open<T>(work: impl FnOnce(&mut BTreeMap<Identity, OpenDatabase>) -> T) -> T {
    work(&mut OPEN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Registers a connection among those of this process while it lives.
#[derive(Debug)]
pub(super) struct Registered(Identity);

impl Registered {
    fn new(database: Identity) -> Self {
        with_open(|open| open.entry(database).or_default().connections += 1);
        Self(database)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        with_open(|open| {
            if let Entry::Occupied(mut entry) = open.entry(self.0) {
                entry.get_mut().connections -= 1;
                if entry.get().connections == 0 {
                    entry.remove();
                }
            }
        });
    }
}

/// The files of one connection. They are examined by path and never opened, because closing any descriptor of a file
/// drops every lock that the process holds on it.
#[derive(Debug)]
pub(super) struct OpenFiles {
    database: OpenFile,
    /// The write-ahead log and its index. No program replaces them while this connection holds its lock.
    beside: Vec<OpenFile>,
    registered: Registered,
}

impl OpenFiles {
    /// The files of a connection whose database had this path and identity both before and after it was opened.
    pub fn new(path: PathBuf, identity: Identity) -> Self {
        Self { database: OpenFile { path, identity }, beside: Vec::new(), registered: Registered::new(identity) }
    }

    /// The absolute path of the database.
    pub fn database(&self) -> &Path {
        &self.database.path
    }

    /// Records the files that SQLite opened next to the database. It opens them at the first read.
    pub fn note_beside(&mut self) -> io::Result<()> {
        let database = behind_links(&self.database.path);
        self.beside = with_open(|open| -> io::Result<_> {
            let shared = open.entry(self.registered.0).or_default();
            if shared.beside.is_empty() {
                for end in ["-wal", "-shm"] {
                    let mut path = database.clone().into_os_string();
                    path.push(end);
                    let path = PathBuf::from(path);
                    if let Some(identity) = Identity::at(&path)? {
                        shared.beside.push(OpenFile { path, identity });
                    }
                }
            }
            Ok(shared.beside.clone())
        })?;
        Ok(())
    }

    /// Checks that writes through the connection reach the file at the path.
    pub fn expect_in_place(&self, about: &FileContext) -> Result<()> {
        let io = |source| Error::Io { path: about.path.clone(), source };
        if !self.database.is_in_place().map_err(io)? {
            let is_there = Identity::at(&self.database.path).map_err(io)?.is_some();
            return Err(about.replaced(if is_there { "another file has taken its place" } else { GONE }));
        }
        for file in &self.beside {
            if !file.is_in_place().map_err(io)? {
                return Err(about.replaced("its write-ahead log was deleted or replaced"));
            }
        }
        Ok(())
    }
}
