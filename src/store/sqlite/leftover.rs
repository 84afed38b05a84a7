//! Files that a killed first import or restore left next to a ledger.

use std::fs;
use std::path::Path;

use super::identity::Identity;
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
