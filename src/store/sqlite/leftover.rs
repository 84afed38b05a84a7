//! What a first import that was killed has left beside the place of a ledger.

use std::fs;
use std::path::Path;

use super::identity::Identity;
use crate::store::directory;

/// How a draft's name ends; before it stand the name of the ledger that it becomes, and a random number.
pub(super) const SUFFIX: &str = ".draft";
/// What stands behind the names of a draft and of the files that SQLite may make beside it.
pub(super) const SIDES: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// Removes all drafts of a ledger. An import that still writes to one finds it gone, and imports into the ledger instead.
pub(super) fn sweep(place: &Path) {
    drafts(place, |path| {
        // What cannot be removed is tried again by the next import.
        let _ = fs::remove_file(path);
    });
}

/// Removes the draft's name of a ledger that has its own name already.
#[cfg(unix)]
pub(super) fn unlink_names_of(place: &Path) {
    let Ok(Some(ledger)) = Identity::at(place) else { return };
    drafts(place, |path| {
        if matches!(Identity::at(path), Ok(Some(draft)) if draft == ledger) {
            let _ = fs::remove_file(path);
        }
    });
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
