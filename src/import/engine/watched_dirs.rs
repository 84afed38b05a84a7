//! The directories that the operating system is asked about: those that hold logs, and those above them.
//!
//! A directory that was deleted or moved away is not told of any more, whatever is at its place later. So the ones above it
//! are watched too, each by itself: there is where it goes, and where another one comes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::model::error::{Error, Result};

/// What tells a directory from another one that has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    place: Option<(u64, u64)>,
    created: Option<SystemTime>,
}

impl Identity {
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

/// What is watched.
#[derive(Debug)]
pub(in crate::import) struct Watched {
    watcher: RecommendedWatcher,
    /// The directories that may hold logs, whether they exist or not.
    sought: BTreeSet<PathBuf>,
    /// Those that exist.
    roots: BTreeSet<PathBuf>,
    held: BTreeMap<PathBuf, (Identity, RecursiveMode)>,
}

impl Watched {
    pub const fn new(watcher: RecommendedWatcher, sought: BTreeSet<PathBuf>) -> Self {
        Self { watcher, sought, roots: BTreeSet::new(), held: BTreeMap::new() }
    }

    /// The directories with logs that are watched.
    pub const fn roots(&self) -> &BTreeSet<PathBuf> {
        &self.roots
    }

    /// Whether a path is below a watched directory with logs, or is one.
    pub fn holds(&self, path: &Path) -> bool {
        path.ancestors().any(|directory| self.roots.contains(directory))
    }

    /// Whether a directory with logs is at this path or below it, or would be.
    pub fn is_above(&self, path: &Path) -> bool {
        self.sought.iter().any(|root| root.starts_with(path))
    }

    /// Something came to this path or went from it: what was watched there is not what is there now.
    pub fn lose(&mut self, path: &Path) {
        let lost: Vec<PathBuf> = self.held.keys().filter(|held| held.starts_with(path)).cloned().collect();
        for path in lost {
            self.let_go(&path);
        }
    }

    fn let_go(&mut self, path: &Path) {
        // The system may have let it go already.
        let _ = self.watcher.unwatch(path);
        self.held.remove(path);
        self.roots.remove(path);
    }

    /// Watches what has come into being and lets go what is gone. Whether there is a directory with logs that is new.
    pub fn seek(&mut self, homes: &[PathBuf]) -> Result<bool> {
        let wanted = self.wanted(homes);
        let stale: Vec<PathBuf> = self
            .held
            .iter()
            .filter(|(path, held)| wanted.get(*path) != Some(*held))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            // With it goes whatever is watched below it.
            self.lose(&path);
        }
        let mut new = false;
        for (path, (identity, mode)) in wanted {
            if self.held.contains_key(&path) {
                continue;
            }
            let is_root = mode == RecursiveMode::Recursive;
            match self.watcher.watch(&path, mode) {
                Ok(()) => {
                    self.held.insert(path.clone(), (identity, mode));
                    if is_root {
                        self.roots.insert(path);
                        new = true;
                    }
                }
                // It is gone again, or it is above only and what happens there is seen later.
                Err(_) if !is_root || !path.exists() => {}
                Err(error) => return Err(refused(&error, Some(&path))),
            }
        }
        Ok(new)
    }

    fn wanted(&self, homes: &[PathBuf]) -> BTreeMap<PathBuf, (Identity, RecursiveMode)> {
        let mut wanted = BTreeMap::new();
        for root in &self.sought {
            if let Some(identity) = Identity::of(root) {
                wanted.insert(root.clone(), (identity, RecursiveMode::Recursive));
            }
            for above in above(root, homes) {
                if let Some(identity) = Identity::of(above) {
                    wanted.entry(above.to_owned()).or_insert((identity, RecursiveMode::NonRecursive));
                }
            }
        }
        // What happens within a directory with logs is told of in any case.
        let inside = |path: &Path| path.ancestors().skip(1).any(|above| self.sought.contains(above) && above.exists());
        wanted.retain(|path, (_, mode)| *mode == RecursiveMode::Recursive || !inside(path));
        wanted
    }
}

/// The directories above a root that exist, up to its home; outside of any home only the nearest one.
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
