//! Files that are locked, and files that are replaced as a whole, durably.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::model::error::{Error, Result};
use crate::store::directory;

/// Locks a file against other processes until the value is dropped. Creates a missing one.
pub(super) fn lock(path: &Path) -> Result<File> {
    let locked = || {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// What may be at the path of a file before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormerFile {
    /// Nothing.
    Absent,
    /// A file that the new one replaces, or nothing.
    Replaced,
}

/// Writes a file that only its owner can read. After a power cut it has its old or its new content.
///
/// # Errors
/// [`Error::AlreadyExists`] for a file that may not be there, [`Error::Io`] if it cannot be written.
pub(super) fn write(path: &Path, content: &[u8], former: FormerFile) -> Result<()> {
    let written = || -> std::io::Result<()> {
        let folder = directory::parent(path);
        // A temporary file is private to its owner.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        match former {
            FormerFile::Absent => file.persist_noclobber(path),
            FormerFile::Replaced => file.persist(path),
        }
        .map_err(|error| error.error)?;
        directory::sync(folder)
    };
    written().map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: path.to_owned() },
        _ => Error::Io { path: path.to_owned(), source },
    })
}
