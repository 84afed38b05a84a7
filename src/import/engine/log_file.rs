//! Metadata of a log file.

use std::fs;
use std::path::PathBuf;

use crate::import::engine::query::wal;
use crate::model::event::ImportedFile;

/// Metadata of a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct LogFile {
    pub path: PathBuf,
    pub size: u64,
    /// Nanoseconds since the epoch.
    pub modified: i64,
    /// Device and inode.
    pub identity: Option<String>,
}

/// Returns nanoseconds since the epoch.
fn modified(meta: &fs::Metadata) -> i64 {
    meta.modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .and_then(|age| i64::try_from(age.as_nanos()).ok())
        .unwrap_or(0)
}

impl LogFile {
    pub fn new(path: PathBuf, meta: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            Some(format!("{}:{}", meta.dev(), meta.ino()))
        };
        #[cfg(not(unix))]
        let identity = None;
        Self { path, size: meta.len(), modified: modified(meta), identity }
    }

    /// Adds the write-ahead log, which receives changes of a database first.
    pub fn with_wal(&mut self) {
        if let Ok(wal) = fs::metadata(wal(&self.path)) {
            self.size += wal.len();
            self.modified = self.modified.max(modified(&wal));
        }
    }
}

/// Returns whether a file is unchanged since it was read. Such a file is not opened.
pub(in crate::import) fn is_unchanged(file: &LogFile, stored: &ImportedFile) -> bool {
    file.size == stored.size && file.modified == stored.modified && file.identity == stored.identity
}
