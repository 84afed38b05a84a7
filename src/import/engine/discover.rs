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

/// The directories that may hold an agent's logs, whether they exist or not.
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
    Ok(whole(roots))
}

/// Paths from the root on: the system tells of changes by such, and a log is known by its path wherever an import is started.
pub(in crate::import) fn whole(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect()
}

/// What was found below some directories.
#[derive(Debug, Default)]
pub(in crate::import) struct Logs {
    /// In the order of their paths.
    pub files: Vec<LogFile>,
    /// What may be a log or hold some, and cannot be looked at.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Every log of an agent below these directories.
pub(in crate::import) fn logs(source: &dyn Source, roots: &[PathBuf]) -> Logs {
    let mut walk = Walk { source, found: Logs::default(), seen: HashSet::new(), links: Vec::new() };
    for root in roots {
        match fs::metadata(root) {
            Ok(meta) if meta.is_dir() => walk.linked(root),
            // A setting may name the one file that an agent writes to.
            Ok(_) => match regular::check(root).and_then(|meta| Ok((fs::canonicalize(root)?, meta))) {
                Ok((real, meta)) => {
                    if walk.seen.insert(real.into_os_string()) {
                        walk.found.files.push(log_file(source, root.clone(), &meta));
                    }
                }
                Err(error) => walk.found.unreadable.push((root.clone(), error)),
            },
            // Its agent is not there.
            Err(error) if is_absent(&error) => {}
            Err(error) => walk.hidden(root, error),
        }
    }
    // Links come last: what they lead to may be there under its own name too.
    while let Some(link) = walk.links.pop() {
        walk.linked(&link);
    }
    let mut found = walk.found;
    // As bytes: to compare the names of directories one by one takes many times as long.
    found.files.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    found.files.dedup_by(|a, b| a.path.as_os_str() == b.path.as_os_str());
    found.unreadable.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.unreadable.dedup_by(|(a, _), (b, _)| a == b);
    found
}

/// A file with its size and time; those of a database include what its write-ahead log holds.
fn log_file(source: &dyn Source, path: PathBuf, meta: &fs::Metadata) -> LogFile {
    let mut file = LogFile::new(path, meta);
    if source.format(&file.path).is_database() {
        file.with_wal();
    }
    file
}

/// Whether nothing is there.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Those of some files that are logs of an agent below these directories.
pub(in crate::import) fn named(source: &dyn Source, roots: &[PathBuf], paths: &BTreeSet<PathBuf>) -> Vec<LogFile> {
    let is_log = |path: &Path| {
        let root = roots.iter().find(|root| path.starts_with(root));
        root.is_some_and(|root| {
            let between = path.ancestors().skip(1).take_while(|directory| directory.starts_with(root));
            path == root || (source.wants(path) && between.into_iter().all(|dir| dir == root || source.enters(dir)))
        })
    };
    let found = paths.iter().filter(|path| is_log(path)).filter_map(|path| {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(log_file(source, path.clone(), &meta))
    });
    found.collect()
}

/// The log that a change of a file is one of: what is written to a database stands beside it first.
pub(in crate::import) fn logged(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let beside = ["-wal", "-shm", "-journal"].iter().find_map(|end| name.strip_suffix(end));
    beside.map_or_else(|| path.to_owned(), PathBuf::from)
}

/// A way through directories that goes into each once, however often links lead there.
struct Walk<'s> {
    source: &'s dyn Source,
    found: Logs,
    /// The directories that were gone into, whatever their names.
    seen: HashSet<OsString>,
    links: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Goes into a directory whose name may have links in it.
    fn linked(&mut self, directory: &Path) {
        match fs::canonicalize(directory).and_then(|real| regular::expect_real(&real).map(|()| real)) {
            Ok(real) => self.directory(directory, real),
            Err(error) if is_absent(&error) => {}
            Err(error) => self.found.unreadable.push((directory.to_owned(), error)),
        }
    }

    /// Notes a place that cannot be looked at: the directory above it that lets nobody in.
    fn hidden(&mut self, place: &Path, error: io::Error) {
        let closed = place.ancestors().skip(1).find(|above| fs::metadata(above).is_ok());
        self.found.unreadable.push((closed.unwrap_or(place).to_owned(), error));
    }

    /// Goes into a directory, `real` without links in its name, unless it was gone into.
    fn directory(&mut self, directory: &Path, real: PathBuf) {
        if self.seen.contains(real.as_os_str()) {
            return;
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // Its agent has deleted it just now.
            Err(error) if is_absent(&error) => return,
            Err(error) => return self.found.unreadable.push((directory.to_owned(), error)),
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
                Err(error) => self.found.unreadable.push((directory.to_owned(), error)),
            }
        }
        self.seen.insert(real.into_os_string());
    }

    /// Takes what a directory holds besides directories.
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
            Ok(meta) if meta.is_file() => self.found.files.push(log_file(self.source, path, &meta)),
            // It would keep a reader waiting.
            Ok(meta) => {
                let why = format!("it is {}, not a regular file", regular::kind(meta.file_type()));
                self.found.unreadable.push((path, io::Error::new(io::ErrorKind::InvalidInput, why)));
            }
            // Its agent has deleted it just now, or the link never led to a log.
            Err(error) if is_absent(&error) && !(kind.is_symlink() && wants) => {}
            Err(error) => self.found.unreadable.push((path, error)),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::import::engine::source::tests::AnyLines;

    #[test]
    fn links_to_directories_are_followed_once_and_in_no_circle() {
        let home = tempfile::tempdir().unwrap();
        let [projects, elsewhere] = ["projects", "elsewhere"].map(|name| home.path().join(name));
        for directory in [projects.join("a"), elsewhere.join("deeper")] {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("s.jsonl"), "").unwrap();
        }
        symlink(&elsewhere, projects.join("b")).unwrap();
        symlink(&projects, elsewhere.join("round")).unwrap();
        symlink(projects.join("a"), projects.join("0")).unwrap();
        let found = logs(&AnyLines, std::slice::from_ref(&projects));
        let paths: Vec<_> = found.files.iter().map(|file| file.path.strip_prefix(&projects).unwrap()).collect();
        assert_eq!(paths, [Path::new("a/s.jsonl"), Path::new("b/deeper/s.jsonl")]);
        assert!(found.unreadable.is_empty());
    }
}
