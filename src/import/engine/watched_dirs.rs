//! The directories that the operating system watches for us: those that contain logs, and their parents.
//!
//! The watch of a directory ends when the directory is deleted or moved, even if another one takes its place. So its
//! parents are watched too, each without its children, and report when a directory vanishes or appears.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::model::error::{Error, Result};

/// Distinguishes a directory from a later one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DirectoryIdentity {
    place: Option<(u64, u64)>,
    created: Option<SystemTime>,
}

impl DirectoryIdentity {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt;
            Some((meta.dev(), meta.ino()))
        };
        #[cfg(not(unix))]
        let place = None;
        Some(Self { place, created: meta.created().ok() })
    }
}

/// The watched directories.
#[derive(Debug)]
pub(in crate::import) struct WatchedDirectories {
    watcher: RecommendedWatcher,
    /// Directories that may contain logs, including absent ones.
    sought: BTreeSet<PathBuf>,
    /// Those that exist.
    roots: BTreeSet<PathBuf>,
    watches: BTreeMap<PathBuf, (DirectoryIdentity, RecursiveMode)>,
}

impl WatchedDirectories {
    pub const fn new(watcher: RecommendedWatcher, sought: BTreeSet<PathBuf>) -> Self {
        Self { watcher, sought, roots: BTreeSet::new(), watches: BTreeMap::new() }
    }

    /// Returns the watched log directories.
    pub const fn roots(&self) -> &BTreeSet<PathBuf> {
        &self.roots
    }

    /// Returns whether a path is a watched log directory or below one.
    pub fn contains(&self, path: &Path) -> bool {
        path.ancestors().any(|directory| self.roots.contains(directory))
    }

    /// Returns whether a log directory, existing or not, is at this path or below it.
    pub fn is_above(&self, path: &Path) -> bool {
        self.sought.iter().any(|root| root.starts_with(path))
    }

    /// Ends the watches at this path, where a directory appeared or vanished.
    pub fn forget(&mut self, path: &Path) {
        let lost: Vec<PathBuf> = self.watches.keys().filter(|watches| watches.starts_with(path)).cloned().collect();
        for path in lost {
            self.let_go(&path);
        }
    }

    fn let_go(&mut self, path: &Path) {
        // The system may have ended the watch already.
        let _ = self.watcher.unwatch(path);
        self.watches.remove(path);
        self.roots.remove(path);
    }

    /// Adds and removes watches to match the directories that exist. Returns whether there is a new log directory.
    pub fn seek(&mut self, homes: &[PathBuf]) -> Result<bool> {
        let wanted = self.wanted(homes);
        let stale: Vec<PathBuf> = self
            .watches
            .iter()
            .filter(|(path, watches)| wanted.get(*path) != Some(*watches))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            // Watches below it end with it.
            self.forget(&path);
        }
        let mut new = false;
        for (path, (identity, mode)) in wanted {
            if self.watches.contains_key(&path) {
                continue;
            }
            let is_root = mode == RecursiveMode::Recursive;
            match self.watcher.watch(&path, mode) {
                Ok(()) => {
                    self.watches.insert(path.clone(), (identity, mode));
                    if is_root {
                        self.roots.insert(path);
                        new = true;
                    }
                }
                // It vanished again, or it is only a parent; later scans cover it.
                Err(_) if !is_root || !path.exists() => {}
                Err(error) => return Err(refused(&error, Some(&path))),
            }
        }
        Ok(new)
    }

    fn wanted(&self, homes: &[PathBuf]) -> BTreeMap<PathBuf, (DirectoryIdentity, RecursiveMode)> {
        let mut wanted = BTreeMap::new();
        for root in &self.sought {
            if let Some(identity) = DirectoryIdentity::of(root) {
                wanted.insert(root.clone(), (identity, RecursiveMode::Recursive));
            }
            for above in above(root, homes) {
                if let Some(identity) = DirectoryIdentity::of(above) {
                    wanted.entry(above.to_owned()).or_insert((identity, RecursiveMode::NonRecursive));
                }
            }
        }
        // Log directories are watched with everything below them.
        let inside = |path: &Path| path.ancestors().skip(1).any(|above| self.sought.contains(above) && above.exists());
        wanted.retain(|path, (_, mode)| *mode == RecursiveMode::Recursive || !inside(path));
        wanted
    }
}

/// Returns the existing parents of a root up to its home; outside any home, only the nearest.
fn above<'r>(root: &'r Path, homes: &[PathBuf]) -> Vec<&'r Path> {
    let existing = || root.ancestors().skip(1).filter(|directory| directory.is_dir());
    let at_home = |directory: &&Path| homes.iter().any(|home| directory.starts_with(home));
    let below: Vec<&Path> = existing().take_while(at_home).collect();
    if below.is_empty() { existing().take(1).collect() } else { below }
}

pub(in crate::import) fn refused(error: &notify::Error, path: Option<&Path>) -> Error {
    let place = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
    Error::invalid(format!(
        "the logs{place} cannot be watched ({error}): raise the system's limit of watches, or import now and then instead"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_above_are_those_up_to_the_home() {
        let home = tempfile::tempdir().unwrap();
        let logs = home.path().join(".claude/projects");
        let homes = [home.path().to_owned()];
        assert_eq!(above(&logs, &homes), [home.path()]);
        std::fs::create_dir(home.path().join(".claude")).unwrap();
        assert_eq!(above(&logs, &homes), [&*home.path().join(".claude"), home.path()]);
        assert_eq!(above(&logs, &[]), [&*home.path().join(".claude")]);
    }
}
