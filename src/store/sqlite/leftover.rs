//! Files that a killed first import, backup or restore left next to a ledger.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::file::beside;
use super::identity::Identity;
use super::lock_file::LockFile;
use crate::store::directory;

/// The suffix of a draft's name, after the name of its ledger and a random number.
pub(super) const SUFFIX: &str = ".draft";
/// The suffixes of a draft and of SQLite's files next to it.
pub(super) const SIDES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// Removes all drafts of a ledger. An import that still writes to one notices, and imports into the ledger instead.
pub(super) fn sweep(place: &Path) {
    drafts(place, |path| {
        // A draft that cannot be removed is tried again by the next import.
        let _ = fs::remove_file(path);
    });
}

/// Removes the draft's name of a ledger that already has its final name.
#[cfg(unix)]
pub(super) fn unlink_names_of(place: &Path) {
    let Ok(Some(ledger)) = Identity::at(place) else { return };
    drafts(place, |path| {
        if matches!(Identity::at(path), Ok(Some(draft)) if draft == ledger) {
            let _ = fs::remove_file(path);
        }
    });
}

/// The part of a replaced ledger's name between its former name and the time.
pub(super) const REPLACED: &str = ".replaced-";

/// The number of hard links that killed restores gave to the file at `place` before they could replace it. No program
/// opens a ledger by such a name, so its write-ahead log is safe. The name stays, because a running restore needs it.
#[cfg(unix)]
pub(super) fn replaced_names_of(place: &Path) -> u64 {
    let Ok(Some(ledger)) = Identity::at(place) else { return 0 };
    let Some(prefix) = place.file_name().map(|name| format!("{}{REPLACED}", name.to_string_lossy())) else { return 0 };
    let Ok(entries) = fs::read_dir(directory::parent(place)) else { return 0 };
    let names = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    names.map(|entry| u64::from(matches!(Identity::at(&entry.path()), Ok(Some(file)) if file == ledger))).sum()
}

/// What makes a copy that gets its name when it is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CopyKind {
    Backup,
    Restore,
    #[cfg(feature = "archive")]
    Archive,
    #[cfg(feature = "cli")]
    Pull,
}

impl CopyKind {
    /// The end of the name of such a copy.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            #[cfg(feature = "archive")]
            Self::Archive => "archive",
            #[cfg(feature = "cli")]
            Self::Pull => "pull",
        }
    }
}

/// The ends of the names of copies, with those of builds with other features.
const COPY_KINDS: [&str; 4] = ["backup", "restore", "archive", "pull"];
/// The suffix of the lock file of a program that writes a copy.
pub(super) const COPY_LOCK: &str = "-lock";
/// The suffixes of a copy and of the files next to it.
pub(super) const COPY_SIDES: [&str; 6] = ["", "-wal", "-shm", "-journal", "-queue", ".name-lock"];

/// Removes the incomplete copies in a directory whose programs are gone. They contain all events of a ledger.
pub(super) fn sweep_copies(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let copies: BTreeSet<PathBuf> = entries.flatten().filter_map(|entry| copy_of(&entry.path())).collect();
    for copy in copies {
        // The lock is held while the files are removed, and its file is removed last.
        let Some(_gone) = LockFile::of_gone(&beside(&copy, COPY_LOCK)) else { continue };
        for side in COPY_SIDES {
            // A file that cannot be removed is tried again by the next program. Most of them do not exist.
            let _ = fs::remove_file(beside(&copy, side));
        }
    }
}

/// The copy to which a file belongs by its name.
fn copy_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let side = COPY_SIDES.iter().chain([&COPY_LOCK]).find(|side| !side.is_empty() && name.ends_with(**side));
    let copy = name.strip_suffix(side.copied().unwrap_or_default())?;
    let (rest, kind) = copy.strip_prefix('.')?.rsplit_once('.')?;
    let (_, id) = rest.rsplit_once('.')?;
    let is_copy = COPY_KINDS.contains(&kind) && id.len() == 32 && uuid::Uuid::try_parse(id).is_ok();
    is_copy.then(|| path.with_file_name(copy))
}

fn drafts(place: &Path, mut visit: impl FnMut(&Path)) {
    let Some(prefix) = place.file_name().map(|name| format!("{}.", name.to_string_lossy())) else { return };
    let Ok(entries) = fs::read_dir(directory::parent(place)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some((id, side)) = name.strip_prefix(&prefix).and_then(|rest| rest.split_once(SUFFIX)) else { continue };
        if uuid::Uuid::try_parse(id).is_ok() && SIDES.contains(&side) {
            visit(&entry.path());
        }
    }
}
