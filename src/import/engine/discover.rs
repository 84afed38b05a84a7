//! Finds log files.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::import::engine::agent::Agent;
use crate::import::engine::log_file::LogFile;
use crate::import::engine::regular;
use crate::import::engine::source::Source;
use crate::model::error::{Error, Result};

/// Returns the candidate directories of an agent's logs, including absent ones.
pub(in crate::import) fn roots(agent: &Agent, homes: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for home in homes {
        fs::metadata(home).map_err(|e| Error::Io { path: home.clone(), source: e })?;
        roots.extend(agent.roots(home));
    }
    if homes.is_empty() {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        roots.extend(agent.configured(&variable));
        if let Some(home) = std::env::home_dir() {
            roots.extend(agent.roots(&home));
        }
    }
    Ok(absolute(roots))
}

/// Makes paths absolute. File events use absolute paths, and a log must have the same path whatever the working
/// directory is.
pub(in crate::import) fn absolute(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect()
}

/// Result of a search.
#[derive(Debug, Default)]
pub(in crate::import) struct FoundLogs {
    /// Sorted by path.
    pub files: Vec<LogFile>,
    /// Paths that may be logs or contain logs, and cannot be examined.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Finds every log of an agent below these directories.
pub(in crate::import) fn logs(source: &dyn Source, roots: &[PathBuf]) -> FoundLogs {
    let mut walk = DirectoryWalk { source, logs: FoundLogs::default(), seen: HashSet::new(), links: Vec::new() };
    for root in roots {
        match fs::metadata(root) {
            Ok(meta) if meta.is_dir() => walk.linked(root),
            // A setting may name the single file that an agent writes to.
            Ok(_) => match regular::check(root).and_then(|meta| Ok((fs::canonicalize(root)?, meta))) {
                Ok((real, meta)) => {
                    if walk.seen.insert(real.into_os_string()) {
                        walk.logs.files.push(log_file(source, root.clone(), &meta));
                    }
                }
                Err(error) => walk.logs.unreadable.push((root.clone(), error)),
            },
            // The agent is not installed.
            Err(error) if is_absent(&error) => {}
            Err(error) => walk.hidden(root, error),
        }
    }
    // Follow links last. Their targets may also be reachable by their own path, which takes precedence.
    while let Some(link) = walk.links.pop() {
        walk.linked(&link);
    }
    let mut logs = walk.logs;
    // Compare bytes. Comparing paths component by component is many times slower.
    logs.files.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    logs.files.dedup_by(|a, b| a.path.as_os_str() == b.path.as_os_str());
    logs.unreadable.sort_by(|(a, _), (b, _)| a.cmp(b));
    logs.unreadable.dedup_by(|(a, _), (b, _)| a == b);
    logs
}

/// Builds the entry of a file. Size and time of a database include those of its write-ahead log.
fn log_file(source: &dyn Source, path: PathBuf, meta: &fs::Metadata) -> LogFile {
    let mut file = LogFile::new(path, meta);
    if source.format(&file.path).is_database() {
        file.with_wal();
    }
    file
}

/// Returns whether the error means that the path does not exist.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns those of `paths` that are logs of an agent below these directories.
pub(in crate::import) fn named(source: &dyn Source, roots: &[PathBuf], paths: &BTreeSet<PathBuf>) -> Vec<LogFile> {
    let is_log = |path: &Path| {
        let root = roots.iter().find(|root| path.starts_with(root));
        root.is_some_and(|root| {
            let between = path.ancestors().skip(1).take_while(|directory| directory.starts_with(root));
            path == root || (source.wants(path) && between.into_iter().all(|dir| dir == root || source.enters(dir)))
        })
    };
    let logs = paths.iter().filter(|path| is_log(path)).filter_map(|path| {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(log_file(source, path.clone(), &meta))
    });
    logs.collect()
}

/// Maps a changed file to its log: changes of a database appear in its write-ahead log first.
pub(in crate::import) fn logged(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let database = ["-wal", "-shm", "-journal"].iter().find_map(|end| name.strip_suffix(end));
    database.map_or_else(|| path.to_owned(), PathBuf::from)
}

/// A directory walk that enters each directory once, however many links lead to it.
struct DirectoryWalk<'s> {
    source: &'s dyn Source,
    logs: FoundLogs,
    /// Real paths of the directories that were entered.
    seen: HashSet<OsString>,
    links: Vec<PathBuf>,
}

impl DirectoryWalk<'_> {
    /// Enters a directory whose path may contain links.
    fn linked(&mut self, directory: &Path) {
        match fs::canonicalize(directory).and_then(|real| regular::expect_real(&real).map(|()| real)) {
            Ok(real) => self.directory(directory, real),
            Err(error) if is_absent(&error) => {}
            Err(error) => self.logs.unreadable.push((directory.to_owned(), error)),
        }
    }

    /// Records a path that cannot be examined because a directory above it denies access.
    fn hidden(&mut self, place: &Path, error: io::Error) {
        let closed = place.ancestors().skip(1).find(|above| fs::metadata(above).is_ok());
        self.logs.unreadable.push((closed.unwrap_or(place).to_owned(), error));
    }

    /// Enters a directory unless it was entered before. `real` is its path without links.
    fn directory(&mut self, directory: &Path, real: PathBuf) {
        if self.seen.contains(real.as_os_str()) {
            return;
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // The agent deleted it during the walk.
            Err(error) if is_absent(&error) => return,
            Err(error) => return self.logs.unreadable.push((directory.to_owned(), error)),
        };
        for entry in entries {
            match entry.and_then(|entry| entry.file_type().map(|kind| (entry.path(), kind))) {
                Ok((path, kind)) if kind.is_dir() => {
                    if self.source.enters(&path) {
                        let name = path.file_name().unwrap_or_default();
                        self.directory(&path, real.join(name));
                    }
                }
                Ok((path, kind)) => self.entry(path, kind),
                Err(error) => self.logs.unreadable.push((directory.to_owned(), error)),
            }
        }
        self.seen.insert(real.into_os_string());
    }

    /// Handles a directory entry that is not a directory.
    fn entry(&mut self, path: PathBuf, kind: fs::FileType) {
        let (wants, enters) = (self.source.wants(&path), kind.is_symlink() && self.source.enters(&path));
        if !wants && !enters {
            return;
        }
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => {
                if enters {
                    self.links.push(path);
                }
            }
            Ok(_) if !wants => {}
            Ok(meta) if meta.is_file() => self.logs.files.push(log_file(self.source, path, &meta)),
            // Opening a pipe or device could block the reader.
            Ok(meta) => {
                let why = format!("it is {}, not a regular file", regular::kind(meta.file_type()));
                self.logs.unreadable.push((path, io::Error::new(io::ErrorKind::InvalidInput, why)));
            }
            // The agent deleted it during the walk, or the link never led to a log.
            Err(error) if is_absent(&error) && !(kind.is_symlink() && wants) => {}
            Err(error) => self.logs.unreadable.push((path, error)),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::import::engine::source::tests::AnyLines;

    #[test]
    fn links_to_directories_are_followed_once_without_cycles() {
        let home = tempfile::tempdir().unwrap();
        let [projects, elsewhere] = ["projects", "elsewhere"].map(|name| home.path().join(name));
        for directory in [projects.join("a"), elsewhere.join("deeper")] {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("s.jsonl"), "").unwrap();
        }
        symlink(&elsewhere, projects.join("b")).unwrap();
        symlink(&projects, elsewhere.join("round")).unwrap();
        symlink(projects.join("a"), projects.join("0")).unwrap();
        let logs = logs(&AnyLines, std::slice::from_ref(&projects));
        let paths: Vec<_> = logs.files.iter().map(|file| file.path.strip_prefix(&projects).unwrap()).collect();
        assert_eq!(paths, [Path::new("a/s.jsonl"), Path::new("b/deeper/s.jsonl")]);
        assert!(logs.unreadable.is_empty());
    }
}
