//! Prevents that a user names a file of the ledger as another file.
//!
//! Closing any descriptor of a file drops all POSIX locks that the process holds on it. A command that reads its input
//! from the ledger, or writes its output to it, would lose the locks of its own connection.

use std::fs;
use std::path::{Path, PathBuf};

use super::file::behind_links;
use super::identity::{Identity, is_file_of_open_database};
use crate::model::error::{Error, Result};
use crate::store::directory;

/// The suffixes of a ledger's files.
const ENDS: [&str; 6] = ["", "-wal", "-shm", "-journal", "-queue", "-push"];

/// Fails if a path leads to a file of a ledger that this process has open, or of the ledger at `ledger`.
///
/// It opens nothing. A path without a file counts too, because a new file there would belong to the ledger.
pub(crate) fn refuse_ledger(given: &Path, ledger: Option<&Path>) -> Result<()> {
    // If a path cannot be examined, opening it later reports the reason.
    if let Ok(Some(identity)) = Identity::at(given)
        && is_file_of_open_database(identity)
    {
        return Err(is_the_ledger(given));
    }
    let Some(ledger) = ledger.map(behind_links) else { return Ok(()) };
    for end in ENDS {
        let mut name = ledger.clone().into_os_string();
        name.push(end);
        if is_same_file(given, Path::new(&name)) {
            return Err(is_the_ledger(given));
        }
    }
    Ok(())
}

fn is_the_ledger(path: &Path) -> Error {
    Error::invalid(format!("{} is a file of the ledger itself: name another file", path.display()))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(Some(one)), Ok(Some(other))) = (Identity::at(one), Identity::at(other)) {
        return one == other;
    }
    matches!((place(one), place(other)), (Some(one), Some(other)) if one == other)
}

/// The path of a file without links, whether the file exists or not. `None` if its directory does not exist.
fn place(path: &Path) -> Option<PathBuf> {
    let path = behind_links(path);
    Some(fs::canonicalize(directory::parent(&path)).ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;

    #[test]
    fn the_files_of_a_ledger_are_refused_under_each_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, other) = (dir.path().join("usage.db"), dir.path().join("other.txt"));
        fs::write(&other, "text").unwrap();
        // No file exists yet.
        assert!(refuse_ledger(&ledger, Some(&ledger)).is_err());
        assert!(refuse_ledger(&other, Some(&ledger)).is_ok());
        let store = SqliteStore::open(&ledger).unwrap();
        for end in ENDS {
            let file = dir.path().join(format!("usage.db{end}"));
            assert!(refuse_ledger(&file, Some(&ledger)).is_err(), "{end}");
            // An open ledger is recognised without its path. No lock depends on its queue.
            assert_eq!(refuse_ledger(&file, None).is_err(), file.exists() && end != "-queue", "{end}");
            assert!(refuse_ledger(&dir.path().join(".").join(format!("usage.db{end}")), Some(&ledger)).is_err());
        }
        assert!(refuse_ledger(&other, None).is_ok());
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(&ledger, &link).unwrap();
            assert!(refuse_ledger(&link, None).is_err());
            assert!(refuse_ledger(&ledger, Some(&link)).is_err());
        }
        drop(store);
        assert!(refuse_ledger(&ledger, None).is_ok(), "nobody has it open");
    }
}
